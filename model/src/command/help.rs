//! `help`, and what is said to a line that is no command.

use crate::command::{Answer, Ask, COMMANDS, Command, fold};

/// Every command, or what one does.
pub(super) fn help(ask: &Ask<'_>) -> Answer {
    if ask.argument.is_empty() {
        let lines: Vec<String> =
            COMMANDS.iter().map(|command| format!("{}: {}", usage(command), command.help)).collect();
        return Answer::text(format!(
            "I answer to these, in any case, with or without \"please\":\n{}\n\"help disk\" tells more about one.",
            lines.join("\n")
        ));
    }
    match fold::understand(ask.argument) {
        Some((command, _)) => {
            let mut text = format!("{}: {}.", usage(command), command.help);
            if let Some((_, others @ [_, ..])) = command.names.split_first() {
                text += &format!("\nAlso: {}.", others.join(", "));
            }
            Answer::text(text)
        }
        None => suggest(ask.argument),
    }
}

/// What was not understood, and the nearest commands.
pub(super) fn suggest(line: &str) -> Answer {
    /// A long line is not repeated whole.
    const QUOTED_BYTES: usize = 60;
    let quoted = crate::limits::cut(line, QUOTED_BYTES);
    let dots = if quoted.len() < line.len() { "..." } else { "" };
    let near = fold::nearest(line, 3).join("\", \"");
    Answer::not_understood(format!(
        "I did not understand \"{quoted}{dots}\". Did you mean \"{near}\"? \"help\" lists everything."
    ))
}

fn usage(command: &Command) -> String {
    if command.argument.is_empty() {
        command.name().to_owned()
    } else {
        format!("{} {}", command.name(), command.argument)
    }
}
