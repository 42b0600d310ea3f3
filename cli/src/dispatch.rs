//! From arguments to an exit code.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufReader, Read, Write},
    path::Path,
};

use anyhow::{Context, Result};
use clap::Parser;
use systembot_storage::archive::Faults;

use crate::{
    args::{Cli, Command, Format, Question},
    commands::{
        Outcome, View,
        alerts::{Which, alerts},
        ask::ask,
        backup::backup,
        chat::{Prompt, chat},
        config::config,
        detect::detect,
        doctor::{Checkup, doctor},
        events::events,
        export::{Export, export},
        history::history,
        import::{self, import},
        install,
        mute::{Length, ack, mute, unmute},
        restart::restart,
        restore::{self, restore},
        series::series,
        services::services,
        shell::{completions, man},
        status::status,
        trends::trends,
        verify::verify,
        why::why,
    },
    edges::{Edges, Io},
    open::{become_owner, open},
    output::{Counted, Paint, Progress},
    pipe::{End, Pipe},
    setup::Setup,
    source::Source,
    time::zoned,
};

/// Done.
const DONE: u8 = 0;
/// Nothing found, or a check that failed.
const NOTHING: u8 = 1;
/// A mistake in use, or an error.
const FAILED: u8 = 2;

/// Runs the command that the arguments, the program's name first, ask for; gives the exit code.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    edges: &Edges<'_>,
    io: &mut Io<'_>,
    output: &mut dyn Write,
) -> u8 {
    let mut output = Pipe::new(output);
    let done = match Cli::try_parse_from(args) {
        Ok(cli) => {
            let is_quiet = cli.global.format != Format::Table;
            let outcome = view_of(&cli, edges, io, &mut output).and_then(|mut view| {
                let outcome = dispatch(cli, edges, io, &mut view)?;
                view.out.flush()?;
                Ok(outcome)
            });
            outcome.map(|outcome| exit_of(&outcome, is_quiet, io))
        }
        Err(usage) => tell_usage(&usage, io, &mut output),
    };
    match done {
        Ok(code) => code,
        // Whoever read the answer has seen enough.
        Err(_) if output.end() == Some(End::ReaderGone) => DONE,
        Err(error) if output.end() == Some(End::Failed) => {
            tell(&format!("standard output: {}", chain(&error)), io);
            FAILED
        }
        Err(error) => {
            // What is printed already comes before the error, and no second error is told behind it.
            let _ = output.flush();
            tell(&chain(&error), io);
            FAILED
        }
    }
}

fn view_of<'a>(cli: &Cli, edges: &Edges<'_>, io: &Io<'_>, out: &'a mut dyn Write) -> Result<View<'a>> {
    let now = zoned((edges.now)(), &io.zone)?;
    Ok(View { format: cli.global.format, screen: io.screen, now, out })
}

fn exit_of(outcome: &Outcome, is_quiet: bool, io: &mut Io<'_>) -> u8 {
    match outcome {
        Outcome::Done => DONE,
        Outcome::Faulty => NOTHING,
        Outcome::Nothing(what) => {
            if !is_quiet {
                tell(what, io);
            }
            NOTHING
        }
    }
}

/// An error with its causes; those that the text before them tells already are not told again.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// One line on standard error, whatever the text holds.
fn tell(text: &str, io: &mut Io<'_>) {
    let line: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // There is nobody left to tell where this fails.
    let _ = writeln!(io.errors, "systembot: {}", line.join("; "));
}

/// Help and version go to the output, mistakes to standard error, as clap words them.
fn tell_usage(usage: &clap::Error, io: &mut Io<'_>, output: &mut dyn Write) -> Result<u8> {
    let text = usage.render();
    let text = if io.screen.paint == Paint::Colour { text.ansi().to_string() } else { text.to_string() };
    if usage.use_stderr() {
        io.errors.write_all(text.as_bytes())?;
        return Ok(FAILED);
    }
    output.write_all(text.as_bytes())?;
    output.flush()?;
    Ok(DONE)
}

