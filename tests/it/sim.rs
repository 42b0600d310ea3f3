//! Lives of the whole core: the real engine on a real log, with a clock, a machine, an owner and destinations that a
//! seed decides. Each life crashes between any two of its steps, over and over, and is checked as a whole.
//!
//! `SYSTEMBOT_LIVES` says how many lives there are; `SYSTEMBOT_SIM_SEED` is that of the first, and repeats it.

mod desk;
mod life;
mod promises;
mod world;

use std::hash::{BuildHasher, Hasher, RandomState};

use life::Life;
use systembot::clock::{Clock, SystemClock};

/// Lives unless the environment says otherwise: some seconds.
const LIVES: u64 = 12;

/// Says which life it was that did not end well.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat it with SYSTEMBOT_LIVES=1 SYSTEMBOT_SIM_SEED={}", self.0);
        }
    }
}

#[test]
fn every_life_keeps_the_promises_of_the_core() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let lives = number("SYSTEMBOT_LIVES").unwrap_or(LIVES);
    let first = number("SYSTEMBOT_SIM_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    eprintln!("SYSTEMBOT_SIM_SEED={first}");
    let began = SystemClock.steady();
    let mut told = life::Told::default();
    for seed in (0..lives).map(|life| first.wrapping_add(life)) {
        let seed = Seed(seed);
        told.add(&Life::new(seed.0).live());
    }
    let took = SystemClock.steady().saturating_sub(began);
    eprintln!("{lives} lives in {} s: {told:?}", took.as_secs());
    // Lives in which nothing happens would keep any promise.
    assert!(told.crashes > lives && told.sealed > 0 && told.taken > lives && told.alerts > lives, "{told:?}");
    assert!(told.again > 0 && told.pruned > 0 && told.starts > 0 && told.clock_steps > 0, "{told:?}");
}
