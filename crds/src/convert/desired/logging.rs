//! `spec.logging` in the words of corosync.conf.

use pvecm_core::conf::{Debugging, LoggingOptions, Priority, Switch};

use crate::cluster::{DebugMessages, Logging, SyslogPriority};

/// The keys of `logging`. Where corosync has two words for one thing, that of Proxmox VE.
pub(super) fn options(logging: Logging) -> LoggingOptions {
    let Logging { debug, to_syslog, syslog_priority } = logging;
    LoggingOptions {
        debug: debug.map(debug_word),
        syslog_priority: syslog_priority.map(priority_word),
        to_syslog: to_syslog.map(|on| if on { Switch::Yes } else { Switch::No }),
    }
}

const fn debug_word(debug: DebugMessages) -> Debugging {
    match debug {
        DebugMessages::Disabled => Debugging::Off,
        DebugMessages::Enabled => Debugging::On,
        DebugMessages::Trace => Debugging::Trace,
    }
}

const fn priority_word(priority: SyslogPriority) -> Priority {
    match priority {
        SyslogPriority::Emerg => Priority::Emerg,
        SyslogPriority::Alert => Priority::Alert,
        SyslogPriority::Crit => Priority::Crit,
        SyslogPriority::Err => Priority::Err,
        SyslogPriority::Warning => Priority::Warning,
        SyslogPriority::Notice => Priority::Notice,
        SyslogPriority::Info => Priority::Info,
        SyslogPriority::Debug => Priority::Debug,
    }
}
