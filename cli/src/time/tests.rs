//! Phrases, and what they mean at a moment in Berlin.

use super::*;

/// Central European time, independent of the machine's zone files.
fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn at(text: &str) -> Zoned {
    text.parse::<DateTime>().unwrap().to_zoned(berlin()).unwrap()
}

fn local(at: Timestamp) -> String {
    zoned(at, &berlin()).unwrap().strftime("%F %T %z").to_string()
}

#[track_caller]
fn check(now: &str, text: &str, expected: &str) {
    let moment = moment(text, &at(now), Toward::Past).map(local).unwrap_or_else(|e| e.to_string());
    assert_eq!(moment, expected, "`{text}` at {now}");
}

#[test]
fn phrases_about_the_past() {
    // A Sunday.
    let now = "2026-11-22 10:00:00";
    for (text, expected) in [
        ("now", "2026-11-22 10:00:00 +0100"),
        ("2026-11-22T08:00:00Z", "2026-11-22 09:00:00 +0100"),
        ("2026-11-22t08:00:00.250+02:00", "2026-11-22 07:00:00 +0100"),
        ("2026-11-20", "2026-11-20 00:00:00 +0100"),
        ("2026-11-20 14:30", "2026-11-20 14:30:00 +0100"),
        ("2026-11-20 14:30:05", "2026-11-20 14:30:05 +0100"),
        ("2026-11-20T14:30", "2026-11-20 14:30:00 +0100"),
        ("2030-01-01", "2030-01-01 00:00:00 +0100"),
        ("90s", "2026-11-22 09:58:30 +0100"),
        ("2h", "2026-11-22 08:00:00 +0100"),
        ("90m", "2026-11-22 08:30:00 +0100"),
        ("1h30m", "2026-11-22 08:30:00 +0100"),
        ("1h30m ago", "2026-11-22 08:30:00 +0100"),
        ("-2h", "2026-11-22 08:00:00 +0100"),
        ("2 hours ago", "2026-11-22 08:00:00 +0100"),
        ("1 hour 30 minutes ago", "2026-11-22 08:30:00 +0100"),
        ("a week ago", "2026-11-15 10:00:00 +0100"),
        ("an hour ago", "2026-11-22 09:00:00 +0100"),
        ("7d", "2026-11-15 10:00:00 +0100"),
        ("3 days ago", "2026-11-19 10:00:00 +0100"),
        ("1w ago", "2026-11-15 10:00:00 +0100"),
        ("today", "2026-11-22 00:00:00 +0100"),
        ("Yesterday", "2026-11-21 00:00:00 +0100"),
        ("yesterday 14:00", "2026-11-21 14:00:00 +0100"),
        ("yesterday 2pm", "2026-11-21 14:00:00 +0100"),
        ("yesterday at 2:30 pm", "2026-11-21 14:30:00 +0100"),
        ("14:00 yesterday", "2026-11-21 14:00:00 +0100"),
        ("today 03:00", "2026-11-22 03:00:00 +0100"),
        ("3am", "2026-11-22 03:00:00 +0100"),
        ("3 AM", "2026-11-22 03:00:00 +0100"),
        ("12am", "2026-11-22 00:00:00 +0100"),
        ("12pm", "2026-11-21 12:00:00 +0100"),
        ("10:00", "2026-11-22 10:00:00 +0100"),
        ("10:01", "2026-11-21 10:01:00 +0100"),
        ("14:00", "2026-11-21 14:00:00 +0100"),
        ("noon", "2026-11-21 12:00:00 +0100"),
        ("midnight", "2026-11-22 00:00:00 +0100"),
        ("yesterday noon", "2026-11-21 12:00:00 +0100"),
        ("this morning", "2026-11-22 06:00:00 +0100"),
        ("yesterday evening", "2026-11-21 18:00:00 +0100"),
        ("last night", "2026-11-21 20:00:00 +0100"),
        ("sunday", "2026-11-22 00:00:00 +0100"),
        ("last sunday", "2026-11-15 00:00:00 +0100"),
        ("sunday 11:00", "2026-11-15 11:00:00 +0100"),
        ("monday", "2026-11-16 00:00:00 +0100"),
        ("mon", "2026-11-16 00:00:00 +0100"),
        ("saturday", "2026-11-21 00:00:00 +0100"),
        ("friday 9am", "2026-11-20 09:00:00 +0100"),
        ("last friday", "2026-11-20 00:00:00 +0100"),
        ("on friday at 9:15", "2026-11-20 09:15:00 +0100"),
        ("last week", "2026-11-15 10:00:00 +0100"),
        ("2 months ago", "2026-09-22 00:00:00 +0200"),
        ("24 dec 3pm", "2025-12-24 15:00:00 +0100"),
        ("24 dec 15:00", "2025-12-24 15:00:00 +0100"),
        ("1/11/2026", "2026-11-01 00:00:00 +0100"),
        ("20 nov 2026", "2026-11-20 00:00:00 +0100"),
        ("20 nov", "2026-11-20 00:00:00 +0100"),
        ("nov 20 8:30", "2026-11-20 08:30:00 +0100"),
        ("24 dec", "2025-12-24 00:00:00 +0100"),
        ("@0", "1970-01-01 01:00:00 +0100"),
        ("@1795346634", "2026-11-22 12:23:54 +0100"),
        ("2 weeks ago", "2026-11-08 10:00:00 +0100"),
    ] {
        check(now, text, expected);
    }
}