fn dispatch(cli: Cli, edges: &Edges<'_>, io: &mut Io<'_>, view: &mut View<'_>) -> Result<Outcome> {
    let Cli { global, command } = cli;
    let (env, wait) = (io.env, io.wait);
    let setup = || Setup::find(&global, env);
    match command {
        Command::Run => {
            let setup = setup()?;
            become_owner(&setup.data_dir)?;
            (edges.run)(setup).map(|()| Outcome::Done)
        }
        Command::Verify => {
            let setup = setup()?;
            verify(&mut || open(&setup, edges, wait), view)
        }
        Command::Question(question) => {
            let setup = setup()?;
            answer(question, &setup.data_dir, open(&setup, edges, wait)?.as_mut(), view)
        }
        Command::Events(args) => {
            let setup = setup()?;
            events(&args, &mut || open(&setup, edges, wait), wait, view)
        }
        Command::Restart { service, no_wait } => {
            let setup = setup()?;
            let pause = if no_wait { None } else { Some(wait) };
            restart(&service.join(" "), &mut || open(&setup, edges, wait), pause, view)
        }
        Command::Chat => {
            let setup = setup()?;
            chat(Prompt::of(io), io.input, &mut || open(&setup, edges, wait), view)
        }
        Command::Import { file } => {
            let setup = setup()?;
            // Before the source: root gives up the right to read it there.
            let (name, mut input) = (file.display().to_string(), read(&file)?);
            let errors: &mut dyn Write = &mut *io.errors;
            let seen = io.is_errors_seen.then_some(errors);
            let progress = Progress::new(seen, edges.now, "importing", Counted::Rows);
            let input = import::Input { name: &name, file: &mut input, progress };
            import(input, &mut || open(&setup, edges, wait), view)
        }
        Command::Backup { file } => {
            let setup = setup()?;
            let errors: &mut dyn Write = &mut *io.errors;
            let seen = io.is_errors_seen.then_some(errors);
            let progress = Progress::new(seen, edges.now, "backing up", Counted::Bytes);
            backup(&file, progress, open(&setup, edges, wait)?.as_mut(), view)
        }
        Command::Restore { file, faulty } => {
            let setup = setup()?;
            let name =
                if file.as_os_str() == "-" { "standard input".into() } else { file.display().to_string() };
            // Root gives up the right to read it afterwards.
            let opened = if file.as_os_str() == "-" { None } else { Some(read(&file)?) };
            let bytes = opened.as_ref().and_then(|file| Some(file.get_ref().metadata().ok()?.len()));
            become_owner(&setup.data_dir)?;
            let errors: &mut dyn Write = &mut *io.errors;
            let seen = io.is_errors_seen.then_some(errors);
            let progress = Progress::new(seen, edges.now, "restoring", Counted::Bytes);
            let faults = if faulty { Faults::Taken } else { Faults::Refused };
            let mut opened = opened;
            let file: &mut dyn Read = match &mut opened {
                Some(file) => file,
                None => io.input,
            };
            let input = restore::Input { name: &name, file, bytes, faults };
            restore(input, &setup.data_dir, progress, view)
        }
        Command::Detect { file } => {
            setup()?;
            let mut detector = (edges.detector)();
            if file.as_os_str() == "-" {
                return detect("standard input", io.input, &mut detector, view);
            }
            detect(&file.display().to_string(), &mut read(&file)?, &mut detector, view)
        }
        Command::Config(command) => config(&command, global.config.as_deref(), env, view),
        Command::Install(unit) => install::install(&unit, &global, env, view),
        Command::Uninstall(unit) => install::uninstall(&unit, &global, env, view),
        Command::Doctor => {
            let checkup = Checkup::find(&global, env);
            doctor(&mut |found| (edges.doctor)(&checkup, found), view)
        }
        Command::Completions { shell } => completions(shell, view),
        Command::Man => man(view),
    }
}

/// Commands that are one question to one source.
fn answer(
    question: Question,
    data_dir: &Path,
    source: &mut dyn Source,
    view: &mut View<'_>,
) -> Result<Outcome> {
    match question {
        Question::Ask { text } => ask(&text.join(" "), source, view),
        Question::Status => status(data_dir, source, view),
        Question::Series => series(source, view),
        Question::Services => services(source, view),
        Question::History(args) => history(&args, source, view),
        Question::Trends { series } => trends(&series, source, view),
        Question::Alerts { since, open } => {
            alerts(since.as_deref(), if open { Which::Open } else { Which::All }, source, view)
        }
        Question::Why { id } => why(id, source, view),
        Question::Ack { id } => ack(id, source, view),
        Question::Mute { series, span, until } => {
            // The definition lets through one of the two.
            let length = match (&span, &until) {
                (Some(span), _) => Length::For(span),
                (None, until) => Length::Until(until.as_deref().unwrap_or_default()),
            };
            mute(&series, length, source, view)
        }
        Question::Unmute { series } => unmute(series.as_deref(), source, view),
        Question::Export { form, since, until } => {
            let (since, until) = (since.as_deref(), until.as_deref());
            export(Export { form, since, until }, source, view)
        }
    }
}

fn read(file: &Path) -> Result<BufReader<File>> {
    let name = || file.display().to_string();
    let opened = File::open(file).with_context(name)?;
    if opened.metadata().with_context(name)?.is_dir() {
        anyhow::bail!("{}: is a directory", file.display());
    }
    Ok(BufReader::with_capacity(1 << 16, opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error =
            anyhow::anyhow!("permission denied").context("log: permission denied").context("cannot open");
        assert_eq!(chain(&error), "cannot open: log: permission denied");
        assert_eq!(chain(&anyhow::anyhow!("one")), "one");
    }
}
