//! What can be set for `logging`: how much corosync tells, and whether the journal gets it.
//!
//! Files and facilities are not managed: a path would travel in an object (design rule 10).

use std::fmt;

use super::document::SectionView;
use super::options::{news, word, words};
use super::values::ConfError;

/// The keys of `logging` that a reload takes at once (corosync.md 5.6). In a file `None` means that the
/// key is not written and corosync's default holds, in a wish that it is not managed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoggingOptions {
    /// `debug`: off by default.
    pub debug: Option<Debug>,
    /// `syslog_priority`: info by default.
    pub syslog_priority: Option<Priority>,
    /// `to_syslog`: yes by default.
    pub to_syslog: Option<Switch>,
}

impl LoggingOptions {
    pub(super) fn read(logging: &SectionView<'_>) -> Result<Self, ConfError> {
        Ok(Self {
            debug: word(logging, "debug", &Debug::ALL)?,
            syslog_priority: word(logging, "syslog_priority", &Priority::ALL)?,
            to_syslog: word(logging, "to_syslog", &Switch::ALL)?,
        })
    }

    /// What of this wish a file that says `written` does not say yet.
    #[must_use]
    pub fn beyond(self, written: Self) -> Self {
        let switched = self.to_syslog.map(Switch::is_on) != written.to_syslog.map(Switch::is_on);
        Self {
            debug: news(self.debug, written.debug),
            syslog_priority: news(self.syslog_priority, written.syslog_priority),
            to_syslog: self.to_syslog.filter(|_| switched),
        }
    }

    /// The keys to write, in Proxmox VE's order (bytewise).
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let keys = [
            ("debug", self.debug.map(|v| v.to_string())),
            ("syslog_priority", self.syslog_priority.map(|v| v.to_string())),
            ("to_syslog", self.to_syslog.map(|v| v.to_string())),
        ];
        keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

impl fmt::Display for LoggingOptions {
    /// The keys as they are written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.pairs().into_iter().map(|(key, value)| format!("{key} {value}"));
        f.write_str(&words.collect::<Vec<_>>().join(", "))
    }
}

words! {
    /// `logging.debug`.
    Debug {
        /// No debug messages.
        Off = "off",
        /// Debug messages.
        On = "on",
        /// Those of every call as well.
        Trace = "trace",
    }
}

words! {
    /// `logging.syslog_priority`: messages of this weight and above.
    Priority {
        /// The system is unusable.
        Emerg = "emerg",
        /// Somebody must act at once.
        Alert = "alert",
        /// A critical condition.
        Crit = "crit",
        /// An error.
        Err = "err",
        /// An error, by its other name.
        Error = "error",
        /// A warning.
        Warning = "warning",
        /// Normal but significant.
        Notice = "notice",
        /// What is good to know.
        Info = "info",
        /// Everything.
        Debug = "debug",
    }
}

words! {
    /// `logging.to_syslog`. Proxmox VE writes yes and no; corosync takes all four.
    Switch {
        /// On.
        Yes = "yes",
        /// Off.
        No = "no",
        /// On.
        On = "on",
        /// Off.
        Off = "off",
    }
}

impl Switch {
    /// What it means.
    #[must_use]
    pub fn is_on(self) -> bool {
        matches!(self, Self::Yes | Self::On)
    }
}
