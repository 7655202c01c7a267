//! Where a reader's findings come together.

use super::{Code, Effect, Finding, Reader};

/// The findings of one reader so far.
pub(super) struct Report {
    reader: Reader,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) const fn new(reader: Reader) -> Self {
        Self { reader, findings: Vec::new() }
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    /// Whether the reader refuses the file, as far as it is judged yet.
    pub(super) fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.effect == Effect::Refuses)
    }

    pub(super) fn refuses(&mut self, code: &'static Code, line: Option<usize>, message: String) {
        self.add(Effect::Refuses, (code, line), message);
    }

    pub(super) fn breaks(&mut self, code: &'static Code, line: Option<usize>, message: String) {
        self.add(Effect::Breaks, (code, line), message);
    }

    pub(super) fn misreads(&mut self, code: &'static Code, line: Option<usize>, message: String) {
        self.add(Effect::Misreads, (code, line), message);
    }

    pub(super) fn advises(&mut self, code: &'static Code, line: Option<usize>, message: String) {
        self.add(Effect::Advice, (code, line), message);
    }

    fn add(
        &mut self,
        effect: Effect,
        (code, line): (&'static Code, Option<usize>),
        message: String,
    ) {
        self.findings.push(Finding { code, reader: self.reader, effect, line, message });
    }
}

/// Bytes of the file in back quotes, fit for a message: one line, at most 60 characters of it.
pub(super) fn quoted(bytes: &[u8]) -> String {
    const LONGEST: usize = 60;
    let text = String::from_utf8_lossy(bytes);
    let shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    let more = if text.chars().count() > LONGEST { "..." } else { "" };
    format!("`{shown}{more}`")
}
