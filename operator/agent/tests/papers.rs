//! The manual pages and completions in the package are those of the command line as it is. They lie in the tree, so
//! that a package for another machine is made without running what is in it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;
use pvecm_agent::cli::Cli;

/// Compares, or writes anew.
fn keep(path: &Path, anew: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("debian").join(path);
    if std::env::var_os("UPDATE_GUIDE").is_some() {
        fs::write(&path, anew).expect("the page can be written");
    }
    let lies = fs::read(&path).unwrap_or_default();
    let name = path.display();
    assert!(lies == anew, "{name} is stale: with UPDATE_GUIDE set, this test writes it anew");
}

#[test]
fn manual_pages_are_those_of_the_command_line() {
    let mut all = Cli::command();
    all.build();
    let verbs = all.get_subcommands().filter(|verb| verb.get_name() != "help").cloned();
    let pages: Vec<_> = [all.clone()].into_iter().chain(verbs).collect();
    for page in pages {
        let name = page.get_bin_name().unwrap_or("pvecm-agent").replace(' ', "-");
        let mut text = Vec::new();
        let man = Man::new(page).title(&name).section("8").source("pvecm-operator");
        man.render(&mut text).unwrap();
        keep(Path::new(&format!("man8/{name}.8")), &text);
    }
}

#[test]
fn completions_are_those_of_the_command_line() {
    let shells = [
        (Shell::Bash, "pvecm-agent.bash"),
        (Shell::Zsh, "_pvecm-agent"),
        (Shell::Fish, "pvecm-agent.fish"),
    ];
    for (shell, name) in shells {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "pvecm-agent", &mut text);
        keep(&Path::new("completions").join(name), &text);
    }
}
