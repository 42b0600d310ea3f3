//! `system_bot.conf`, the original bot's form, read as it was read there.

mod ini;
mod interpolation;
pub(crate) mod keys;
mod service;

use std::{collections::HashSet, ops::RangeInclusive, time::Duration};

use systembot_model::number;

use crate::{
    LogLevel, PublicAddress, Settings, Url, bounds,
    mistake::{Mistake, did_you_mean, quote},
    nearest::nearest,
    settings::Bridge,
    source::{Reading, Source},
    span,
    toml_form::{Tree, has_default_section},
};
use ini::{DEFAULT, Fault, Ini, Item, Section, strip};
use interpolation::{Values, interpolate, values};
use keys::{MOUNTS, PROCESSES, SECTIONS, TWINS};

/// Python's names of levels, in lower case.
const LEVELS: [(&str, LogLevel); 8] = [
    ("critical", LogLevel::Error),
    ("fatal", LogLevel::Error),
    ("error", LogLevel::Error),
    ("warning", LogLevel::Warn),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("notset", LogLevel::Trace),
];
/// Ticks between two polls, as in the original, where each poll slept four times.
const TICKS_A_POLL: u32 = 4;

/// The key of `systembot.toml` that stands for one of the legacy form, where it has another name.
pub(crate) fn twin(key: &str) -> Option<&'static str> {
    let keys = TWINS.iter().map(|twin| (twin.key, twin.twin));
    let sections = SECTIONS.iter().map(|section| (section.section, section.twin));
    let (_, twin) = keys.chain(sections).find(|(legacy, _)| legacy.eq_ignore_ascii_case(key))?;
    (!twin.ends_with(key)).then_some(twin)
}

/// Whether a text is of the legacy form: it has a section that only that form has.
pub(crate) fn is_legacy(text: &str, tree: &Tree<'_>) -> bool {
    if tree.is_whole() {
        return has_default_section(tree.root());
    }
    text.lines().filter_map(|line| ini::header(strip(line))).any(|name| section_meant(name).is_some())
}

/// The section of the legacy form that a name stands for, whatever its capitals.
fn section_meant(name: &str) -> Option<&'static str> {
    [DEFAULT, PROCESSES, MOUNTS].into_iter().find(|known| known.eq_ignore_ascii_case(name.trim()))
}

/// Reads a file of the legacy form.
pub(crate) fn read(source: &Source, host_name: &str) -> Reading {
    // Lines end as Python's universal newlines do: LF, CR LF, or CR alone.
    let source = &source.with_text(&source.text().replace("\r\n", "\n").replace('\r', "\n"));
    let ini = Ini::parse(source.text());
    let defaults = values(ini.defaults.iter());
    let mut walk = Walk { source, ini: &ini, defaults, mistakes: Vec::new(), warnings: Vec::new() };
    walk.check();
    let mut settings = Settings::defaults(host_name);
    read_defaults(&mut walk, &mut settings);
    read_limits(&mut walk, &mut settings);
    if let Some(section) = ini.section(PROCESSES) {
        settings.services = service::read(&mut walk, section);
    }
    if let Some(section) = ini.section(MOUNTS) {
        settings.ignore_mounts = read_mounts(&mut walk, section);
    }
    let Walk { mistakes, mut warnings, .. } = walk;
    warnings.sort_by_key(|warning| warning.line);
    Reading { settings, mistakes, warnings }
}

