//! `conf show`: what a file makes of a cluster, defaults included.

use std::fmt::{Display, Write as _};

use anyhow::Result;
use clap::Args as ClapArgs;
use pvecm_core::conf::overview::{LinkView, Row};
use pvecm_core::conf::{Document, Overview, Valued};

use super::Verdict;
use super::input::Input;
use super::output::{self, Format};

/// Show what a file makes of a cluster: nodes, links, timers and votes, with the defaults that hold.
///
/// Takes files of every dialect: corosync 3 with knet, udp or udpu, and corosync 2. Lines that corosync
/// would stop at are named on standard error, passed over, and end with exit code 1.
#[derive(Debug, ClapArgs)]
pub struct Show {
    /// The file, or `-` for standard input.
    file: Input,
    /// The form of the overview.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl Show {
    pub(super) fn run(self) -> Result<Verdict> {
        let document = Document::parse(&self.file.read()?);
        let overview = Overview::of(&document);
        output::print(self.output, &overview, || text(&overview).into_bytes())?;
        for problem in document.problems() {
            eprintln!("{}: corosync refuses this file: {problem}", self.file);
        }
        Ok(Verdict::when(document.problems().is_empty()))
    }
}

fn text(overview: &Overview) -> String {
    let mut text = String::new();
    cluster(&mut text, overview);
    nodes(&mut text, overview);
    links(&mut text, &overview.links);
    quorum(&mut text, overview);
    rows(&mut text, "Logging", &overview.logging);
    rows(&mut text, "Other", &overview.rest);
    rows(&mut text, "No numbers, though these keys take one", &overview.unreadable);
    text
}

fn cluster(text: &mut String, overview: &Overview) {
    let Overview { dialect, cluster_name, config_version, totem, .. } = overview;
    let timers = &totem.timers;
    let name = cluster_name.as_deref().unwrap_or("(none)");
    let mut lines = vec![
        ("cluster", name.to_owned()),
        ("dialect", dialect.to_string()),
        ("config_version", marked(config_version)),
        ("transport", marked(&totem.transport)),
        ("ip_version", marked(&totem.ip_version)),
        ("encryption", totem.crypto.to_string()),
        ("token", format!("{} ms", marked(&timers.token_millis))),
        ("token_coefficient", format!("{} ms", marked(&timers.token_coefficient_millis))),
        ("token in force", format!("{} ms", timers.token_effective_millis)),
        ("consensus", format!("{} ms", marked(&timers.consensus_millis))),
    ];
    lines.extend(totem.link_mode.as_ref().map(|mode| ("link_mode", marked(mode))));
    for (name, value) in lines {
        line(text, name, &value);
    }
}

fn nodes(text: &mut String, overview: &Overview) {
    let mut table = vec![vec!["NODE".to_owned(), "ID".to_owned(), "VOTES".to_owned()]];
    table[0].extend(overview.links.iter().map(|link| format!("LINK {}", link.number)));
    for node in &overview.nodes {
        let id = node.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let name = node.name.clone().unwrap_or_else(|| "-".to_owned());
        let mut row = vec![name, id, marked(&node.votes)];
        let address = |link: &LinkView| node.addresses.get(&link.number).cloned();
        row.extend(overview.links.iter().map(|link| address(link).unwrap_or_else(|| "-".into())));
        table.push(row);
    }
    push_table(text, "Nodes", &table);
}

fn links(text: &mut String, links: &[LinkView]) {
    let header = ["LINK", "NODES", "PORT", "PRIORITY", "PING ms", "TIMEOUT ms", "PONGS"];
    let mut table = vec![header.map(str::to_owned).to_vec()];
    for link in links {
        let mut row = vec![link.number.to_string(), link.nodes.to_string(), marked(&link.port)];
        match &link.knet {
            Some(knet) => row.extend([
                marked(&knet.priority),
                marked(&knet.ping_interval_millis),
                marked(&knet.ping_timeout_millis),
                marked(&knet.pong_count),
            ]),
            None => row.extend(std::iter::repeat_n("-".to_owned(), 4)),
        }
        table.push(row);
    }
    push_table(text, "Links", &table);
}

fn quorum(text: &mut String, overview: &Overview) {
    let quorum = &overview.quorum;
    let votes = &quorum.votes;
    text.push_str("\nQuorum\n");
    line(text, "  provider", quorum.provider.as_deref().unwrap_or("(none)"));
    line(text, "  votes of nodes", &votes.node_votes.to_string());
    if let Some(device) = &votes.device_votes {
        line(text, "  votes of device", &marked(device));
    }
    line(text, "  expected_votes", &marked(&votes.expected));
    line(text, "  quorum", &votes.needed.to_string());
    line(text, "  nodes that can fail", &votes.failures_survived.to_string());
    line(text, "  wait_for_all", &marked(&quorum.wait_for_all));
    let set = [
        ("two_node", quorum.two_node),
        ("last_man_standing", quorum.last_man_standing),
        ("auto_tie_breaker", quorum.auto_tie_breaker),
    ];
    for (name, _) in set.into_iter().filter(|(_, set)| *set) {
        line(text, &format!("  {name}"), "true");
    }
    rows(text, "Quorum device", &quorum.device);
}

fn rows(text: &mut String, title: &str, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(text, "\n{title}\n");
    for row in rows {
        let mark = if row.line.is_none() { "*" } else { "" };
        let unknown = if row.is_known { "" } else { "  (nobody reads this key)" };
        line(text, &format!("  {}", row.key), &format!("{}{mark}{unknown}", row.value));
    }
}

/// A value; those that the file does not write have a star.
fn marked<T: Display>(value: &Valued<T>) -> String {
    format!("{}{}", value.value, if value.is_default { "*" } else { "" })
}

fn line(text: &mut String, name: &str, value: &str) {
    *text += &format!("{name:<24} {value}\n");
}

fn push_table(text: &mut String, title: &str, table: &[Vec<String>]) {
    let _ = write!(text, "\n{title}\n");
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| table.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in table {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let cells: Vec<String> = cells.collect();
        *text += &format!("  {}\n", cells.join("  ").trim_end());
    }
}
