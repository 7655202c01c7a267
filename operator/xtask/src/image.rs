//! The operator's image: the program linked statically, then packed without a container runtime.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};

use crate::cargo;
use crate::step::step;

/// Builds the operator for an image from nothing, and the image; its files are named on stdout.
pub fn build(release: bool) -> Result<()> {
    let host = host()?;
    step("building the operator, statically linked", || {
        let build = ["build", "--quiet", "--locked", "--package=pvecm-operator", "--target", &host];
        let release = release.then_some("--release");
        let mut cargo = cargo::command(&build);
        let done = cargo.args(release).env("RUSTFLAGS", flags()?).status()?;
        ensure!(done.success(), "{cargo:?} failed");
        Ok(())
    })?;
    let profile = if release { "release" } else { "debug" };
    let built = cargo::target().join(&host).join(profile).join("pvecm-operator");
    let folder = cargo::target().join("image");
    fs::create_dir_all(&folder)?;
    let program = folder.join("pvecm-operator");
    let stripped = Command::new("strip").arg("-o").arg(&program).arg(&built).status();
    ensure!(stripped.context("strip does not start")?.success(), "strip failed");
    step("packing the image", || {
        let pack = ["run", "--quiet", "--locked", "--package=pvecm-image", "--"];
        let mut pack = cargo::command(&pack);
        pack.arg("--program").arg(&program).arg("--out").arg(&folder);
        let done = pack.args(["--target", &host, "--profile", profile]).status()?;
        ensure!(done.success(), "{pack:?} failed");
        Ok(())
    })
}

/// The same program from whatever folder: paths of this machine do not get into it.
fn flags() -> Result<String> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let cargo_home = cargo_home.or_else(home).context("neither CARGO_HOME nor HOME is set")?;
    let (root, registry) = (cargo::root(), cargo_home.join("registry/src"));
    Ok(format!(
        "-C target-feature=+crt-static --remap-path-prefix={}=/src --remap-path-prefix={}=/crates",
        root.display(),
        registry.display()
    ))
}

/// What the compiler builds for when it is told nothing. Naming it keeps the flags from what runs while building.
fn host() -> Result<String> {
    let said = Command::new("rustc").arg("-vV").output().context("rustc does not start")?;
    let said = String::from_utf8(said.stdout)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say what it builds for")
}
