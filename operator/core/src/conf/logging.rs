//! What can be set for `logging`: how much corosync tells, and whether the journal gets it.
//!
//! Files and facilities are not managed: a path would travel in an object (design rule 10).

use std::fmt;

use super::document::Document;
use super::options::{news, words};

/// The keys of `logging` that a reload takes at once (corosync.md 5.6). In a file `None` means that no
/// word stands there that corosync knows, in a wish that the key is not managed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoggingOptions {
    /// `debug`: off by default.
    pub debug: Option<Debugging>,
    /// `syslog_priority`: info by default.
    pub syslog_priority: Option<Priority>,
    /// `to_syslog`: yes by default.
    pub to_syslog: Option<Switch>,
}

impl LoggingOptions {
    /// Never an error: a wrong word here changes what is told and nothing that the cluster rests on, so
    /// a file with one is not refused as a whole. `lint` names it. Of several sections corosync takes
    /// the last value (pve.md 2.1, 2.2).
    pub(super) fn read(document: &Document) -> Self {
        let value = |key: &str| {
            let mut sections = document.root().sections(SECTION).rev();
            sections.find_map(|section| section.value(key)).map(|value| value.bytes)
        };
        Self {
            debug: known(value("debug"), &Debugging::ALL),
            syslog_priority: known(value("syslog_priority"), &Priority::ALL),
            to_syslog: known(value("to_syslog"), &Switch::ALL),
        }
    }

    /// What of this wish a file that says `written` does not say yet. Two words for one thing are equal.
    #[must_use]
    pub fn beyond(self, written: Self) -> Self {
        let same_switch = self.to_syslog.map(Switch::is_on) == written.to_syslog.map(Switch::is_on);
        let [priority, before] =
            [self, written].map(|options| options.syslog_priority.map(Priority::plain));
        Self {
            debug: news(self.debug, written.debug),
            syslog_priority: self.syslog_priority.filter(|_| priority != before),
            to_syslog: self.to_syslog.filter(|_| !same_switch),
        }
    }

    /// The keys to write, in Proxmox VE's order (bytewise).
    pub(crate) fn pairs(self) -> Vec<(&'static str, String)> {
        let keys = [
            ("debug", self.debug.map(|v| v.to_string())),
            ("syslog_priority", self.syslog_priority.map(|v| v.to_string())),
            ("to_syslog", self.to_syslog.map(|v| v.to_string())),
        ];
        keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// The section, at the top of the file.
pub(super) const SECTION: &str = "logging";

fn known<T: Copy + fmt::Display>(value: Option<&[u8]>, all: &[T]) -> Option<T> {
    let value = value?;
    all.iter().find(|word| word.to_string().as_bytes() == value).copied()
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
    Debugging {
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

impl Priority {
    /// Under its first name.
    const fn plain(self) -> Self {
        match self {
            Self::Error => Self::Err,
            Self::Emerg
            | Self::Alert
            | Self::Crit
            | Self::Err
            | Self::Warning
            | Self::Notice
            | Self::Info
            | Self::Debug => self,
        }
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
    const fn is_on(self) -> bool {
        matches!(self, Self::Yes | Self::On)
    }
}
