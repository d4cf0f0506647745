//! What helps at the command line: completions for shells and manual pages, made from the commands themselves.

use std::{fs, path::Path};

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{command_line::CommandLine, commands::print, failure::Failure};

/// Prints the script by which a shell completes the commands.
pub fn print_completions(shell: Shell) -> Result<(), Failure> {
    let mut command = CommandLine::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Writes a manual page for every command: `convoke.1`, `convoke-token.1`, …
pub fn write_manual(folder: &Path) -> Result<(), Failure> {
    let written = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(CommandLine::command(), folder));
    written.map_err(|error| Failure::new(format!("{}: the manual can't be written: {error}", folder.display())))
}
