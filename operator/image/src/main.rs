//! Makes the operator's image from a program that is already built: an archive with an OCI layout, a list
//! of everything that is linked into the program, and where it all comes from.
//!
//! No container runtime takes part and nothing is downloaded: one file in one layer on nothing. The same
//! tree and the same program give the same bytes. It builds nothing itself: `cargo xtask image` does.

mod layout;
mod origin;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;

/// The package that is put into the image.
const PACKAGE: &str = "pvecm-operator";

/// Puts a statically linked operator into an image.
#[derive(Debug, Parser)]
#[command(name = "pvecm-image")]
struct Arguments {
    /// The program.
    #[arg(long)]
    program: PathBuf,
    /// What it was built for, as Rust names it.
    #[arg(long)]
    target: String,
    /// With which profile of cargo.
    #[arg(long)]
    profile: String,
    /// The folder of the archive and of what belongs to it.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure_static(&arguments.program)?;
    let program = fs::read(&arguments.program)
        .with_context(|| format!("could not read {}", arguments.program.display()))?;
    let architecture = architecture(&arguments.target)?;
    let tree = origin::Tree::read()?;
    let about = layout::About {
        version: env!("CARGO_PKG_VERSION"),
        revision: &tree.revision,
        created: &tree.committed,
        architecture,
    };
    let image = layout::image(&program, &about)?;
    let statement = origin::statement(&image.digest, &arguments.target, &arguments.profile, &tree);
    let bom = sbom::bom(&sbom::built(&arguments.target)?, &sbom::metadata(&arguments.target)?)?;

    fs::create_dir_all(&arguments.out)?;
    let name = format!("{PACKAGE}_{}_{architecture}", env!("CARGO_PKG_VERSION"));
    for (ending, bytes) in [
        ("cdx.json", bom),
        ("intoto.json", serde_json::to_vec_pretty(&statement)?),
        ("tar", image.archive),
    ] {
        let path = arguments.out.join(format!("{name}.{ending}"));
        fs::write(&path, bytes).with_context(|| format!("could not write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

/// The name by which images know an architecture.
fn architecture(target: &str) -> Result<&'static str> {
    match target.split('-').next() {
        Some("x86_64") => Ok("amd64"),
        Some("aarch64") => Ok("arm64"),
        _ => {
            bail!("images are made for x86_64 and aarch64, not for {target}: add its OCI name here")
        }
    }
}

/// In an image from nothing there is no loader and no library.
fn ensure_static(program: &Path) -> Result<()> {
    let headers = said("readelf", &["--program-headers", "--dynamic", &program.to_string_lossy()])?;
    let needs = headers.lines().rfind(|line| line.contains("INTERP") || line.contains("(NEEDED)"));
    if let Some(line) = needs {
        bail!(
            "{} is not statically linked ({}), and an image from nothing has no libraries: build it with \
             `cargo xtask image`",
            program.display(),
            line.trim()
        );
    }
    Ok(())
}

/// What a command prints, without the newline at its end.
fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let done = Command::new(program).args(arguments).current_dir(root).output();
    let done = done.with_context(|| format!("{program} does not start; is it installed?"))?;
    let complaint = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program} {}: {}", arguments.join(" "), complaint.trim());
    Ok(String::from_utf8(done.stdout)?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_libraries_is_refused() {
        let own = std::env::current_exe().unwrap();
        let error = ensure_static(&own).unwrap_err().to_string();
        assert!(error.contains("is not statically linked"), "{error}");
    }

    #[test]
    fn an_architecture_that_nobody_named_is_refused() {
        assert_eq!(architecture("aarch64-unknown-linux-gnu").unwrap(), "arm64");
        let error = architecture("riscv64gc-unknown-linux-gnu").unwrap_err().to_string();
        assert!(error.contains("not for riscv64gc"), "{error}");
    }
}
