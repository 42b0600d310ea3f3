//! `chat`: a prompt over `ask`, line by line, also from a pipe.

use std::io::BufRead;

use anyhow::{Context, Result};
use systembot_model::command::is_silence;

use super::{Opener, Outcome, View, ask::answer};
use crate::{edges::Io, source::Source};

/// Reads lines until the input ends or one says `exit` or `quit`, and prints the answer to each.
///
/// # Errors
/// Those of the source, the input and the output.
pub fn chat(
    prompt: Prompt,
    input: &mut dyn BufRead,
    open: &mut Opener<'_>,
    view: &mut View<'_>,
) -> Result<Outcome> {
    loop {
        if prompt == Prompt::Shown {
            view.out.write_all(b"> ")?;
            view.out.flush()?;
        }
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line).context("standard input")? == 0 {
            if prompt == Prompt::Shown {
                writeln!(view.out)?;
            }
            return Ok(Outcome::Done);
        }
        // Chat text may be anything, and so may a pipe.
        let line = String::from_utf8_lossy(&line);
        match line.trim() {
            text if is_silence(text) => continue,
            "exit" | "quit" => return Ok(Outcome::Done),
            text => {
                let mut source: Box<dyn Source> = open()?;
                let answer = answer(text, source.as_mut(), &view.now)?;
                writeln!(view.out, "{}", answer.text.trim_end_matches('\n'))?;
                view.out.flush()?;
            }
        }
    }
}

/// Whether a prompt is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// A person types.
    Shown,
    /// The lines come from a pipe or a file.
    Hidden,
}

impl Prompt {
    /// What fits the input.
    #[must_use]
    pub const fn of(io: &Io<'_>) -> Self {
        if io.is_typed { Self::Shown } else { Self::Hidden }
    }
}

#[cfg(test)]
mod tests {
    use systembot_storage::query::{Request, Row};

    use super::*;
    use crate::{
        args::Format,
        commands::fake::{Fake, check},
    };

    fn echo(request: &Request) -> Vec<Row> {
        let Request::Ask { text, .. } = request else { panic!("{request:?}") };
        vec![Row::Answer { text: format!("you said {text}"), understood: text != "?" }]
    }

    #[test]
    fn lines_are_answered_until_the_end() {
        let open = || -> Result<Box<dyn Source>> { Ok(Box::new(Fake::new(&echo))) };
        let mut input: &[u8] = b"load\n\nno commands\n...\n ? \r\n\xff\nlast";
        check(
            Format::Table,
            |view| chat(Prompt::Hidden, &mut input, &mut { open }, view),
            "you said load\nyou said ?\nyou said \u{fffd}\nyou said last\n",
        );
        let mut input: &[u8] = b"load\nquit\nnever\n";
        check(
            Format::Table,
            |view| chat(Prompt::Shown, &mut input, &mut { open }, view),
            "> you said load\n> ",
        );
        check(Format::Table, |view| chat(Prompt::Shown, &mut std::io::empty(), &mut { open }, view), "> \n");
    }
}
