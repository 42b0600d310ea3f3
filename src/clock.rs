//! The only place that reads clocks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use systembot_model::{LocalTime, Timestamp};

/// Tells the time; the tests have one that they set.
pub trait Clock: Send + Sync {
    /// The wall clock (CLOCK_REALTIME).
    fn now(&self) -> Timestamp;
    /// Steady time since some fixed moment, standing still in sleep (CLOCK_MONOTONIC).
    fn steady(&self) -> Duration;
    /// Steady time since some fixed moment, sleep included (CLOCK_BOOTTIME).
    fn since_boot(&self) -> Duration;
    /// Lets a span of steady time pass; may return early.
    fn wait(&self, span: Duration);
    /// The wall clock with the machine's zone.
    fn local(&self) -> LocalTime {
        LocalTime::utc(self.now())
    }
}

/// The clocks of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // By libc, as every other program: then a tool that shows programs another time shows it to this one too.
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let now = SystemTime::now();
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_ms(match now.duration_since(UNIX_EPOCH) {
            Ok(since) => ms(since),
            Err(before) => ms(before.duration()).saturating_neg(),
        })
    }

    fn steady(&self) -> Duration {
        span(rustix::time::ClockId::Monotonic)
    }

    fn since_boot(&self) -> Duration {
        span(rustix::time::ClockId::Boottime)
    }

    fn wait(&self, span: Duration) {
        std::thread::park_timeout(span);
    }

    fn local(&self) -> LocalTime {
        let at = self.now();
        let Ok(moment) = jiff::Timestamp::from_millisecond(at.as_ms()) else { return LocalTime::utc(at) };
        let zone = jiff::tz::TimeZone::system();
        let info = zone.to_offset_info(moment);
        LocalTime { at, offset_seconds: info.offset().seconds(), zone: info.abbreviation().to_owned() }
    }
}

fn span(clock: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
