//! Deleted cases.

use super::*;

#[tokio::test]
async fn a_deleted_case_can_be_brought_back_as_it_was() {
    let scene = Scene::presegmented().await;
    scene.store.save_correction(&Actor::local(), &scene.case, &axial(1, &[1; 4], 0)).await.unwrap();
    let before = scene.detail().await;
    let mut events = scene.store.listen();
    scene.store.delete_case(&Actor::local(), &scene.case).await.unwrap();
    assert_eq!(events.recv().await.unwrap(), Event::Deleted { id: scene.case.clone() });
    assert!(scene.store.cases().await.unwrap().is_empty());
    let save = scene.store.save_correction(&Actor::local(), &scene.case, &axial(1, &[0; 4], 1)).await;
    assert!(matches!(save, Err(StoreError::NotFound(_))));
    let bin = scene.store.bin().await.unwrap();
    assert_eq!((bin.len(), &bin[0].summary.id, bin[0].deleted_by.as_str()), (1, &scene.case, "local"));

    let scene = scene.restarted().await;
    scene.store.undelete_case(&Actor::local(), &scene.case).await.unwrap();
    assert_eq!(scene.detail().await, before);
    assert!(matches!(scene.store.undelete_case(&Actor::local(), &scene.case).await, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn a_case_that_was_deleted_while_it_was_segmented_is_segmented_once_it_is_back() {
    let scene = Scene::new().await;
    let lease = scene.store.lease().await.unwrap().unwrap();
    scene.store.delete_case(&Actor::local(), &scene.case).await.unwrap();
    assert!(!scene.store.finish_presegmentation(&lease, &scene.files("late").await).await.unwrap());
    assert!(scene.store.lease().await.unwrap().is_none());
    scene.store.undelete_case(&Actor::local(), &scene.case).await.unwrap();
    assert_eq!(scene.store.lease().await.unwrap().unwrap().case, scene.case);
}

#[tokio::test]
async fn what_is_deleted_for_good_leaves_nothing() {
    let scene = Scene::presegmented().await;
    let blob = scene.store.segmentation(&scene.case, "presegmentation").await.unwrap().labels;
    let purge = async || scene.store.purge_case(&Actor::local(), &scene.case).await;
    assert!(matches!(purge().await, Err(StoreError::NotFound(_))), "only what lies in the bin");
    scene.store.delete_case(&Actor::local(), &scene.case).await.unwrap();
    purge().await.unwrap();
    assert!(scene.store.blobs().get(&blob).await.is_err());
    assert!(scene.store.bin().await.unwrap().is_empty());
    assert!(matches!(scene.store.delete_case(&Actor::local(), &scene.case).await, Err(StoreError::NotFound(_))));
}
