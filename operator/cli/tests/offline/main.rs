//! The offline commands as people run them: the built program, files in a folder, what comes out.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod desk;
mod edit;
mod guide;
mod output;
