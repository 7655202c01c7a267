//! Numbers for paths, because the kernel asks by inode number and the tree answers by path.
//!
//! Owns the numbering only. A number is never given to another path and never forgotten: the tree holds at most a few thousand
//! paths in a lab, and a number that the kernel still remembers must not come to mean something else.

use std::collections::HashMap;

/// The two-way table. The root directory (empty path) is number 1, as FUSE wants it.
#[derive(Debug)]
pub struct Inodes {
    paths: HashMap<u64, String>,
    numbers: HashMap<String, u64>,
    next: u64,
}

impl Default for Inodes {
    fn default() -> Self {
        Self {
            paths: HashMap::from([(1, String::new())]),
            numbers: HashMap::from([(String::new(), 1)]),
            next: 2,
        }
    }
}

impl Inodes {
    /// The path of a number; `None` when its file was replaced by a rename.
    pub fn path(&self, number: u64) -> Option<String> {
        self.paths.get(&number).cloned()
    }

    /// The number of a path, a new one when it has none yet.
    pub fn number(&mut self, path: &str) -> u64 {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let number = self.next;
        self.next += 1;
        self.paths.insert(number, path.to_owned());
        self.numbers.insert(path.to_owned(), number);
        number
    }

    /// Follows a rename: the kernel keeps the number of the file that moved.
    pub fn moved(&mut self, from: &str, to: &str) {
        if let Some(replaced) = self.numbers.remove(to) {
            self.paths.remove(&replaced);
        }
        if let Some(number) = self.numbers.remove(from) {
            self.paths.insert(number, to.to_owned());
            self.numbers.insert(to.to_owned(), number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_file_keeps_its_number_and_the_replaced_one_leads_nowhere() {
        let mut inodes = Inodes::default();
        let (new, old) = (inodes.number("conf.new"), inodes.number("conf"));
        inodes.moved("conf.new", "conf");
        assert_eq!(inodes.path(new).as_deref(), Some("conf"));
        assert_eq!(inodes.path(old), None);
        assert_eq!(inodes.number("conf"), new);
        assert!(inodes.number("conf.new") > old);
    }
}
