//! From a body to a plan and its conversation. What is large is read by threads of their own, few at a time: whoever serves has
//! others to serve, and copying alone takes milliseconds for each MiB.

mod decoded; // images that need not be decoded again

use std::mem::take;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use self::decoded::DecodedImages;
use crate::config::ServerLimits;
use airlock_attachments::{Attachments, Image};
use airlock_base::memory::{self, MemoryShare};
use airlock_codex::{Conversation, brief_bytes};
use airlock_policy::Session;
use airlock_policy::size::Bounds;
use airlock_types::failure::Failure;
use airlock_types::offload::{LARGE, blocking, offload};
use airlock_types::wit::{Plan, ProblemKind, Request};

/// When a client may try again that found no place, in seconds.
const RETRY: u32 = 10;

/// Where large bodies wait for one another, and images too. How many bodies there can be is bounded by the memory that all may take up.
pub(super) struct LargeBodyLimiter {
    places: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    decoded: DecodedImages,
    longest_wait: Duration,
}

/// What a body has taken until it is read. It goes where the work goes: whoever leaves does not end it at once.
pub(super) struct BodyPermits {
    place: Option<OwnedSemaphorePermit>,
    memory: MemoryShare,
}

impl LargeBodyLimiter {
    /// As many at once as leave a processor to those who serve.
    pub(super) fn new(limits: &ServerLimits) -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        let free = processors.saturating_sub(1).max(1);
        Self {
            places: Arc::new(Semaphore::new(free)),
            decoders: Arc::new(Semaphore::new(free.min(memory::decoders()))),
            decoded: DecodedImages::default(),
            longest_wait: limits.queue_wait,
        }
    }

    /// Waits for a place for a body that takes up this memory. A small one needs none.
    ///
    /// # Errors
    /// None came free in time.
    pub(super) async fn enter(
        &self,
        body: &str,
        memory: MemoryShare,
    ) -> Result<BodyPermits, Failure> {
        let mut held = BodyPermits {
            place: None,
            memory,
        };
        if body.len() >= LARGE {
            held.place = self.place().await?;
        }
        Ok(held)
    }

    /// Decodes the images of a request that were not decoded before, each on a thread of its own, and marks those that cannot
    /// be. Images of several requests take turns, and large bodies are read meanwhile. A client that leaves waits for no
    /// further image.
    ///
    /// # Errors
    /// `gateway_busy`: the images were not all decoded within `limits.queue_wait`, or no place came free after them.
    pub(super) async fn check_images(
        &self,
        attachments: &mut Attachments,
        mut held: BodyPermits,
    ) -> Result<BodyPermits, Failure> {
        let mut images = attachments.images();
        images.retain(|image| !self.decoded.contains(&image.digest));
        if images.is_empty() {
            return Ok(held);
        }
        let had_place = held.place.take().is_some();
        let decoded = timeout(self.longest_wait, self.decode(images, attachments)).await;
        decoded.map_err(|_elapsed| busy())??;
        if had_place {
            held.place = self.place().await?;
        }
        Ok(held)
    }

    async fn decode(
        &self,
        images: Vec<Image>,
        attachments: &mut Attachments,
    ) -> Result<(), Failure> {
        for image in images {
            let permit = self.decoders.clone().acquire_owned().await.ok();
            let digest = image.digest.clone();
            let checked = blocking(move || {
                let _permit = permit;
                image.check()
            })
            .await?;
            if checked.is_good() {
                self.decoded.insert(digest);
            }
            attachments.keep(&checked);
        }
        Ok(())
    }

    async fn place(&self) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        let place = timeout(self.longest_wait, self.places.clone().acquire_owned()).await;
        Ok(place.map_err(|_elapsed| busy())?.ok())
    }
}

fn busy() -> Failure {
    let message = "The gateway is reading as many large requests as it can. Try again later.";
    Failure::new(ProblemKind::Overloaded, "gateway_busy", message).retry_after(RETRY)
}

/// Takes out of a body what it carries besides words, and checks the size of the rest.
///
/// # Errors
/// `request_too_large`.
pub(super) async fn lift(
    body: String,
    bounds: Bounds,
    held: BodyPermits,
) -> Result<(String, Attachments, BodyPermits), Failure> {
    offload(body.len(), move || {
        let (body, attachments) = Attachments::lift(body);
        bounds.check(&body).map(|()| (body, attachments, held))
    })
    .await?
}

/// A request that has not been read.
pub(super) struct Unread {
    pub(super) session: Session,
    pub(super) request: Request,
    pub(super) attachments: Attachments,
    pub(super) held: BodyPermits,
}

