//! A text of corosync.conf as corosync and pmxcfs take it. Read with the production parser; what
//! corosync makes of a value that it refuses or ignores at run time is in [`super::corosync`].

use std::collections::BTreeMap;

use pvecm_core::conf::{Config, Document, SectionView, first_version_for_pmxcfs};

/// What a text means.
#[derive(Debug)]
pub struct Parsed {
    /// `config_version` as corosync reads it; 0 where there is none (facts/corosync.md 9.2).
    pub version: u64,
    /// The number that pmxcfs sees, comments included (facts/pmxcfs.md 2).
    pub pmxcfs_version: Option<u64>,
    /// The typed view; an error is why corosync refuses the file.
    pub config: Result<Config, String>,
    /// A `config_version` that aborts every daemon which reads it (facts/corosync.md 1.10).
    pub aborts: bool,
    /// corosync's parser gets to its end.
    pub parses: bool,
    /// What cmap shows of it.
    pub values: BTreeMap<String, String>,
}

impl Parsed {
    /// Reads a text.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let document = Document::parse(bytes);
        let config = Config::read(&document).map_err(|why| why.to_string());
        let mut values = BTreeMap::new();
        flatten(&document.root(), "", &mut values);
        let written = values.get("totem.config_version");
        let number = written.map(|text| text.parse::<u64>());
        Self {
            version: number.clone().and_then(Result::ok).unwrap_or(0),
            pmxcfs_version: first_version_for_pmxcfs(bytes).map(|version| version.0),
            config,
            parses: document.problems().is_empty(),
            aborts: matches!(number, Some(Err(_))) && written.is_none_or(|text| text != "-1"),
            values,
        }
    }

    /// The typed view, if corosync takes the file.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref().ok()
    }

    /// The token timeout that the file makes: nodes count by their `ring0_addr` (facts/corosync.md 6.2).
    #[must_use]
    pub fn token(&self) -> u64 {
        let number = |key: &str, default| {
            self.values.get(key).and_then(|text| text.parse().ok()).unwrap_or(default)
        };
        let counted = self.values.keys().filter(|key| key.ends_with(".ring0_addr")).count() as u64;
        let coefficient = number("totem.token_coefficient", 650);
        number("totem.token", 3_000) + coefficient * counted.saturating_sub(2)
    }

    /// The ports of the links: one that was open keeps its port (facts/corosync.md 5.3).
    #[must_use]
    pub fn ports(&self, open: &BTreeMap<u8, String>) -> BTreeMap<u8, String> {
        let links = self.config().map(Config::links).unwrap_or_default();
        let port = |link: pvecm_core::ids::LinkNumber| {
            let written = self.values.get(&format!("totem.interface.{link}.mcastport"));
            let number = link.get();
            let default = || (5_405 + u32::from(number)).to_string();
            let new = || written.cloned().unwrap_or_else(default);
            (number, open.get(&number).cloned().unwrap_or_else(new))
        };
        links.into_iter().map(port).collect()
    }

    /// What both ends of a connection must have in common.
    #[must_use]
    pub fn crypto(&self) -> [Option<&String>; 3] {
        ["totem.secauth", "totem.crypto_cipher", "totem.crypto_hash"]
            .map(|key| self.values.get(key))
    }
}

/// The text as a running daemon takes it: the transport is refused by itself (facts/corosync.md 5.6).
#[must_use]
pub fn with_transport(bytes: &[u8], running: Option<&str>) -> Vec<u8> {
    let own = |line: &str| line.trim_start().starts_with("transport:");
    let lines = String::from_utf8_lossy(bytes).into_owned();
    let lines = lines.split_inclusive('\n').filter_map(|line| match running {
        Some(running) if own(line) => Some(format!("  transport: {running}\n")),
        None if own(line) => None,
        _ => Some(line.to_owned()),
    });
    lines.collect::<String>().into_bytes()
}

/// cmap's names: nodes are counted, interfaces go by their link number.
fn flatten(section: &SectionView<'_>, path: &str, values: &mut BTreeMap<String, String>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // The number of a link is in cmap's name for its interface, and nowhere else.
    for (key, value) in section.keys().filter(|(key, _)| *key != b"linknumber") {
        values.insert(format!("{path}{}", text(key)), text(value.bytes));
    }
    let mut nodes = 0;
    for inner in section.all_sections() {
        let name = text(inner.name());
        let inside = match name.as_str() {
            "node" => {
                nodes += 1;
                format!("{path}node.{}.", nodes - 1)
            }
            "interface" => {
                let link = inner.value("linknumber").map_or("0".to_owned(), |v| text(v.bytes));
                format!("{path}interface.{link}.")
            }
            _ => format!("{path}{name}."),
        };
        flatten(&inner, &inside, values);
    }
}
