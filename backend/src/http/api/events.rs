//! What happens, as it happens: server-sent events.

use std::collections::HashSet;
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

use super::super::people::Visitor;
use super::Parts;

/// Silence after which a sign of life is sent, so that proxies keep the stream and a dead one is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long an event waits for those that follow it, so that a busy server tells each page a few times a second and no
/// more.
const GATHER: Duration = Duration::from_millis(100);

/// What happens, as it happens: server-sent events, each `data:` line an `Event`.
#[utoipa::path(
    get,
    path = route::EVENTS.path,
    responses((status = 200, description = "A stream without end", content_type = "text/event-stream", body = Event))
)]
pub(crate) async fn stream(parts: Data<Parts>, visitor: Visitor, request: HttpRequest) -> HttpResponse {
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
    let receiver = parts.store.listen();
    let seen = if visitor.role.sees_all() {
        Vec::new()
    } else {
        parts.store.cases_of(&visitor.name).await.unwrap_or_default()
    };
    let viewer = Viewer { parts, visitor, seen: seen.into_iter().collect(), checked: Instant::now() };
    let begin = State { receiver, begun: false, viewer };
    answer.streaming(stream::unfold(begin, |state| async move {
        state.next().await.map(|(bytes, state)| (Ok::<_, actix_web::Error>(bytes), state))
    }))
}

struct State<V> {
    receiver: Receiver<Event>,
    begun: bool,
    viewer: V,
}

/// Who looks.
struct Viewer {
    parts: Data<Parts>,
    visitor: Visitor,
    /// Cases that they have been told of, so that they can be told that one is gone.
    seen: HashSet<CaseId>,
    checked: Instant,
}

impl Viewer {
    /// Whether they may still look: a session that has ended ends its streams.
    async fn may_look(&mut self) -> bool {
        if self.checked.elapsed() < HEARTBEAT {
            return true;
        }
        self.checked = Instant::now();
        self.visitor.still_holds(&self.parts).await
    }

    /// Those of the events that are theirs to know.
    async fn theirs(&mut self, events: Vec<Event>) -> Vec<Event> {
        if self.visitor.role.sees_all() {
            return events;
        }
        let mut theirs = Vec::new();
        for event in events {
            let told = match &event {
                Event::Case(summary) => self.visitor.sees(&self.parts, summary.id.as_str()).await.unwrap_or(false),
                Event::Deleted { id } => self.seen.remove(id),
            };
            if told {
                self.seen.insert(case(&event).clone());
                theirs.push(event);
            }
        }
        theirs
    }
}

impl State<Viewer> {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if !self.begun {
            self.begun = true;
            // Something at once, or browsers do not call the stream open; and how soon to come back when it breaks.
            return Some((format!("retry: 1000\n\n{}", sign_of_life()).into(), self));
        }
        let bytes = match timeout(HEARTBEAT, self.receiver.recv()).await {
            Err(_) => sign_of_life().into(),
            Ok(Ok(event)) => {
                let events = self.with_followers(event).await?;
                let theirs = self.viewer.theirs(events).await;
                // Nothing at all would end the stream.
                if theirs.is_empty() { sign_of_life().into() } else { lines(&theirs) }
            }
            // Whoever has missed events connects again and looks at everything anew.
            Ok(Err(RecvError::Lagged(_) | RecvError::Closed)) => return None,
        };
        self.viewer.may_look().await.then_some((bytes, self))
    }
}

impl<V> State<V> {
    /// An event and those that follow it closely: of each case the last, in the order of the last. Nothing if some were
    /// missed.
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
        let mut state = State { receiver, begun: true, viewer: () };
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
