//! What the first version wrote, read by this one.
//!
//! `fixtures/v1/` was written by the version that brought the format and is never written again. A line is a name
//! and the bytes in hex. For a new variant of [`Event`] its example goes to the end of [`events`], and
//! `SYSTEMBOT_FIXTURE=add cargo test -p systembot-storage fixture` adds the lines that are missing, only those.

use std::{collections::BTreeMap, fs, io::Write, net::IpAddr, path::PathBuf};

use systembot_model::{
    Address, Event, Message, Question, Reading, Record, Sample, Seq, Series, Timestamp,
    event::{BlindReason, Fired, MessageKind},
    host::Host,
    rules::Severity,
    service::{Outcome, Seen},
    window::Window,
};

use crate::{
    catalogue::Entry,
    chunk::{self, Block, Decoder, Header, Origin, Rows, Wanted},
    codec,
    event::EventFilter,
    hot::Tick,
};

const AT: Timestamp = Timestamp::from_ms(1_795_346_634_007);

/// One of each variant, in their order.
fn events() -> Vec<Event> {
    let series = Series::labelled("disk_used_percent", "mount", "/");
    let fired = Fired {
        id: 12,
        rule: "disk_full".into(),
        rule_version: 1,
        configured: Seq::new(2),
        series: series.clone(),
        severity: Severity::Critical,
        since: AT,
        value: Some(93.25),
        limit: Some(90.0),
        mean: None,
        stdev: Some(0.5),
        sigma: Some(-2.5),
        length: 100,
        message: "/ is 93 % full".into(),
        told: true,
    };
    let host = Host {
        name: "leela".into(),
        os: "Debian".into(),
        kernel: "6.1.0".into(),
        build: "#1".into(),
        architecture: "x86_64".into(),
        cpus: 4,
        interface: Some("eth0".into()),
        ipv4: Some([192, 0, 2, 7].into()),
        ipv6: Some("2001:db8::7".parse().unwrap()),
    };
    let public: IpAddr = "198.51.100.4".parse().unwrap();
    let seen = Seen { pid: Some(4711), started: 123_456, since: AT };
    let messages = vec![Seq::new(7), Seq::new(300)];
    let owner = Address::bridge();
    vec![
        Event::Started { version: "0.1.0".into(), config: Some("/etc/systembot.toml".into()), unclean: true },
        Event::Stopped,
        Event::Sampled(Sample { readings: vec![Reading { series: Series::new("load1"), value: 0.25 }] }),
        Event::Configured { rules: "{\"name\":\"leela\"}".into() },
        Event::Described(host),
        Event::Blind { from: AT, to: AT, reason: BlindReason::ClockStepped },
        Event::ClockStepped { by_ms: -3_600_000 },
        Event::AlertFired(fired),
        Event::AlertRepeated { id: 12, message: "/ is 94 % full".into() },
        Event::AlertResolved { id: 12, value: Some(80.5), message: "/ is well".into(), told: false },
        Event::AlertAcknowledged { id: 12, by: owner.clone() },
        Event::Muted { scope: "disk".into(), until: AT, by: owner.clone() },
        Event::Unmuted { scope: "disk".into(), by: None },
        Event::Heard { from: owner.clone(), text: "Uptime.".into() },
        Event::MessageQueued(Message { to: owner.clone(), kind: MessageKind::Reply, text: "3 days".into() }),
        Event::MessageAttempted { messages: messages.clone() },
        Event::MessageReturned { messages: messages.clone() },
        Event::MessageDelivered { messages: messages.clone() },
        Event::MessageDropped { messages, reason: "overtaken".into() },
        Event::ServiceMissing { service: "test_bot".into() },
        Event::ServiceRecovered { service: "test_bot".into() },
        Event::AddressChanged { from: None, to: public },
        Event::Noted { subject: "mount /mnt/nas".into(), text: "does not answer".into() },
        Event::Cleared { subject: "mount /mnt/nas".into() },
        Event::Imported { series, from: AT, to: AT, samples: 1, learned: vec![(AT, 1.5)], file: u64::MAX },
        Event::Salvaged { saved: 1_000, lost: 3 },
        Event::Asked { from: owner.clone(), question: Question::Processes(3) },
        Event::Answered { questions: vec![Seq::new(9)] },
        Event::AddressFetched { address: Some(public), problem: Some("slow".into()) },
        Event::ServiceSeen { service: "test_bot".into(), seen },
        Event::RestartOrdered {
            service: "test_bot".into(),
            attempt: 2,
            command: "python3 test_bot.py".into(),
            stop: Some(4710),
            by: Some(owner.clone()),
        },
        Event::RestartFinished {
            service: "test_bot".into(),
            ordered: Seq::new(9),
            outcome: Outcome::Failed("it ended with exit code 3".into()),
            output: "no module named bot\n".into(),
        },
        Event::RestartGivenUp { service: "test_bot".into(), starts: 5 },
        Event::ServiceUnhealthy { service: "test_bot".into(), problem: "no answer within 5 s".into() },
        Event::ServiceHealthy { service: "test_bot".into() },
        Event::WatchingStopped { service: "test_bot".into(), by: owner.clone() },
        Event::WatchingResumed { service: "test_bot".into(), by: owner },
        Event::Baseline { series: Series::new("load1"), window: window() },
    ]
}

