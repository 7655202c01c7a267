//! How results go out: as text for people, as JSON or YAML for programs.

use std::io::{ErrorKind, IsTerminal as _, Write as _, stdout};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use kube::{Resource, ResourceExt as _};
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

/// The form of a list of objects, by the names that kubectl has for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// A table.
    #[default]
    Text,
    /// A table with more columns.
    Wide,
    /// The objects' names, for other commands.
    Name,
    /// The objects.
    Json,
    /// The objects.
    Yaml,
}

/// Prints objects; `text` makes the table, a wide one where asked for.
pub fn print_listing<K: Resource<DynamicType = ()> + Serialize>(
    listing: Listing,
    objects: &[K],
    text: impl Fn(bool) -> String,
) -> Result<()> {
    let name = |object: &K| {
        let kind = K::kind(&()).to_lowercase();
        format!("{kind}.{}/{}\n", K::group(&()), object.name_any())
    };
    match listing {
        Listing::Text => print_bytes(text(false).as_bytes()),
        Listing::Wide => print_bytes(text(true).as_bytes()),
        Listing::Name => print_bytes(objects.iter().map(name).collect::<String>().as_bytes()),
        Listing::Json => print(Format::Json, &list(objects), Vec::new),
        Listing::Yaml => print(Format::Yaml, &list(objects), Vec::new),
    }
}

/// Several objects as one, as kubectl prints and reads them.
pub fn list<K: Serialize>(objects: &[K]) -> impl Serialize {
    serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects})
}

/// Prints a result: `text` for people, else the value.
pub fn print<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> Vec<u8>,
) -> Result<()> {
    print_bytes(&rendered(format, value, text)?)
}

/// What is printed of a result.
pub fn rendered<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> Vec<u8>,
) -> Result<Vec<u8>> {
    Ok(match format {
        Format::Text => text(),
        Format::Json => {
            let mut text = serde_json::to_string_pretty(value)?;
            text.push('\n');
            text.into_bytes()
        }
        Format::Yaml => pvecm_crds::yaml::write(value)?.into_bytes(),
    })
}

/// Prints bytes as they are. A reader that has seen enough (`head`) is no error.
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    print_while_read(bytes).map(drop)
}

/// The same for what goes on: whether somebody reads it yet.
pub fn print_while_read(bytes: &[u8]) -> Result<bool> {
    let mut out = stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// Whether standard output is a terminal whose user wants colours (<https://no-color.org>).
pub fn has_colours() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// How much a word matters, by its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// All is well.
    Green,
    /// Worth a look.
    Yellow,
    /// Something is wrong.
    Red,
    /// Good to know.
    Cyan,
}

impl Colour {
    /// The words in this colour, where colours are wanted.
    pub fn paint(self, words: &str, colours: bool) -> String {
        let code = match self {
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Cyan => 36,
        };
        if colours { format!("\x1b[{code}m{words}\x1b[0m") } else { words.to_owned() }
    }
}

/// The effect's name; on a terminal in a colour of its own.
pub fn effect(effect: Effect, colours: bool) -> String {
    let colour = match effect {
        Effect::Refuses | Effect::Breaks => Colour::Red,
        Effect::Misreads => Colour::Yellow,
        Effect::Advice => Colour::Cyan,
    };
    colour.paint(&effect.to_string(), colours)
}

/// Rows under a header, in columns as wide as needed; the last one is never padded.
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(str::to_owned);
    let all: Vec<Vec<String>> = [&header].into_iter().chain(rows).map(|row| row.to_vec()).collect();
    grid(&all)
}

/// Rows of one length, in such columns.
pub fn grid(rows: &[Vec<String>]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = if column + 1 == row.len() { 0 } else { width(column) };
            format!("{cell:<width$}")
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("   "))
    };
    rows.iter().map(line).collect()
}

/// A time span as kubectl prints ages: its largest unit, two for small numbers of it.
pub fn age(secs: i64) -> String {
    let (minutes, hours, days) = (secs / 60, secs / 3600, secs / 86400);
    match secs {
        ..120 => format!("{}s", secs.max(0)),
        120..7200 => format!("{minutes}m"),
        7200..172_800 => format!("{hours}h"),
        172_800.. => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "long enough".to_owned(), "x".to_owned()]];
        let said = table(["NUMBER", "B", "C"], &rows);
        assert_eq!(said, "NUMBER   B             C\na        long enough   x\n");
    }

    #[test]
    fn ages_are_those_of_kubectl() {
        let said = [5, 119, 120, 7199, 7200, 172_799, 172_800].map(age);
        assert_eq!(said, ["5s", "119s", "2m", "119m", "2h", "47h", "2d"]);
    }
}
