//! The memory that this process may use: what its control group and the groups above it allow, or what the machine has.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes from which on a limit is none: version 1 writes no limit as the largest number of whole pages (memory.rst of
/// Linux's cgroup-v1).
const UNLIMITED: u64 = 1 << 62;

/// Bytes that this process may use. None: the system does not tell.
pub(super) fn available() -> Option<u64> {
    allowed(|path| fs::read_to_string(path).ok())
}

/// The smallest of all limits, by what the files of the system say.
fn allowed(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| total(&text));
    let mounts = read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let groups = groups.lines().filter_map(|line| group(line, &mounts));
    let limits = groups.flat_map(|(folder, root, file)| {
        let folders: Vec<PathBuf> = folder
            .ancestors()
            .take_while(|folder| folder.starts_with(&root))
            .map(|folder| folder.join(file))
            .collect();
        folders
    });
    let limits = limits.filter_map(|file| read(&file)?.trim().parse::<u64>().ok());
    limits
        .filter(|limit| *limit < UNLIMITED)
        .chain(machine)
        .min()
}

/// The machine's memory (`proc_meminfo(5)`).
fn total(meminfo: &str) -> Option<u64> {
    let row = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = row.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1 << 10)
}

/// A line of `/proc/self/cgroup` (cgroups(7)): the folder of a group that limits memory, the root of its hierarchy, and
/// the file that has the limit.
fn group(line: &str, mounts: &str) -> Option<(PathBuf, PathBuf, &'static str)> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (kind, option, file) = if controllers.is_empty() {
        ("cgroup2", "", "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        ("cgroup", "memory", "memory.limit_in_bytes")
    } else {
        return None;
    };
    let (root, mount) = mounts
        .lines()
        .find_map(|mount| mounted(mount, kind, option))?;
    // In a container the hierarchy's root may be the group itself, and its path one outside.
    let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
    Some((mount.join(below), mount, file))
}

/// A line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)): what of the hierarchy is mounted, and where, if it is of this
/// type and has this option.
fn mounted<'a>(line: &'a str, kind: &str, option: &str) -> Option<(&'a str, PathBuf)> {
    let (mount, system) = line.split_once(" - ")?;
    let mut system = system.split(' ');
    let (found, _, options) = (system.next()?, system.next()?, system.next()?);
    let fits = found == kind && (option.is_empty() || options.split(',').any(|it| it == option));
    let mut fields = mount.split(' ').skip(3);
    let (root, at) = (fields.next()?, fields.next()?);
    fits.then(|| (root, PathBuf::from(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: (&str, &str) = ("/proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n");
    const SECOND: (&str, &str) = (
        "/proc/self/mountinfo",
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
    );

    fn limit_in(files: &[(&str, &str)]) -> Option<u64> {
        allowed(|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_smallest_limit_of_a_group_and_those_above_it_counts() {
        let group = ("/proc/self/cgroup", "0::/system.slice/airlock.service\n");
        let own = "/sys/fs/cgroup/system.slice/airlock.service/memory.max";
        let above = "/sys/fs/cgroup/system.slice/memory.max";
        assert_eq!(limit_in(&[MACHINE, SECOND, group]), Some(16 << 20));
        let with = |own_limit, limit_above| {
            limit_in(&[
                MACHINE,
                SECOND,
                group,
                (own, own_limit),
                (above, limit_above),
            ])
        };
        assert_eq!(with("max\n", "max\n"), Some(16 << 20));
        assert_eq!(with("1048576\n", "max\n"), Some(1 << 20));
        assert_eq!(with("1048576\n", "524288\n"), Some(1 << 19));
        assert_eq!(with("99999999999\n", "max\n"), Some(16 << 20));
    }

    #[test]
    fn in_a_container_the_groups_path_may_be_one_outside() {
        let mounts = (
            "/proc/self/mountinfo",
            "30 23 0:26 /docker/1f /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
        );
        let limit = ("/sys/fs/cgroup/memory.max", "4096\n");
        for path in ["0::/docker/1f\n", "0::/\n", "0::/../..\n"] {
            let group = ("/proc/self/cgroup", path);
            assert_eq!(
                limit_in(&[MACHINE, mounts, group, limit]),
                Some(4096),
                "{path}"
            );
        }
    }

    #[test]
    fn version_1_has_a_hierarchy_for_memory() {
        let mounts = (
            "/proc/self/mountinfo",
            "36 23 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
             37 23 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        );
        let group = ("/proc/self/cgroup", "4:memory:/a\n1:cpu:/b\n0::/\n");
        let files = |limit| {
            [
                MACHINE,
                mounts,
                group,
                ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", limit),
            ]
        };
        assert_eq!(limit_in(&files("8192\n")), Some(8192));
        assert_eq!(limit_in(&files("9223372036854771712\n")), Some(16 << 20));
    }

    #[test]
    fn a_system_that_tells_nothing_has_no_limit() {
        assert_eq!(limit_in(&[]), None);
    }
}
