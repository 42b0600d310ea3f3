//! Whether the database may open a log.
//!
//! sled takes what follows a bad place among its newest messages for never written, cuts it off and writes over it, all
//! without a word. So what it is about to read is read here first. That is what came after its last snapshot, which it
//! reads itself at each opening: this costs about as much again.

use std::{fs, fs::File, os::unix::fs::FileExt, path::Path};

use super::{
    gather::fill,
    pages::{self, SEGMENT_BYTES},
};
use crate::error::Error;

/// A segment with a higher number was never used.
pub(super) const NUMBER_MAX: u64 = u64::MAX >> 20;

/// Removes what is left of a snapshot that could not be written to its end: sled would take it for a whole one.
fn forget_half_snapshots(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("snap.") && name.to_string_lossy().ends_with(".generating") {
            // One that stays is told of when the log is opened.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Refuses a log from which opening it would cut something off.
pub(crate) fn check(dir: &Path) -> Result<(), Error> {
    let path = dir.join("db");
    let Ok(file) = File::open(&path) else {
        // sled says what is wrong with it.
        return Ok(());
    };
    if file.try_lock().is_err() {
        // Somebody has it open, and sled says so too.
        return Ok(());
    }
    forget_half_snapshots(dir);
    let failed = |source| Error::Io { path: path.clone(), source };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Ok(());
    }
    let bytes = u64::try_from(SEGMENT_BYTES).unwrap_or(u64::MAX);
    let since = snapshot(dir) / bytes;
    let mut heads = Vec::new();
    for segment in 0..metadata.len().div_ceil(bytes) {
        let mut head = [0; pages::HEAD_BYTES];
        let filled = file.read_at(&mut head, segment * bytes).map_err(failed)?;
        heads.push((segment, head.get(..filled).and_then(pages::head)));
    }
    let newest = heads.iter().filter_map(|(_, number)| *number).filter(|number| *number < NUMBER_MAX).max();
    let mut buffer = Vec::new();
    for (segment, number) in heads {
        if number.is_some_and(|number| number < since || number >= NUMBER_MAX) {
            continue;
        }
        buffer.resize(SEGMENT_BYTES, 0);
        let filled = fill(&file, &mut buffer, segment * bytes).map_err(failed)?;
        let segment = buffer.get(..filled).unwrap_or_default();
        let is_sound = if number.is_none() {
            segment.iter().all(|byte| *byte == 0)
        } else {
            let seen = pages::walk(segment, &mut |_| {});
            // The newest one may end anywhere: what was being written when the machine stopped was promised to nobody.
            !seen.is_broken && (seen.ends_well || number == newest)
        };
        if !is_sound {
            return Err(crate::store::broken(dir, &"some of what was written last does not read back"));
        }
    }
    Ok(())
}

/// How far the newest snapshot reaches; its name tells.
fn snapshot(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let told = |entry: fs::DirEntry| {
        let name = entry.file_name();
        u64::from_str_radix(name.to_str()?.strip_prefix("snap.")?, 16).ok()
    };
    entries.filter_map(|entry| told(entry.ok()?)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use systembot_model::{Event, Sample, Series, Timestamp};

    use super::*;
    use crate::Log;

    /// The database writes what is next to each other side by side, so a kill can leave a hole with nothing in it.
    #[test]
    fn what_a_kill_forestalled_is_no_damage_and_half_a_message_is() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("log");
        let mut log = Log::open(&dir).unwrap();
        for i in 0..40_u32 {
            let mut sample = Sample::default();
            sample.push(Series::new("load1"), f64::from(i) / 8.0);
            let at = Timestamp::from_ms(1_795_346_634_007 + i64::from(i) * 15_000);
            log.append(at, vec![Event::Sampled(sample)]).unwrap();
        }
        drop(log);
        // A thread of the database holds the lock a little longer.
        while File::open(dir.join("db")).unwrap().try_lock().is_err() {
            std::thread::yield_now();
        }
        let whole = fs::read(dir.join("db")).unwrap();
        let mut places = Vec::new();
        pages::walk(whole.get(..whole.len().min(SEGMENT_BYTES)).unwrap(), &mut |piece| {
            if let pages::Piece::Message(message) = piece {
                places.push(usize::try_from(message.lsn).unwrap());
            }
        });
        let [.., start, end, _, _] = *places.as_slice() else { panic!("{places:?}") };
        let with_hole = |from: usize| {
            let mut bytes = whole.clone();
            bytes.get_mut(from..end).unwrap().fill(0);
            fs::write(dir.join("db"), bytes).unwrap();
            check(&dir)
        };
        with_hole(start).unwrap();
        assert!(with_hole(start + 1).is_err());
    }
}
