//! Chat lines, and answers that had to be fetched.

use std::net::IpAddr;

use crate::{
    Address, Event, LocalTime, Message, Question, Seq, State,
    command::{self, Answer, Reply},
    event::MessageKind,
    host::Process,
    limits,
};

use super::queue;

/// What is said to a line that orders something while nothing can be recorded.
const REFUSED: &str = "Not done: the log cannot be written, and I do nothing that is not recorded. \
                       Say it again once I have told you that it can be.";

/// What a chat line brings about: what it orders, and its answer.
pub(super) fn heard(state: &State, now: &LocalTime, from: Address, text: &str) -> Vec<Event> {
    let text = clean(text);
    if command::is_silence(&text) {
        return Vec::new();
    }
    let answer = command::answer(state, now, &from, &text);
    answered(state, from, text, answer)
}

/// The same while nothing can be recorded: what would change something is not done, and the answer says so.
pub(super) fn heard_unrecorded(state: &State, now: &LocalTime, from: Address, text: &str) -> Vec<Event> {
    let text = clean(text);
    if command::is_silence(&text) {
        return Vec::new();
    }
    let mut answer = command::answer(state, now, &from, &text);
    if !answer.events.is_empty() {
        answer = Answer { events: Vec::new(), reply: Reply::Text(REFUSED.to_owned()) };
    }
    answered(state, from, text, answer)
}

fn answered(state: &State, from: Address, text: String, answer: Answer) -> Vec<Event> {
    let mut events = vec![Event::Heard { from: from.clone(), text }];
    events.extend(answer.events);
    match answer.reply {
        Reply::Text(text) | Reply::NotUnderstood(text) => {
            queue(state, &mut events, Message { to: from, kind: MessageKind::Reply, text });
        }
        Reply::Later(question) if state.questions.len() < limits::QUESTIONS => {
            events.push(Event::Asked { from, question });
        }
        Reply::Later(_) => {
            let text = "too many questions wait for an answer, ask again in a few seconds".to_owned();
            queue(state, &mut events, Message { to: from, kind: MessageKind::Reply, text });
        }
    }
    events
}

/// The answer of the address service: recorded, and told to whoever asked.
pub(super) fn address_fetched(state: &State, now: &LocalTime, result: Result<IpAddr, String>) -> Vec<Event> {
    let known = state.public.known.map(|(address, _)| address);
    let mut events = Vec::new();
    let address = result.as_ref().ok().copied();
    if let Some(to) = address.filter(|address| Some(*address) != known) {
        events.push(Event::AddressChanged { from: known, to });
    }
    let text = command::public_address(state, now, &result);
    events.push(Event::AddressFetched { address, problem: result.err() });
    answer(state, &mut events, |question| (question == Question::PublicAddress).then(|| text.clone()));
    events
}

/// The busiest processes, told to whoever asked.
pub(super) fn processes_read(state: &State, now: &LocalTime, processes: &[Process]) -> Vec<Event> {
    let mut events = Vec::new();
    answer(state, &mut events, |question| match question {
        Question::Processes(count) => Some(command::top_processes(state, now, processes, count)),
        Question::PublicAddress => None,
    });
    events
}

/// Answers the questions for which there is a text.
fn answer(state: &State, events: &mut Vec<Event>, text: impl Fn(Question) -> Option<String>) {
    let mut questions: Vec<Seq> = Vec::new();
    for (number, (from, question)) in &state.questions {
        let Some(text) = text(*question) else { continue };
        questions.push(*number);
        if state.rules.destinations.contains(from) {
            queue(state, events, Message { to: from.clone(), kind: MessageKind::Reply, text });
        }
    }
    if !questions.is_empty() {
        events.push(Event::Answered { questions });
    }
}

/// A line without control characters and surrounding blanks, cut to what is listened to.
fn clean(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control() || c.is_whitespace()).collect();
    limits::cut(text.trim(), limits::HEARD_BYTES).to_owned()
}