#[test]
fn fractions_of_the_epoch() {
    let ms = |text| moment(text, &at("2026-11-22 10:00:00"), Toward::Past).map(Timestamp::as_ms).ok();
    assert_eq!(ms("@1.5"), Some(1500));
    assert_eq!(ms("@1.0049"), Some(1004));
    assert_eq!(ms("@-1.5"), Some(-1500));
    assert_eq!(ms("@"), None);
    assert_eq!(ms("@1."), None);
    assert_eq!(ms("@99999999999999999"), None);
}

#[test]
fn phrases_about_the_future() {
    for (text, expected) in [
        ("2h", "2026-11-22 12:00:00 +0100"),
        ("2h ago", "2026-11-22 08:00:00 +0100"),
        ("18:00", "2026-11-22 18:00:00 +0100"),
        ("10:00", "2026-11-23 10:00:00 +0100"),
        ("9am", "2026-11-23 09:00:00 +0100"),
        ("tomorrow", "2026-11-23 00:00:00 +0100"),
        ("tomorrow 8:00", "2026-11-23 08:00:00 +0100"),
        ("tonight", "2026-11-22 20:00:00 +0100"),
        ("friday 9am", "2026-11-27 09:00:00 +0100"),
        ("sunday", "2026-11-29 00:00:00 +0100"),
        ("midnight", "2026-11-23 00:00:00 +0100"),
        ("24 dec", "2026-12-24 00:00:00 +0100"),
    ] {
        let moment = moment(text, &at("2026-11-22 10:00:00"), Toward::Future).map(local);
        assert_eq!(moment.unwrap_or_else(|e| e.to_string()), expected, "{text}");
    }
}

#[test]
fn days_keep_their_names_where_the_clocks_change() {
    // Clocks go forward at 2:00 on Sunday 2026-03-29 and back at 3:00 on Sunday 2026-10-25.
    let spring = "2026-03-29 12:00:00";
    check(spring, "today", "2026-03-29 00:00:00 +0100");
    check(spring, "yesterday 14:00", "2026-03-28 14:00:00 +0100");
    check(spring, "1am", "2026-03-29 01:00:00 +0100");
    check(spring, "3am", "2026-03-29 03:00:00 +0200");
    // 2:30 did not exist that night: what the clock showed half an hour after 2:00.
    check(spring, "2:30", "2026-03-29 03:30:00 +0200");
    check(spring, "24h", "2026-03-28 11:00:00 +0100");
    check("2026-03-30 12:00:00", "sunday 9am", "2026-03-29 09:00:00 +0200");
    check("2026-03-30 12:00:00", "last night", "2026-03-29 20:00:00 +0200");
    let autumn = "2026-10-25 12:00:00";
    check(autumn, "today", "2026-10-25 00:00:00 +0200");
    // 2:30 came twice: the first one.
    check(autumn, "2:30", "2026-10-25 02:30:00 +0200");
    check(autumn, "3am", "2026-10-25 03:00:00 +0100");
    check(autumn, "24h", "2026-10-24 13:00:00 +0200");
    check(autumn, "monday", "2026-10-19 00:00:00 +0200");
}

