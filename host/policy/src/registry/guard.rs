//! The guard: rolls back a release that fails too often.
//!
//! Clients must not be able to choose the policy. So a fault counts against the active release only if the release that
//! would follow does not fail on the same request, which is rendered there off the request's path, and faults must come from
//! several client keys. A fault that a request's size explains does not count (`request_size.rs`). A release that the configuration
//! names, or whose file has `on_fault = "refuse"`, is never rolled back.

use std::collections::BTreeSet;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::folder_watch::is_passing;
use super::{ChangedBy, Registry};
use crate::health::Suspect;
use crate::release::{OnFault, Release};
use crate::rollout::Roles;
use airlock_metrics::ReleaseRole;
use airlock_types::wit::Request;

/// The numbers of releases about which each message was logged, so that it is logged once.
#[derive(Default)]
struct Logged {
    fails: BTreeSet<u64>,
    few: BTreeSet<u64>,
}

impl Registry {
    /// Runs the guard over the releases that have a role.
    pub(super) async fn guard(&self) {
        let mut logged = Logged::default();
        loop {
            self.0.fault_notify.notified().await;
            let roles = self.0.rollout.roles();
            if self.0.config.rollback.faults == 0 {
                all(&roles).for_each(|release| drop(release.health().take_suspects()));
                continue;
            }
            self.examine(&roles).await;
            self.end_trials(&roles).await;
            self.look_after(&roles.active, &mut logged).await;
        }
    }

    /// Examines the suspects of all roles, and counts those that count.
    async fn examine(&self, roles: &Roles) {
        let trials = [
            roles.canary.as_ref().map(|it| &it.release),
            roles.shadow.as_ref().map(|it| &it.release),
        ];
        for release in trials.into_iter().flatten() {
            // Without its role, the active release would serve.
            count(release, Some(&roles.active)).await;
        }
        let active = &roles.active;
        let suspects = active.health().take_suspects();
        if suspects.is_empty() {
            return;
        }
        let next = match self.stays(active) {
            // It is never rolled back, so every fault may count.
            true => None,
            false => self.next_of(active).await,
        };
        count_these(active, suspects, next.as_ref()).await;
    }

    /// The release that would follow the active one. `None` if none can be loaded.
    async fn next_of(&self, active: &Release) -> Option<Release> {
        for previous in self.before(active.about().number).await {
            let digest = Some(previous.digest.as_str());
            match self.obtain(&previous.name, digest, true).await {
                Ok((mut pending, release)) => {
                    // Adds it to the loaded releases, so that it is tried out only once.
                    let _ = self.commit(&mut pending);
                    return Some(release);
                }
                Err(error) => tracing::debug!(%error, "a former release cannot be loaded"),
            }
        }
        None
    }

    /// Ends a canary or shadow that fails too often. The active release takes over, so the number of clients does not matter.
    async fn end_trials(&self, roles: &Roles) {
        let canary = roles.canary.as_ref().map(|it| &it.release);
        if let Some(release) = canary.filter(|it| self.fails(it)) {
            self.end_trial(release, |roles| roles.canary = None).await;
            self.0.metrics.rolled_back(ReleaseRole::Canary);
            log(release, "canary ended: it failed too often");
        }
        let shadow = roles.shadow.as_ref().map(|it| &it.release);
        if let Some(release) = shadow.filter(|it| self.fails(it)) {
            self.end_trial(release, |roles| roles.shadow = None).await;
            self.0.metrics.rolled_back(ReleaseRole::Shadow);
            log(release, "shadow ended: it failed too often");
        }
    }

    async fn end_trial(&self, release: &Release, end: impl FnOnce(&mut Roles)) {
        let mut state = self.state().await;
        self.set(end);
        state
            .persisted
            .history
            .set_failed(release.about().number, true);
        if let Err(error) = state.persisted.save() {
            tracing::error!(%error, "the failure of a release cannot be saved for a restart");
        }
    }

    /// Rolls the active release back if it fails too often, or logs why not.
    async fn look_after(&self, release: &Release, logged: &mut Logged) {
        let number = release.about().number;
        if !self.fails(release) {
            return;
        }
        if !self.stays(release) && !self.fails_for_enough(release) {
            if logged.few.insert(number) {
                log(
                    release,
                    "the active policy fails, but for fewer client keys than rollback.faults, so it is not rolled back",
                );
            }
            return;
        }
        let is_news = logged.fails.insert(number);
        if is_news {
            log(release, "the active policy fails too often");
        }
        if !self.stays(release) {
            self.roll_back(release, is_news).await;
        } else if is_news {
            let why = match release.on_fault() {
                OnFault::Refuse => "its file says on_fault = \"refuse\"",
                OnFault::Rollback => "the configuration names it",
            };
            tracing::error!(
                why,
                "it is not rolled back: requests on which it fails are refused"
            );
        }
    }