fn window() -> Window {
    let mut window = Window::default();
    for (i, value) in [0.25, 0.31, 0.28, -1.5].into_iter().enumerate() {
        window.push(Timestamp::from_ms(AT.as_ms() + 15_000 * i64::try_from(i).unwrap()), value, 100);
    }
    window
}

fn record(event: Event) -> Record {
    Record { seq: Seq::new(70_000), at: AT, event }
}

/// Ticks of every sort of column: constant, scaled, missing in some ticks, floats, plain.
fn rows() -> Rows {
    let mut rows = Rows::new(Origin::Live, 1, vec![(10, 2), (11, 0), (12, 0), (13, 0), (14, 0)]);
    for i in 0..40_u32 {
        let at = Timestamp::from_ms(AT.as_ms() + i64::from(i) * 15_000 + i64::from(i % 3));
        let x = f64::from(i);
        let mut cells = vec![(10, 0.25 + x / 100.0), (11, 7.0), (13, (x * 0.37 + 1.1) / (x + 0.3))];
        if i % 4 == 1 {
            cells.push((12, 1e9 + x));
        }
        if i == 5 || i == 6 {
            cells.push((14, 1.0 / (x + 0.1)));
        }
        rows.push(at, 100 + u64::from(i) + u64::from(i / 7), cells.into_iter());
    }
    rows
}

fn tick() -> Tick {
    Tick { tick: 5, seq: Seq::new(9), at: AT, cells: vec![(0, 0.25), (300, -1e300)] }
}

fn entry() -> Entry {
    let series = Series::labelled("temperature_celsius", "sensor", "coretemp Core 0");
    Entry { id: 41, series, unit: "celsius".into(), decimals: 3, group: 4 }
}

/// What there should be, by file and name.
fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut all: Vec<_> = events()
        .into_iter()
        .map(|event| ("records", event.kind().to_owned(), codec::encode(&record(event)).unwrap()))
        .collect();
    let chunks = chunk::chunks(&rows()).unwrap();
    all.push(("chunks", "live".into(), chunks.into_iter().next().unwrap().1));
    let (_, puts) = tick().puts(0).unwrap();
    all.push(("ticks", "one_part".into(), puts.into_iter().next().unwrap().into_value()));
    all.push(("meta", "series".into(), codec::encode(&entry()).unwrap()));
    all
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1").join(format!("{file}.txt"))
}

fn stored(file: &str) -> BTreeMap<String, Vec<u8>> {
    let text = fs::read_to_string(path(file)).unwrap_or_default();
    let byte = |hex: &[u8]| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap();
    text.lines()
        .map(|line| {
            let (name, hex) = line.split_once(' ').unwrap();
            (name.to_owned(), hex.as_bytes().chunks(2).map(byte).collect())
        })
        .collect()
}

#[test]
fn everything_has_a_fixture_and_is_written_as_then() {
    for (file, name, bytes) in all() {
        let stored = stored(file);
        if !stored.contains_key(&name) && std::env::var_os("SYSTEMBOT_FIXTURE").is_some() {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(path(file)).unwrap();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(file, "{name} {hex}").unwrap();
            continue;
        }
        let before =
            stored.get(&name).unwrap_or_else(|| panic!("{name} has no line in {}", path(file).display()));
        // How chunks are packed may get better; everything else is the same bytes for ever.
        if file != "chunks" {
            assert_eq!(before, &bytes, "{name}");
        }
    }
}

#[test]
fn records_of_the_first_version_read_back() {
    let stored = stored("records");
    for event in events() {
        let found: Record = codec::decode(&stored[event.kind()]).unwrap();
        assert_eq!(found, record(event));
    }
}

#[test]
fn a_chunk_of_the_first_version_reads_back() {
    let chunk = &stored("chunks")["live"];
    let (header, _) = Header::read(chunk).unwrap();
    assert_eq!((header.ticks, header.columns.len(), header.group), (40, 5, 1));
    let wanted: Vec<Wanted> = (10..15).map(|id| Wanted::new(id, id)).collect();
    let mut block = Block::default();
    Decoder::default().all(chunk, &wanted, &mut block).unwrap();
    let mut seen = Vec::new();
    while let Some((at, seq)) = block.head() {
        let mut cells = Vec::new();
        block.take(&mut cells);
        seen.push((at.as_ms(), seq, cells.into_iter().map(|(id, v)| (id, v.to_bits())).collect::<Vec<_>>()));
    }
    assert_eq!(seen, rows().listed());
}

#[test]
fn each_variant_is_filtered_by_its_kind() {
    let mut kinds = Vec::new();
    for event in events() {
        let payload = codec::encode(&record(event.clone())).unwrap();
        let ((_, at, variant), _) =
            codec::prefix::<(Seq, Timestamp, u32)>(codec::payload(&payload).unwrap()).unwrap();
        assert!(EventFilter::kinds(&[event.kind()]).may_take(at, variant), "{}", event.kind());
        assert!(!EventFilter::kinds(&["none"]).may_take(at, variant), "{}", event.kind());
        kinds.push(variant);
    }
    let count = u32::try_from(kinds.len()).unwrap();
    assert_eq!(kinds, (0..count).collect::<Vec<_>>(), "the examples are in the order of the variants");
}
