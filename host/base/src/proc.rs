//! The reader of `/proc` (`proc(5)`): memory, times, descriptors and namespaces of processes, and the machine's memory.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// Clock ticks per second in `/proc` (`USER_HZ`, on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// The status of a process (`proc_pid_stat(5)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The process is a zombie, or is being removed.
    pub ended: bool,
    /// Processor time in user mode and in the kernel, in clock ticks (fields 14 and 15).
    pub processor_ticks: u64,
    /// When the process started, in clock ticks since the system did (field 22).
    pub start_ticks: u64,
}

impl Stat {
    /// The status of the process with this number, or of this process, whatever its name. None: there is no such process.
    pub fn of(process: Option<i32>) -> Option<Self> {
        Self::parse(&read(process, "stat")?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field is a name in brackets, of any characters. The third follows the last closing bracket.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let ticks = |number: usize| field(number)?.parse::<u64>().ok();
        Some(Self {
            ended: matches!(field(3)?, "Z" | "X"),
            processor_ticks: ticks(14)?.checked_add(ticks(15)?)?,
            start_ticks: ticks(22)?,
        })
    }

    /// Processor time in seconds.
    pub fn processor_seconds(&self) -> f64 {
        self.processor_ticks as f64 / TICKS_PER_SECOND
    }

    /// When the process started, in seconds of Unix time. None: the system does not report when it started itself.
    pub fn start_time(&self) -> Option<f64> {
        let system = fs::read_to_string("/proc/stat").ok()?;
        Some(boot_time(&system)? + self.start_ticks as f64 / TICKS_PER_SECOND)
    }
}

/// When the system started, in seconds of Unix time (`proc_stat(5)`).
fn boot_time(stat: &str) -> Option<f64> {
    let row = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    row.trim().parse().ok()
}

/// Resident memory in bytes of the process with this number, or of this process. None: it has ended.
pub fn resident_bytes(process: Option<i32>) -> Option<u64> {
    row_bytes(&read(process, "status")?, "VmRSS:")
}

/// The number of file descriptors that this process has open.
pub fn open_descriptors() -> Option<u64> {
    let folder = fs::read_dir("/proc/self/fd").ok()?;
    // One of them is open for this read.
    Some((folder.count() as u64).saturating_sub(1))
}

/// The variables that a process was started with, as `NAME=value`. None: it has ended, or belongs to another user.
pub fn environment(process: i32) -> Option<Vec<OsString>> {
    let bytes = fs::read(format!("/proc/{process}/environ")).ok()?;
    let variables = bytes.split(|byte| *byte == 0);
    Some(
        variables
            .map(|it| OsString::from_vec(it.to_vec()))
            .collect(),
    )
}

/// The machine's memory in bytes (`proc_meminfo(5)`).
pub(crate) fn machine_memory() -> Option<u64> {
    row_bytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// The mounts of this process (`proc_pid_mountinfo(5)`), one a line. Empty if they cannot be read.
pub(crate) fn mounts() -> String {
    read(None, "mountinfo").unwrap_or_default()
}

/// The control groups of this process (`cgroups(7)`), one a line. Empty if they cannot be read.
pub(crate) fn control_groups() -> String {
    read(None, "cgroup").unwrap_or_default()
}

/// The value in bytes of a row such as `MemTotal:  16384 kB`.
fn row_bytes(text: &str, name: &str) -> Option<u64> {
    let row = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = row.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1 << 10)
}

/// The numbers of all processes.
pub fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The PID namespace (`pid_namespaces(7)`) of the process with this number, or of this process.
pub fn pid_namespace(process: Option<i32>) -> Option<PathBuf> {
    fs::read_link(path(process, "ns/pid")).ok()
}

fn path(process: Option<i32>, file: &str) -> PathBuf {
    PathBuf::from(match process {
        Some(process) => format!("/proc/{process}/{file}"),
        None => format!("/proc/self/{file}"),
    })
}

/// Reads a file of a process. A process's name in it may be any bytes: the kernel cuts the name of a program after 15, also
/// within a character.
fn read(process: Option<i32>, file: &str) -> Option<String> {
    let bytes = fs::read(path(process, file)).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_whose_name_is_cut_within_a_character_is_found() {
        let folder = tempfile::tempdir().unwrap();
        // The kernel takes the name from the file: 14 bytes, and half of the last character.
        let program = folder.path().join("fourteen_bytes\u{e4}");
        symlink("/bin/sleep", &program).unwrap();
        let mut child = Command::new(&program)
            .arg0("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let number = child.id().cast_signed();
        let name = fs::read(path(Some(number), "comm")).unwrap();
        let found = (Stat::of(Some(number)), resident_bytes(Some(number)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(name, b"fourteen_bytes\xc3\n");
        assert!(matches!(found, (Some(Stat { ended: false, .. }), Some(_))));
    }

    #[test]
    fn times_follow_a_name_of_any_characters() {
        let text = "42 (a b) c) S 1 42 42 0 -1 4194560 900 0 0 0 1234 66 7 8 20 0 9 0 500050 1 2 3";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.processor_ticks, 1300);
        assert_eq!(stat.start_ticks, 500_050);
        assert!(!stat.ended);
        assert!(Stat::parse(&text.replace(" S ", " Z ")).unwrap().ended);
        assert_eq!(
            boot_time("cpu  1 2\nbtime 1700000000\nprocesses 3\n"),
            Some(1_700_000_000.0)
        );
        let memory = "MemTotal:       16384 kB\nMemFree: 1 kB\n";
        assert_eq!(row_bytes(memory, "MemTotal:"), Some(16 << 20));
        for nothing in ["", "42 (a", "42 (a) S 1"] {
            assert_eq!(row_bytes(nothing, "MemTotal:"), None, "{nothing}");
            assert_eq!(Stat::parse(nothing), None, "{nothing}");
            assert_eq!(boot_time(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn this_process_is_found_under_its_number() {
        let number = std::process::id().cast_signed();
        assert!(processes().any(|it| it == number));
        let stat = Stat::of(Some(number)).unwrap();
        assert_eq!(stat.start_ticks, Stat::of(None).unwrap().start_ticks);
        assert!(stat.start_time().unwrap() > 1_600_000_000.0);
        assert!(resident_bytes(Some(number)).unwrap() > 1 << 20);
        assert!(open_descriptors().unwrap() >= 3);
        assert_eq!(pid_namespace(Some(number)), pid_namespace(None));
        assert!(!environment(number).unwrap().is_empty());
        assert!(resident_bytes(None).unwrap() > 1 << 20);
        assert!(machine_memory().unwrap() > 1 << 20);
        assert!(!mounts().is_empty());
        assert_eq!(Stat::of(Some(i32::MAX)), None);
        assert_eq!(resident_bytes(Some(i32::MAX)), None);
    }
}
