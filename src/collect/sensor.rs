//! Temperatures: the sensors of the kernel's hwmon drivers.
//!
//! A chip is a directory hwmonN with its driver's `name`; a sensor is a family of files there, `temp1_input` and
//! beside it, where the driver knows them, `temp1_label`, `temp1_max` and `temp1_crit`. All are thousandths of a
//! degree Celsius. Old drivers have the files in `hwmonN/device` instead.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use systembot_model::{Series, sample::Pass};

use super::{Roots, file::Source};

/// Time after which the tree is looked through anew: sensors come and go with modules and disks.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// What a sensor may read; drivers of sensors that are not connected give values far from it.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = -50.0..=200.0;
/// Sensors of one machine; servers have some hundred. Each keeps a file open, of the 1024 that a process may have.
const SENSORS: usize = 512;

/// Reads /sys/class/hwmon; a machine without sensors has no such series and is silent about it.
pub(super) struct Sensors {
    class: PathBuf,
    sensors: Vec<Sensor>,
    looked: Option<Duration>,
}

struct Sensor {
    input: Source,
    temperature: Series,
    /// The driver's high and critical points, as they were when the tree was looked through.
    points: Vec<(Series, f64)>,
}

impl Sensors {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { class: roots.sys.join("class/hwmon"), sensors: Vec::new(), looked: None }
    }

    /// Reads all sensors; `steady` tells when to look for new ones.
    pub(super) fn read(&mut self, pass: &mut Pass, steady: Duration) {
        if self.looked.is_none_or(|looked| steady.saturating_sub(looked) >= LOOK_EVERY) {
            self.looked = Some(steady);
            self.sensors = sensors(&self.class);
        }
        for sensor in &mut self.sensors {
            // A driver may have no value at the moment, or be gone: that costs this reading only.
            let degrees = sensor.input.text().ok().and_then(|text| degrees(&text));
            if let Some(degrees) = degrees.filter(|degrees| PLAUSIBLE.contains(degrees)) {
                pass.sample.push(sensor.temperature.clone(), degrees);
            }
            for (series, point) in &sensor.points {
                pass.sample.push(series.clone(), *point);
            }
        }
    }
}

/// A sensor as it was found, before it has its name.
struct Found {
    /// The chip's directory, or the one of its device.
    dir: PathBuf,
    /// `temp1`
    stem: String,
    /// `<chip> <label>`
    name: String,
    /// The chip's device, `nvme0`, `coretemp.1`, `0000:01:00.0`: the same after a restart, unlike the chip's number.
    device: String,
    /// `hwmon0`
    chip: String,
}

fn sensors(class: &Path) -> Vec<Sensor> {
    let mut found = Vec::new();
    for chip in names(class, |name| name.starts_with("hwmon")) {
        let (own, old) = (class.join(&chip), class.join(&chip).join("device"));
        let driver =
            word(&own.join("name")).or_else(|| word(&old.join("name"))).unwrap_or_else(|| chip.clone());
        let link = fs::read_link(&old).unwrap_or_default();
        let device = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_input = |name: &str| name.starts_with("temp") && name.ends_with("_input");
        let in_own = names(&own, is_input);
        let (dir, inputs) = if in_own.is_empty() { (&old, names(&old, is_input)) } else { (&own, in_own) };
        for input in inputs {
            let stem = input.trim_end_matches("_input").to_owned();
            let label = word(&dir.join(format!("{stem}_label"))).unwrap_or_else(|| stem.clone());
            let name = format!("{driver} {label}");
            found.push(Found { dir: dir.clone(), stem, name, device: device.clone(), chip: chip.clone() });
        }
    }
    found.truncate(SENSORS);
    let names = unique_names(&found);
    found.iter().zip(names).map(|(found, name)| found.open(&name)).collect()
}

impl Found {
    fn open(&self, name: &str) -> Sensor {
        let file = |what| self.dir.join(format!("{}_{what}", self.stem));
        let point = |what, metric| {
            let point = word(&file(what)).and_then(|text| degrees(&text))?;
            // Drivers write 0 or the end of a register's range where no point is set.
            (point > 0.0 && point <= *PLAUSIBLE.end())
                .then(|| (Series::labelled(metric, "sensor", name), point))
        };
        let points =
            [point("max", "temperature_high_celsius"), point("crit", "temperature_critical_celsius")];
        Sensor {
            input: Source::new(file("input")),
            temperature: Series::labelled("temperature_celsius", "sensor", name),
            points: points.into_iter().flatten().collect(),
        }
    }
}

/// Names of all sensors, none twice: those of one name get as little appended as tells them apart, what stays the
/// same over a restart first.
fn unique_names(found: &[Found]) -> Vec<String> {
    let mut names: Vec<String> = found.iter().map(|found| found.name.clone()).collect();
    let longer: [fn(&Found) -> String; 4] = [
        |found| format!("{} {}", found.name, found.device),
        |found| format!("{} {}", found.name, found.stem),
        |found| format!("{} {} {}", found.name, found.device, found.stem),
        |found| format!("{} {} {}", found.name, found.chip, found.stem),
    ];
    for base in repeated(&names) {
        let members: Vec<usize> = (0..found.len())
            .filter(|index| found.get(*index).is_some_and(|found| found.name == base))
            .collect();
        for longer in longer {
            for &index in &members {
                if let Some((name, found)) = names.get_mut(index).zip(found.get(index)) {
                    *name = longer(found).trim_end().to_owned();
                }
            }
            let again = repeated(&names);
            if !members.iter().any(|&index| names.get(index).is_some_and(|name| again.contains(name))) {
                break;
            }
        }
    }
    names
}

/// Names that are there more than once.
fn repeated(names: &[String]) -> BTreeSet<String> {
    let mut seen = HashSet::new();
    names.iter().filter(|name| !seen.insert(name.as_str())).cloned().collect()
}

/// Names in a directory that fit, in order of the numbers in them; none where it cannot be listed.
fn names(dir: &Path, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| fits(name))
        .take(SENSORS)
        .collect();
    let number =
        |name: &String| -> Option<u64> { name.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok() };
    names.sort_by(|a, b| number(a).cmp(&number(b)).then_with(|| a.cmp(b)));
    names
}

/// The text of a small file without blanks around it; `None` if there is none.
fn word(path: &Path) -> Option<String> {
    let text = Source::new(path.to_owned()).text().ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn degrees(text: &str) -> Option<f64> {
    let thousandths: i32 = text.trim().parse().ok()?;
    Some(f64::from(thousandths) / 1000.0)
}
