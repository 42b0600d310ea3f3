//! `ask`: one chat line, answered on the output exactly as in chat.

use std::io;

use anyhow::Result;
use jiff::Zoned;
use systembot_storage::query::{Request, Row};

use super::{Outcome, View};
use crate::{
    args::Format,
    edges::Answer,
    output::json,
    source::{Source, one, unexpected},
};

/// Asks one line and prints the answer; what is not understood is an exit of 1 behind the suggestions.
///
/// # Errors
/// Those of the source and of the output.
pub fn ask(text: &str, source: &mut dyn Source, view: &mut View<'_>) -> Result<Outcome> {
    let answer = answer(text, source, &view.now)?;
    let outcome = if answer.understood { Outcome::Done } else { Outcome::Faulty };
    print(answer, view)?;
    Ok(outcome)
}

/// Prints an answer: as it is, or as one object a line.
///
/// # Errors
/// What the output says.
pub fn print(answer: Answer, view: &mut View<'_>) -> io::Result<()> {
    match view.format {
        Format::Table | Format::Csv => writeln!(view.out, "{}", answer.text.trim_end_matches('\n')),
        Format::Json => {
            let fields = vec![("text", answer.text.into()), ("understood", answer.understood.into())];
            json::write_line(view.out, &fields)
        }
    }
}

/// The answer to one line.
///
/// # Errors
/// Those of the source.
pub fn answer(text: &str, source: &mut dyn Source, now: &Zoned) -> Result<Answer> {
    let info = now.time_zone().to_offset_info(now.timestamp());
    let zone = Some((info.offset().seconds(), info.abbreviation().to_owned()));
    match one(source, &Request::Ask { text: text.to_owned(), zone })? {
        Some(Row::Answer { text, understood }) => Ok(Answer { text, understood }),
        Some(_) | None => Err(unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::fake::{Fake, check, printed};

    #[test]
    fn the_answer_is_printed_as_it_is() {
        let understood = |_: &Request| vec![Row::Answer { text: "load 0.31\n0.29".into(), understood: true }];
        let mut source = Fake::new(&understood);
        check(Format::Table, |view| ask("load", &mut source, view), "load 0.31\n0.29\n");
        check(
            Format::Json,
            |view| ask("load", &mut source, view),
            "{\"text\":\"load 0.31\\n0.29\",\"understood\":true}\n",
        );
        let asked = Request::Ask { text: "load".into(), zone: Some((3600, "CET".into())) };
        assert_eq!(source.asked.first(), Some(&asked));
    }

    #[test]
    fn what_is_not_understood_exits_1_and_a_refusal_2() {
        let unknown =
            |_: &Request| vec![Row::Answer { text: "did you mean load?".into(), understood: false }];
        let (outcome, text) = printed(Format::Table, |view| ask("lod", &mut Fake::new(&unknown), view));
        assert_eq!((outcome, text.as_str()), (Ok(Outcome::Faulty), "did you mean load?\n"));
        let failed = |_: &Request| vec![Row::Failed("the log is damaged".into())];
        let (outcome, text) = printed(Format::Table, |view| ask("load", &mut Fake::new(&failed), view));
        assert_eq!((outcome, text.as_str()), (Err("the log is damaged".into()), ""));
    }
}
