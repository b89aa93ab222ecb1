//! What happens, as it happens: server-sent events.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::ContentEncoding;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use shared::api::{Event, SIGN_OF_LIFE, route};
use shared::case::CaseId;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout, timeout_at};

use super::Parts;

/// Silence after which a sign of life is sent, so that proxies keep the stream and a dead one is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long an event waits for those that follow it, so that a busy server tells each page a few times a second and no more.
const GATHER: Duration = Duration::from_millis(100);

/// What happens, as it happens: server-sent events, each `data:` line an `Event`.
#[utoipa::path(
    get,
    path = route::EVENTS.path,
    responses((status = 200, description = "A stream without end", content_type = "text/event-stream", body = Event))
)]
pub(crate) async fn stream(parts: Data<Parts>, request: HttpRequest) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type("text/event-stream")
        // Compression would hold events back until a block is full, and so would a proxy's buffer.
        .insert_header(ContentEncoding::Identity)
        .insert_header(("x-accel-buffering", "no"));
    if request.method() == Method::HEAD {
        // A body without end would never be skipped to its end.
        return answer.finish();
    }
    let begin = State { receiver: parts.store.listen(), begun: false };
    answer.streaming(stream::unfold(begin, |state| async move {
        state.next().await.map(|(bytes, state)| (Ok::<_, actix_web::Error>(bytes), state))
    }))
}

struct State {
    receiver: Receiver<Event>,
    begun: bool,
}

impl State {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if !self.begun {
            self.begun = true;
            // Something at once, or browsers do not call the stream open; and how soon to come back when it breaks.
            return Some((format!("retry: 1000\n\n{}", sign_of_life()).into(), self));
        }
        let bytes = match timeout(HEARTBEAT, self.receiver.recv()).await {
            Err(_) => sign_of_life().into(),
            Ok(Ok(event)) => lines(&self.with_followers(event).await?),
            // Whoever has missed events connects again and looks at everything anew.
            Ok(Err(RecvError::Lagged(_) | RecvError::Closed)) => return None,
        };
        Some((bytes, self))
    }

    /// An event and those that follow it closely: of each case the last, in the order of the last. Nothing if some were missed.
    async fn with_followers(&mut self, first: Event) -> Option<Vec<Event>> {
        let mut events = vec![first];
        let end = Instant::now() + GATHER;
        loop {
            match timeout_at(end, self.receiver.recv()).await {
                Err(_) => return Some(events),
                Ok(Ok(event)) => {
                    events.retain(|earlier| case(earlier) != case(&event));
                    events.push(event);
                }
                Ok(Err(RecvError::Closed)) => return Some(events),
                Ok(Err(RecvError::Lagged(_))) => return None,
            }
        }
    }
}

/// An event without data would not be dispatched.
fn sign_of_life() -> String {
    format!("event: {SIGN_OF_LIFE}\ndata: 1\n\n")
}

fn case(event: &Event) -> &CaseId {
    match event {
        Event::Case(summary) => &summary.id,
        Event::Deleted { id } => id,
    }
}

fn lines(events: &[Event]) -> Bytes {
    let line = |event| format!("data: {}\n\n", serde_json::to_string(event).unwrap_or_default());
    events.iter().map(line).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_each_case_the_last_event_is_told() {
        let (sender, receiver) = tokio::sync::broadcast::channel(8);
        let mut state = State { receiver, begun: true };
        let gone = |id: &str| Event::Deleted { id: id.into() };
        for id in ["a", "b", "a"] {
            sender.send(gone(id)).unwrap();
        }
        assert_eq!(state.with_followers(gone("b")).await, Some(vec![gone("b"), gone("a")]));
        for _ in 0..20 {
            sender.send(gone("a")).unwrap();
        }
        assert_eq!(state.with_followers(gone("b")).await, None, "some were missed");
    }
}
