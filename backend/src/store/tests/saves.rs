//! Saves that arrive together.

use super::*;

async fn changes(store: &Store) -> i64 {
    sqlx::query_scalar("SELECT changes FROM history").fetch_one(&store.readers).await.unwrap()
}

#[tokio::test]
async fn saves_that_arrive_together_are_one_change_and_each_has_its_own_answer() {
    let scene = Scene::presegmented().await;
    let (store, actor) = (&scene.store, Actor::local());
    let nowhere = CaseId::from("0123456789abcdef0123456789abcdef");
    let fits = axial(0, &[1, 1, 0, 0], 0);
    let (too_large, no_such_label) = (axial(9, &[1, 1, 0, 0], 0), axial(1, &[7, 1, 0, 0], 0));
    let (other, stale) = (axial(2, &[0, 0, 0, 1], 0), axial(2, &[0, 0, 1, 1], 5));

    // Nobody attends to them before all have been sent.
    let writer = store.writer.acquire().await.unwrap();
    let before = changes(store).await;
    let together = async {
        tokio::join!(
            store.save_correction(&actor, &scene.case, &fits),
            store.save_correction(&actor, &scene.case, &too_large),
            store.save_correction(&actor, &scene.case, &no_such_label),
            store.save_correction(&actor, &nowhere, &fits),
            store.save_correction(&actor, &scene.case, &other),
            store.save_correction(&actor, &scene.case, &stale),
            store.save_correction(&actor, &scene.case, &fits),
            async {
                tokio::task::yield_now().await;
                drop(writer);
            },
        )
    };
    let (first, large, label, absent, second, refused, again, ()) = together.await;

    assert_eq!(first.unwrap().revision, 1);
    assert_eq!(second.unwrap().revision, 1);
    assert_eq!(again.unwrap().revision, 1, "said twice, kept once");
    let check = |answer: Result<CorrectedSlice, StoreError>, expected: &str| {
        let words = answer.unwrap_err().to_string();
        assert!(words.contains(expected), "{words}");
    };
    check(large, "9");
    check(label, "7");
    check(absent, "no such case");
    check(refused, "revision 1, yours is based on 5");
    // The first that came had the writer alone; the others were one change.
    assert!(changes(store).await - before <= 2);
    let kept: Vec<u64> = store.corrections(&scene.case).await.unwrap().iter().map(|slice| slice.revision).collect();
    assert_eq!(kept, [1, 1]);
    assert_eq!(store.slice_versions(&scene.case, other.plane).await.unwrap().len(), 2, "the refused one is kept");
}

#[tokio::test]
async fn slices_that_belong_together_are_saved_all_or_none() {
    let scene = Scene::presegmented().await;
    let (store, actor) = (&scene.store, Actor::local());
    let (one, two) = (axial(0, &[1, 1, 0, 0], 0), axial(1, &[0, 0, 0, 1], 0));
    let versions = async |slice: &CorrectedSlice| store.slice_versions(&scene.case, slice.plane).await.unwrap().len();

    let no_such_label = axial(2, &[7, 1, 0, 0], 0);
    let error = store.save_corrections(&actor, &scene.case, &[one.clone(), no_such_label]).await.unwrap_err();
    assert!(matches!(error, StoreError::Correction(_)), "{error}");
    assert_eq!(store.corrections(&scene.case).await.unwrap(), []);
    assert_eq!(versions(&one).await, 0);

    store.save_correction(&actor, &scene.case, &two).await.unwrap();
    let late = axial(1, &[1, 0, 0, 0], 0);
    let error = store.save_corrections(&actor, &scene.case, &[one.clone(), late]).await.unwrap_err();
    assert!(matches!(error, StoreError::Stale { stored: 1, base: 0 }), "{error}");
    assert_eq!(store.corrections(&scene.case).await.unwrap().len(), 1, "what was saved before holds alone");
    assert_eq!((versions(&one).await, versions(&two).await), (1, 2), "what was refused is kept aside");

    let next = axial(1, &[1, 0, 0, 0], 1);
    store.save_corrections(&actor, &scene.case, &[one, next]).await.unwrap();
    let revisions: Vec<u64> = store.corrections(&scene.case).await.unwrap().iter().map(|s| s.revision).collect();
    assert_eq!(revisions, [1, 2]);
}

#[tokio::test]
async fn a_save_goes_on_when_the_one_who_asked_goes_away() {
    let scene = Scene::presegmented().await;
    let writer = scene.store.writer.acquire().await.unwrap();
    let actor = Actor::local();
    let slice = axial(0, &[1, 1, 0, 0], 0);
    {
        let save = scene.store.save_correction(&actor, &scene.case, &slice);
        assert!(tokio::time::timeout(Duration::from_millis(20), save).await.is_err());
    }
    drop(writer);
    // The next one has to wait in line behind it.
    let again = scene.store.save_correction(&actor, &scene.case, &slice).await.unwrap();
    assert_eq!(again.revision, 1);
    assert_eq!(scene.store.slice_versions(&scene.case, slice.plane).await.unwrap().len(), 1);
}
