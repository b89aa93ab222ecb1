//! What listeners are told of cases.

use std::time::Duration;

use shared::api::{CaseSummary, Judgement, ReviewState, Verdict};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use super::*;

/// What is told next, within a time.
async fn told(events: &mut Receiver<Event>, within_ms: u64) -> Option<CaseSummary> {
    match timeout(Duration::from_millis(within_ms), events.recv()).await {
        Ok(Ok(Event::Case(summary))) => Some(*summary),
        Ok(other) => panic!("{other:?}"),
        Err(_) => None,
    }
}

#[tokio::test]
async fn what_is_said_is_told_though_the_case_stands_as_it_stood() {
    let scene = Scene::presegmented().await;
    let (store, actor) = (&scene.store, Actor::local());
    let mut events = store.listen();
    let upkeep = tokio::spawn(store.clone().upkeep());
    let send_back = async |note: &str| {
        let work = store.review(&scene.case).await.unwrap().work;
        let said = Judgement { verdict: Verdict::SentBack, work, note: note.into(), slices: Vec::new() };
        store.judge(&actor, &scene.case, &said).await.unwrap();
    };
    send_back("the tip is missing").await;
    let first = loop {
        let summary = told(&mut events, 5_000).await.unwrap();
        if summary.review == ReviewState::SentBack {
            break summary;
        }
    };
    assert_eq!(told(&mut events, 300).await, None);

    let stroke = CorrectedSlice { state: SliceState::Todo, ..axial(1, &[0, 1, 0, 0], 0) };
    store.save_correction(&actor, &scene.case, &stroke).await.unwrap();
    assert_eq!(told(&mut events, 500).await, None, "a stroke changes nothing in a list");

    send_back("and so is the base").await;
    assert_eq!(told(&mut events, 5_000).await, Some(first), "there is a second note to look at");
    upkeep.abort();
}
