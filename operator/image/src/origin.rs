//! Where an image comes from: a statement in the form of in-toto with a predicate of SLSA.

use anyhow::Result;
use serde_json::{Value, json};

use crate::layout::hex;
use crate::{PACKAGE, said};

/// The tree that the program was built from.
#[derive(Debug)]
pub struct Tree {
    /// The commit.
    pub revision: String,
    /// When it was made, as RFC 3339 has it, in the zone of who made it.
    pub committed: String,
    /// What git knows and has other content than in the commit: then the commit alone does not say what was built.
    changed: Vec<String>,
    lock: Vec<u8>,
    compiler: String,
}

impl Tree {
    /// Asks git and the compiler.
    pub fn read() -> Result<Self> {
        let log = |format| said("git", &["log", "-1", format]);
        let changed = said("git", &["diff", "HEAD", "--name-only"])?;
        Ok(Self {
            revision: log("--format=%H")?,
            committed: log("--format=%cI")?,
            changed: changed.lines().map(str::to_owned).collect(),
            lock: std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"))?,
            compiler: said("rustc", &["--version"])?,
        })
    }
}

/// The statement about an image.
pub fn statement(digest: &str, target: &str, profile: &str, tree: &Tree) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": PACKAGE, "digest": {"sha256": digest}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://pvecm.io/build/cargo-xtask-image/v1",
                "externalParameters": {"target": target, "profile": profile},
                "internalParameters": {"changedSinceCommit": tree.changed},
                "resolvedDependencies": [
                    {"name": "source", "digest": {"gitCommit": tree.revision}},
                    {"name": "Cargo.lock", "digest": {"sha256": hex(&tree.lock)}},
                    {"name": "compiler", "annotations": {"version": tree.compiler}},
                ],
            },
            "runDetails": {
                "builder": {"id": "https://pvecm.io/build/local", "version": {PACKAGE: env!("CARGO_PKG_VERSION")}},
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_names_commit_lock_file_and_what_is_not_committed() {
        let tree = Tree {
            revision: "abc".to_owned(),
            committed: "2026-01-02T03:04:05Z".to_owned(),
            changed: vec!["README.md".to_owned()],
            lock: b"lock".to_vec(),
            compiler: "rustc 1".to_owned(),
        };
        let said = statement("12", "x86_64-unknown-linux-gnu", "release", &tree);
        assert_eq!(said["subject"][0]["digest"]["sha256"], "12");
        let build = &said["predicate"]["buildDefinition"];
        assert_eq!(build["resolvedDependencies"][0]["digest"]["gitCommit"], "abc");
        assert_eq!(build["resolvedDependencies"][1]["digest"]["sha256"], hex(b"lock"));
        assert_eq!(build["internalParameters"]["changedSinceCommit"], json!(["README.md"]));
    }
}
