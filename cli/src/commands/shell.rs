//! `completions` and `man`: what shells and man(1) read, from the definition of the command line.

use anyhow::Result;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Outcome, View};
use crate::args::Cli;

/// Prints the completion script of a shell.
///
/// # Errors
/// What the output says.
pub fn completions(shell: Shell, view: &mut View<'_>) -> Result<Outcome> {
    // Into memory first: the generator panics where an output fails, such as a pipe that nobody reads.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "systembot", &mut script);
    view.out.write_all(&script)?;
    Ok(Outcome::Done)
}

/// Prints the manual page, with a section for every command.
///
/// # Errors
/// What the output says.
pub fn man(view: &mut View<'_>) -> Result<Outcome> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let page = Man::new(command.clone()).manual("Systembot");
    page.render_title(view.out)?;
    page.render_name_section(view.out)?;
    page.render_synopsis_section(view.out)?;
    page.render_description_section(view.out)?;
    page.render_options_section(view.out)?;
    view.out.write_all(b".SH COMMANDS\n")?;
    sections(&command, view)?;
    view.out.write_all(b".SH NOTES\n")?;
    notes(&command, view)?;
    Ok(Outcome::Done)
}

/// A section for each command below one, and for those below it.
fn sections(parent: &Command, view: &mut View<'_>) -> Result<()> {
    for command in parent.get_subcommands() {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
        // The options of every command are told once.
        let is_told =
            |arg: &clap::Arg| arg.is_global_set() || arg.get_id() == "help" || arg.get_id() == "version";
        let own = command.clone().mut_args(|arg| if is_told(&arg) { arg.hide(true) } else { arg });
        writeln!(view.out, ".SS {name}")?;
        let page = Man::new(own);
        let mut text = Vec::new();
        page.render_description_section(&mut text)?;
        page.render_synopsis_section(&mut text)?;
        page.render_options_section(&mut text)?;
        for line in String::from_utf8_lossy(&text).lines() {
            match line.split_once(' ') {
                // Headings of the page as a whole, and what was set at its top.
                Some((".ie" | ".el", _) | (".SH", "DESCRIPTION" | "OPTIONS")) => {}
                Some((".SH", _)) => writeln!(view.out, ".PP")?,
                _ => writeln!(view.out, "{line}")?,
            }
        }
        notes(command, view)?;
        sections(command, view)?;
    }
    Ok(())
}

/// What stands below the help: paragraphs, and examples with their lines as they are.
fn notes(command: &Command, view: &mut View<'_>) -> Result<()> {
    let Some(text) = command.get_after_long_help().or(command.get_after_help()) else { return Ok(()) };
    let text = text.to_string().replace('\\', "\\\\").replace('-', "\\-");
    for paragraph in text.split("\n\n") {
        let has_lines = paragraph.contains("\n  ");
        view.out.write_all(if has_lines { b".PP\n.nf\n" } else { b".PP\n" })?;
        for line in paragraph.lines() {
            // A dot or a quote in front would be a request of roff.
            let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            writeln!(view.out, "{guard}{line}")?;
        }
        if has_lines {
            view.out.write_all(b".fi\n")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::Format, commands::fake::printed};

    #[test]
    fn every_shell_gets_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let (outcome, text) = printed(Format::Table, |view| completions(shell, view));
            assert_eq!(outcome, Ok(Outcome::Done));
            for command in Cli::command().get_subcommands() {
                assert!(text.contains(command.get_name()), "{} in {shell}", command.get_name());
            }
        }
    }

    #[test]
    fn the_manual_has_every_command_and_its_flags() {
        let (outcome, text) = printed(Format::Table, man);
        assert_eq!(outcome, Ok(Outcome::Done));
        assert!(text.starts_with(".ie") || text.starts_with(".TH"), "{text}");
        for part in [".SS systembot history\n", ".SS systembot config check\n", "\\-\\-kind", "\\-\\-step"] {
            assert!(text.contains(part), "{part}");
        }
        for command in Cli::command().get_subcommands() {
            assert!(
                text.contains(&format!(".SS systembot {}\n", command.get_name())),
                "{}",
                command.get_name()
            );
        }
    }
}
