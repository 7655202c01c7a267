//! How commands end, as scripts see it.

use std::process::ExitCode;

/// How a command ended; whatever kept it from ending is an error.
///
/// The exit code is 0 when all is well, 1 when there is something to say (findings, differences, a
/// refusal), 2 when the command line is wrong, or a file or an object cannot be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to say.
    Fine,
    /// Findings, differences or a refusal.
    Findings,
}

impl Verdict {
    /// Fine when something holds.
    pub const fn when(fine: bool) -> Self {
        if fine { Self::Fine } else { Self::Findings }
    }

    /// A refusal, after its sentence was told on standard error.
    pub fn refused(why: &str) -> Self {
        eprintln!("{why}");
        Self::Findings
    }
}

/// The exit code. What kept a command from ending is told on standard error.
pub fn code(ended: anyhow::Result<Verdict>) -> ExitCode {
    match ended {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Findings) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
