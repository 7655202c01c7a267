//! `pvecm-agent doctor`: what is missing on this host, a line each, in plain words.
//!
//! Owns how facts become lines; [`facts`] gathers them. Looks and changes nothing, and needs neither the API server nor
//! enrolment.

mod checks;
mod facts;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::ensure;

pub use facts::{Facts, Held, Kept};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Fine,
    /// To be known; nothing has to be done at once.
    Note,
    /// Somebody has to do something.
    Wrong,
}

/// What is said of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    grade: Grade,
    what: &'static str,
    sentence: String,
}

impl Line {
    fn fine(what: &'static str, sentence: impl Into<String>) -> Self {
        Self { grade: Grade::Fine, what, sentence: sentence.into() }
    }

    fn note(what: &'static str, sentence: impl Into<String>) -> Self {
        Self { grade: Grade::Note, what, sentence: sentence.into() }
    }

    fn wrong(what: &'static str, sentence: impl Into<String>) -> Self {
        Self { grade: Grade::Wrong, what, sentence: sentence.into() }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Fine => "ok",
            Grade::Note => "note",
            Grade::Wrong => "WRONG",
        };
        write!(f, "{grade:<5} {:<10} {}", self.what, self.sentence)
    }
}

/// Looks at this host and prints what it finds. Exit code 0: nothing is wrong; 1: something is; 2: it cannot look.
pub async fn run(bootstrap: &Path) -> ExitCode {
    let looked = async {
        ensure!(
            nix::unistd::geteuid().is_root(),
            "most of what counts here only root may read: run it as root"
        );
        Facts::gather(bootstrap).await
    };
    match looked.await {
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
        Ok(facts) => {
            let lines = checks::all(&facts);
            for line in &lines {
                println!("{line}");
            }
            let is_wrong = lines.iter().any(|line| line.grade == Grade::Wrong);
            ExitCode::from(u8::from(is_wrong))
        }
    }
}
