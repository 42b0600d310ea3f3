//! Series that come and go.

use crate::world::{World, of};

const STEP: i64 = 4 * 3_600_000;
/// Ticks in which each of them is there: not quite a day.
const TICKS: i64 = 6;

/// A mount that is there for a day, then another one, five hundred times, beside what every machine has.
#[test]
fn five_hundred_that_come_and_go_cost_what_they_hold() {
    let mut world = World::new();
    let steady: Vec<String> = (0..12).map(|i| format!("steady_{i}")).collect();
    for i in 0..500 * TICKS {
        let value = f64::from(u32::try_from(i % 50).unwrap());
        let mount = format!("disk_used_percent{{mount=\"/media/{}\"}}", i / TICKS);
        let mut readings: Vec<(&str, f64)> = steady.iter().map(|name| (name.as_str(), value)).collect();
        readings.push((&mount, value / 4.0));
        world.tick(1_795_346_634_007 + i * STEP, &readings);
    }
    let series = world.reader().series().unwrap();
    assert_eq!(series.len(), 512);
    for info in &series {
        let is_mount = info.series.metric() == "disk_used_percent";
        assert_eq!(
            info.samples,
            u64::try_from(if is_mount { TICKS } else { 500 * TICKS }).unwrap(),
            "{info:?}"
        );
    }
    // Had each ten their own chunks for ever, times and heads alone would be several bytes a sample.
    let (bytes, samples) =
        series.iter().fold((0, 0), |(bytes, samples), info| (bytes + info.bytes, samples + info.samples));
    assert!(bytes < samples * 4, "{bytes} bytes for {samples} samples");
    assert_eq!(world.samples(&of("disk_used_percent{mount=\"/media/7\"}")).len(), 6);
    assert_eq!(world.blobs(), 0);
    world.reopen();
    assert_eq!(world.reader().series().unwrap(), series);
}
