//! The memory that this process may use: the smallest limit of its control group, the groups above it, and the machine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::proc;

/// The value in bytes from which a limit means no limit: cgroup version 1 reports none as the largest number of whole pages
/// (Linux, Documentation/admin-guide/cgroup-v1/memory.rst).
const UNLIMITED: u64 = 1 << 62;

/// The memory in bytes that this process may use. None: the system does not report it.
pub(super) fn available() -> Option<u64> {
    let group = smallest_limit(&proc::control_groups(), &proc::mounts(), |file| {
        fs::read_to_string(file).ok()
    });
    group.into_iter().chain(proc::machine_memory()).min()
}

/// The smallest limit of these control groups and those above them, whose files `read` reads.
fn smallest_limit(
    groups: &str,
    mounts: &str,
    read: impl Fn(&Path) -> Option<String>,
) -> Option<u64> {
    let groups = groups.lines().filter_map(|line| cgroup(line, mounts));
    let limits = groups.flat_map(|(folder, root, file)| {
        let folders: Vec<PathBuf> = folder
            .ancestors()
            .take_while(|folder| folder.starts_with(&root))
            .map(|folder| folder.join(file))
            .collect();
        folders
    });
    let limits = limits.filter_map(|file| read(&file)?.trim().parse::<u64>().ok());
    limits.filter(|limit| *limit < UNLIMITED).min()
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
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const SECOND: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn limit_in(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<u64> {
        smallest_limit(groups, mounts, |path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_smallest_limit_of_a_group_and_those_above_it_counts() {
        let group = "0::/system.slice/airlock.service\n";
        let own = "/sys/fs/cgroup/system.slice/airlock.service/memory.max";
        let above = "/sys/fs/cgroup/system.slice/memory.max";
        assert_eq!(limit_in(group, SECOND, &[]), None);
        let with = |own_limit, limit_above| {
            limit_in(group, SECOND, &[(own, own_limit), (above, limit_above)])
        };
        assert_eq!(with("max\n", "max\n"), None);
        assert_eq!(with("1048576\n", "max\n"), Some(1 << 20));
        assert_eq!(with("1048576\n", "524288\n"), Some(1 << 19));
        assert_eq!(with("524288\n", "1048576\n"), Some(1 << 19));
    }

    #[test]
    fn the_machines_memory_is_a_limit() {
        assert!(available().unwrap() <= proc::machine_memory().unwrap());
    }

    #[test]
    fn in_a_container_the_groups_path_may_be_that_outside() {
        let mounts = "30 23 0:26 /docker/1f /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let limit = ("/sys/fs/cgroup/memory.max", "4096\n");
        for group in ["0::/docker/1f\n", "0::/\n", "0::/../..\n"] {
            assert_eq!(limit_in(group, mounts, &[limit]), Some(4096), "{group}");
        }
    }

    #[test]
    fn version_1_has_a_hierarchy_for_memory() {
        let mounts = "36 23 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
             37 23 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let limit_of = |limit| {
            let file = ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", limit);
            limit_in("4:memory:/a\n1:cpu:/b\n0::/\n", mounts, &[file])
        };
        assert_eq!(limit_of("8192\n"), Some(8192));
        assert_eq!(limit_of("9223372036854771712\n"), None);
    }

    #[test]
    fn a_system_that_reports_nothing_has_no_limit() {
        assert_eq!(limit_in("", "", &[]), None);
    }
}
