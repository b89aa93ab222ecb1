//! What clients show as the server's log.

use actix_web::HttpResponse;

/// Says where the log is: it is the operator's, and nothing of it is given out.
pub(super) async fn show() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("i3Deep writes its log to the operator's; ask whoever runs the server.\n")
}
