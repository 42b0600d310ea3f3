//! `config`: check, show and convert a configuration file.

use std::path::{Path, PathBuf};

use anyhow::Result;
use systembot_config::{Env, Form, Mistake, find, show, to_toml};

use super::{Outcome, View};
use crate::{
    args::{self, Format},
    output::json,
    setup::read,
};

/// Does what `config` is told to, with the file named behind it or by `--config`, else the one in force.
///
/// # Errors
/// A named file that is missing; for all but `check` a file with mistakes, told in one line.
pub fn config(
    command: &args::Config,
    named: Option<&Path>,
    env: Env<'_>,
    view: &mut View<'_>,
) -> Result<Outcome> {
    let of = |file: &Option<PathBuf>| find(file.as_deref().or(named), env);
    match command {
        args::Config::Check { file } => check(of(file)?.as_deref(), view),
        args::Config::Show { file } => {
            let form = match view.format {
                Format::Table => Form::Toml,
                Format::Json => Form::Json,
                Format::Csv => Form::Csv,
            };
            let loaded = read(of(file)?.as_deref())?;
            view.out.write_all(show(&loaded.settings, form).as_bytes())?;
            Ok(Outcome::Done)
        }
        args::Config::Import { file } => {
            let file = find(Some(file), env)?;
            view.out.write_all(to_toml(&read(file.as_deref())?.settings).as_bytes())?;
            Ok(Outcome::Done)
        }
    }
}

/// All mistakes, a line each; warnings behind them, which are no failure.
fn check(file: Option<&Path>, view: &mut View<'_>) -> Result<Outcome> {
    let (mistakes, warnings) = match read(file) {
        Ok(loaded) => (Vec::new(), loaded.warnings),
        Err(mistakes) => (mistakes.iter().cloned().collect(), Vec::new()),
    };
    for mistake in &mistakes {
        tell(mistake, "", view)?;
    }
    for warning in &warnings {
        tell(warning, "warning: ", view)?;
    }
    Ok(if mistakes.is_empty() { Outcome::Done } else { Outcome::Faulty })
}

fn tell(mistake: &Mistake, mark: &str, view: &mut View<'_>) -> Result<()> {
    if view.format != Format::Json {
        writeln!(view.out, "{mark}{mistake}")?;
        return Ok(());
    }
    let fields = vec![
        ("file", mistake.file.as_str().into()),
        ("line", json::maybe(mistake.line)),
        ("key", json::maybe(mistake.key.as_deref())),
        ("what", mistake.what.as_str().into()),
        ("is_warning", (!mark.is_empty()).into()),
    ];
    Ok(json::write_line(view.out, &fields)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::fake::{check as prints, printed};

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    const NO_ENV: Env<'static> = &|_| None;

    #[test]
    fn check_tells_every_mistake() {
        let file = file("sample_interval = \"0s\"\nnmae = \"x\"\n");
        let command = args::Config::Check { file: None };
        let (outcome, text) =
            printed(Format::Table, |view| config(&command, Some(file.path()), NO_ENV, view));
        assert_eq!(outcome, Ok(Outcome::Faulty));
        let starts = [1, 2].map(|line| format!("{}:{line}: ", file.path().display()));
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.lines().zip(&starts).all(|(line, start)| line.starts_with(start)), "{text}");
        let (outcome, text) = printed(Format::Json, |view| config(&command, Some(file.path()), NO_ENV, view));
        assert_eq!(outcome, Ok(Outcome::Faulty));
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(line.pointer("/key"), Some(&"sample_interval".into()));
    }

    #[test]
    fn a_file_in_order_says_nothing() {
        let file = file("name = \"leela\"\n");
        let command = args::Config::Check { file: Some(file.path().to_owned()) };
        prints(Format::Table, |view| config(&command, None, NO_ENV, view), "");
        // A legacy key that is unknown is no mistake.
        let file = self::file("[DEFAULT]\nbot_name = leela\nqueue = http://localhost:8003/\ncolour = blue\n");
        let (outcome, text) =
            printed(Format::Table, |view| config(&command_of(file.path()), None, NO_ENV, view));
        assert_eq!(outcome, Ok(Outcome::Done));
        assert!(text.starts_with("warning: ") && text.contains("colour"), "{text}");
    }

    fn command_of(file: &Path) -> args::Config {
        args::Config::Check { file: Some(file.to_owned()) }
    }

    #[test]
    fn show_and_import_print_the_settings() {
        let file = file("[DEFAULT]\nbot_name = leela\nqueue = http://me:secret@localhost:8003/\n");
        let show = args::Config::Show { file: None };
        let (outcome, text) = printed(Format::Json, |view| config(&show, Some(file.path()), NO_ENV, view));
        assert_eq!(outcome, Ok(Outcome::Done));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.pointer("/name"), Some(&"leela".into()));
        assert!(!text.contains("secret"), "{text}");
        let import = args::Config::Import { file: file.path().to_owned() };
        let (outcome, text) = printed(Format::Table, |view| config(&import, None, NO_ENV, view));
        assert_eq!(outcome, Ok(Outcome::Done));
        assert!(text.contains("name = \"leela\"") && text.contains("secret"), "{text}");
    }

    #[test]
    fn a_broken_or_missing_file_is_an_error_in_one_line() {
        let file = file("sample_interval = \"0s\"\nnmae = \"x\"\n");
        let show = args::Config::Show { file: None };
        let (outcome, _) = printed(Format::Table, |view| config(&show, Some(file.path()), NO_ENV, view));
        assert!(outcome.is_err_and(|e| e.lines().count() == 1 && e.contains("1 more")));
        let (outcome, _) =
            printed(Format::Table, |view| config(&show, Some(Path::new("/no/such")), NO_ENV, view));
        assert!(outcome.is_err_and(|e| e.contains("/no/such")));
    }
}
