//! Differences between two texts as `diff -u` shows them.

use similar::TextDiff;

/// Lines of context around a difference, as `diff -u` has it.
const CONTEXT: usize = 3;

/// The unified difference; empty when there is none.
pub fn unified((old_name, old): (&str, &str), (new_name, new): (&str, &str)) -> String {
    let diff = TextDiff::from_lines(old, new);
    diff.unified_diff().context_radius(CONTEXT).header(old_name, new_name).to_string()
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
