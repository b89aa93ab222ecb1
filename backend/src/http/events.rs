//! What happens, as it happens: server-sent events.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::ContentEncoding;
use actix_web::web::{Bytes, Data};
use futures_util::stream;
use shared::api::Event;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::Parts;

/// Silence after which a comment is sent, so that proxies keep the stream and a dead one is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// `GET /events`
pub(super) async fn stream(parts: Data<Parts>) -> HttpResponse {
    let begin = State { receiver: parts.store.listen(), begun: false };
    HttpResponse::Ok()
        .content_type("text/event-stream")
        // Compression would hold events back until a block is full, and so would a proxy's buffer.
        .insert_header(ContentEncoding::Identity)
        .insert_header(("x-accel-buffering", "no"))
        .streaming(stream::unfold(begin, |state| async move {
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
            return Some((Bytes::from_static(b"retry: 1000\n\n"), self));
        }
        let bytes = match timeout(HEARTBEAT, self.receiver.recv()).await {
            Err(_) => Bytes::from_static(b": still here\n\n"),
            Ok(Ok(event)) => Bytes::from(format!("data: {}\n\n", serde_json::to_string(&event).unwrap_or_default())),
            // Whoever has missed events connects again and looks at everything anew.
            Ok(Err(RecvError::Lagged(_) | RecvError::Closed)) => return None,
        };
        Some((bytes, self))
    }
}
