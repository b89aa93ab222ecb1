//! What was said of a slice earlier, or refused.

use super::*;

#[tokio::test]
async fn what_a_conflict_refuses_is_kept_and_can_be_brought_back() {
    let scene = Scene::presegmented().await;
    let (ann, bob) = (Actor::person("ann"), Actor::person("bob"));
    let plane = axial(1, &[], 0).plane;
    scene.store.save_correction(&ann, &scene.case, &axial(1, &[1, 0, 0, 0], 0)).await.unwrap();
    for _ in 0..2 {
        let refused = scene.store.save_correction(&bob, &scene.case, &axial(1, &[0, 0, 0, 1], 0)).await;
        assert!(matches!(refused, Err(StoreError::Stale { stored: 1, base: 0 })));
    }
    let versions = scene.store.slice_versions(&scene.case, plane).await.unwrap();
    let told: Vec<_> =
        versions.iter().map(|version| (version.saved_by.as_str(), version.revision, version.holds)).collect();
    assert_eq!(told, [("bob", None, false), ("ann", Some(1), true)], "once, however often it is sent");
    assert_eq!(scene.store.corrections(&scene.case).await.unwrap(), [axial(1, &[1, 0, 0, 0], 1)]);

    let lost = versions[0].id;
    assert_eq!(scene.store.slice_version(&scene.case, plane, lost).await.unwrap(), axial(1, &[0, 0, 0, 1], 0));
    let back = scene.store.bring_back(&bob, &scene.case, plane, lost, 0).await;
    assert!(matches!(back, Err(StoreError::Stale { stored: 1, base: 0 })), "nobody is overwritten unseen");
    let back = scene.store.bring_back(&bob, &scene.case, plane, lost, 1).await.unwrap();
    assert_eq!(back, axial(1, &[0, 0, 0, 1], 2));
    assert_eq!(scene.store.corrections(&scene.case).await.unwrap(), [back]);
    let elsewhere = axial(2, &[], 0).plane;
    assert!(matches!(scene.store.slice_version(&scene.case, elsewhere, lost).await, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn old_versions_are_thinned_to_the_last_of_an_hour() {
    let scene = Scene::presegmented().await;
    // (hour, labels); one is refused.
    let saves = [(0, 0_u8), (0, 1), (1, 0), (1, 1), (1, 0), (2, 1), (2, 0)];
    for (revision, (hour, label)) in (0..).zip(saves) {
        scene.store.save_correction(&Actor::local(), &scene.case, &axial(1, &[label; 4], revision)).await.unwrap();
        let mut change = scene.store.change().await.unwrap();
        sqlx::query("UPDATE slice_versions SET saved_s = ? WHERE revision = ?")
            .bind(hour * 3600 + revision.cast_signed())
            .bind(revision.cast_signed() + 1)
            .execute(&mut *change)
            .await
            .unwrap();
        change.commit().await.unwrap();
    }
    assert!(scene.store.save_correction(&Actor::local(), &scene.case, &axial(1, &[1; 4], 0)).await.is_err());
    // The third hour is not over yet.
    while scene.store.thin(2 * 3600).await.unwrap() > 0 {}
    let left = scene.store.slice_versions(&scene.case, axial(1, &[], 0).plane).await.unwrap();
    assert_eq!(
        left.iter().map(|version| version.revision).collect::<Vec<_>>(),
        [None, Some(7), Some(6), Some(5), Some(2)]
    );
    assert_eq!(scene.store.corrections(&scene.case).await.unwrap(), [axial(1, &[0; 4], 7)]);
}
