//! Which mounts hold files: the table of mounts, reduced to what `df` would show.
//!
//! /proc/self/mountinfo has a line for every mount:
//!
//! ```text
//! 36 35 98:0 /sub /mnt/a\040b rw,noatime shared:1 - ext4 /dev/sda1 rw
//! id parent device root mount-point options [tags] - type source options
//! ```
//!
//! where blank, tab, newline and backslash are written in octal.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

/// File systems that hold no files of anybody's: the kernel's views of itself, memory, and desktop helpers.
#[rustfmt::skip]
const PSEUDO: &[&str] = &[
    "anon_inodefs", "autofs", "bdev", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cpuset", "debugfs",
    "devfs", "devpts", "devtmpfs", "dmabuf", "drm", "efivarfs", "functionfs", "fuse.gvfsd-fuse", "fuse.lxcfs",
    "fuse.portal", "fusectl", "hugetlbfs", "ipathfs", "kernfs", "mqueue", "nfsd", "none", "nsfs", "openpromfs",
    "pipefs", "proc", "procfs", "pstore", "ramfs", "resctrl", "rootfs", "rpc_pipefs", "secretmem", "securityfs",
    "selinuxfs", "smackfs", "sockfs", "subfs", "sysfs", "tmpfs", "tracefs", "usbfs", "xenfs",
];
/// File systems that show others' files in layers: they count where they are the root, as in a container; elsewhere
/// they are containers', and what holds their files is counted already. Images that are only ever read are always
/// full and never fill up: they too count as the root only.
#[rustfmt::skip]
const ONLY_AS_ROOT: &[&str] = &[
    "aufs", "cramfs", "erofs", "fuse.fuse-overlayfs", "fuse.snapfuse", "fuse.squashfuse", "iso9660", "overlay",
    "romfs", "squashfs", "unionfs",
];

/// File systems that answer statvfs(3) from memory and whose paths are walked without waiting for anybody: a dead disk
/// does not hold them up, and no server is asked. (btrfs and zfs may wait for a balance or a suspended pool.)
const PROMPT: &[&str] = &["devtmpfs", "exfat", "ext2", "ext3", "ext4", "ramfs", "tmpfs", "vfat", "xfs"];

/// A mount that holds files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is mounted.
    pub(super) path: PathBuf,
    /// Whether asking it can never hang, nor the way to it.
    pub(super) is_prompt: bool,
}

/// One line of the table.
struct Entry {
    id: u32,
    parent: u32,
    device: Vec<u8>,
    root_length: usize,
    path: PathBuf,
    kind: String,
}

/// Everything that holds files, in the order of the table.
///
/// A device that is mounted several times counts once, where the most of it shows, at the shortest path; what another
/// mount hides is left out; what `include` names is in, whatever it is.
pub(super) fn mounts(table: &[u8], include: &[String]) -> Vec<Mount> {
    let entries: Vec<Entry> = table.split(|byte| *byte == b'\n').filter_map(parse).collect();
    let hidden = hidden(&entries);
    let is_named = |path: &Path| include.iter().any(|name| Path::new(name) == path);
    let visible = || entries.iter().enumerate().filter(|(index, _)| !hidden.contains(index));

    let mut best: HashMap<&[u8], (bool, usize, usize, usize)> = HashMap::new();
    for (index, entry) in visible().filter(|(_, entry)| is_named(&entry.path) || entry.holds_files()) {
        let length = entry.path.as_os_str().len();
        let rank = (!is_named(&entry.path), entry.root_length, length, index);
        best.entry(&entry.device).and_modify(|best| *best = rank.min(*best)).or_insert(rank);
    }
    let is_best =
        |entry: &Entry, index| best.get(entry.device.as_slice()).is_some_and(|best| best.3 == index);
    visible()
        .filter(|(index, entry)| is_named(&entry.path) || is_best(entry, *index))
        .map(|(_, entry)| Mount { path: entry.path.clone(), is_prompt: is_prompt(entry, &entries) })
        .collect()
}