/// A request as its policy has it.
pub(super) struct Read {
    pub(super) session: Session,
    /// Without its body.
    pub(super) request: Request,
    /// Without what is the conversation's.
    pub(super) plan: Plan,
    pub(super) conversation: Conversation,
}

impl Unread {
    /// Has the policy render it. When this future is dropped, the call ends at the policy's next tick.
    ///
    /// # Errors
    /// The policy's refusal, its fault, or a plan that Codex could not be told.
    pub(super) async fn read(self) -> Result<Read, Failure> {
        if self.request.body.len() < LARGE {
            return self.render().await;
        }
        let left = CancellationToken::new();
        let _leaves = left.clone().drop_guard();
        let (runtime, span) = (Handle::current(), Span::current());
        let read = offload(self.request.body.len(), move || {
            let _inside = span.enter();
            runtime.block_on(left.run_until_cancelled_owned(self.render()))
        });
        read.await?.unwrap_or_else(|| {
            // For nobody: this future is gone.
            let message = "The request was left.";
            Err(Failure::new(ProblemKind::Internal, "left", message))
        })
    }

    async fn render(mut self) -> Result<Read, Failure> {
        let before = self.session.memory_bytes();
        let mut plan = self.session.render(&self.request).await?;
        // What was not lifted out of it is in the plan now.
        drop(take(&mut self.request.body));
        // A policy's memory grows, and does not shrink until the session ends.
        let grown = self.session.memory_bytes().saturating_sub(before);
        self.session.occupy(self.held.memory.split_off(grown));
        let conversation = Conversation::new(
            plan.model.take(),
            take(&mut plan.instructions),
            take(&mut plan.history),
            take(&mut plan.tools),
            self.attachments,
        )?;
        for brief in &plan.briefs {
            conversation.check_images(brief)?;
        }
        // What its turns are asked goes before it does.
        let briefs: usize = plan.briefs.iter().map(brief_bytes).sum();
        let memory = self.held.memory.split_off(conversation.bytes() + briefs);
        let conversation = conversation.with_memory(memory);
        Ok(Read {
            session: self.session,
            request: self.request,
            plan,
            conversation,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_one_another_and_for_so_long() {
        let limiter = LargeBodyLimiter::new(&ServerLimits::default());
        let large = "x".repeat(LARGE);
        let mut held = Vec::new();
        let refused = loop {
            match limiter.enter(&large, MemoryShare::default()).await {
                Ok(place) => held.push(place),
                Err(failure) => break failure,
            }
        };
        let (kind, code) = (refused.problem.kind, refused.problem.code);
        assert_eq!(
            (kind, code.as_deref()),
            (ProblemKind::Overloaded, Some("gateway_busy"))
        );
        let small = &large[1..];
        assert!(
            limiter.enter(small, MemoryShare::default()).await.is_ok(),
            "it needs no place"
        );
        let left = held.pop().unwrap();
        let (waiting, ()) = tokio::join!(limiter.enter(&large, MemoryShare::default()), async {
            drop(left);
        });
        assert!(waiting.is_ok(), "one came free while it waited");
    }

    fn shown(url: &str) -> Attachments {
        Attachments::lift(format!(r#"{{"input":{{"image_url":"{url}"}}}}"#)).1
    }

    #[tokio::test(start_paused = true)]
    async fn images_wait_for_a_decoder_unless_they_are_known() {
        const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
        let limiter = LargeBodyLimiter::new(&ServerLimits::default());
        let mut good = shown(PIXEL);
        let held = || BodyPermits {
            place: None,
            memory: MemoryShare::default(),
        };
        limiter.check_images(&mut good, held()).await.unwrap();
        assert!(good.expect_image(0).is_ok());
        let mut broken = shown("data:image/png;base64,iVBORw0KGgo=");
        limiter.check_images(&mut broken, held()).await.unwrap();
        let refused = broken.expect_image(0).unwrap_err().problem;
        assert_eq!(refused.code.as_deref(), Some("image_parse_error"));
        assert_eq!(refused.param.as_deref(), Some("input.image_url"));

        let decoders = limiter.decoders.available_permits();
        let all = u32::try_from(decoders).unwrap();
        let _taken = limiter
            .decoders
            .clone()
            .acquire_many_owned(all)
            .await
            .unwrap();
        limiter.check_images(&mut good, held()).await.unwrap();
        let busy = limiter.check_images(&mut broken, held()).await;
        let busy = busy.map(drop).unwrap_err().problem;
        assert_eq!(
            (busy.kind, busy.code.as_deref()),
            (ProblemKind::Overloaded, Some("gateway_busy"))
        );
    }
}
