//! What must hold of the parsers whatever bytes they get.
//!
//! Owns the properties; each panics where it finds a counterexample. The targets hand them what
//! libFuzzer makes up, the tests of this crate what is in `seeds`.

mod corosync_conf;
mod datacenter_cfg;

pub use corosync_conf::corosync_conf;
pub use datacenter_cfg::{datacenter_cfg, property_string};

/// Whether all lines of `part` stand in `whole`, in this order and byte for byte. A last line without
/// its end may get one.
fn is_within(part: &[u8], whole: &[u8]) -> bool {
    let mut lines = whole.split(|byte| *byte == b'\n');
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.split(|byte| *byte == b'\n').all(|line| lines.any(|other| other == line))
}

/// How many lines differ between two texts of equally many lines.
fn lines_changed(old: &[u8], new: &[u8]) -> Option<usize> {
    let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').count();
    let both = old.split(|byte| *byte == b'\n').zip(new.split(|byte| *byte == b'\n'));
    (lines(old) == lines(new)).then(|| both.filter(|(one, other)| one != other).count())
}
