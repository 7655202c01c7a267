//! Where a file comes from.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};

/// More than any corosync.conf has, and more than pmxcfs keeps: a device or a disk image named by
/// mistake ends in a sentence, not in memory.
const LARGEST: u64 = 1 << 20;

/// A path, or standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// `-`
    Stdin,
    /// Everything else.
    File(PathBuf),
}

impl FromStr for Input {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdin } else { Self::File(text.into()) })
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("<stdin>"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Input {
    /// The path, unless it is standard input.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) => Some(path),
        }
    }

    /// All bytes.
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = match self {
            Self::Stdin => std::io::stdin().take(LARGEST + 1).read_to_end(&mut bytes),
            Self::File(path) => std::fs::File::open(path)
                .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)),
        };
        read.with_context(|| format!("cannot read {self}"))?;
        let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST);
        ensure!(fits, "{self} is larger than 1 MiB, which no corosync.conf is");
        Ok(bytes)
    }
}
