//! Links: every one leads to a file that is there and to a heading in it, and the table of contents has
//! every page once.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::Page;

/// The table of contents.
const SUMMARY: &str = "SUMMARY.md";

/// Every link that leads nowhere, and every page that the table of contents forgets or repeats.
pub fn faults(pages: &[Page]) -> Vec<String> {
    let mut faults = Vec::new();
    for page in pages {
        for (number, line) in page.prose() {
            let broken = targets(line).into_iter().filter(|target| !leads(page, target, pages));
            let at = format!("{}:{number}", page.name);
            faults.extend(broken.map(|target| format!("{at}: `{target}` leads nowhere")));
        }
    }
    let contents = pages.iter().find(|page| page.name == SUMMARY);
    let lines = contents.into_iter().flat_map(Page::prose);
    let listed: Vec<String> = lines.flat_map(|(_, line)| targets(line)).collect();
    for page in pages.iter().filter(|page| page.name != SUMMARY) {
        let times = listed.iter().filter(|name| **name == page.name).count();
        if times != 1 {
            faults.push(format!("{}: it stands in {SUMMARY} {times} times, not once", page.name));
        }
    }
    faults
}

/// The targets of a line's links. What stands in back quotes is no link.
fn targets(line: &str) -> Vec<String> {
    let plain: String = line.split('`').step_by(2).collect();
    let links = plain.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.map(str::to_owned).collect()
}

/// Whether a link of this page leads to something. What is outside of the repository is not looked at.
fn leads(page: &Page, target: &str, pages: &[Page]) -> bool {
    if target.contains("://") {
        return true;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(p, a)| (p, Some(a)));
    let path = if path.is_empty() { page.name.clone() } else { beside(&page.name, path) };
    match pages.iter().find(|page| page.name == path) {
        Some(page) => anchor.is_none_or(|anchor| anchors(page).contains(anchor)),
        None => Path::new(&super::folder()).join(&path).exists(),
    }
}

/// A path that is relative to a page, relative to the book.
fn beside(page: &str, path: &str) -> String {
    let mut from = PathBuf::from(page);
    from.pop();
    let mut to = PathBuf::new();
    for part in from.join(path).components() {
        if part != Component::ParentDir || !to.pop() {
            to.push(part);
        }
    }
    to.to_string_lossy().into_owned()
}

/// The names under which a page's headings are reached, as mdBook and GitHub make them.
fn anchors(page: &Page) -> BTreeSet<String> {
    let headings = page.prose().filter_map(|(_, line)| line.strip_prefix('#'));
    headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str, text: &str) -> Page {
        Page { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_link_to_a_page_or_a_heading_that_is_not_there_is_told() {
        let pages = [
            page("SUMMARY.md", "- [A](a.md)\n- [B](b/c.md)\n"),
            page("a.md", "# One `pve` thing\n[b](b/c.md), [x](b/d.md), [y](b/c.md#two)\n"),
            page(
                "b/c.md",
                "[a](../a.md#one-pve-thing) `[no](link)` <https://x.y> [x](https://x.y)\n",
            ),
        ];
        let told = ["a.md:2: `b/d.md` leads nowhere", "a.md:2: `b/c.md#two` leads nowhere"];
        assert_eq!(faults(&pages), told);
    }

    #[test]
    fn a_page_that_the_contents_forget_or_repeat_is_told() {
        let pages = [
            page("SUMMARY.md", "- [A](a.md)\n- [again](a.md)\n"),
            page("a.md", ""),
            page("b.md", ""),
        ];
        let told = [
            "a.md: it stands in SUMMARY.md 2 times, not once",
            "b.md: it stands in SUMMARY.md 0 times, not once",
        ];
        assert_eq!(faults(&pages), told);
    }
}
