//! `pvecm-lab`: the verbs behind `cargo xtask lab`.

mod demo;
mod verbs;

use clap::Parser;

use nix::sys::signal::{SigHandler, Signal, signal};

fn main() -> std::process::ExitCode {
    // `lab status | head` ends quietly, as with every other command.
    // SAFETY: the default disposition runs no code of ours.
    let _unchanged_on_error = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    match verbs::Arguments::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
