//! State = fold of the log.

use proptest::prelude::*;
use systembot_model::{
    Address, Event, Message, Record, Rules, Seq, State,
    event::{BlindReason, MessageKind},
};

use crate::world::{World, at, sampled};

/// What may happen to a log.
#[derive(Clone, Debug)]
enum Step {
    /// So many ticks of some of the series, so far apart.
    Ticks(u16, u8, i64),
    /// One event.
    Event(u8),
    /// The clock is set.
    Clock(i64),
    /// The daemon is stopped in good order, or dies.
    Restart(bool),
    /// The checkpoint is lost.
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u16..400, 0_u8..8, prop_oneof![Just(1_000), Just(15_000), Just(3_600_000)])
            .prop_map(|(n, series, apart)| Step::Ticks(n, series, apart)),
        4 => (0_u8..8).prop_map(Step::Event),
        1 => prop_oneof![-3_600_000_i64..90_000_000, -4_000_000_000_i64..4_000_000_000].prop_map(Step::Clock),
        1 => any::<bool>().prop_map(Step::Restart),
        1 => Just(Step::Forget),
    ]
}

fn event(kind: u8, seq: u64) -> Event {
    let message = || Message { to: Address::bridge(), kind: MessageKind::Alert, text: format!("m{seq}") };
    match kind {
        0 => Event::Configured {
            rules: Rules { maximum_length: 2 + usize::try_from(seq % 799).unwrap(), ..Rules::default() }
                .to_json(),
        },
        1 => Event::Started { version: "1".into(), config: None, unclean: false },
        2 => Event::Blind { from: at(1), to: at(2), reason: BlindReason::Crashed },
        3 => Event::MessageQueued(message()),
        4 => Event::MessageDelivered { messages: vec![Seq::new(seq / 2)] },
        5 => Event::Noted { subject: format!("s{}", seq % 5), text: "t".into() },
        6 => Event::ServiceMissing { service: "a".into() },
        _ => Event::Stopped,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_lost_the_state_is_the_fold_of_all_records(steps in proptest::collection::vec(step(), 1..14)) {
        let mut world = World::new();
        let mut fold = State::default();
        let mut now = 1_795_346_634_007_i64;
        let mut records: Vec<Record> = Vec::new();
        let mut append = |world: &mut World, fold: &mut State, now: i64, events: Vec<Event>| {
            let done = world.log().append(at(now), events).unwrap();
            done.records.iter().for_each(|record| fold.apply(record));
            records.extend(done.records);
            if done.sealed {
                world.log().checkpoint(fold).unwrap();
            }
        };
        for step in steps {
            match step {
                Step::Ticks(n, series, apart) => for i in 0..n {
                    now += apart;
                    let x = f64::from(i) / 8.0;
                    let all = [("load1", x), ("load5", -x), ("processes_total", 7.0), ("network_errors_total{interface=\"e\"}", x)];
                    let some: Vec<_> = all.into_iter().enumerate().filter(|(k, _)| series & (1 << k) != 0).map(|(_, r)| r).collect();
                    append(&mut world, &mut fold, now, vec![sampled(&some)]);
                },
                Step::Event(kind) => {
                    let seq = world.log().seq().get();
                    let tick = sampled(&[("load1", 1.0)]);
                    append(&mut world, &mut fold, now, vec![event(kind, seq), tick, event(kind / 2, seq)]);
                }
                Step::Clock(by) => now += by,
                Step::Restart(in_order) => {
                    if in_order {
                        world.log().checkpoint(&fold).unwrap();
                    }
                    world.reopen();
                }
                Step::Forget => {
                    // There may be none yet.
                    let _ = std::fs::remove_file(world.data().join("checkpoint"));
                }
            }
            prop_assert_eq!(&world.log().load_state().unwrap(), &fold);
        }
        let _ = std::fs::remove_file(world.data().join("checkpoint"));
        world.reopen();
        prop_assert_eq!(&world.log().load_state().unwrap(), &fold);
    }
}

#[test]
fn ticks_that_read_nothing_leave_no_trace_in_the_state() {
    for readings in [&[("load1", 1.0)][..], &[]] {
        let mut world = World::new();
        let mut fold = State::default();
        for i in 0..600_i64 {
            let sample = sampled(if (200..210).contains(&i) { readings } else { &[] });
            let done = world.log().append(at(i * 1_000), vec![sample]).unwrap();
            done.records.iter().for_each(|record| fold.apply(record));
        }
        assert_eq!(world.log().load_state().unwrap(), fold);
    }
}

#[test]
fn a_checkpoint_that_cannot_be_used_is_passed_over() {
    let mut world = World::new();
    let mut fold = State::default();
    for i in 0..300 {
        let done = world.log().append(at(i * 1_000), vec![sampled(&[("load1", 1.0)])]).unwrap();
        done.records.iter().for_each(|record| fold.apply(record));
    }
    world.log().checkpoint(&fold).unwrap();
    let path = world.data().join("checkpoint");
    let good = std::fs::read(&path).unwrap();
    assert_eq!(world.log().load_state().unwrap(), fold);
    for i in 0..good.len().min(200) {
        let mut bad = good.clone();
        bad[i] ^= 0x10;
        std::fs::write(&path, &bad).unwrap();
        assert_eq!(world.log().load_state().unwrap(), fold, "byte {i}");
    }
    // One of another log, and far ahead of it.
    let mut other = World::new();
    std::fs::write(other.data().join("checkpoint"), &good).unwrap();
    other.tick(0, &[("load1", 9.0)]);
    assert_eq!(other.log().load_state().unwrap().seq, Seq::new(1));
}

#[test]
fn a_checkpoint_is_used() {
    let mut world = World::new();
    world.tick(0, &[("load1", 1.0)]);
    let mut state = world.log().load_state().unwrap();
    state.last_alert = 99;
    world.log().checkpoint(&state).unwrap();
    world.tick(1_000, &[("load1", 2.0)]);
    let loaded = world.log().load_state().unwrap();
    assert_eq!((loaded.last_alert, loaded.seq), (99, Seq::new(2)));
}

#[test]
fn a_clock_that_was_set_to_1970_and_to_rights_leaves_the_state_a_fold() {
    let mut world = World::new();
    let mut fold = State::default();
    let now = 1_795_346_634_007_i64;
    // The first two spans are sealed together; they are chunks of their own.
    for (begin, ticks) in [(now, 200), (0, 40), (now + 4_000_000, 12)] {
        for i in 0..ticks {
            let events = vec![sampled(&[("load1", f64::from(i))])];
            let done = world.log().append(at(begin + i64::from(i) * 15_000), events).unwrap();
            done.records.iter().for_each(|record| fold.apply(record));
        }
    }
    world.reopen();
    assert_eq!(world.log().load_state().unwrap(), fold);
}
