//! Data folders that do not fit together: nothing is deleted, each is named.

use std::fs;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::*;

/// All files of a folder by name and content, but for what only says that a server was there.
fn content(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(content(&path));
        } else if !path.ends_with("lock") && !path.to_string_lossy().ends_with("-shm") {
            // The last connection may still be folding its log in.
            let Ok(bytes) = fs::read(&path) else { continue };
            all.insert(path, bytes);
        }
    }
    all
}

/// The data folder of a case with a correction, its server having died; and a copy of its database from before the
/// correction.
async fn folder() -> (TempDir, PathBuf) {
    let scene = Scene::presegmented().await;
    scene.store.fold_log().await.unwrap();
    let earlier = scene.folder.path().with_extension("earlier");
    fs::copy(scene.folder.path().join("i3deep.sqlite"), &earlier).unwrap();
    scene.store.save_correction(&Actor::local(), &scene.case, &axial(1, &[1; 4], 0)).await.unwrap();
    scene.store.write_mark().await.unwrap();
    (scene.stopped().await.0, earlier)
}

/// After `change`, a start says `expected` and leaves everything as it is.
async fn check(change: impl Fn(&Path, &Path), expected: &str) {
    let (folder, earlier) = folder().await;
    change(folder.path(), &earlier);
    fs::remove_file(earlier).unwrap();
    let blobs = content(&folder.path().join("blobs"));
    let before = content(folder.path());
    let error = Store::open(folder.path(), Opening::Checked).await.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert!(error.contains("What to do: "), "{error}");
    let after = content(folder.path());
    let gone: Vec<_> = before.keys().filter(|file| !after.contains_key(*file)).collect();
    assert!(gone.is_empty(), "{expected}: {gone:?}");
    assert_eq!(content(&folder.path().join("blobs")), blobs, "{expected}");
}

#[tokio::test]
async fn a_start_refuses_what_does_not_fit_together_and_deletes_nothing() {
    let database = |folder: &Path| folder.join("i3deep.sqlite");
    check(|folder, _| fs::remove_file(database(folder)).unwrap(), "the database i3deep.sqlite is missing, but").await;
    check(
        |folder, earlier| assert!(fs::copy(earlier, database(folder)).unwrap() > 0),
        "the database i3deep.sqlite is older than this folder: it lacks the last 1 changes",
    )
    .await;
    check(|folder, _| fs::write(database(folder), "").unwrap(), "the database i3deep.sqlite is older than this folder")
        .await;
    check(
        |folder, _| {
            let file = fs::File::options().write(true).open(database(folder)).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        },
        "the database i3deep.sqlite is damaged",
    )
    .await;
    check(
        |folder, _| {
            let mut bytes = fs::read(database(folder)).unwrap();
            bytes[4096..3 * 4096].fill(0xa5);
            fs::write(database(folder), bytes).unwrap();
        },
        "the database i3deep.sqlite is damaged",
    )
    .await;
    check(|folder, _| fs::write(database(folder), [7; 8192]).unwrap(), "the database i3deep.sqlite is damaged").await;
    check(
        |folder, _| {
            let blob = folder::files(&folder.join("blobs")).unwrap()[0].clone();
            fs::remove_file(blob).unwrap();
        },
        "volumes that the database names are missing from blobs/",
    )
    .await;
}

#[tokio::test]
async fn a_database_whose_log_is_gone_is_refused() {
    let scene = Scene::presegmented().await;
    scene.store.write_mark().await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    // As the disk is when the server is killed: nothing has been folded into the database.
    assert!(
        std::process::Command::new("cp")
            .arg("-r")
            .arg(scene.folder.path())
            .arg(copy.path().join("data"))
            .status()
            .unwrap()
            .success()
    );
    let data = copy.path().join("data");
    fs::remove_file(data.join("i3deep.sqlite-wal")).unwrap();
    let _ = fs::remove_file(data.join("i3deep.sqlite-shm"));
    let blobs = content(&data.join("blobs"));
    let error = Store::open(&data, Opening::Checked).await.unwrap_err().to_string();
    assert!(error.contains("its log i3deep.sqlite-wal is missing"), "{error}");
    assert_eq!(content(&data.join("blobs")), blobs);
}

