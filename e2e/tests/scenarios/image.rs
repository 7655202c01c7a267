//! The operator's image, on a real API server.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use pvecm_e2e::image::Image;
use pvecm_e2e::lab::{Lab, Level, Options};
use pvecm_e2e::{binaries, command, wait_until};

use crate::support::get;

#[test]
#[ignore = "runs with cargo xtask test --all"]
fn the_image_serves_with_nothing_but_what_is_in_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let image = Image::unpack(&binaries::image()?, folder.path())?;
    let files = image.files()?;
    ensure!(files == [std::path::Path::new("pvecm-operator")], "the image has {files:?}");
    let version = image.command(&["--version".to_owned()]);
    let said = command::run(Command::new(&version[0]).args(&version[1..]))?;
    ensure!(said.trim() == concat!("pvecm-operator ", env!("CARGO_PKG_VERSION")), "{said}");

    let options = Options { hosts: 1, level: Level::Bare, ..Options::scenario("image") };
    let lab = Lab::up(options, &mut |_| ())?;
    let operator = lab.operator()?;
    operator.install()?;
    operator.start_image(&image)?;
    wait_until(Duration::from_secs(30), "the image to be ready", || {
        operator.ask(0, "/ready").map_err(|error| format!("{error:#}"))
    })?;
    ensure!(operator.ask(0, "/live")? == "ok\n", "it does not say that it lives");
    wait_until(Duration::from_secs(30), "the image to lead", || {
        let lease = get(&lab, &["lease", "pvecm-operator", "--namespace", "pvecm-system"]);
        let lease = lease.map_err(|error| format!("{error:#}"))?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
        if holder.starts_with("pvecm-operator-0_") { Ok(()) } else { Err(holder) }
    })?;
    Ok(())
}
