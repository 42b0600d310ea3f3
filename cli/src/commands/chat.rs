//! `chat`: a prompt over `ask`, line by line, also from a pipe.

use std::io::{self, BufRead, Read};

use anyhow::{Context, Result};
use systembot_model::command::is_silence;

use super::{
    Opener, Outcome, View,
    ask::{answer, print},
};
use crate::{edges::Io, source::Source};

/// Longest line that is taken whole: far more than any command, and little to hold.
const LINE_BYTES: u64 = 64 * 1024;

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
        let Some(line) = read_line(input).context("standard input")? else {
            if prompt == Prompt::Shown {
                writeln!(view.out)?;
            }
            return Ok(Outcome::Done);
        };
        // Chat text may be anything, and so may a pipe.
        let line = String::from_utf8_lossy(&line);
        match line.trim() {
            text if is_silence(text) => continue,
            "exit" | "quit" => return Ok(Outcome::Done),
            text => {
                let mut source: Box<dyn Source> = open()?;
                let answer = answer(text, source.as_mut(), &view.now)?;
                print(answer, view)?;
                view.out.flush()?;
            }
        }
    }
}

/// The next line, cut at [`LINE_BYTES`]; `None` at the end.
fn read_line(input: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if Read::take(&mut *input, LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    // What is cut off is no line of its own.
    while !line.ends_with(b"\n") {
        let rest = input.fill_buf()?;
        let end = rest.iter().position(|byte| *byte == b'\n');
        let read = end.map_or(rest.len(), |end| end + 1);
        input.consume(read);
        if end.is_some() || read == 0 {
            break;
        }
    }
    Ok(Some(line))
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
        commands::fake::{Fake, check, printed},
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
        check(Format::Table, |view| chat(Prompt::Shown, &mut io::empty(), &mut { open }, view), "> \n");
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_next_one_answered() {
        let open = || -> Result<Box<dyn Source>> { Ok(Box::new(Fake::new(&echo))) };
        let text = format!("{}\nload\n{}", "x".repeat(200_000), "y".repeat(100_000));
        let mut input = text.as_bytes();
        let (outcome, said) =
            printed(Format::Table, |view| chat(Prompt::Hidden, &mut input, &mut { open }, view));
        assert_eq!(outcome, Ok(Outcome::Done));
        let lengths: Vec<_> = said.lines().map(|line| line.len() - "you said ".len()).collect();
        assert_eq!(lengths, [65_536, 4, 65_536]);
    }

    #[test]
    fn programs_get_an_object_for_each_line() {
        let open = || -> Result<Box<dyn Source>> { Ok(Box::new(Fake::new(&echo))) };
        let mut input: &[u8] = b"?\n";
        let expected = "{\"text\":\"you said ?\",\"understood\":false}\n";
        check(Format::Json, |view| chat(Prompt::Hidden, &mut input, &mut { open }, view), expected);
    }
}