#[tokio::test]
async fn an_operator_may_go_on_and_what_is_not_known_goes_to_quarantine() {
    let (folder, earlier) = folder().await;
    fs::copy(earlier, folder.path().join("i3deep.sqlite")).unwrap();
    let stray = folder.path().join("blobs/ab").join("ab".repeat(32));
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    fs::write(&stray, "a volume that only the lost database knew").unwrap();
    let store = Store::open(folder.path(), Opening::AsItIs).await.unwrap();
    let case = store.cases().await.unwrap()[0].id.clone();
    assert_eq!(store.corrections(&case).await.unwrap(), []);
    assert!(!stray.exists());
    let kept = content(&folder.path().join("quarantine"));
    assert_eq!(kept.into_values().collect::<Vec<_>>(), [b"a volume that only the lost database knew".to_vec()]);
    drop(store);
    assert!(Store::open(folder.path(), Opening::Checked).await.is_ok(), "once is enough");
}

#[tokio::test]
async fn a_folder_of_other_things_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("work/thesis")).unwrap();
    fs::write(folder.path().join("letter.txt"), "").unwrap();
    let error = Store::open(folder.path(), Opening::Checked).await.unwrap_err().to_string();
    assert!(error.contains("holds something that is not i3Deep's (letter.txt)"), "{error}");
    assert!(folder.path().join("work/thesis").is_dir());
}

#[tokio::test]
async fn a_damaged_volume_heals_when_it_comes_again() {
    let scene = Scene::new().await;
    let blob = scene.store.blobs().put("truth").await.unwrap();
    fs::write(scene.store.blobs().path(&blob), "lies!").unwrap();
    assert_eq!(scene.store.blobs().put("truth").await.unwrap(), blob);
    assert_eq!(scene.store.blobs().get(&blob).await.unwrap(), "truth");
    assert_eq!(content(&scene.folder.path().join("quarantine")).into_values().collect::<Vec<_>>(), [b"lies!".to_vec()]);
}

#[tokio::test]
async fn a_job_that_takes_servers_down_is_not_tried_for_ever() {
    let mut scene = Scene::new().await;
    for expected in [JobState::Queued, JobState::Queued, JobState::Failed] {
        scene.store.lease().await.unwrap().unwrap();
        scene = scene.restarted().await;
        assert_eq!(scene.job_state().await, expected);
    }
    let message = scene.summary().await.job.unwrap().message;
    assert!(message.starts_with("the server stopped three times while it worked on this"), "{message}");
}

#[tokio::test]
async fn a_server_that_ends_well_is_no_death() {
    let mut scene = Scene::new().await;
    for _ in 0..4 {
        scene.store.lease().await.unwrap().unwrap();
        scene.store.close().await.unwrap();
        let Scene { folder, store, case } = scene;
        drop(store);
        assert!(!folder.path().join("i3deep.sqlite-wal").exists(), "the log is folded into the database");
        scene = Scene { store: Store::open(folder.path(), Opening::Checked).await.unwrap(), folder, case };
        assert_eq!(scene.job_state().await, JobState::Queued);
    }
}

#[tokio::test]
async fn yesterdays_backup_over_today_and_back() {
    let scene = Scene::presegmented().await;
    let backups = tempfile::tempdir().unwrap();
    let at = |name: &str| backups.path().join(name);
    let save = async |store: &Store, label: u8, base: u64| {
        store.save_correction(&Actor::local(), &scene.case, &axial(1, &[label; 4], base)).await
    };
    save(&scene.store, 1, 0).await.unwrap();
    let yesterday = backup(scene.folder.path(), &at("yesterday")).await.unwrap();
    save(&scene.store, 0, 1).await.unwrap();
    let today = backup(scene.folder.path(), &at("today")).await.unwrap();
    // The slice's new version, and the record of who saved it.
    assert_eq!((today.rows - yesterday.rows, today.volumes), (2, yesterday.volumes));
    assert!(matches!(restore(&at("yesterday"), scene.folder.path()).await, Err(StoreError::InUse(_))));
    let (case, (folder, _)) = (scene.case.clone(), scene.stopped().await);

    assert_eq!(restore(&at("yesterday"), folder.path()).await.unwrap(), yesterday);
    let store = Store::open(folder.path(), Opening::Checked).await.unwrap();
    let restored = store.corrections(&case).await.unwrap();
    assert!(restored[0].says_the_same(&axial(1, &[1; 4], 0)));
    let latest = restored[0].revision;
    let saved = store.save_correction(&Actor::local(), &case, &axial(1, &[0, 0, 1, 1], latest)).await.unwrap();
    // A window that still shows what was lost is based on revisions that were given again otherwise.
    for base in [1, 2] {
        let unseen = store.save_correction(&Actor::local(), &case, &axial(1, &[0; 4], base)).await;
        assert!(matches!(unseen, Err(StoreError::Stale { .. })), "{base}");
    }
    assert_eq!(store.corrections(&case).await.unwrap(), [saved]);
    store.readers.close().await;
    store.writer.close().await;
    drop(store);

    restore(&at("today"), folder.path()).await.unwrap();
    let store = Store::open(folder.path(), Opening::Checked).await.unwrap();
    assert!(store.corrections(&case).await.unwrap()[0].says_the_same(&axial(1, &[0; 4], 0)));
    assert_eq!(verify(folder.path()).await.unwrap().problems, [""; 0]);
}

