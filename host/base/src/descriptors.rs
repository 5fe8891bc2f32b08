//! The limit of file descriptors (`RLIMIT_NOFILE`, getrlimit(2)): that of this process and of its children, and how it is
//! divided between connections and the rest.

use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::proc;

/// `FD_SETSIZE` of select(2), which supports only descriptors below it. It is the soft limit by default on most systems.
const FD_SETSIZE: u64 = 1024;

/// Descriptors that the gateway holds for a child: stdin, stdout, stderr and a pidfd.
const CHILD_DESCRIPTORS: u64 = 4;

/// Descriptors for the files of policies, logs, tapes and the account, and for starting a child.
const FILE_DESCRIPTORS: u64 = 32;

/// The soft limit before [`raise_soft_limit`].
static INHERITED: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit of this process to the hard one.
///
/// # Errors
/// The system refuses.
pub fn raise_soft_limit() -> Result<(), Errno> {
    let limit = getrlimit(Resource::Nofile);
    INHERITED.get_or_init(|| limit.current.unwrap_or(u64::MAX));
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)
}

/// The soft limit of a child: the one that this process was started with, but at least 1,024 where the hard limit allows it.
/// A child gets no more, because it or a program that it runs may call select(2), or close every descriptor up to the
/// limit.
pub fn child_soft_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let inherited = INHERITED.get().copied().or(limit.current);
    child_soft_limit_within(
        inherited.unwrap_or(u64::MAX),
        limit.maximum.unwrap_or(u64::MAX),
    )
}

fn child_soft_limit_within(inherited: u64, hard: u64) -> u64 {
    inherited.max(FD_SETSIZE).min(hard)
}

/// Sets the soft limit of this process; `u64::MAX` means no limit.
///
/// # Errors
/// `soft` is above the hard limit.
pub fn set_soft_limit(soft: u64) -> Result<(), Errno> {
    let limit = Rlimit {
        current: (soft != u64::MAX).then_some(soft),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit)
}

/// The demand for descriptors besides connections.
#[derive(Clone, Copy, Debug)]
pub struct DescriptorReserve {
    /// The number of children that serve (`fleet.children`).
    pub children: usize,
    /// Turns at once whose model is served by this process, with a connection each.
    pub own_turns: usize,
}

/// The limit of concurrent connections: `wanted` (`limits.connections`), or as many as the soft limit leaves after the
/// open descriptors and the reserve.
pub fn connection_limit(wanted: usize, reserve: DescriptorReserve) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    let open = proc::open_descriptors().unwrap_or_default();
    let connections = connections_within(limit, open + reserve.descriptors(), wanted);
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

impl DescriptorReserve {
    /// The number of descriptors that may be opened besides connections.
    fn descriptors(self) -> u64 {
        // Children that serve, stand by, leave and sign in.
        let children = 3 * self.children as u64 + 4;
        CHILD_DESCRIPTORS * children + FILE_DESCRIPTORS + self.own_turns as u64
    }
}

/// What a limit leaves after the reserved descriptors, but at least a quarter of it, and at most `wanted`.
fn connections_within(limit: u64, reserved: u64, wanted: usize) -> usize {
    let room = limit.saturating_sub(reserved).max(limit / 4).max(1);
    usize::try_from(room).unwrap_or(usize::MAX).min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_is_not_reserved_and_at_least_a_quarter() {
        assert_eq!(connections_within(1_048_576, 80, 4096), 4096);
        assert_eq!(connections_within(1024, 80, 4096), 944);
        assert_eq!(connections_within(64, 80, 4096), 16);
        assert_eq!(connections_within(1, 80, 4096), 1);
    }

    #[test]
    fn a_child_inherits_the_soft_limit_or_gets_1024() {
        assert_eq!(child_soft_limit_within(1024, 1_048_576), 1024);
        assert_eq!(child_soft_limit_within(64, 1_048_576), 1024);
        assert_eq!(child_soft_limit_within(64, 512), 512);
        assert_eq!(child_soft_limit_within(65_536, 1_048_576), 65_536);
        assert_eq!(child_soft_limit_within(u64::MAX, u64::MAX), u64::MAX);
    }
}
