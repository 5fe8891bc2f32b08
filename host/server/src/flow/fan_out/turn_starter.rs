//! Starts the turns of a fan-out, each with a permit of the request.

use std::sync::Arc;

use crate::config::ServerTurnLimits;
use crate::flow::metered_turn::MeteredTurn;
use crate::flow::turn_set::{ANSWER, TurnSet};
use airlock_base::wake_flag::WakeFlag;
use airlock_codex::{Codex, Conversation, Permit, TurnContext};
use airlock_metrics::RequestMetrics;
use airlock_types::wit::Brief;

/// What all turns of a fan-out are started with.
pub(in crate::flow) struct TurnStarter {
    pub(in crate::flow) codex: Codex,
    pub(in crate::flow) conversation: Arc<Conversation>,
    /// Set by every turn.
    pub(in crate::flow) wake: Arc<WakeFlag>,
    /// One for each candidate until the first has ended; then that one's, for the turns that the panel requests.
    pub(in crate::flow) permits: Vec<Permit>,
    /// Whether the answer's turn reports raw items.
    pub(in crate::flow) raw_items: bool,
    /// The request's metrics.
    pub(in crate::flow) metrics: RequestMetrics,
}

impl TurnStarter {
    /// Adds a turn that starts when the set is polled.
    pub(super) fn start(
        &self,
        source: u32,
        brief: Brief,
        permit: Permit,
        limits: ServerTurnLimits,
        turns: &mut TurnSet,
    ) {
        let context = TurnContext {
            source,
            permit,
            wake: self.wake.clone(),
            buffer_bytes: limits.turn_buffer_bytes,
            model_requests: limits.model_requests,
            raw_items: self.raw_items && source == ANSWER,
        };
        let (codex, conversation) = (self.codex.clone(), self.conversation.clone());
        let metrics = self.metrics.clone();
        turns.add(source, async move {
            let turn_metrics = metrics.request_turn();
            let turn = codex.start_turn(conversation, brief, context).await?;
            Ok(MeteredTurn::new(turn, turn_metrics))
        });
    }

    /// Keeps the permit of a candidate that has ended for later turns. The running candidates have clones of theirs, which
    /// are released as they end.
    pub(super) fn keep_permit_of(&mut self, candidate: u32) {
        let index = usize::try_from(candidate).map_or(0, |number| number.saturating_sub(1));
        if self.permits.len() > 1 && index < self.permits.len() {
            self.permits.swap(0, index);
            self.permits.truncate(1);
        }
    }

    /// The permit for a turn that the panel requests.
    pub(super) fn permit(&mut self) -> Option<(&Self, Permit)> {
        self.permits.truncate(1);
        let permit = self.permits.first()?.clone();
        Some((self, permit))
    }
}