#[tokio::test]
async fn a_folder_is_backed_up_before_a_new_program_brings_it_up_to_date() {
    let (folder, earlier) = folder().await;
    fs::remove_file(earlier).unwrap();
    let database = SqliteConnectOptions::new().filename(folder.path().join("i3deep.sqlite"));
    let mut connection = database.connect().await.unwrap();
    for undo in [
        "ALTER TABLE segmentations DROP COLUMN uncertainty",
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)",
    ] {
        sqlx::query(undo).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let backups = tempfile::tempdir().unwrap();
    let made = backup(folder.path(), &backups.path().join("backup")).await.unwrap();
    assert_eq!(verify(folder.path()).await.unwrap().problems, [""; 0]);
    assert_eq!(restore(&backups.path().join("backup"), folder.path()).await.unwrap(), made);
    assert!(Store::open(folder.path(), Opening::Checked).await.is_ok());
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_changes_nothing() {
    let scene = Scene::presegmented().await;
    let backups = tempfile::tempdir().unwrap();
    let from = backups.path().join("backup");
    backup(scene.folder.path(), &from).await.unwrap();
    let volume = folder::files(&from.join("blobs")).unwrap()[0].clone();
    fs::write(volume, "flipped").unwrap();
    let (folder, _) = scene.stopped().await;
    let before = content(folder.path());
    let error = restore(&from, folder.path()).await.unwrap_err().to_string();
    assert!(error.contains("the backup is damaged in 1 places: the volume"), "{error}");
    assert_eq!(content(folder.path()), before);
}

#[tokio::test]
async fn verify_names_what_is_wrong() {
    let scene = Scene::presegmented().await;
    let path = scene.folder.path();
    assert_eq!(verify(path).await.unwrap().problems, [""; 0]);
    let files = folder::files(&path.join("blobs")).unwrap();
    fs::write(&files[0], "flipped").unwrap();
    fs::remove_file(&files[1]).unwrap();
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let problems = verify(path).await.unwrap().problems;
    let expected = [
        format!("the volume {} is damaged: its content has another digest", names[0]),
        format!("the volume {} is missing", names[1]),
    ];
    assert_eq!(problems, expected);
}

#[tokio::test]
async fn a_job_that_cannot_be_begun_stands_in_nobodys_way() {
    let scene = Scene::presegmented().await;
    scene.store.save_correction(&Actor::local(), &scene.case, &axial(1, &[1; 4], 0)).await.unwrap();
    scene.store.request_refinement(&Actor::local(), &scene.case, None).await.unwrap();
    let mut change = scene.store.change().await.unwrap();
    sqlx::query("UPDATE jobs SET corrections = '[{' WHERE kind = 'refine'").execute(&mut *change).await.unwrap();
    change.commit().await.unwrap();
    let other = scene.store.create_case(&Actor::local(), &new_case()).await.unwrap().id;
    assert_eq!(scene.store.lease().await.unwrap().unwrap().case, other);
    let job = scene.summary().await.job.unwrap();
    assert_eq!(job.state, JobState::Failed);
    assert!(job.message.starts_with("a stored record cannot be read"), "{}", job.message);
}