    /// Rolls back to the last release that can be loaded and is not known to fail.
    async fn roll_back(&self, release: &Release, is_news: bool) {
        let number = release.about().number;
        let by = ChangedBy {
            who: "airlock".to_owned(),
            reason: Some(self.why(release)),
        };
        for previous in self.before(number).await {
            match self.go_back(number, &previous, by.clone(), true).await {
                Ok(_) => {
                    self.0.metrics.rolled_back(ReleaseRole::Active);
                    return;
                }
                // The cause may pass; the next fault tries again.
                Err(error) if is_passing(&error) => {
                    tracing::error!(%error, name = previous.name, "cannot roll back to this release yet");
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, name = previous.name, "cannot roll back to this release");
                }
            }
        }
        if is_news {
            tracing::error!("there is no release to roll back to");
        }
    }

    /// Whether this release is never rolled back automatically.
    fn stays(&self, release: &Release) -> bool {
        let configured = self.0.configured == Some(release.about().number);
        configured || release.on_fault() == OnFault::Refuse
    }

    /// Whether the faults of a release reach the configured number and share of its requests.
    fn fails(&self, release: &Release) -> bool {
        let rule = &self.0.config.rollback;
        let lately = release.health().lately(rule.window);
        let percent = u64::try_from(rule.percent).unwrap_or(u64::MAX);
        lately.faults >= self.most()
            && lately.faults.saturating_mul(100) >= lately.requests.saturating_mul(percent)
    }

    /// Whether its faults come from as many clients as the configured number of faults.
    fn fails_for_enough(&self, release: &Release) -> bool {
        let window = self.0.config.rollback.window;
        release.health().lately(window).clients >= self.most()
    }

    fn most(&self) -> u64 {
        u64::try_from(self.0.config.rollback.faults).unwrap_or(u64::MAX)
    }

    fn why(&self, release: &Release) -> String {
        let window = self.0.config.rollback.window;
        let lately = release.health().lately(window);
        let about = release.about();
        format!(
            "release {} of {} failed {} times in {} requests within {} s",
            about.number,
            about.name,
            lately.faults,
            lately.requests,
            window.as_secs_f32()
        )
    }
}

fn all(roles: &Roles) -> impl Iterator<Item = &Release> {
    let canary = roles.canary.as_ref().map(|it| &it.release);
    let shadow = roles.shadow.as_ref().map(|it| &it.release);
    [Some(&roles.active), canary, shadow].into_iter().flatten()
}

/// Takes the suspects of a release, and counts those that `next` does not share.
async fn count(release: &Release, next: Option<&Release>) {
    let suspects = release.health().take_suspects();
    count_these(release, suspects, next).await;
}

async fn count_these(release: &Release, suspects: Vec<Suspect>, next: Option<&Release>) {
    let health = release.health();
    for Suspect { client, request } in suspects {
        let shared = match (request, next) {
            (Some(request), Some(next)) => fails_on(next, request).await,
            // The fault occurred after rendering, or no release would follow.
            (None, _) | (_, None) => false,
        };
        if !shared {
            health.count(client);
        }
    }
}

/// Whether this release fails to render the request, too. It is tried on a blocking thread, and not counted. True if it
/// cannot be tried, so that the fault does not count.
async fn fails_on(next: &Release, mut request: Request) -> bool {
    let trial = next.trial();
    trial.settings().clone_into(&mut request.settings);
    let runtime = Handle::current();
    let tried = spawn_blocking(move || {
        runtime.block_on(async {
            let mut session = trial.session().await.map_err(|_fault| ())?;
            // A refusal is an answer. Only a fault has a cause.
            let rendered = session.render(&request).await;
            rendered.map(drop).or_else(|failure| match failure.cause {
                Some(_) => Err(()),
                None => Ok(()),
            })
        })
    });
    !matches!(tried.await, Ok(Ok(())))
}

fn log(release: &Release, what: &str) {
    let about = release.about();
    tracing::error!(
        name = about.name,
        release = about.number,
        digest = about.digest,
        "{what}"
    );
}
