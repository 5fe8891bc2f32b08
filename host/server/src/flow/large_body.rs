//! Limits on the work for large bodies and images: how many bodies are processed, and how many images decoded, at once.

mod decoded; // images that were decoded before

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use self::decoded::DecodedImages;
use crate::config::ServerLimits;
use airlock_attachments::{Attachments, Image};
use airlock_base::memory::{self, MemoryShare};
use airlock_types::failure::Failure;
use airlock_types::offload::{LARGE, blocking};
use airlock_types::wit::ProblemKind;

/// `Retry-After` of `gateway_busy`, in seconds.
const RETRY_AFTER: u32 = 10;

/// Semaphores of large bodies and of image decoders. The memory budget of bodies bounds how many wait.
pub(super) struct LargeBodyLimiter {
    bodies: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    decoded: DecodedImages,
    longest_wait: Duration,
}

/// The permit and the memory of a body until it is rendered. They move with the body to the blocking thread, which may outlast
/// the client's connection.
pub(super) struct BodyPermits {
    /// None for a small body.
    permit: Option<OwnedSemaphorePermit>,
    pub(super) memory: MemoryShare,
}

impl LargeBodyLimiter {
    /// Limits that leave one processor to the async workers.
    pub(super) fn new(limits: &ServerLimits) -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        let free = processors.saturating_sub(1).max(1);
        Self {
            bodies: Arc::new(Semaphore::new(free)),
            decoders: Arc::new(Semaphore::new(free.min(memory::max_decoders()))),
            decoded: DecodedImages::default(),
            longest_wait: limits.queue_wait,
        }
    }

    /// Waits for the permit of a body that occupies this memory. A small one needs none.
    ///
    /// # Errors
    /// `gateway_busy`: none came free within `limits.queue_wait`.
    pub(super) async fn enter(
        &self,
        body: &str,
        memory: MemoryShare,
    ) -> Result<BodyPermits, Failure> {
        let permit = match body.len() {
            LARGE.. => self.body_permit().await?,
            _ => None,
        };
        Ok(BodyPermits { permit, memory })
    }

    /// Decodes the images of a request that were not decoded before, each on a blocking thread, and marks the broken ones.
    /// The body's permit is released meanwhile. Decoding stops after the current image when this future is dropped.
    ///
    /// # Errors
    /// `gateway_busy`: the images were not all decoded within `limits.queue_wait`, or no permit came free after them.
    pub(super) async fn check_images(
        &self,
        attachments: &mut Attachments,
        mut permits: BodyPermits,
    ) -> Result<BodyPermits, Failure> {
        let mut images = attachments.images();
        images.retain(|image| !self.decoded.contains(&image.digest));
        if images.is_empty() {
            return Ok(permits);
        }
        let is_large = permits.permit.take().is_some();
        let decoded = timeout(self.longest_wait, self.decode(images, attachments)).await;
        decoded.map_err(|_elapsed| busy())??;
        if is_large {
            permits.permit = self.body_permit().await?;
        }
        Ok(permits)
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
            attachments.record_check(&checked);
        }
        Ok(())
    }

    async fn body_permit(&self) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        let permit = timeout(self.longest_wait, self.bodies.clone().acquire_owned()).await;
        Ok(permit.map_err(|_elapsed| busy())?.ok())
    }
}

fn busy() -> Failure {
    let message = "The gateway is reading as many large requests as it can. Try again later.";
    Failure::new(ProblemKind::Overloaded, "gateway_busy", message).retry_after(RETRY_AFTER)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_a_permit_until_the_timeout() {
        let limiter = LargeBodyLimiter::new(&ServerLimits::default());
        let large = "x".repeat(LARGE);
        let mut held = Vec::new();
        let refused = loop {
            match limiter.enter(&large, MemoryShare::default()).await {
                Ok(permits) => held.push(permits),
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
            "it needs no permit"
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
    async fn images_wait_for_a_decoder_unless_decoded_before() {
        const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
        let limiter = LargeBodyLimiter::new(&ServerLimits::default());
        let mut good = shown(PIXEL);
        let permits = || BodyPermits {
            permit: None,
            memory: MemoryShare::default(),
        };
        limiter.check_images(&mut good, permits()).await.unwrap();
        assert!(good.expect_image(0).is_ok());
        let mut broken = shown("data:image/png;base64,iVBORw0KGgo=");
        limiter.check_images(&mut broken, permits()).await.unwrap();
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
        limiter.check_images(&mut good, permits()).await.unwrap();
        let busy = limiter.check_images(&mut broken, permits()).await;
        let busy = busy.map(drop).unwrap_err().problem;
        assert_eq!(
            (busy.kind, busy.code.as_deref()),
            (ProblemKind::Overloaded, Some("gateway_busy"))
        );
    }
}
