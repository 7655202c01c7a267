//! How results go out: as text for people, as JSON or YAML for programs.

use std::io::{ErrorKind, IsTerminal as _, Write as _, stdout};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use pvecm_core::conf::lint::Effect;
use serde::Serialize;

/// The form of what is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For programs, and people who like it.
    Yaml,
}

/// Prints a result: `text` for people, else the value.
pub fn print<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> Vec<u8>,
) -> Result<()> {
    let bytes = match format {
        Format::Text => text(),
        Format::Json => {
            let mut text = serde_json::to_string_pretty(value)?;
            text.push('\n');
            text.into_bytes()
        }
        Format::Yaml => pvecm_crds::yaml::write(value)?.into_bytes(),
    };
    print_bytes(&bytes)
}

/// Prints bytes as they are. A reader that has seen enough (`head`) is no error.
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to standard output"),
    }
}

/// Whether standard output is a terminal whose user wants colours (<https://no-color.org>).
pub fn has_colours() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The effect's name; on a terminal in a colour of its own.
pub fn effect(effect: Effect, colours: bool) -> String {
    let colour = match effect {
        Effect::Refuses | Effect::Breaks => "31",
        Effect::Misreads => "33",
        Effect::Advice => "36",
    };
    if colours { format!("\x1b[{colour}m{effect}\x1b[0m") } else { effect.to_string() }
}
