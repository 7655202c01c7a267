//! `kubectl-pvecm`: what people type. Every write is made as field manager `pvecm`.

#[cfg(test)]
mod book;
mod cli;
mod cluster;
mod completion;
mod conf;
mod exit;
mod host;
mod output;
mod owner;
mod unified;

use std::process::ExitCode;

use clap::Parser;

fn main() -> anyhow::Result<ExitCode> {
    if let Some(words) = completion::question() {
        output::print_bytes(completion::answer(words)?.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    cli::Args::parse().run()
}
