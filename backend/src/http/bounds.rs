//! What a request may take of the server: time to arrive, and memory while it waits.

use std::any::Any;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage};
use futures_util::Stream;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a sender may be silent within a body.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);
/// Slower than this, after the first [`SILENCE_LIMIT`], a sender holds a place that others need: a fortieth of a slow
/// DSL line.
const MINIMUM_BYTES_PER_S: u64 = 4096;
/// What all bodies that are held in memory may take together; uploads go to disk as they come.
const HELD_LIMIT_KIB: usize = 64 << 10;

/// Memory that bodies may take together.
#[derive(Debug)]
pub(super) struct Held(Arc<Semaphore>);

impl Default for Held {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HELD_LIMIT_KIB)))
    }
}

/// The connection under what may encrypt it.
pub(super) fn tcp(connection: &dyn Any) -> Option<&TcpStream> {
    let encrypted = || Some(connection.downcast_ref::<TlsStream<TcpStream>>()?.get_ref().0);
    connection.downcast_ref().or_else(encrypted)
}

/// Has the system drop a connection whose client leaves what was sent to it unread for so long.
pub(super) fn drop_unread(connection: &dyn Any, limit: Duration) {
    #[cfg(target_os = "linux")]
    if let Some(connection) = tcp(connection)
        && let Err(error) = SockRef::from(connection).set_tcp_user_timeout(Some(limit))
    {
        tracing::warn!("a connection may stay open unread: {error}");
    }
}

/// Watches a request's body as it arrives.
pub(super) async fn watch(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let to_disk = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/"));
    let held = request.app_data::<Data<Held>>().filter(|_| !to_disk).map(|held| Arc::clone(&held.0));
    let share = Share::default();
    let body =
        Watched { body: request.take_payload(), begun: None, received: 0, timer: None, held, share: share.clone() };
    request.set_payload(Payload::Stream { payload: Box::pin(body) });
    // What was read of the body counts until the request is answered.
    request.extensions_mut().insert(share);
    next.call(request).await
}

/// What one request holds of [`Held`].
#[derive(Clone, Default)]
struct Share(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Share {
    fn add(&self, permit: OwnedSemaphorePermit) {
        let mut share = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *share {
            Some(held) => held.merge(permit),
            None => *share = Some(permit),
        }
    }
}

struct Watched {
    body: Payload,
    /// When somebody began to read: as long as nobody does, the sender is not to blame.
    begun: Option<Instant>,
    received: u64,
    timer: Option<Pin<Box<Sleep>>>,
    held: Option<Arc<Semaphore>>,
    share: Share,
}

impl Watched {
    /// When more has to be here.
    fn deadline(&mut self) -> Instant {
        let now = Instant::now();
        let begun = *self.begun.get_or_insert(now);
        now + patience(now - begun, self.received)
    }

    fn hold(&self, bytes: usize) -> Result<(), PayloadError> {
        let Some(held) = &self.held else { return Ok(()) };
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let permit = Arc::clone(held)
            .try_acquire_many_owned(kib)
            .map_err(|_| PayloadError::Io(io::ErrorKind::ResourceBusy.into()))?;
        self.share.add(permit);
        Ok(())
    }
}

/// How long to wait for more of a body of which so many bytes have come in so much time.
fn patience(elapsed: Duration, received: u64) -> Duration {
    let earned = SILENCE_LIMIT + Duration::from_millis(1000 * received / MINIMUM_BYTES_PER_S);
    earned.saturating_sub(elapsed).min(SILENCE_LIMIT)
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.body).poll_next(context) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.timer = None;
                self.received += bytes.len() as u64;
                Poll::Ready(Some(self.hold(bytes.len()).map(|()| bytes)))
            }
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => {
                let deadline = self.deadline();
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                timer.as_mut().poll(context).map(|()| Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use futures_util::stream;

    use super::*;

    #[test]
    fn slow_senders_are_given_up() {
        fn check(elapsed_s: u64, received: u64, expected_ms: u64) {
            let got = patience(Duration::from_secs(elapsed_s), received);
            assert_eq!(got, Duration::from_millis(expected_ms), "{received} in {elapsed_s} s");
        }
        check(0, 0, 10_000);
        check(4, 0, 6000);
        // A byte a second, which earns what its bytes take at the least speed, and no more; just fast enough; fast,
        // then silence.
        check(10, 10, 2);
        check(11, 11, 0);
        check(60, 4096 * 60, 10_000);
        check(60, 4096 * 52, 2000);
        check(5, 100 << 20, 10_000);
    }

    #[tokio::test]
    async fn bodies_share_what_memory_there_is() {
        fn body(memory: &Arc<Semaphore>) -> Watched {
            let chunks = stream::iter((0..60).map(|_| Ok(Bytes::from_static(&[0; 1024]))));
            let payload: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(chunks);
            let body = Payload::Stream { payload };
            Watched {
                body,
                begun: None,
                received: 0,
                timer: None,
                held: Some(Arc::clone(memory)),
                share: Share::default(),
            }
        }
        async fn check(body: &mut Watched, expected: Option<io::ErrorKind>) {
            let mut end = None;
            while let Some(chunk) = body.next().await {
                if let Err(PayloadError::Io(error)) = chunk {
                    end = Some(error.kind());
                    break;
                }
            }
            assert_eq!(end, expected);
        }
        let memory = Arc::new(Semaphore::new(100));
        let mut first = body(&memory);
        check(&mut first, None).await;
        check(&mut body(&memory), Some(io::ErrorKind::ResourceBusy)).await;
        drop(first);
        check(&mut body(&memory), None).await;
    }
}