#[test]
fn what_is_no_time_is_refused_with_what_to_write() {
    for text in [
        "",
        "soon",
        "25:00",
        "13pm",
        "0am",
        "tomorrow",
        "next friday",
        "2026-13-01",
        "2026-02-30",
        "90",
        "h",
        "1x",
        "monday tuesday",
        "3am 4am",
        "99999999999999999999999w",
    ] {
        let error = moment(text, &at("2026-11-22 10:00:00"), Toward::Past).map(local).unwrap_err();
        assert!(error.to_string().starts_with(&format!("`{text}`")), "{text}: {error}");
    }
}

#[test]
fn a_day_to_come_is_no_answer_to_a_question_about_the_past() {
    let error = moment("tomorrow", &at("2026-11-22 10:00:00"), Toward::Past).unwrap_err();
    assert_eq!(error.to_string(), "`tomorrow` lies in the future");
}

#[test]
fn spans() {
    let check = |text: &str, ms: Option<u64>| {
        assert_eq!(span(text).ok(), ms.map(Duration::from_millis), "{text}");
    };
    check("90s", Some(90_000));
    check("5m", Some(300_000));
    check("2h", Some(7_200_000));
    check("1d", Some(86_400_000));
    check("1w", Some(604_800_000));
    check("1h30m", Some(5_400_000));
    check("1 hour 30 min", Some(5_400_000));
    check("250ms", None);
    check("0s", Some(0));
    check("", None);
    check("5", None);
    check("m", None);
    check("-5m", None);
    check("5 parsecs", None);
    check("1.2.3s", None);
}

#[test]
fn steps_of_days_begin_at_local_midnights() {
    let stamp = |text| stamp(&at(text));
    let day_step = |text, since, until| match step(text, stamp(since), stamp(until), &berlin()).unwrap() {
        Step::At(starts) => starts.into_iter().map(local).collect::<Vec<_>>(),
        Step::Every(ms) => panic!("{ms}"),
    };
    assert_eq!(
        day_step("1d", "2026-03-28 15:00:00", "2026-03-30 00:00:01"),
        ["2026-03-28 00:00:00 +0100", "2026-03-29 00:00:00 +0100", "2026-03-30 00:00:00 +0200"]
    );
    assert_eq!(day_step("24h", "2026-10-25 00:00:00", "2026-10-26 00:00:00"), ["2026-10-25 00:00:00 +0200"]);
    // 2026-03-26 is day 20,538 since the epoch, a multiple of 7.
    assert_eq!(
        day_step("1w", "2026-03-28 15:00:00", "2026-04-03 00:00:00"),
        ["2026-03-26 00:00:00 +0100", "2026-04-02 00:00:00 +0200"]
    );
    assert_eq!(day_step("1d", "2026-10-26 00:00:00", "2026-10-20 00:00:00").len(), 1);
}

#[test]
fn other_steps_are_plain_and_have_limits() {
    let (since, until) = (Timestamp::from_ms(0), Timestamp::from_ms(1));
    let check = |text| step(text, since, until, &berlin()).map_err(|e| e.to_string());
    assert_eq!(check("5m"), Ok(Step::Every(300_000)));
    assert_eq!(check("36h"), Ok(Step::Every(129_600_000)));
    assert_eq!(check("0s"), Err("--step `0s` is too short: the least is 1s".into()));
    assert_eq!(check("367d"), Err("--step `367d` is too long: the most is 366d".into()));
    let ages = step("1d", Timestamp::from_ms(-100_000_000_000_000), until, &berlin());
    assert!(ages.is_err_and(|e| e.to_string().contains("choose a later --since")));
}