/// Whether a mount and all that its path leads through are prompt ones.
fn is_prompt(entry: &Entry, entries: &[Entry]) -> bool {
    let mut way = entries.iter().filter(|other| entry.path.starts_with(&other.path));
    way.all(|other| PROMPT.contains(&other.kind.as_str()))
}

impl Entry {
    fn holds_files(&self) -> bool {
        let kind = self.kind.as_str();
        !PSEUDO.contains(&kind) && (!ONLY_AS_ROOT.contains(&kind) || self.path == Path::new("/"))
    }
}

/// Indices of entries that cannot be reached at their path.
///
/// A mount covers the one it is mounted on where it lies at that one's very root, and all that is mounted on the same
/// one at directories below its own. With a mount all that hangs on it is out of reach, but for what covers it.
fn hidden(entries: &[Entry]) -> HashSet<usize> {
    // The root of a namespace may name itself as its parent; it covers nothing.
    let children = || entries.iter().filter(|entry| entry.id != entry.parent);
    let places: HashSet<(u32, &Path)> =
        children().map(|entry| (entry.parent, entry.path.as_path())).collect();
    let by_id: HashMap<u32, &Entry> = entries.iter().map(|entry| (entry.id, entry)).collect();
    let is_below =
        |entry: &Entry| entry.path.ancestors().skip(1).any(|above| places.contains(&(entry.parent, above)));
    let is_hidden = |entry: &Entry| {
        let parent = |entry: &&Entry| by_id.get(&entry.parent).copied();
        // The length of the table ends a chain that is a loop.
        let mut chain = std::iter::successors(Some(entry), parent).take(entries.len());
        places.contains(&(entry.id, &entry.path)) || chain.any(is_below)
    };
    entries.iter().enumerate().filter(|(_, entry)| is_hidden(entry)).map(|(index, _)| index).collect()
}

fn parse(line: &[u8]) -> Option<Entry> {
    let mut words = line.split(|byte| *byte == b' ');
    let mut number = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
    let (id, parent) = (number()?, number()?);
    let device = words.next()?.to_vec();
    let root_length = words.next()?.len();
    let path = PathBuf::from(OsString::from_vec(unescape(words.next()?)));
    let kind = words.skip_while(|word| *word != b"-").nth(1)?;
    let kind = String::from_utf8_lossy(kind).into_owned();
    path.as_os_str().as_bytes().starts_with(b"/").then_some(Entry {
        id,
        parent,
        device,
        root_length,
        path,
        kind,
    })
}

