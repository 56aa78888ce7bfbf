//! A transport that starts no more requests than a rate allows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{NetError, Transport};
use crate::world::{Clock, Rate, TokenBucket};

/// A [`Transport`] that starts no more requests than a rate allows, whoever sends them: the pages of a list, a login and
/// a health check count like any write.
#[derive(Debug)]
pub struct Paced<T> {
    inner: T,
    bucket: Option<Mutex<TokenBucket>>,
    clock: Clock,
    sent: Arc<AtomicU64>,
}

impl<T> Paced<T> {
    /// Lets `inner` send at `rate`; without a rate, as it likes.
    pub fn new(inner: T, rate: Option<Rate>, clock: Clock) -> Self {
        Self { inner, bucket: rate.map(TokenBucket::new).map(Mutex::new), clock, sent: Arc::default() }
    }

    /// How many requests were sent so far; goes on counting.
    pub fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }
}

impl<T: Transport> Transport for Paced<T> {
    /// The deadline runs from the moment at which the request may start.
    async fn send(
        &self,
        request: http::Request<Bytes>,
        deadline: Duration,
        limit: usize,
    ) -> Result<http::Response<Bytes>, NetError> {
        if let Some(bucket) = &self.bucket {
            let now = self.clock.boot();
            let wait = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now);
            if !wait.is_zero() {
                self.clock.sleep(wait).await;
            }
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.inner.send(request, deadline, limit).await
    }

    fn is_heard(&self) -> bool {
        self.inner.is_heard()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::ScriptedClock;

    struct Yes;

    impl Transport for Yes {
        async fn send(
            &self,
            _: http::Request<Bytes>,
            _: Duration,
            _: usize,
        ) -> Result<http::Response<Bytes>, NetError> {
            Ok(http::Response::new(Bytes::new()))
        }
    }

    #[tokio::test]
    async fn every_request_takes_a_token() {
        let scripted = ScriptedClock::starting_at(jiff::Timestamp::UNIX_EPOCH);
        let clock = Clock::Scripted(scripted);
        let paced = Paced::new(Yes, Some(Rate { per_second: 10.0, burst: 2 }), clock.clone());
        for _ in 0..12 {
            paced.send(http::Request::new(Bytes::new()), Duration::ZERO, 0).await.unwrap();
        }
        let took = clock.boot();
        assert!(took >= Duration::from_secs(1) && took < Duration::from_millis(1001), "{took:?}");
    }
}
