//! Differences between two texts as `diff -u` shows them.

use similar::TextDiff;

/// Lines of context around a difference, as `diff -u` has it.
const CONTEXT: usize = 3;

/// A text with its name.
type Named<'a, T> = (&'a str, &'a T);

/// The unified difference; empty when there is none.
pub fn unified(old: Named<'_, str>, new: Named<'_, str>) -> String {
    let bytes = unified_bytes((old.0, old.1.as_bytes()), (new.0, new.1.as_bytes()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The same of files that may hold anything, byte for byte.
pub fn unified_bytes(old: Named<'_, [u8]>, new: Named<'_, [u8]>) -> Vec<u8> {
    let mut text = Vec::new();
    TextDiff::from_lines(old.1, new.1)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(old.0, new.0)
        .to_writer(&mut text)
        .expect("writing to memory never fails");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_difference() {
        assert_eq!(unified(("a", "x\n"), ("b", "x\n")), "");
    }

    #[test]
    fn a_difference_is_one_that_patch_understands() {
        let said = unified(("a", "1\n2\n3\n"), ("b", "1\ntwo\n3\n"));
        assert_eq!(said, "--- a\n+++ b\n@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n");
    }
}
