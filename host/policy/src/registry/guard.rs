//! The guard: takes back a release that fails too often.
//!
//! Whoever may send requests must not be able to choose the policy. So a fault counts against the active release only where
//! the release that would follow does not fail on the same request, which is rendered there off the request's path, and
//! once for each client key. What a request's size costs is no fault at all (`policy::size`). A release that the
//! configuration names, or whose file says `on_fault = "refuse"`, is never taken back.

use std::collections::BTreeSet;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::watch::is_passing;
use super::{By, Registry};
use crate::health::Suspect;
use crate::release::{OnFault, Release};
use crate::rollout::Roles;
use airlock_metrics::ReleaseRole;
use airlock_types::wit::Request;

/// What is in the log already, by the number of the release: a fault may occur a thousand times.
#[derive(Default)]
struct Logged {
    fails: BTreeSet<u64>,
    few: BTreeSet<u64>,
}

impl Registry {
    /// Watches over the releases that have a role.
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

    /// Finds out which faults count.
    async fn examine(&self, roles: &Roles) {
        let trials = [
            roles.canary.as_ref().map(|it| &it.release),
            roles.shadow.as_ref().map(|it| &it.release),
        ];
        for release in trials.into_iter().flatten() {
            // The active one would serve in its place.
            count(release, Some(&roles.active)).await;
        }
        let active = &roles.active;
        let suspects = active.health().take_suspects();
        if suspects.is_empty() {
            return;
        }
        let next = match self.stays(active) {
            // Nothing is undone, so nobody can gain by it.
            true => None,
            false => self.next_of(active).await,
        };
        count_these(active, suspects, next.as_ref()).await;
    }

    /// The release that would follow the active one. None: there is none, or it cannot be loaded.
    async fn next_of(&self, active: &Release) -> Option<Release> {
        for previous in self.before(active.about().number).await {
            let digest = Some(previous.digest.as_str());
            match self.obtain(&previous.name, digest, true).await {
                Ok((mut pending, release)) => {
                    // So that it is tried out once. It changes nothing that is remembered.
                    let _ = self.commit(&mut pending);
                    return Some(release);
                }
                Err(error) => tracing::debug!(%error, "not what would follow"),
            }
        }
        None
    }

    /// Ends a canary and a shadow that fail too often. What they did is the active release's again, so that each fault counts.
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
            tracing::error!(%error, "that a release failed cannot be remembered over a restart");
        }
    }

    /// Takes the active release back, or says why not.
    async fn look_after(&self, release: &Release, logged: &mut Logged) {
        let number = release.about().number;
        if !self.fails(release) {
            return;
        }
        if !self.stays(release) && !self.fails_for_enough(release) {
            if logged.few.insert(number) {
                log(
                    release,
                    "the active policy fails, but for fewer client keys than rollback.faults, so that it is not taken back",
                );
            }
            return;
        }
        let is_news = logged.fails.insert(number);
        if is_news {
            log(release, "the active policy fails too often");
        }
        if !self.stays(release) {
            self.take_back(release, is_news).await;
        } else if is_news {
            let why = match release.on_fault() {
                OnFault::Refuse => "its file says on_fault = \"refuse\"",
                OnFault::Rollback => "the configuration names it",
            };
            tracing::error!(
                why,
                "it is not taken back: requests that it fails on are refused"
            );
        }
    }

    /// Goes back to the last release that can be loaded and is not known to fail.
    async fn take_back(&self, release: &Release, is_news: bool) {
        let number = release.about().number;
        let by = By {
            who: "airlock".to_owned(),
            reason: Some(self.why(release)),
        };
        for previous in self.before(number).await {
            match self.go_back(number, &previous, by.clone(), true).await {
                Ok(_) => {
                    self.0.metrics.rolled_back(ReleaseRole::Active);
                    return;
                }
                // That may pass: the next fault asks again.
                Err(error) if is_passing(&error) => {
                    tracing::error!(%error, name = previous.name, "it is not gone back to yet");
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, name = previous.name, "it is not what is gone back to");
                }
            }
        }
        if is_news {
            tracing::error!("there is no release to go back to");
        }
    }

    /// Whether this release, while it is active, is only left by somebody.
    fn stays(&self, release: &Release) -> bool {
        let configured = self.0.configured == Some(release.about().number);
        configured || release.on_fault() == OnFault::Refuse
    }

    /// Whether a release has failed as often, and on as large a share of its requests, as is too much.
    fn fails(&self, release: &Release) -> bool {
        let rule = &self.0.config.rollback;
        let lately = release.health().lately(rule.window);
        let percent = u64::try_from(rule.percent).unwrap_or(u64::MAX);
        lately.faults >= self.most()
            && lately.faults.saturating_mul(100) >= lately.requests.saturating_mul(percent)
    }

    /// Whether it has failed for as many clients.
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

/// Counts those faults of a release that `next` does not share.
async fn count(release: &Release, next: Option<&Release>) {
    let suspects = release.health().take_suspects();
    count_these(release, suspects, next).await;
}

async fn count_these(release: &Release, suspects: Vec<Suspect>, next: Option<&Release>) {
    let health = release.health();
    for Suspect { client, request } in suspects {
        let shared = match (request, next) {
            (Some(request), Some(next)) => fails_on(next, request).await,
            // It was rendered, or nothing would follow.
            (None, _) | (_, None) => false,
        };
        if !shared {
            health.count(client);
        }
    }
}

/// Whether this release fails to render the request, too. It is tried by a thread of its own, and counted nowhere. Where
/// that cannot be found out, it does: the benefit of the doubt is the other release's.
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