/// Turns `\040` and its like into the bytes they stand for.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| byte == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
            u8::from_str_radix(digits, 8).ok()
        });
        plain.push(code.unwrap_or(byte));
        rest = if code.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &str, include: &[&str], expected: &[&str]) {
        let include: Vec<String> = include.iter().map(|&name| name.to_owned()).collect();
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        let found: Vec<PathBuf> =
            mounts(table.as_bytes(), &include).into_iter().map(|mount| mount.path).collect();
        assert_eq!(found, expected, "{table}");
    }

    #[test]
    fn only_what_can_never_hang_is_prompt() {
        let table = "\
            1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
            2 1 8:2 / /home rw - xfs /dev/sdb1 rw\n\
            3 1 0:41 / /mnt rw - nfs4 nas:/export rw\n\
            4 3 8:3 / /mnt/stick rw - vfat /dev/sdc1 rw\n\
            5 1 0:42 / /misc rw - autofs auto rw\n\
            6 5 8:4 / /misc/cd rw - ext4 /dev/sdd1 rw\n\
            7 1 8:5 / /mntx rw - ext4 /dev/sde1 rw\n\
            8 1 0:43 / /pool rw - btrfs /dev/sdf1 rw\n";
        let found: Vec<_> = mounts(table.as_bytes(), &[])
            .into_iter()
            .filter_map(|mount| mount.is_prompt.then_some(mount.path))
            .collect();
        assert_eq!(found, ["/", "/home", "/mntx"].map(PathBuf::from));
    }

    #[test]
    fn devices_shares_and_the_root_overlay_count() {
        let table = "\
            1 0 0:40 / / rw - overlay overlay rw\n\
            2 1 8:1 / /data rw shared:1 master:2 - ext4 /dev/sda1 rw\n\
            3 1 0:41 / /mnt/nas rw - nfs4 nas:/export rw\n\
            4 1 0:42 / /tank rw - zfs tank rw\n\
            5 1 0:43 / /run rw - tmpfs tmpfs rw\n\
            6 1 0:4 / /proc rw - proc proc rw\n\
            7 2 0:44 / /data/docker/merged rw - overlay overlay rw\n\
            8 1 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro\n\
            9 1 0:45 / /home/me/far rw - fuse.sshfs me@far: rw\n";
        check(table, &[], &["/", "/data", "/mnt/nas", "/tank", "/home/me/far"]);
        let named = ["/run/", "/snap/core/1", "/nowhere"];
        check(table, &named, &["/", "/data", "/mnt/nas", "/tank", "/run", "/snap/core/1", "/home/me/far"]);
    }

    #[test]
    fn a_device_counts_once_where_most_of_it_shows() {
        let table = "\
            1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
            2 1 8:1 /usr /usr ro - ext4 /dev/sda1 rw\n\
            3 1 8:2 /inner /a rw - ext4 /dev/sdb1 rw\n\
            4 1 8:2 / /longer/path rw - ext4 /dev/sdb1 rw\n\
            5 1 8:2 / /longer/path2 rw - ext4 /dev/sdb1 rw\n";
        check(table, &[], &["/", "/longer/path"]);
        check(table, &["/a", "/usr"], &["/usr", "/a"]);
    }

    #[test]
    fn only_the_top_mount_of_a_path_counts() {
        let table = "\
            1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
            2 1 8:2 / /mnt rw - ext4 /dev/sdb1 rw\n\
            3 2 8:3 / /mnt rw - ext4 /dev/sdc1 rw\n\
            4 2 8:4 / /mnt/under rw - ext4 /dev/sdd1 rw\n\
            5 4 8:5 / /mnt/under/more rw - ext4 /dev/sde1 rw\n\
            6 3 8:6 / /mnt/seen rw - ext4 /dev/sdf1 rw\n\
            7 1 8:7 / /srv/a rw - ext4 /dev/sdg1 rw\n\
            8 1 0:9 / /srv rw - tmpfs tmpfs rw\n\
            9 7 8:9 / /srv/a rw - ext4 /dev/sdh1 rw\n";
        check(table, &[], &["/", "/mnt", "/mnt/seen"]);
        // A root over the root, as an initial RAM disk leaves it.
        check("1 1 0:2 / / rw - rootfs none rw\n27 1 8:1 / / rw - ext4 /dev/sda1 rw\n", &[], &["/"]);
        check(
            "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /home rw - ext4 /dev/sdb1 rw\n",
            &[],
            &["/", "/home"],
        );
        check("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / / rw - ext4 /dev/sdb1 rw\n", &[], &["/"]);
    }

    #[test]
    fn odd_names_are_decoded_and_odd_lines_skipped() {
        let table = "\
            1 0 8:1 / /a\\040b\\134\\011c\\012 rw - ext4 /dev/sda1 rw\n\
            2 0 8:2 / /d\\04 rw - ext4 /dev/sda2 rw\n\
            3 0 8:3 / rw - ext4\n\
            x 0 8:4 / /e rw - ext4 /dev/sda4 rw\n\
            \n\
            5 0 8:5 / relative rw - ext4 /dev/sda5 rw\n\
            6 0 8:6 / /f rw";
        check(table, &[], &["/a b\\\tc\n", "/d\\04"]);
        assert_eq!(unescape(b"\\+07\\400\\"), b"\\+07\\400\\");
    }
}