fn read_defaults(walk: &mut Walk<'_>, settings: &mut Settings) {
    set(&mut settings.name, walk.get("bot_name", bounds::name));
    set(&mut settings.log_level, walk.get("loglevel", log_level));
    set(
        &mut settings.repeat_interval,
        walk.get("time_between_alerts", |text| seconds(text, &bounds::REPEAT)),
    );
    let mut bridge = Bridge::default();
    set(&mut bridge.poll_interval, walk.get("polling_time", |text| seconds(text, &bounds::INTERVAL)));
    // Whole milliseconds, as all spans of the settings are.
    let ticks = Duration::from_millis(number::round(bridge.poll_interval.as_secs_f64() * 1000.0))
        .checked_div(TICKS_A_POLL)
        .map(|tick| Duration::from_millis(u64::try_from(tick.as_millis()).unwrap_or(u64::MAX)));
    settings.sample_interval = ticks.unwrap_or_default().max(*bounds::INTERVAL.start());
    if let Some(url) = walk.get("queue", Url::parse_directory) {
        settings.bridge = Some(Bridge { url, ..bridge });
        if let Err(what) = bounds::bridge_name(&settings.name) {
            // Without a name of its own the bot goes by the host's, which the bridge may not serve either.
            let line = walk.line_of("bot_name").or(walk.line_of("queue")).unwrap_or(1);
            walk.mistake(line, "bot_name", &what);
        }
    }
    if let Some(url) = walk.get("ip_addr_site", Url::parse) {
        settings.public_address = PublicAddress { url, is_named: true };
    }
}

fn read_limits(walk: &mut Walk<'_>, settings: &mut Settings) {
    let percent = |text: &str| bounds::percent(a_number(text)?);
    set(&mut settings.thresholds.disk_used_percent, walk.get("disk_usage", percent));
    set(&mut settings.thresholds.memory_available_percent, walk.get("memory_remaining", percent));
    let trend = &mut settings.trend;
    let deviations = |text: &str| bounds::deviations(a_number(text)?);
    set(&mut trend.standard_deviations, walk.get("standard_deviations", deviations));
    set(&mut trend.minimum_length, walk.get("minimum_length", length));
    set(&mut trend.maximum_length, walk.get("maximum_length", length));
    let set_by = ["minimum_length", "maximum_length"].into_iter().find(|key| walk.line_of(key).is_some());
    if let (Some(key), Err(what)) = (set_by, bounds::lengths(trend.minimum_length, trend.maximum_length)) {
        walk.mistake(walk.line_of(key).unwrap_or(1), key, &what);
    }
}

fn read_mounts<'s>(walk: &mut Walk<'s>, section: &'s Section) -> Vec<String> {
    let mut mounts = Vec::new();
    let mut seen = HashSet::new();
    for (item, mount) in walk.numbered(section, "mount", bounds::mount) {
        if seen.insert(mount.clone()) {
            mounts.push(mount);
        } else {
            walk.mistake(item.line, &item.key, "another line names this mount");
        }
    }
    mounts
}

/// A walk over a legacy file: takes values, collects mistakes and warnings.
struct Walk<'s> {
    source: &'s Source,
    ini: &'s Ini,
    /// The values of `[DEFAULT]`.
    defaults: Values<'s>,
    mistakes: Vec<Mistake>,
    warnings: Vec<Mistake>,
}

impl<'s> Walk<'s> {
    /// Notes all that is wrong or unknown whatever the values are.
    fn check(&mut self) {
        for Fault { line, key, what } in &self.ini.faults {
            let key = key.clone().unwrap_or_else(|| self.source.key_near(*line).to_lowercase());
            self.mistake(*line, &key, what);
        }
        let referred = self.ini.referred();
        for item in &self.ini.defaults {
            let is_known = TWINS.iter().any(|twin| twin.key == item.key) || referred.contains(&item.key);
            // What [DEFAULT] holds is inherited, so a process or a mount may stand there too.
            if !is_known
                && !SECTIONS.iter().any(|section| self.is_numbered(item, section.section, section.stem))
            {
                let near = nearest(&item.key, TWINS.iter().map(|twin| twin.key));
                self.warn(item.line, &item.key, &format!("unknown key, ignored{}", did_you_mean(near)));
            }
        }
        for section in &self.ini.sections {
            let Some(keys::Numbered { stem, .. }) =
                SECTIONS.iter().find(|known| known.section == section.name)
            else {
                self.unknown_section(section, &section.name);
                continue;
            };
            let is_unknown = |item: &&Item| !item.key.starts_with(*stem) && !referred.contains(&item.key);
            for item in section.items.iter().filter(is_unknown) {
                let home = TWINS.iter().find(|twin| twin.key == item.key);
                let hint = home.map_or(String::new(), |_| format!(": it belongs in [{DEFAULT}]"));
                self.warn(item.line, &item.key, &format!("unknown key, ignored{hint}"));
            }
        }
    }

