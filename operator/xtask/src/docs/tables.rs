//! Tables: whatever a page says to be shown by a test is shown by one that is there, and the table of the
//! guides' duties is complete.

use std::fs;
use std::path::{Path, PathBuf};

use super::Page;
use crate::cargo;

/// The last column of a table that names tests.
const SHOWN_BY: &str = "Shown by";
/// The page with a row for each duty that Proxmox VE's guides put on a person.
const DUTIES: &str = "duties.md";
/// How many duties there are, named G01 and so on.
const COUNT: usize = 83;
/// How a cell begins that names no test and says why.
const NONE: [&str; 3] = ["not needed", "not built", "not tested"];
/// Scenarios go by the name of their module alone.
const SCENARIOS: &str = "e2e/tests/scenarios";
/// The crates that tests are named of, and where they are.
const CRATES: [(&str, &str); 7] = [
    ("kubectl_pvecm", "operator/cli"),
    ("pvecm_agent", "operator/agent"),
    ("pvecm_core", "operator/core"),
    ("pvecm_crds", "crds"),
    ("pvecm_operator", "operator/controller"),
    ("pvecm_sim", "operator/sim"),
    ("xtask", "operator/xtask"),
];

/// Every test that is named and not there, and every duty that is missing.
pub fn faults(pages: &[Page]) -> Vec<String> {
    let mut faults: Vec<String> = pages.iter().flat_map(unknown_tests).collect();
    faults.extend(pages.iter().filter(|page| page.name == DUTIES).flat_map(open_duties));
    faults
}

/// The rows of a page's tables whose last column names tests.
fn rows(page: &Page) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let mut counts = false;
    page.prose().filter_map(move |(number, line)| {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            counts = false;
            return None;
        };
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let is_head = cells.last() == Some(&SHOWN_BY);
        counts |= is_head;
        (counts && !is_head && !row.starts_with("---")).then_some((number, cells))
    })
}

fn unknown_tests(page: &Page) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, cells) in rows(page) {
        let cell = cells.last().copied().unwrap_or_default();
        let at = format!("{}:{number}", page.name);
        let unknown = tests(cell).filter(|test| !is_there(test));
        faults.extend(unknown.map(|test| format!("{at}: there is no test `{test}`")));
        if tests(cell).next().is_none() && !NONE.iter().any(|word| cell.starts_with(word)) {
            faults.push(format!("{at}: `{cell}` names no test, and begins with none of {NONE:?}"));
        }
    }
    faults
}

fn open_duties(page: &Page) -> Vec<String> {
    let named: Vec<&str> = rows(page).filter_map(|(_, cells)| cells.first().copied()).collect();
    let wanted: Vec<String> = (1..=COUNT).map(|number| format!("G{number:02}")).collect();
    let mut faults = Vec::new();
    if named != wanted {
        faults.push(format!("{DUTIES}: its rows are not G01 to G{COUNT}, each once: {named:?}"));
    }
    let unanswered = rows(page).filter(|(_, cells)| !cells.concat().contains("]("));
    faults.extend(unanswered.map(|(number, _)| format!("{DUTIES}:{number}: it names no page")));
    faults
}

/// The paths in back quotes.
fn tests(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2).filter(|word| word.contains("::"))
}

/// Whether there is a test of this path: a crate's, or a scenario by its module.
fn is_there(test: &str) -> bool {
    let Some((module, name)) = test.rsplit_once("::") else { return false };
    files(module).iter().any(|file| {
        let source = fs::read_to_string(cargo::root().join(file));
        source.is_ok_and(|source| has_test(&source, name))
    })
}

/// The files in which a module may be.
fn files(module: &str) -> Vec<PathBuf> {
    let (first, rest) = module.split_once("::").unwrap_or((module, ""));
    let Some((_, folder)) = CRATES.iter().find(|(name, _)| *name == first) else {
        return vec![Path::new(SCENARIOS).join(module.replace("::", "/") + ".rs")];
    };
    let mut files = Vec::new();
    // A module of tests may stand in the file that it is about.
    for module in [rest, rest.strip_suffix("::tests").unwrap_or(rest)] {
        for root in ["src", "tests"] {
            let path = Path::new(folder).join(root).join(module.replace("::", "/"));
            files.extend([path.with_extension("rs"), path.join("mod.rs"), path.join("main.rs")]);
        }
    }
    files
}

fn has_test(text: &str, name: &str) -> bool {
    let mut is_test = false;
    text.lines().map(str::trim_start).any(|line| {
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            return false;
        }
        let was_test = std::mem::take(&mut is_test);
        let line = line.strip_prefix("async ").unwrap_or(line);
        let found = line.strip_prefix("fn ").and_then(|line| line.strip_prefix(name));
        was_test && found.is_some_and(|rest| rest.starts_with('('))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "| what | Shown by |\n|---|---|\n";

    fn page(name: &str, rows: &str) -> Page {
        Page { name: name.to_owned(), text: format!("{HEAD}{rows}\n") }
    }

    #[test]
    fn a_test_that_is_not_there_is_told_and_so_is_a_cell_without_any() {
        let here = "xtask::docs::tables::tests::a_duty_that_is_missing_or_leads_to_no_page_is_told";
        let rows = format!(
            "| a | `{here}` |\n| b | `removal::two_of_three_members_leave_and_stay_out_when_they_boot` |\n\
             | c | `removal::nobody` |\n| d | not built: x |\n| e | some day |"
        );
        let told = faults(&[page("x.md", &rows)]);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0], "x.md:5: there is no test `removal::nobody`");
        assert!(told[1].starts_with("x.md:7: `some day` names no test"), "{told:?}");
    }

    #[test]
    fn a_duty_that_is_missing_or_leads_to_no_page_is_told() {
        let row = |number: usize| format!("| G{number:02} [x](x.md) | not needed: x |");
        let all =
            |row: &dyn Fn(usize) -> String| (1..=COUNT).map(row).collect::<Vec<_>>().join("\n");
        let named = |number: usize| row(number).replacen(" [x](x.md)", " | [x](x.md)", 1);
        assert_eq!(faults(&[page(DUTIES, &all(&named))]), Vec::<String>::new());
        let short = all(&named).replacen("| G07 ", "| G08 ", 1);
        let told = faults(&[page(DUTIES, &short)]);
        assert!(told[0].contains("not G01 to G83"), "{told:?}");
        let silent = all(&named).replacen("[x](x.md)", "x", 1);
        assert_eq!(faults(&[page(DUTIES, &silent)]), ["duties.md:3: it names no page"]);
    }

    #[test]
    fn a_test_that_is_only_a_function_or_only_begins_like_it_is_none() {
        let text = "#[test]\n#[ignore = \"slow\"]\nfn a_b() {}\nfn c() {}\n#[tokio::test]\nasync fn d() {}\n";
        let found = ["a_b", "a", "c", "d"].map(|name| has_test(text, name));
        assert_eq!(found, [true, false, false, true]);
    }
}
