//! Chunks and sheets of roll-ups: the decoders on anything behind a good checksum, and rows that must come back as
//! they were.
//!
//! The first byte chooses: 0 for bytes as they are; 1 for rows, of which the second byte tells the columns; 2 for one
//! of a real log, chosen by the second byte, with bytes in it changed: place (two bytes), and by what.
#![no_main]

use libfuzzer_sys::fuzz_target;
use systembot_model::{Event, Sample, Series, Timestamp};
use systembot_storage::{
    Log,
    fuzz::{Ticks, chunk, payloads, round_trip},
};

/// As many ticks as fill a chunk and some of the next.
const TICKS: usize = 300;

thread_local!(static REAL: Vec<Vec<u8>> = real());

fuzz_target!(|bytes: &[u8]| {
    match bytes {
        [choice, rest @ ..] if choice % 3 == 0 => chunk(rest),
        [choice, columns, rest @ ..] if choice % 3 == 1 => rows(usize::from(columns % 12) + 1, rest),
        [_, which, rest @ ..] => changed(usize::from(*which), rest),
        _ => {}
    }
});

/// What a log of some hours holds.
fn real() -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(&dir.path().join("log")).unwrap();
    for tick in 0..720_i32 {
        let x = f64::from(tick);
        let mut sample = Sample::default();
        sample.push(Series::new("load1"), (x * 0.37).sin().abs());
        sample.push(Series::new("cpu_idle_percent"), (x * 7.3 % 101.0).round() / 10.0);
        sample.push(Series::new("network_sent_bytes_total"), x * x * 4_096.0);
        if tick % 50 < 20 {
            sample.push(Series::new("memory_total_bytes"), 8_589_934_592.0);
        }
        let at = Timestamp::from_ms(1_795_346_634_007 + i64::from(tick) * 15_000);
        log.append(at, vec![Event::Sampled(sample)]).unwrap();
    }
    payloads(&log)
}

fn changed(which: usize, changes: &[u8]) {
    REAL.with(|real| {
        let mut payload = real[which % real.len()].clone();
        for change in changes.chunks_exact(3) {
            let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % payload.len();
            payload[place] ^= change[2];
        }
        chunk(&payload);
    });
}

fn rows(columns: usize, mut bytes: &[u8]) {
    let decimals: Vec<u8> = (0..columns).map(|column| u8::try_from(column % 8).unwrap()).collect();
    let (mut at, mut ticks) = (1_795_346_634_007_i64, Ticks::new());
    let mut values = vec![Some(0.0_f64); columns];
    while let Some((step, rest)) = bytes.split_first().filter(|_| ticks.len() < TICKS) {
        bytes = rest;
        at = match step {
            0..=127 => at.saturating_add(15_000),
            128..=191 => at.saturating_add(i64::from(step % 64)),
            192..=223 => at.saturating_add(i64::from(step % 32) * 3_600_000),
            224..=250 => at.saturating_sub(i64::from(step % 32) * 86_400_000),
            251..=255 => take(&mut bytes).map_or(at, i64::from_le_bytes),
        };
        // Most columns walk on; the others are what the bytes say.
        for (column, value) in values.iter_mut().enumerate() {
            let Some((kind, rest)) = bytes.split_first() else { break };
            bytes = rest;
            let walked = value.unwrap_or(0.0);
            let scale = 10_f64.powi(i32::from(decimals[column]));
            *value = match kind {
                0..=31 => *value,
                32..=47 => None,
                48..=55 => take(&mut bytes).map(f64::from_le_bytes).filter(|value| value.is_finite()),
                56..=255 => Some(((walked * scale).round() + f64::from(*kind) - 150.0) / scale),
            };
            *value = value.filter(|value| value.is_finite());
        }
        ticks.push((at, values.clone()));
    }
    let back = round_trip(&ticks, &decimals).unwrap();
    let bits = |ticks: &Ticks| -> Vec<(i64, Vec<Option<u64>>)> {
        let bits = |values: &Vec<Option<f64>>| values.iter().map(|value| value.map(f64::to_bits)).collect();
        ticks.iter().map(|(at, values)| (*at, bits(values))).collect()
    };
    assert_eq!(bits(&back), bits(&ticks));
}

fn take(bytes: &mut &[u8]) -> Option<[u8; 8]> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(*first)
}
