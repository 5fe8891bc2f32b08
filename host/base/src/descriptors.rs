//! File descriptors (`RLIMIT_NOFILE`, getrlimit(2)): how many this process may have, what is set aside, and what its
//! children get.

use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::proc;

/// `FD_SETSIZE` of select(2): a program that calls it must not have a descriptor of this number or above. So a soft limit
/// of this size harms none, which is why it is the default of most systems.
const SELECT: u64 = 1024;

/// Descriptors of a child: its stdin, stdout and stderr, and a pidfd.
const CHILD: u64 = 4;

/// Descriptors that policies, logs, tapes and account files may have open at once, and a spawn while it starts a child.
const FILES: u64 = 32;

/// The soft limit that this process was started with.
static INHERITED: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit of this process to the hard one.
///
/// # Errors
/// The system refuses.
pub fn raise() -> Result<(), Errno> {
    let now = getrlimit(Resource::Nofile);
    INHERITED.get_or_init(|| now.current.unwrap_or(u64::MAX));
    let all = Rlimit {
        current: now.maximum,
        ..now
    };
    setrlimit(Resource::Nofile, all)
}

/// The soft limit of a child: the one that this process was started with, or 1,024 where the hard one allows that and the
/// inherited one is smaller. A child gets no more: it, or a program that it runs, may call select(2), or close every
/// descriptor up to the limit.
pub fn of_child() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let inherited = INHERITED.get().copied().or(now.current);
    of_child_under(
        inherited.unwrap_or(u64::MAX),
        now.maximum.unwrap_or(u64::MAX),
    )
}

fn of_child_under(inherited: u64, hard: u64) -> u64 {
    inherited.max(SELECT).min(hard)
}

/// Sets the soft limit of this process, which is about to become another program.
///
/// # Errors
/// The system refuses: it is above the hard limit.
pub fn set(soft: u64) -> Result<(), Errno> {
    let limit = Rlimit {
        // The system's own word for no limit.
        current: (soft != u64::MAX).then_some(soft),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit)
}

/// What needs descriptors besides connections.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// Children that serve.
    pub children: usize,
    /// Turns whose model is in this process, and connects to it.
    pub own_turns: usize,
}

/// How many connections there may be at once: `wanted` (`limits.connections`), or as many as the soft limit leaves after the
/// reserve for children, policies and files.
pub fn connections(wanted: usize, reserve: Reserve) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    let open = proc::open_descriptors().unwrap_or_default();
    let connections = within(limit, open + reserve.descriptors(), wanted);
    if connections < wanted {
        tracing::warn!(
            limit,
            connections,
            "the limit of file descriptors leaves room for fewer connections than limits.connections: raise the hard \
             limit (`ulimit -Hn`, systemd's LimitNOFILE)"
        );
    }
    connections
}

impl Reserve {
    /// Descriptors for children and files, besides those that are open already.
    fn descriptors(self) -> u64 {
        // Those that serve, stand by and leave, and one that signs in.
        let children = 3 * self.children as u64 + 4;
        CHILD * children + FILES + self.own_turns as u64
    }
}

/// A quarter of a limit that is too small for what is set aside: others then have to do with three quarters.
fn within(limit: u64, aside: u64, wanted: usize) -> usize {
    let room = limit.saturating_sub(aside).max(limit / 4).max(1);
    usize::try_from(room).unwrap_or(usize::MAX).min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_is_not_set_aside_and_never_nothing() {
        assert_eq!(within(1_048_576, 80, 4096), 4096);
        assert_eq!(within(1024, 80, 4096), 944);
        assert_eq!(within(64, 80, 4096), 16);
        assert_eq!(within(1, 80, 4096), 1);
    }

    #[test]
    fn a_child_gets_what_was_inherited_and_what_select_can_bear() {
        assert_eq!(of_child_under(1024, 1_048_576), 1024);
        assert_eq!(of_child_under(64, 1_048_576), 1024);
        assert_eq!(of_child_under(64, 512), 512);
        assert_eq!(of_child_under(65_536, 1_048_576), 65_536);
        assert_eq!(of_child_under(u64::MAX, u64::MAX), u64::MAX);
    }
}
