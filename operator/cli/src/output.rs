//! How answers are printed: as text for people, or as data for programs.

use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;

/// The exit code of a command that understood what was asked and will not, or cannot, do it. Other
/// codes: 0 done or answered, 1 an error (no such object, API server not reached), 2 a command line
/// that is not understood.
const REFUSED: u8 = 3;

/// A form for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON value.
    Json,
    /// One YAML document.
    Yaml,
}

/// Prints an answer in the form that was asked for.
pub fn print<T: Serialize>(
    format: Option<Format>,
    answer: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match format {
        None => print!("{}", text(answer)),
        Some(Format::Json) => println!("{}", serde_json::to_string_pretty(answer)?),
        Some(Format::Yaml) => print!("{}", pvecm_crds::yaml::write(answer)?),
    }
    Ok(())
}

/// Says in one sentence why it is not done.
pub fn refuse(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(REFUSED)
}

/// Rows under a header, in columns as wide as needed; the last one is never padded.
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(str::to_owned);
    let all = || [&header].into_iter().chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let line = |row: &[String; N]| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = if column + 1 == N { 0 } else { width(column) };
            format!("{cell:<width$}")
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("   "))
    };
    all().map(line).collect()
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
