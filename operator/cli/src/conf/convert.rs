//! `conf convert`: a file of an older dialect made fit for another transport.

use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use pvecm_core::conf::edit::bump;
use pvecm_core::conf::lint::{Finding, Reader, lint};
use pvecm_core::conf::{Converted, Document, Step, convert};
use serde::Serialize;

use super::Verdict;
use super::input::Input;
use super::lint::{is_harm, line};
use super::output::{self, Format};

/// Turn a file for corosync 2, or for udp or udpu, into one for corosync 3 with knet.
///
/// Prints the new text, and on standard error what was changed and what the file cannot carry over.
/// Raises `config_version` by one when anything was changed. Ends with exit code 1, and prints no text,
/// when something that knet needs is missing or `conf lint` finds fault with the result.
#[derive(Debug, ClapArgs)]
pub struct Convert {
    /// The file, or `-` for standard input.
    file: Input,
    /// What to convert to.
    #[arg(long, value_enum)]
    to: Target,
    /// The form of what is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// What a file can be converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// corosync 3 with its default transport.
    Knet,
}

/// What a conversion came to, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// What was changed, in file order.
    steps: Vec<Step>,
    /// What a person has to know before the file is used.
    remarks: Vec<String>,
    /// Why there is no new text, unless findings say so.
    refused: Option<String>,
    /// What keeps the new text from being used, with its lines.
    findings: Vec<Finding>,
    /// The new text.
    text: Option<String>,
}

impl Convert {
    pub(super) fn run(self) -> Result<Verdict> {
        let Target::Knet = self.to;
        let document = Document::parse(&self.file.read()?);
        let (report, text) = match converted(&document) {
            Ok((converted, findings)) => report(converted, findings),
            Err(error) => (refusal(format!("{error:#}")), None),
        };
        if self.output == Format::Text {
            self.tell(&report);
        }
        let taken = text.is_some();
        output::print(self.output, &report, || text.unwrap_or_default())?;
        Ok(Verdict::when(taken))
    }

    fn tell(&self, report: &Report) {
        let Report { steps, remarks, refused, findings, text: _ } = report;
        if let Some(refused) = refused {
            eprintln!("refused: {}: {refused}", self.file);
        }
        for step in steps {
            let place = step.line.map_or_else(String::new, |line| format!(":{line}"));
            eprintln!("{}{place}: {}", self.file, step.what);
        }
        for remark in remarks {
            eprintln!("note: {remark}");
        }
        if !findings.is_empty() {
            eprintln!("refused; the new text would have:");
        }
        for finding in findings {
            eprint!("{}", line(&self.file, finding, false));
        }
    }
}

fn converted(document: &Document) -> Result<(Converted, Vec<Finding>)> {
    let mut converted = convert(document)?;
    if !converted.steps.is_empty() {
        converted.document = bump(&converted.document)?;
    }
    let findings = lint(&converted.document, &Reader::TODAY);
    Ok((converted, findings.into_iter().filter(is_harm).collect()))
}

fn report(converted: Converted, findings: Vec<Finding>) -> (Report, Option<Vec<u8>>) {
    let Converted { document, steps, remarks } = converted;
    let bytes = findings.is_empty().then(|| document.to_bytes());
    let text = bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (Report { steps, remarks, refused: None, findings, text }, bytes)
}

fn refusal(why: String) -> Report {
    let (steps, remarks, findings) = (Vec::new(), Vec::new(), Vec::new());
    Report { steps, remarks, refused: Some(why), findings, text: None }
}
