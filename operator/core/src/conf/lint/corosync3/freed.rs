//! Sections inside others at which the parser of corosync 3.1.7 frees a text twice and dies.

use super::stored::DEEPEST;
use crate::conf::document::SectionView;
use crate::conf::lint::Code;
use crate::conf::lint::report::{Report, quoted};

static NESTED_ABORTS: Code = Code {
    name: "nested-section-aborts-corosync",
    title: "A section inside an interface or a logger ends every running corosync",
    explanation: "corosync 3.1.7 frees the values of an `interface` with a `knet_transport`, and \
                  of a `logger_subsys` or `logging_daemon`, at the end of every section inside, \
                  and again at its own end: it dies with SIGABRT, at a start and while it reloads. \
                  One forgotten closing brace is enough, because the next section then stands \
                  inside. 3.1.10 is mended.",
    source: "measured with `corosync -t` and by reload of a running 3.1.7; exec/coroparse.c of 3.1.10",
};

pub(super) static CODES: &[&Code] = &[&NESTED_ABORTS];

pub(super) fn is_abort(code: &Code) -> bool {
    code == &NESTED_ABORTS
}

/// An interface section, where `knet_transport` may be freed at an inner end and again at an outer one.
pub(super) fn judge_interface(section: &SectionView<'_>, report: &mut Report) {
    let mut transport = Freed::Unset;
    follow(section, &mut transport, 0);
    if let (Freed::Twice, Some(inner)) = (transport, section.all_sections().next()) {
        tell("interface", &inner, report);
    }
}

/// A logger section, where any inner end frees all.
pub(super) fn judge_logger(section: &SectionView<'_>, report: &mut Report) {
    if let Some(inner) = section.all_sections().next() {
        tell(&String::from_utf8_lossy(section.name()), &inner, report);
    }
}

fn tell(outer: &str, inner: &SectionView<'_>, report: &mut Report) {
    let what = format!("section {} stands inside `{outer}`", quoted(inner.name()));
    let todo = "close the outer section before it";
    let start = format!("{what}; corosync 3.1.7 does not start but aborts; {todo}");
    report.refuses(&NESTED_ABORTS, Some(inner.line()), start);
    let reload =
        format!("{what}; every running corosync 3.1.7 that reloads this file aborts; {todo}");
    report.breaks(&NESTED_ABORTS, Some(inner.line()), reload);
}

/// What became of the text of a `knet_transport`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freed {
    Unset,
    Held,
    Once,
    Twice,
}

/// Goes through an interface section as the parser does: a key holds a text, the end of every
/// section inside frees it, except for `member`. A section that is not closed has no end.
fn follow(section: &SectionView<'_>, transport: &mut Freed, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    let mut inner = section.all_sections().peekable();
    for (name, value) in section.keys() {
        while let Some(section) = inner.next_if(|section| section.line() < value.line) {
            follow(&section, transport, depth + 1);
        }
        if name == b"knet_transport" && *transport != Freed::Twice {
            *transport = Freed::Held;
        }
    }
    inner.for_each(|section| follow(&section, transport, depth + 1));
    let is_member = section.name() == b"member";
    if !is_member && section.is_closed() {
        *transport = match *transport {
            Freed::Unset => Freed::Unset,
            Freed::Held => Freed::Once,
            Freed::Once | Freed::Twice => Freed::Twice,
        };
    }
}
