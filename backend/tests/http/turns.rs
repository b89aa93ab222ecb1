//! Nobody waits for all of somebody else's scans.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};

use crate::people::{asking, case_of, person};
use crate::scans::Nifti;
use crate::server::{BUNDLE, Server, eventually};

/// Scans that one person queues at once.
const MANY: usize = 60;

/// A case's latest job as its owner sees it.
fn job(server: &Server, cookie: &str, case: &str) -> Value {
    server.send("GET", &format!("/api/cases/{case}"), &[("cookie", cookie)], None).json::<Value>()["summary"]["job"]
        .clone()
}

/// How long it takes from an upload to its segmentation.
fn seconds_until_done(server: &Server, cookie: &str) -> (String, Duration) {
    let begun = Instant::now();
    let (case, _) = case_of(server, cookie);
    eventually("segmentation", || (job(server, cookie, &case)["state"] == "done").then_some(()));
    (case, begun.elapsed())
}

/// A number that the data folder's database holds about its jobs.
fn number(server: &Server, query: &'static str, case: &str) -> i64 {
    let file = SqliteConnectOptions::new().filename(server.data().join("i3deep.sqlite")).read_only(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
        sqlx::query(query).bind(case).fetch_one(&mut connection).await.unwrap().get(0)
    })
}

#[test]
fn who_queues_hundreds_of_scans_lets_the_next_person_in_after_one() {
    let (server, admin) = asking(&[]);
    let (anna, bert) = (person(&server, &admin, "anna", "annotator"), person(&server, &admin, "bert", "annotator"));
    // The first one waits until the worker is up; the second says how long one takes by itself.
    seconds_until_done(&server, &anna);
    let (_, alone) = seconds_until_done(&server, &bert);
    let scan = Nifti::generated().packed();
    for _ in 0..MANY {
        assert_eq!(server.upload_as(&[("cookie", &anna)], BUNDLE, &[&scan]).status, 201);
    }
    let begun = Instant::now();
    let (case, _) = case_of(&server, &bert);
    // Turns are counted as jobs begin: this many had begun when bert's was queued for sure.
    let before = number(&server, "SELECT max(turn) FROM jobs WHERE ?1 = ?1", &case);
    let waiting = number(&server, "SELECT count(*) FROM jobs WHERE state = 'queued' AND ?1 = ?1", &case);
    eventually("bert's segmentation", || (job(&server, &bert, &case)["state"] == "done").then_some(()));
    let took = begun.elapsed();
    let turn = number(&server, "SELECT turn FROM jobs JOIN cases ON number = case_number WHERE cases.id = ?", &case);
    println!("{waiting} scans waited; bert's was ready after {took:?}, one by itself takes {alone:?}");
    assert!(waiting > MANY as i64 / 3, "only {waiting} of {MANY} scans were still waiting; this shows nothing");
    assert!(turn <= before + 1, "turn {turn}, when {before} jobs had begun");
}

#[test]
fn what_a_scan_will_take_is_known_before_it_is_sent() {
    let server = Server::start();
    let forecast = || server.get("/api/forecast").json::<Vec<Value>>();
    assert_eq!(forecast(), Vec::<Value>::new(), "nothing has been done yet");
    server.presegmented();
    let known = forecast();
    assert_eq!((&known[0]["bundle"], &known[0]["kind"], known.len()), (&json!(BUNDLE), &json!("presegment"), 1));
    let (wait, takes) = (known[0]["wait_s"].as_f64().unwrap(), known[0]["takes_s"].as_f64().unwrap());
    assert!(wait == 0.0 && takes > 0.0 && takes < 120.0, "{known:?}");
    for _ in 0..5 {
        server.upload(BUNDLE, &[&Nifti::generated().packed()]);
    }
    let waiting = || {
        let cases = server.get("/api/cases").json::<Vec<Value>>();
        cases.iter().filter(|case| case["job"]["state"] == "queued").count() as f64
    };
    // The worker goes on meanwhile: what waits before and after, and what runs.
    let (before, now, after) = (waiting(), forecast(), waiting());
    let (wait, takes) = (now[0]["wait_s"].as_f64().unwrap(), now[0]["takes_s"].as_f64().unwrap());
    let (least, most) = (after * takes - 1e-6, (before + 1.0) * takes + 1e-6);
    assert!((least..=most).contains(&wait), "{wait} s for {before} to {after} that take {takes} s each");
}