    fn unknown_section(&mut self, section: &Section, name: &str) {
        match section_meant(name) {
            // All its keys would be ignored, which nobody wants who wrote it.
            Some(meant) => {
                self.mistake(section.line, name, &format!("capitals and blanks count: write [{meant}]"))
            }
            None => {
                let near = nearest(name, [DEFAULT, PROCESSES, MOUNTS]);
                self.warn(section.line, name, &format!("unknown section, ignored{}", did_you_mean(near)));
            }
        }
    }

    fn is_numbered(&self, item: &Item, section: &str, stem: &str) -> bool {
        item.key.starts_with(stem) && self.ini.section(section).is_some()
    }

    /// The keys of a section that begin with a stem, inherited ones included, each as `read` understands it.
    fn numbered<T>(
        &mut self,
        section: &'s Section,
        stem: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<(&'s Item, T)> {
        let ini = self.ini;
        let values = values(ini.items(section));
        ini.items(section)
            .filter(|item| item.key.starts_with(stem))
            .filter_map(|item| Some((item, self.read(item, interpolate(&item.value, &values), &read)?)))
            .collect()
    }

    /// The value of a key of `[DEFAULT]` as `read` understands it; `None` if it is not there or wrong.
    fn get<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let item = self.ini.defaults.iter().find(|item| item.key == key)?;
        self.read(item, interpolate(&item.value, &self.defaults), read)
    }

    /// The value of a key as `read` understands it; `None` if it is blank or wrong.
    fn read<T>(
        &mut self,
        item: &Item,
        value: Result<String, String>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = match value {
            Ok(value) => strip(&value).to_owned(),
            Err(what) => {
                self.mistake(item.line, &item.key, &what);
                return None;
            }
        };
        if value.is_empty() {
            self.warn(item.line, &item.key, "is blank: taken as left out");
            return None;
        }
        match read(&value) {
            Ok(read) => Some(read),
            Err(what) => {
                self.mistake(item.line, &item.key, &format!("{what}{}", advice(&value)));
                None
            }
        }
    }

    fn line_of(&self, key: &str) -> Option<usize> {
        self.ini.defaults.iter().find(|item| item.key == key).map(|item| item.line)
    }

    fn mistake(&mut self, line: usize, key: &str, what: &str) {
        self.mistakes.push(self.source.mistake(line, key, what));
    }

    fn warn(&mut self, line: usize, key: &str, what: &str) {
        self.warnings.push(self.source.mistake(line, key, what));
    }
}

/// What often makes a value of this form wrong.
fn advice(value: &str) -> &'static str {
    if value.contains('\n') {
        return " (indented lines go on with the value above them)";
    }
    if value.contains(" #") || value.contains(" ;") {
        return " (a comment needs a line of its own)";
    }
    ""
}

fn set<T>(target: &mut T, found: Option<T>) {
    if let Some(value) = found {
        *target = value;
    }
}

fn a_number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("`{}` is no number", quote(text)))
}

fn length(text: &str) -> Result<usize, String> {
    bounds::length(text.parse().map_err(|_| format!("`{}` is no whole number", quote(text)))?)
}

/// Seconds, perhaps with a fraction of which milliseconds count, within bounds.
fn seconds(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let seconds = a_number(text)?;
    let within = range.start().as_secs_f64()..=range.end().as_secs_f64();
    if within.contains(&seconds) {
        return Ok(Duration::from_millis(number::round(seconds * 1000.0)));
    }
    let [least, most] = [*range.start(), *range.end()].map(span::format);
    Err(format!("{} seconds are not within {least} to {most}", quote(text)))
}

fn log_level(word: &str) -> Result<LogLevel, String> {
    let word = word.to_lowercase();
    let known = LEVELS.iter().find(|(known, _)| *known == word);
    known.map(|(_, level)| *level).ok_or_else(|| {
        format!(
            "must be critical, error, warning, info or debug{}",
            did_you_mean(nearest(&word, LEVELS.map(|(word, _)| word)))
        )
    })
}
