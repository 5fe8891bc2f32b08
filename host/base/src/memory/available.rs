//! The memory that this process may use: the smallest limit of its control group, the groups above it, and the machine.

use std::fs;
use std::path::{Path, PathBuf};

/// The value in bytes from which a limit means no limit: cgroup version 1 reports none as the largest number of whole pages
/// (Linux, Documentation/admin-guide/cgroup-v1/memory.rst).
const UNLIMITED: u64 = 1 << 62;

/// The memory in bytes that this process may use. None: the system does not report it.
pub(super) fn available() -> Option<u64> {
    smallest_limit(|path| fs::read_to_string(path).ok())
}

/// The smallest limit in the files of the system, which `read` reads.
fn smallest_limit(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| machine_memory(&text));
    let mounts = read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let groups = groups.lines().filter_map(|line| cgroup(line, &mounts));
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

/// The machine's memory in bytes (`proc_meminfo(5)`).
fn machine_memory(meminfo: &str) -> Option<u64> {
    let row = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = row.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1 << 10)
}

/// Parses a line of `/proc/self/cgroup` (cgroups(7)) into the folder of a group that limits memory, the root of its
/// hierarchy, and the name of the limit's file.
fn cgroup(line: &str, mounts: &str) -> Option<(PathBuf, PathBuf, &'static str)> {
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
        .find_map(|mount| mount_point(mount, kind, option))?;
    // In a container, the mounted root may be the group itself, while the path is that outside of the container.
    let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
    Some((mount.join(below), mount, file))
}

/// Parses a line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)) into the mounted root and the mount point, if the file
/// system has this type and this option.
fn mount_point<'a>(line: &'a str, kind: &str, option: &str) -> Option<(&'a str, PathBuf)> {
    let (mount, system) = line.split_once(" - ")?;
    let mut system = system.split(' ');
    let (own_kind, _, options) = (system.next()?, system.next()?, system.next()?);
    let fits = own_kind == kind && (option.is_empty() || options.split(',').any(|it| it == option));
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
        smallest_limit(|path| {
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
    fn in_a_container_the_groups_path_may_be_that_outside() {
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
    fn a_system_that_reports_nothing_has_no_limit() {
        assert_eq!(limit_in(&[]), None);
    }
}
