//! `conf lint`: what each reader of a file would make of it.

use anyhow::{Context as _, Result, bail};
use clap::Args as ClapArgs;
use pvecm_core::conf::lint::{self, Code, Effect, Finding, Reader};
use pvecm_core::{conf, datacenter};

use super::Verdict;
use super::input::Input;
use super::output::{self, Format};

/// Say what each reader of a file would refuse, misread or be harmed by.
///
/// The readers of corosync.conf do not agree: corosync 3, corosync 2, Proxmox VE's own parser, and
/// pmxcfs, which looks for nothing but a version. Ends with exit code 1 when one of the
/// chosen readers refuses the file, reads it in another way than it is written, or takes it and harms
/// the cluster. Advice alone ends with 0. Never looks at this machine's addresses, names or keys:
/// `corosync -t` does that.
#[derive(Debug, ClapArgs)]
pub struct Lint {
    /// The file, or `-` for standard input.
    #[arg(required_unless_present = "explain")]
    file: Option<Input>,
    /// corosync3, corosync2, pve or pmxcfs; repeatable. Without it the readers of a Proxmox VE host of
    /// today: corosync3, pve and pmxcfs.
    #[arg(long, value_name = "READER")]
    reader: Vec<Reader>,
    /// The file is a datacenter.cfg, which Proxmox VE alone reads.
    #[arg(long, conflicts_with = "reader")]
    datacenter: bool,
    /// Explain a kind of finding instead, such as `comment-in-value`.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["file", "reader", "datacenter"])]
    explain: Option<String>,
    /// The form of the findings.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl Lint {
    pub(super) fn run(self) -> Result<Verdict> {
        if let Some(name) = &self.explain {
            return explain(name, self.output);
        }
        let file = self.file.context("the file is missing")?;
        let bytes = file.read()?;
        let (readers, findings) = if self.datacenter {
            (vec![Reader::Pve], datacenter::lint(&datacenter::Document::parse(&bytes)))
        } else {
            let readers = if self.reader.is_empty() { Reader::TODAY.to_vec() } else { self.reader };
            let findings = lint::lint(&conf::Document::parse(&bytes), &readers);
            (readers, findings)
        };
        output::print(self.output, &findings, || text(&file, &findings, &readers).into_bytes())?;
        Ok(Verdict::when(findings.iter().all(|finding| !is_harm(finding))))
    }
}

/// Whether a finding is more than advice.
pub(super) fn is_harm(finding: &Finding) -> bool {
    finding.effect != Effect::Advice
}

/// One finding in the form that compilers use, so that editors find the line.
pub(super) fn line(file: &Input, finding: &Finding, colours: bool) -> String {
    let Finding { code, reader, effect, line, message } = finding;
    let effect = output::effect(*effect, colours);
    let place = line.map_or_else(|| file.to_string(), |line| format!("{file}:{line}"));
    format!("{place}: {reader} {effect}: {message} [{code}]\n")
}

fn text(file: &Input, findings: &[Finding], readers: &[Reader]) -> String {
    let colours = output::has_colours();
    let mut text: String = findings.iter().map(|finding| line(file, finding, colours)).collect();
    for reader in Reader::ALL.into_iter().filter(|reader| readers.contains(reader)) {
        text += &format!("{file}: {reader} {}\n", verdict(findings, reader));
    }
    text
}

/// What a reader does with the file, in a few words.
fn verdict(findings: &[Finding], reader: Reader) -> &'static str {
    let worst = findings.iter().filter(|finding| finding.reader == reader).map(|one| one.effect);
    match worst.min() {
        Some(Effect::Refuses) => "refuses the file",
        Some(Effect::Breaks) => "takes the file and harms the cluster",
        Some(Effect::Misreads) => "takes the file, but not as it is written",
        Some(Effect::Advice) | None => "takes the file as it is written",
    }
}

/// Every code that a finding of this command can have.
fn codes() -> impl Iterator<Item = &'static Code> {
    lint::codes().chain(datacenter::codes())
}

fn explain(name: &str, format: Format) -> Result<Verdict> {
    let Some(code) = codes().find(|code| code.name == name) else {
        let known: Vec<_> = codes().map(|code| code.name).collect();
        bail!("`{name}` is no code of a finding; these are: {}", known.join(", "));
    };
    let Code { name, title, explanation, source } = code;
    let page = serde_json::json!({
        "code": name, "title": title, "explanation": explanation, "source": source,
    });
    output::print(format, &page, || {
        format!("{name}: {title}\n\n{explanation}\n\nSource: {source}\n").into_bytes()
    })?;
    Ok(Verdict::Fine)
}
