//! The bridge transport: each request by itself, the task of a destination over a real socket, and its waits and
//! promises on a clock that the test moves.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    collections::VecDeque,
    io::Write,
    sync::{Arc, Condvar, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use proptest::prelude::*;
use systembot::{
    clock::SystemClock,
    inbox::{Ends, Entry, Inbox},
    transport::{
        Failure, Transport,
        bridge::{Bridge, Timeouts},
        drive::{Desk, ORDERS_MAX, Order, Pace, drive},
    },
};
use systembot_model::{
    Address, Input, Message, Seq, Timestamp,
    event::MessageKind,
    outbox::{AGAIN, CUT, Owed},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::bridge::{ALWAYS, FakeBridge, Fault, HUGE_BYTES, Requests};

/// For what should come at once, far above what it takes.
const LIMIT: Duration = Duration::from_secs(20);
/// Longer than any test: what is due then does not happen in it.
const NEVER: Duration = Duration::from_secs(3_600);
/// For bridges that do not answer; a busy machine must not make a good one look so.
const SHORT: Timeouts = Timeouts { connect: Duration::from_secs(1), total: Duration::from_millis(400) };

fn connect(bridge: &FakeBridge) -> Bridge {
    connect_to(&bridge.url(), Timeouts::default())
}

fn connect_to(url: &str, timeouts: Timeouts) -> Bridge {
    // Fails where another test of this process was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Bridge::new(url, "bot", timeouts).expect("a client")
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn owed(number: u64, text: &str) -> Owed {
    let message = Message { to: Address::bridge(), kind: MessageKind::Alert, text: text.to_owned() };
    Owed { number: Seq::new(number), queued_at: Timestamp::from_ms(0), message, again: false }
}

fn seqs(numbers: impl IntoIterator<Item = u64>) -> Vec<Seq> {
    numbers.into_iter().map(Seq::new).collect()
}

// Each request by itself.

#[test]
fn commands_come_in_order_and_an_empty_queue_is_none() {
    let bridge = FakeBridge::start("bot");
    ["load", "disk /home", "wie heiß? 🌡", ""].iter().for_each(|text| bridge.push_command(text));
    let mut client = connect(&bridge);
    run(async {
        for expected in [Some("load"), Some("disk /home"), Some("wie heiß? 🌡"), None, None] {
            assert_eq!(client.poll().await, Ok(expected.map(str::to_owned)));
        }
    });
    let seen = bridge.seen();
    assert!(seen.requests.iter().all(|request| request.method == "GET" && request.path == "/bot"));
    assert!(seen.requests.iter().all(|request| request.header("connection") == Some("close")));
}

#[test]
fn a_reply_arrives_as_it_was_meant_without_what_would_break_the_bridge() {
    let bridge = FakeBridge::start("bot");
    let mut client = connect(&bridge);
    run(async {
        let long = "°".repeat(200_000);
        for text in ["21 °C 😀\n\"tab\t\"", "a\0b\x1b[1mc\u{ffff}d", long.as_str(), "after"] {
            assert_eq!(client.reply(text).await, Ok(()));
        }
    });
    let seen = bridge.seen();
    assert!(!seen.link_is_dead);
    let [first, second, third, fourth] = seen.replies.as_slice() else { panic!("{:?}", seen.replies) };
    assert_eq!((first.as_str(), second.as_str()), ("21 °C 😀\n\"tab\t\"", "ab[1mcd"));
    assert!(third.len() <= 6_000 && third.ends_with(CUT), "{} bytes", third.len());
    assert_eq!(fourth, "after");
    for request in &seen.requests {
        assert!(request.body.is_ascii());
        assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/replies"));
        assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("expect"), None);
        assert_eq!(request.header("transfer-encoding"), None);
    }
}

/// Defects 7 and 8 of the original: a PUT that was dropped or an answer that was no JSON crashed it, 500 was not noticed.
#[test]
fn every_fault_is_told_apart_and_says_whether_the_text_may_have_arrived() {
    let check = |fault, poll: &str, reply: &str, may_have_arrived| {
        let bridge = FakeBridge::start("bot");
        bridge.fail(Requests::All, fault, ALWAYS);
        let mut client = connect_to(&bridge.url(), SHORT);
        let (polled, replied) = run(async { (client.poll().await, client.reply("text").await) });
        let (polled, replied) = (polled.expect_err("a failed poll"), replied.expect_err("a failed reply"));
        assert!(polled.to_string().starts_with(poll), "{fault:?}: {polled}");
        assert!(replied.to_string().starts_with(reply), "{fault:?}: {replied}");
        assert_eq!(replied.may_have_arrived(), may_have_arrived, "{fault:?}");
    };
    let (silent, broken) = ("did not answer within 0.4 s", "broke off before answering: ");
    let garbled = "answered something that is no answer of a message bridge";
    check(Fault::Stalled, silent, silent, true);
    check(Fault::Drip, silent, garbled, true);
    check(Fault::AnswerLost, broken, broken, true);
    check(Fault::RequestLost, broken, broken, true);
    check(Fault::Garbage, broken, broken, true);
    check(Fault::Page, garbled, garbled, true);
    check(Fault::Huge, garbled, garbled, true);
    check(Fault::Status(204), "answered 204 to a poll", garbled, true);
    check(Fault::Status(302), "answered 302 to a poll", "answered 302 to a message", false);
    check(Fault::Status(404), "answered 404 to a poll", "answered 404 to a message", false);
    check(Fault::Status(500), "answered 500 to a poll", "answered 500 to a message", false);
    check(Fault::Status(502), "answered 502 to a poll", "answered 502 to a message", true);
    check(Fault::Status(503), "answered 503 to a poll", "answered 503 to a message", false);
    check(Fault::Status(504), "answered 504 to a poll", "answered 504 to a message", true);
}

#[test]
fn a_bridge_that_is_not_there_surely_took_nothing() {
    let bridge = FakeBridge::start("bot");
    let mut client = connect(&bridge);
    bridge.close();
    let refused = Failure::Unreachable("Connection refused (os error 111)".to_owned());
    run(async {
        assert_eq!(client.poll().await, Err(refused.clone()));
        assert_eq!(client.reply("text").await, Err(refused.clone()));
    });
    assert!(!refused.may_have_arrived());
    bridge.reopen();
    assert_eq!(run(client.reply("text")), Ok(()));
    assert_eq!(bridge.replies(), ["text"]);
}

/// Defect 8 of the original: it was silent for ever.
#[test]
fn a_bridge_that_does_not_know_our_name_is_named_with_what_to_do() {
    let bridge = FakeBridge::start("other");
    let failure = run(connect(&bridge).poll()).expect_err("an unknown name");
    assert_eq!(failure, Failure::UnknownName("bot".to_owned()));
    assert!(failure.to_string().contains("does not know a queue named bot: set `name`"), "{failure}");
}

#[test]
fn three_hundred_megabytes_cost_no_memory_and_no_time() {
    let bridge = FakeBridge::start("bot");
    bridge.fail(Requests::All, Fault::Huge, ALWAYS);
    let mut client = connect_to(&bridge.url(), Timeouts { connect: LIMIT, total: NEVER });
    assert_eq!(run(client.poll()), Err(Failure::Garbled));
    // What the client did not read lies in the two socket buffers.
    let taken = bridge.seen().bytes_taken;
    assert!(taken < HUGE_BYTES / 20, "{taken} bytes taken");
}

#[test]
fn a_password_goes_into_the_header_and_nowhere_else() {
    let bridge = FakeBridge::start("bot");
    let mut client = connect_to(&bridge.url_with("me", "hunter2"), Timeouts::default());
    run(async {
        assert_eq!(client.poll().await, Ok(None));
        assert_eq!(client.reply("text").await, Ok(()));
        bridge.fail(Requests::All, Fault::RequestLost, 1);
        assert!(!client.poll().await.expect_err("a lost request").to_string().contains("hunter2"));
    });
    for request in bridge.seen().requests {
        assert_eq!(request.header("authorization"), Some("Basic bWU6aHVudGVyMg=="));
    }
    bridge.close();
    assert!(!run(client.poll()).expect_err("a refusal").to_string().contains("hunter2"));
    assert!(!format!("{client:?}").contains("hunter2"));
}

// The task over a real socket.

/// A destination's task on a thread of its own, with an engine that records at once and answers what is heard.
struct Bot {
    orders: mpsc::Sender<Order>,
    recorded: Arc<(Mutex<Vec<Input>>, Condvar)>,
    log: Log,
    abandon: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Log lines, as they are written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("the log").clone();
        String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect()
    }
}

fn quick() -> Pace {
    Pace {
        poll_interval: Duration::from_millis(50),
        retry: Duration::from_millis(10),
        finish: Duration::from_secs(2),
        seed: 1,
    }
}

impl Bot {
    fn start(client: Bridge, pace: Pace) -> Self {
        let (orders, receiver) = mpsc::channel(ORDERS_MAX);
        let (inbox, Ends { entries, .. }) = Inbox::new();
        let (abandon, abandoned) = oneshot::channel();
        let recorded = Arc::default();
        let log = Log::default();
        let (engine, writer) = (engine(entries, orders.clone(), Arc::clone(&recorded)), log.clone());
        let thread = thread::spawn(move || {
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::INFO)
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .finish();
            let _guard = tracing::subscriber::set_default(subscriber);
            let desk = Desk { orders: receiver, inbox, clock: Arc::new(SystemClock) };
            run(async {
                // No branch is taken up again: the first to end ends the thread.
                tokio::select! {
                    () = drive(client, desk, pace) => {}
                    () = engine => {}
                    _ = abandoned => {}
                }
            });
        });
        Self { orders, recorded, log, abandon: Some(abandon), thread: Some(thread) }
    }

    fn order(&self, order: Order) {
        self.orders.blocking_send(order).expect("the task runs");
    }

    fn deliver(&self, messages: impl IntoIterator<Item = u64>) {
        messages.into_iter().for_each(|n| self.order(Order::Deliver(owed(n, &format!("text #{n}")))));
    }

    fn recorded(&self) -> Vec<Input> {
        self.recorded.0.lock().expect("the record").clone()
    }

    fn wait_until_recorded(&self, is_so: impl Fn(&[Input]) -> bool) -> Vec<Input> {
        let (lock, changed) = &*self.recorded;
        let guard = lock.lock().expect("the record");
        let (guard, waited) = changed.wait_timeout_while(guard, LIMIT, |r| !is_so(r)).expect("the record");
        assert!(!waited.timed_out(), "not so within {LIMIT:?}: {:#?}", *guard);
        guard.clone()
    }

    /// Tells the task to finish, and waits for its end.
    fn finish(mut self) -> Vec<Input> {
        self.order(Order::Finish);
        self.thread.take().expect("a thread").join().expect("the task never panics");
        self.recorded()
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        // Either end may be gone already, which is the aim.
        let _ = self.abandon.take().map(|abandon| abandon.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn delivered(recorded: &[Input]) -> Vec<Seq> {
    let mut all = Vec::new();
    for input in recorded {
        if let Input::Delivered(numbers) = input {
            all.extend_from_slice(numbers);
        }
    }
    all
}

/// Records every input and answers a chat line with itself, numbered from 1,001 on.
async fn engine(
    mut entries: mpsc::Receiver<Entry>,
    orders: mpsc::Sender<Order>,
    recorded: Arc<(Mutex<Vec<Input>>, Condvar)>,
) {
    let mut number = 1_000;
    while let Some(Entry::Input { input, done }) = entries.recv().await {
        if let Input::Heard { text, .. } = &input {
            number += 1;
            orders.send(Order::Deliver(owed(number, &format!("heard {text}")))).await.expect("the task runs");
        }
        recorded.0.lock().expect("the record").push(input);
        recorded.1.notify_all();
        if let Some(done) = done {
            // The task may have given up waiting.
            let _ = done.send(());
        }
    }
}

#[test]
fn messages_go_at_once_in_order_and_each_attempt_is_on_record_first() {
    let bridge = FakeBridge::start("bot");
    let bot = Bot::start(connect(&bridge), Pace { poll_interval: NEVER, ..quick() });
    bridge.wait_until(LIMIT, |seen| !seen.requests.is_empty());
    for n in 1..=20 {
        bot.deliver([n]);
        let count = usize::try_from(n).expect("a small number");
        bridge.wait_for_replies(count, LIMIT);
    }
    let expected: Vec<String> = (1..=20).map(|n| format!("text #{n}")).collect();
    assert_eq!(bridge.replies(), expected);
    let recorded = bot.finish();
    let expected: Vec<Input> =
        (1..=20).flat_map(|n| [Input::Attempting(seqs([n])), Input::Delivered(seqs([n]))]).collect();
    assert_eq!(recorded, expected);
}

#[test]
fn every_command_that_waits_is_answered_in_order_before_the_next_poll_is_due() {
    let bridge = FakeBridge::start("bot");
    (1..=30).for_each(|n| bridge.push_command(&format!("command {n}")));
    let bot = Bot::start(connect(&bridge), Pace { poll_interval: NEVER, ..quick() });
    let expected: Vec<String> = (1..=30).map(|n| format!("heard command {n}")).collect();
    assert_eq!(bridge.wait_for_replies(30, LIMIT), expected);
    bot.wait_until_recorded(|recorded| delivered(recorded).len() == 30);
}

#[test]
fn while_the_bridge_is_away_only_polls_are_risked_and_then_a_digest_comes() {
    for fault in
        [Fault::Status(500), Fault::Stalled, Fault::Garbage, Fault::Page, Fault::Huge, Fault::RequestLost]
    {
        let bridge = FakeBridge::start("bot");
        bridge.fail(Requests::All, fault, ALWAYS);
        let bot = Bot::start(connect_to(&bridge.url(), SHORT), quick());
        bot.deliver(1..=8);
        let seen = bridge.wait_until(LIMIT, |seen| seen.requests.len() + seen.stalled > 2);
        assert!(seen.requests.iter().all(|request| request.method == "GET"), "{fault:?}");
        bridge.heal();
        bot.wait_until_recorded(|recorded| delivered(recorded) == seqs(1..=8));
        let replies = bridge.replies();
        let [digest] = replies.as_slice() else { panic!("{fault:?}: {replies:?}") };
        assert!(digest.starts_with("While I could not reach you (since "), "{fault:?}: {digest}");
        let places: Vec<_> = (1..=8).map(|n| digest.find(&format!(": text #{n}"))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{fault:?}: {digest}");
        bot.deliver([9]);
        assert_eq!(bridge.wait_for_replies(2, LIMIT)[1], "text #9");
    }
}

#[test]
fn a_bridge_that_goes_and_comes_back_gets_up_to_five_messages_one_by_one() {
    let bridge = FakeBridge::start("bot");
    let bot = Bot::start(connect(&bridge), quick());
    bot.deliver([1]);
    bridge.wait_for_replies(1, LIMIT);
    bridge.close();
    bot.deliver(2..=6);
    wait_for_lines(&bot, 2);
    bridge.reopen();
    let expected: Vec<String> = (1..=6).map(|n| format!("text #{n}")).collect();
    assert_eq!(bridge.wait_for_replies(6, LIMIT), expected);
    bot.wait_until_recorded(|recorded| delivered(recorded) == seqs(1..=6));
}

#[test]
fn only_what_may_have_arrived_is_marked_when_it_goes_again() {
    let check = |fault, expected: &[&str]| {
        let bridge = FakeBridge::start("bot");
        bridge.fail(Requests::Puts, fault, 1);
        let bot = Bot::start(connect_to(&bridge.url(), SHORT), quick());
        bot.deliver([1, 2]);
        bot.wait_until_recorded(|recorded| delivered(recorded) == seqs([1, 2]));
        assert_eq!(bridge.replies(), expected, "{fault:?}");
        let is_returned = bot.recorded().contains(&Input::Returned(seqs([1])));
        assert_eq!(is_returned, matches!(fault, Fault::Status(_)), "{fault:?}");
    };
    check(Fault::AnswerLost, &["text #1", "(again) text #1", "text #2"]);
    check(Fault::RequestLost, &["(again) text #1", "text #2"]);
    check(Fault::Stalled, &["(again) text #1", "text #2"]);
    check(Fault::Page, &["(again) text #1", "text #2"]);
    check(Fault::Status(500), &["text #1", "text #2"]);
    check(Fault::Status(404), &["text #1", "text #2"]);
}

#[test]
fn a_message_of_the_run_before_that_may_have_arrived_is_marked() {
    let bridge = FakeBridge::start("bot");
    let bot = Bot::start(connect(&bridge), quick());
    bot.order(Order::Deliver(Owed { again: true, ..owed(1, "text") }));
    assert_eq!(bridge.wait_for_replies(1, LIMIT), ["(again) text"]);
    // A sure refusal of the second attempt says nothing about the first.
    bridge.fail(Requests::Puts, Fault::Status(500), 1);
    bot.order(Order::Deliver(Owed { again: true, ..owed(2, "other") }));
    assert_eq!(bridge.wait_for_replies(2, LIMIT)[1], "(again) other");
    assert!(!bot.recorded().iter().any(|input| matches!(input, Input::Returned(_))));
}

#[test]
fn a_digest_whose_answer_was_lost_comes_again_as_such() {
    let bridge = FakeBridge::start("bot");
    bridge.fail(Requests::Gets, Fault::Status(500), ALWAYS);
    let bot = Bot::start(connect(&bridge), quick());
    bot.deliver(1..=6);
    wait_for_lines(&bot, 1);
    bridge.fail(Requests::Puts, Fault::AnswerLost, 1);
    let replies = bridge.wait_for_replies(2, LIMIT);
    assert!(replies[0].starts_with("While I could not reach you"), "{replies:?}");
    assert!(replies[1].starts_with("(again) While I could not reach you"), "{replies:?}");
    bot.wait_until_recorded(|recorded| delivered(recorded) == seqs(1..=6));
}

#[test]
fn what_was_given_up_is_not_sent() {
    let bridge = FakeBridge::start("bot");
    bridge.fail(Requests::Gets, Fault::Status(500), ALWAYS);
    let bot = Bot::start(connect(&bridge), quick());
    bot.deliver([1, 2, 3]);
    bot.order(Order::Forget(seqs([1, 3])));
    wait_for_lines(&bot, 1);
    bridge.heal();
    bot.deliver([4]);
    assert_eq!(bridge.wait_for_replies(2, LIMIT), ["text #2", "text #4"]);
}

#[test]
fn a_name_that_the_bridge_does_not_know_keeps_commands_away_but_no_message() {
    let bridge = FakeBridge::start("other");
    let bot = Bot::start(connect(&bridge), quick());
    bot.deliver([1, 2]);
    bridge.wait_for_replies(2, LIMIT);
    let polls = |seen: &crate::bridge::Seen| seen.requests.iter().filter(|r| r.method == "GET").count();
    bridge.wait_until(LIMIT, |seen| polls(seen) > 5);
    bridge.push_command("load");
    bridge.rename("bot");
    assert_eq!(bridge.wait_for_replies(3, LIMIT)[2], "heard load");
    let lines = bot.log.lines();
    let [unknown, known] = lines.as_slice() else { panic!("{lines:#?}") };
    assert!(unknown.contains("ERROR") && unknown.contains("does not know a queue named bot: set `name`"));
    assert!(known.contains("knows our queue now"));
}

/// Waits until so many lines were logged.
fn wait_for_lines(bot: &Bot, count: usize) {
    let (lock, changed) = &*bot.recorded;
    for _ in 0..2_000 {
        if bot.log.lines().len() >= count {
            return;
        }
        // Nothing tells of a line: the wait is for the next look only.
        drop(changed.wait_timeout(lock.lock().expect("the record"), Duration::from_millis(10)));
    }
    panic!("{count} lines were not logged: {:#?}", bot.log.lines());
}

#[test]
fn a_change_is_one_line_however_many_attempts_and_no_line_has_a_secret_or_a_text() {
    let bridge = FakeBridge::start("bot");
    let bot = Bot::start(connect_to(&bridge.url_with("me", "hunter2"), Timeouts::default()), quick());
    wait_for_lines(&bot, 1);
    bridge.fail(Requests::All, Fault::Status(500), ALWAYS);
    bot.deliver([1]);
    bridge.wait_until(LIMIT, |seen| seen.requests.len() > 6);
    bridge.heal();
    bridge.wait_for_replies(1, LIMIT);
    wait_for_lines(&bot, 3);

    let asked = bridge.seen().requests.len();
    bridge.fail(Requests::Puts, Fault::Status(500), ALWAYS);
    bot.deliver([2]);
    bridge.wait_until(LIMIT, |seen| seen.requests.len() > asked + 8);
    bridge.heal();
    bridge.wait_for_replies(2, LIMIT);
    wait_for_lines(&bot, 5);

    bridge.close();
    bot.deliver([3]);
    wait_for_lines(&bot, 6);
    bridge.reopen();
    bridge.wait_for_replies(3, LIMIT);
    let log = bot.log.clone();
    bot.finish();
    let lines = log.lines();
    let expected = [
        (" INFO", "bridge answers"),
        (
            " WARN",
            "bridge answered 500 to a poll: check `bridge.url`, and the bridge's own log; messages are kept",
        ),
        (" INFO", "bridge is back after 0 s waiting=1"),
        (
            " WARN",
            "bridge answered 500 to a message: look into the bridge's own log; messages are kept waiting=1",
        ),
        (" INFO", "bridge is back after 0 s waiting=1"),
        (
            " WARN",
            "bridge cannot be reached: Connection refused (os error 111); messages are kept until it answers",
        ),
        (" INFO", "bridge is back after 0 s"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (level, words)) in lines.iter().zip(expected) {
        assert!(line.contains(level) && line.contains(words), "{words} is not in: {line}");
        assert!(!line.contains("hunter2") && !line.contains("text #"), "{line}");
    }
}

#[test]
fn at_the_end_what_waits_goes_out_and_nothing_more_is_fetched() {
    let bridge = FakeBridge::start("bot");
    let bot = Bot::start(connect(&bridge), Pace { poll_interval: NEVER, ..quick() });
    wait_for_lines(&bot, 1);
    bridge.push_command("too late");
    assert_eq!(bot.finish(), []);

    let bot = Bot::start(connect(&bridge), quick());
    bot.wait_until_recorded(|recorded| delivered(recorded).len() == 1);
    bridge.fail(Requests::Puts, Fault::Status(500), 1);
    bot.deliver([2_000]);
    bot.deliver([2_001]);
    bot.finish();
    assert_eq!(bridge.replies(), ["heard too late", "text #2000", "text #2001"]);
}

#[test]
fn the_end_waits_for_no_bridge_longer_than_it_may() {
    let check = |prepare: &dyn Fn(&FakeBridge)| {
        let bridge = FakeBridge::start("bot");
        prepare(&bridge);
        let patient = Timeouts { connect: NEVER, total: NEVER };
        let pace = Pace { finish: Duration::from_millis(300), ..quick() };
        let bot = Bot::start(connect_to(&bridge.url(), patient), pace);
        bot.deliver([1]);
        // Joins the thread: without the deadline it would not come back.
        let recorded = bot.finish();
        assert_eq!(delivered(&recorded), []);
    };
    check(&|bridge| bridge.close());
    check(&|bridge| bridge.fail(Requests::All, Fault::Stalled, ALWAYS));
    check(&|bridge| bridge.fail(Requests::Puts, Fault::Stalled, ALWAYS));
}

#[test]
fn the_task_ends_when_the_engine_has_ended() {
    let bridge = FakeBridge::start("bot");
    let client = connect(&bridge);
    let (orders, receiver) = mpsc::channel(ORDERS_MAX);
    let (inbox, Ends { entries, .. }) = Inbox::new();
    drop(orders);
    let desk = Desk { orders: receiver, inbox, clock: Arc::new(SystemClock) };
    run(drive(client, desk, quick()));

    bridge.push_command("load");
    let (_orders, receiver) = mpsc::channel(ORDERS_MAX);
    let (inbox, _) = Inbox::new();
    drop(entries);
    let desk = Desk { orders: receiver, inbox, clock: Arc::new(SystemClock) };
    run(drive(connect(&bridge), desk, quick()));
}

// Waits and promises, on a clock that stands still until everything waits.

/// What happened, and when.
type Journal = Arc<Mutex<Vec<(Duration, String)>>>;

/// A destination that answers by two scripts, and well when they have run out.
struct Script {
    polls: VecDeque<Result<Option<String>, Failure>>,
    replies: VecDeque<Outcome>,
    /// What polls give after the script.
    usual: Result<Option<String>, Failure>,
    started: Instant,
    journal: Journal,
}

/// What becomes of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Taken,
    TakenAnswerLost,
    RequestLost,
    Refused,
}

impl Script {
    fn new(journal: &Journal) -> Self {
        Self {
            polls: VecDeque::new(),
            replies: VecDeque::new(),
            usual: Ok(None),
            started: Instant::now(),
            journal: Arc::clone(journal),
        }
    }

    fn note(&self, what: String) {
        self.journal.lock().expect("the journal").push((self.started.elapsed(), what));
    }
}

impl Transport for Script {
    fn address(&self) -> Address {
        Address::bridge()
    }

    async fn poll(&mut self) -> Result<Option<String>, Failure> {
        // Every request gives way once, as one over a socket does.
        tokio::task::yield_now().await;
        self.note("poll".to_owned());
        self.polls.pop_front().unwrap_or_else(|| self.usual.clone())
    }

    async fn reply(&mut self, text: &str) -> Result<(), Failure> {
        tokio::task::yield_now().await;
        let outcome = self.replies.pop_front().unwrap_or(Outcome::Taken);
        self.note(format!("{outcome:?}: {text}"));
        match outcome {
            Outcome::Taken => Ok(()),
            Outcome::TakenAnswerLost | Outcome::RequestLost => Err(Failure::Lost("gone".to_owned())),
            Outcome::Refused => Err(Failure::ReplyRefused(500)),
        }
    }
}

fn daily() -> Pace {
    Pace { seed: 7, ..Pace::new(Duration::from_secs(10)) }
}

/// Runs the task for a while of the still clock, with orders at their seconds, and an engine that notes what it
/// records.
async fn play(script: Script, given: &[(u64, Order)], length: Duration) -> Vec<(Duration, String)> {
    let (orders, receiver) = mpsc::channel(ORDERS_MAX);
    let (inbox, Ends { mut entries, .. }) = Inbox::new();
    let (journal, started) = (Arc::clone(&script.journal), script.started);
    let desk = Desk { orders: receiver, inbox, clock: Arc::new(SystemClock) };
    let task = tokio::spawn(drive(script, desk, daily()));
    let engine = {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            while let Some(Entry::Input { input, done }) = entries.recv().await {
                let line = if let Input::Heard { text, .. } = &input {
                    format!("heard {text}")
                } else {
                    format!("{input:?}")
                };
                // As slow as a disk: a promise that is not waited for would be seen.
                tokio::time::sleep(Duration::from_millis(1)).await;
                journal.lock().expect("the journal").push((started.elapsed(), line));
                let _ = done.map(|done| done.send(()));
            }
        })
    };
    for (second, order) in given {
        tokio::time::sleep_until(started + Duration::from_secs(*second)).await;
        orders.send(order.clone()).await.expect("the task runs");
    }
    tokio::time::sleep_until(started + length).await;
    drop(orders);
    task.await.expect("the task never panics");
    engine.await.expect("the engine ends with the task");
    journal.lock().expect("the journal").clone()
}

fn deliver(number: u64, text: &str) -> Order {
    Order::Deliver(owed(number, text))
}

fn seconds(journal: &[(Duration, String)], begin: &str) -> Vec<u64> {
    journal.iter().filter(|(_, line)| line.starts_with(begin)).map(|(at, _)| at.as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_bridge_that_is_down_is_asked_after_1_2_4_8_16_and_30_seconds() {
    let journal = Journal::default();
    let usual = Err(Failure::Unreachable("refused".to_owned()));
    let script = Script { usual, ..Script::new(&journal) };
    let journal = play(script, &[(0, deliver(1, "text"))], Duration::from_secs(130)).await;
    assert_eq!(seconds(&journal, "poll"), [0, 1, 3, 7, 15, 31, 61, 91, 121]);
    assert_eq!(journal.len(), 9, "only polls: {journal:?}");
}

#[tokio::test(start_paused = true)]
async fn polls_keep_their_interval_give_or_take_a_tenth() {
    let journal = play(Script::new(&Journal::default()), &[], Duration::from_secs(1_000)).await;
    let times: Vec<Duration> = journal.iter().map(|(at, _)| *at).collect();
    let gaps: Vec<u128> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert!(gaps.len() > 90 && gaps.iter().all(|gap| (9_000..=11_001).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().min() < Some(&9_300) && gaps.iter().max() > Some(&10_700), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_refused_waits_as_long_while_polls_go_on() {
    let script = Script { replies: vec![Outcome::Refused; 7].into(), ..Script::new(&Journal::default()) };
    let journal =
        play(script, &[(0, deliver(1, "one")), (0, deliver(2, "two"))], Duration::from_secs(120)).await;
    assert_eq!(seconds(&journal, "Refused: one"), [0, 1, 3, 7, 15, 31, 61]);
    assert_eq!(seconds(&journal, "Taken: one"), [91]);
    assert_eq!(seconds(&journal, "Taken: two"), [91]);
    let polls = seconds(&journal, "poll");
    assert!(polls.windows(2).all(|pair| pair[1] - pair[0] <= 11), "{polls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_until_what_it_depends_on_is_durable() {
    let mut script = Script::new(&Journal::default());
    script.polls = [Ok(Some("a".to_owned())), Ok(Some("b".to_owned()))].into();
    script.replies = [Outcome::Refused].into();
    let journal = play(script, &[(0, deliver(1, "one"))], Duration::from_secs(2)).await;
    let lines: Vec<&str> = journal.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "poll",
            "heard a",
            "poll",
            "heard b",
            "poll",
            "Attempting([Seq(1)])",
            "Refused: one",
            "Returned([Seq(1)])",
            "poll",
            "Attempting([Seq(1)])",
            "Taken: one",
            "Delivered([Seq(1)])",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn commands_without_end_make_no_busy_loop_and_starve_no_message() {
    let usual = Ok(Some("flood".to_owned()));
    let script = Script { usual, ..Script::new(&Journal::default()) };
    let journal = play(script, &[(0, deliver(1, "one"))], Duration::from_secs(10)).await;
    let polls = seconds(&journal, "poll").len();
    assert!((500..=1_000).contains(&polls), "{polls} polls");
    let first = journal.iter().position(|(_, line)| line == "Taken: one").expect("the message went out");
    assert!(first <= 202, "after {first} lines");
}

#[tokio::test(start_paused = true)]
async fn the_last_messages_go_out_without_a_poll_and_without_the_rest_of_a_wait() {
    let script = Script::new(&Journal::default());
    let given = [(1, deliver(1, "goodbye")), (1, Order::Finish)];
    let journal = play(script, &given, Duration::from_secs(60)).await;
    let lines: Vec<&str> = journal.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, ["poll", "Attempting([Seq(1)])", "Taken: goodbye", "Delivered([Seq(1)])"]);

    let mut script = Script::new(&Journal::default());
    script.polls = vec![Err(Failure::Garbled); 6].into();
    let given = [(0, deliver(1, "goodbye")), (20, Order::Finish)];
    let journal = play(script, &given, Duration::from_secs(60)).await;
    assert_eq!(seconds(&journal, "poll"), [0, 1, 3, 7, 15, 20, 21]);
    assert_eq!(seconds(&journal, "Taken: goodbye"), [21]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever fails, and in whatever order: all arrives, in order, and twice only where the answer was lost, then
    /// marked.
    #[test]
    fn order_and_once_hold_through_any_faults(
        polls in prop::collection::vec(any::<bool>(), 0..20),
        replies in prop::collection::vec(0_u8..4, 0..12),
        count in 1_u64..20,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let journal = runtime.block_on(async {
            let mut script = Script::new(&Journal::default());
            script.polls = polls
                .iter()
                .map(|is_up| if *is_up { Ok(None) } else { Err(Failure::Garbled) })
                .collect();
            script.replies = replies
                .iter()
                .map(|n| match n {
                    0 => Outcome::Taken,
                    1 => Outcome::TakenAnswerLost,
                    2 => Outcome::RequestLost,
                    _ => Outcome::Refused,
                })
                .collect();
            let messages: Vec<_> = (1..=count).map(|n| (0, deliver(n, &format!("<{n}>")))).collect();
            play(script, &messages, Duration::from_secs(2_000)).await
        });

        let mut arrived: Vec<u64> = Vec::new();
        let mut unclear: Vec<u64> = Vec::new();
        for (_, line) in &journal {
            let Some((outcome, text)) = line.split_once(": ") else { continue };
            let inside = (1..=count).filter(|n| text.contains(&format!("<{n}>")));
            for n in inside {
                prop_assert_eq!(text.contains(&format!("{AGAIN}<{n}>")), unclear.contains(&n), "{}", line);
                if outcome.starts_with("Taken") {
                    prop_assert!(unclear.contains(&n) || !arrived.contains(&n), "twice: {line}");
                    if !arrived.contains(&n) {
                        arrived.push(n);
                    }
                }
                if outcome.ends_with("Lost") && !unclear.contains(&n) {
                    unclear.push(n);
                }
            }
        }
        prop_assert_eq!(arrived, (1..=count).collect::<Vec<_>>());
        let delivered = journal.iter().filter(|(_, line)| line.starts_with("Delivered")).count();
        let taken = journal.iter().filter(|(_, line)| line.starts_with("Taken: ")).count();
        prop_assert_eq!(delivered, taken);
    }
}
