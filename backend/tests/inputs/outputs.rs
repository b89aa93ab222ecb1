//! No command writes over what it was given, nor one result over another: through links, other names, `.` and `..`;
//! exit 2, nothing computed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::desk::Desk;

/// Every file's bytes, by path.
fn everything(folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            everything(&path, into);
        } else {
            into.insert(path.display().to_string(), fs::read(&path).unwrap_or_default());
        }
    }
}

/// Refused with status 2, and every byte as before.
#[track_caller]
fn check(desk: &Desk, arguments: &[&str], words: &str) {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    everything(&desk.at("."), &mut before);
    desk.refused(arguments, 2, words);
    everything(&desk.at("."), &mut after);
    assert!(before == after, "{arguments:?} changed something");
}

#[test]
fn no_command_writes_over_what_it_was_given() {
    let desk = Desk::new();
    desk.done(&["presegment", "--bundle", "BUNDLE", "--image", "scan.nii.gz", "--out", "first", "--device", "cpu"]);
    symlink("scan.nii.gz", desk.at("link.nii.gz")).unwrap();
    fs::hard_link(desk.at("scan.nii.gz"), desk.at("name.nii.gz")).unwrap();
    symlink("first", desk.at("door")).unwrap();

    let refine = |more: &[&str], words: &str| {
        let given = [
            "refine",
            "--bundle",
            "BUNDLE",
            "--image",
            "scan.nii.gz",
            "--corrections",
            "labels.nii.gz",
            "--slices",
            "first/slices.json",
        ];
        check(&desk, &[&given[..], more].concat(), words);
    };
    for out in ["scan.nii.gz", "./first/../scan.nii.gz", "link.nii.gz", "name.nii.gz"] {
        refine(&["--out", out], "would be written over the scan");
    }
    refine(&["--out", "labels.nii.gz"], "would be written over the corrections");
    refine(&["--out", "door/presegmentation.nii.gz"], "would be written over the presegmentation");
    refine(&["--out", "door/uncertainty.nii.gz"], "would be written over the uncertainty");
    refine(&["--out", "r.nii.gz", "--slices-out", "door/slices.json"], "would be written over the slices");
    refine(&["--out", "r.nii.gz", "--uncertainty-out", "r.nii.gz"], "are the same file");
    refine(&["--out", "new/r.nii.gz", "--uncertainty-out", "new/sub/../r.nii.gz"], "are the same file");

    let acquire = |out: &str, words: &str| {
        let given = [
            "acquire",
            "--uncertainty",
            "first/uncertainty.nii.gz",
            "--presegmentation",
            "first/presegmentation.nii.gz",
        ];
        check(&desk, &[&given[..], &["--settled", "first/slices.json", "--out", out]].concat(), words);
    };
    acquire("door/uncertainty.nii.gz", "would be written over the uncertainty");
    acquire("first/presegmentation.nii.gz", "would be written over the presegmentation");
    acquire("first/./slices.json", "would be written over the slices");

    check(
        &desk,
        &["presegment", "--bundle", "BUNDLE", "--image", "first/presegmentation.nii.gz", "--out", "door"],
        "would be written over the scan",
    );
}

/// Arguments, and the words they are refused with.
type Wrong = (&'static [&'static str], &'static str);

/// Every command with what it may not be given: its arguments, and the words it is refused with. The desk is new for
/// each run of the table and nothing of it is ever changed. Commands that write nothing beside a server's own folder
/// have no line.
const WRONG: [(&str, &[Wrong]); 11] = [
    (
        "export",
        &[
            (&[EXPORT, "--out", "name.nii.gz"], "over the scan"),
            (&[EXPORT, "--out", "door/presegmentation.nii.gz"], "over the labels"),
        ],
    ),
    (
        "presegment",
        &[
            (&["--bundle", "BUNDLE", "--image", "first/presegmentation.nii.gz", "--out", "door"], "over the scan"),
            (&["--bundle", "bundle", "--image", "scan.nii.gz", "--out", "linked"], "over the bundle"),
            (&["--bundle", "BUNDLE", "--image", "pair.hdr", "--out", "paired"], "over the scan"),
            (&["--bundle", "BUNDLE", "--image", "scan.nii.gz", "--out", "twice"], "are the same file"),
        ],
    ),
    (
        "refine",
        &[
            (&[REFINE, "--out", "name.nii.gz"], "over the scan"),
            (&[REFINE, "--out", "r.nii.gz", "--adapted-weights-out", "r.nii.gz"], "are the same file"),
            (&[REFINE, "--out", "r.nii.gz", "--adapted-weights-out", "scan.nii.gz"], "over the scan"),
            (
                &[REFINE, "--out", "r.nii.gz", "--adapted-weights", "weights", "--adapted-weights-out", "weights"],
                "over the adapted weights",
            ),
            (&[REFINE, "--out", "weights", "--adapted-weights", "weights"], "over the adapted weights"),
        ],
    ),
    (
        "acquire",
        &[
            (&[ACQUIRE, "--out", "door/uncertainty.nii.gz"], "over the uncertainty"),
            (&[ACQUIRE, "--out", "first/presegmentation.nii.gz"], "over the presegmentation"),
            (&[ACQUIRE, "--settled", "first/slices.json", "--out", "door/../first/slices.json"], "over the slices"),
        ],
    ),
    (
        "predict",
        &[
            (&["-i", "images", "-o", "images", "-m", "NETWORK"], "over the image"),
            (&["-i", "images", "-o", "bundle/presegmentation", "-m", "bundle/presegmentation"], "over the network"),
            // An ensemble: its results, its second network, and the folder that is emptied in the end.
            (&["-i", "images", "-o", "images", "-m", "NETWORK", "bundle/presegmentation"], "over the image"),
            (
                &["-i", "images", "-o", "bundle/presegmentation", "-m", "NETWORK", "bundle/presegmentation"],
                "over the network",
            ),
            (&["-i", "sum/.ensemble/0", "-o", "sum", "-m", "NETWORK", "bundle/presegmentation"], "is emptied"),
            (&["-i", "images", "-o", "o", "-m", "NETWORK", "--postprocessing", "o/plans.json"], "over the postproc"),
        ],
    ),
    (
        "evaluate",
        &[
            (&[EVALUATE, "--images", "raw", "--labels", "truth", "--out", "measured"], "over the labels"),
            (&[EVALUATE, "--images", "raw", "--labels", "truth", "--out", "mixed"], "over the scan"),
            (&[EVALUATE, "--images", "raw", "--labels", "truth", "--out", "tangled"], "are the same file"),
        ],
    ),
    (
        "learn",
        &[
            (&["--bundle", "BUNDLE", "--images", "raw", "--labels", "truth", "-o", "first"], "exists already"),
            (&["--bundle", "BUNDLE", "--images", "raw", "--labels", "truth", "-o", "dangling"], "exists already"),
        ],
    ),
    (
        "dataset",
        &[
            (&["--data", "first", "--bundle", "BUNDLE", "-o", "truth"], "exists already"),
            (&["--data", "first", "--bundle", "BUNDLE", "-o", "dangling"], "exists already"),
            (&["--data", "first", "--bundle", "BUNDLE", "-o", "door/new"], "would lie in the data folder"),
            (&["--data", "first", "--bundle", "bundle", "-o", "linked/../bundle/new"], "would lie in the bundle"),
        ],
    ),
    (
        "phantom",
        &[(&["--cases", "2", "--out", "generated"], "are the same file"), (&["--out", "real"], "that of other scans")],
    ),
    (
        "bundle",
        &[
            (&["create", "--presegmentation", "NETWORK", "-o", "first"], "exists already"),
            (&["create", "--presegmentation", "NETWORK", "-o", "dangling"], "exists already"),
            (
                &[
                    "create",
                    "--presegmentation",
                    "bundle/presegmentation",
                    "-o",
                    "linked/../bundle/presegmentation/new",
                ],
                "would lie in",
            ),
            (&["install", "model.zip", "--models", ".", "--name", "model.zip"], "exists already"),
            (&["install", "model.zip", "--models", ".", "--name", "first"], "exists already"),
        ],
    ),
    (
        "backup",
        &[
            (&["--data", "first", "--out", "door"], "--out door is --data first"),
            (&["--data", "first", "--out", "door/backup"], "lies in --data first"),
            (&["--data", "first/data", "--out", "first"], "holds --data first/data"),
        ],
    ),
];

/// The first arguments of `refine`, `acquire`, `export` and `evaluate`.
const REFINE: &str = "--bundle BUNDLE --image scan.nii.gz --corrections labels.nii.gz --slices first/slices.json";
const ACQUIRE: &str = "--uncertainty first/uncertainty.nii.gz --presegmentation first/presegmentation.nii.gz";
const EXPORT: &str = "--bundle BUNDLE --image scan.nii.gz --labels first/presegmentation.nii.gz";
const EVALUATE: &str = "--bundle BUNDLE --strategies greedy";

/// Commands that read, or write a folder that is theirs alone: a server's data, or a word on the screen.
const WRITES_NOTHING: [&str; 7] = ["serve", "send", "doctor", "verify", "audit", "quarantine", "help"];

/// A desk with links from outputs to inputs.
fn tangled() -> Desk {
    let desk = Desk::new();
    desk.done(&["acquire", "--uncertainty", "labels.nii.gz", "--presegmentation", "labels.nii.gz", "--out", "s.json"]);
    for folder in
        ["first/data", "bundle", "linked", "paired", "twice", "images", "sum/.ensemble/0", "o", "raw", "truth", "real"]
    {
        fs::create_dir_all(desk.at(folder)).unwrap();
    }
    let copies = [
        ("labels.nii.gz", "first/presegmentation.nii.gz"),
        ("labels.nii.gz", "first/uncertainty.nii.gz"),
        ("s.json", "first/slices.json"),
        ("scan.nii.gz", "pair.hdr"),
        ("scan.nii.gz", "pair.img"),
        ("scan.nii.gz", "images/a_0000_0000.nii.gz"),
        ("scan.nii.gz", "images/a_0000.nii.gz"),
        ("scan.nii.gz", "sum/.ensemble/0/a_0000.nii.gz"),
        ("scan.nii.gz", "raw/a_0000.nii.gz"),
        ("labels.nii.gz", "truth/a.nii.gz"),
        ("scan.nii.gz", "weights"),
        ("scan.nii.gz", "model.zip"),
        ("s.json", "real/dataset.json"),
    ];
    for (from, to) in copies {
        fs::copy(desk.at(from), desk.at(to)).unwrap();
    }
    fs::hard_link(desk.at("scan.nii.gz"), desk.at("name.nii.gz")).unwrap();
    for folder in ["measured", "mixed", "tangled"] {
        fs::create_dir_all(desk.at(folder).join("cases/a")).unwrap();
    }
    fs::create_dir_all(desk.at("generated/labelsTr")).unwrap();
    let network = crate::desk::bundle().join("presegmentation");
    let copied = std::process::Command::new("cp").arg("-r").arg(network).arg(desk.at("copied")).status().unwrap();
    assert!(copied.success());
    let links = [
        ("first", "door"),
        ("nowhere", "dangling"),
        ("../copied", "bundle/presegmentation"),
        ("../copied/plans.json", "linked/slices.json"),
        ("../pair.img", "paired/uncertainty.nii.gz"),
        ("slices.json", "twice/presegmentation.nii.gz"),
        ("../copied/plans.json", "o/plans.json"),
        ("../../../truth/a.nii.gz", "measured/cases/a/presegmentation.nii.gz"),
        ("../raw/a_0000.nii.gz", "mixed/summary.json"),
        ("summary.csv", "tangled/report.html"),
        ("labelsTr", "generated/imagesTr"),
        ("phantom_001.nii.gz", "generated/labelsTr/phantom_002_0000.nii.gz"),
    ];
    for (to, from) in links {
        symlink(to, desk.at(from)).unwrap();
    }
    desk
}

#[test]
fn every_command_is_refused_what_would_be_written_over() {
    let desk = tangled();
    let (_, help) = desk.run_loud(&["--help"]);
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"presegment"), "{help}");
    let known = |command: &&str| {
        *command == "restore" || WRITES_NOTHING.contains(command) || WRONG.iter().any(|(name, _)| name == command)
    };
    let unknown: Vec<&&str> = commands.iter().filter(|command| !known(command)).collect();
    assert!(unknown.is_empty(), "{unknown:?} have no line: what do they read and write?");

    for (command, wrong) in WRONG {
        for (arguments, words) in wrong {
            let words_of = |argument: &&'static str| match *argument {
                EXPORT | REFINE | ACQUIRE | EVALUATE => argument.split(' ').collect::<Vec<_>>(),
                other => vec![other],
            };
            let all: Vec<&str> = std::iter::once(command).chain(arguments.iter().flat_map(words_of)).collect();
            check(&desk, &all, words);
        }
    }
    check(&desk, &["restore", "--from", "first", "--data", "door/data"], "holds --data");
    check(&desk, &["restore", "--from", "first/data", "--data", "door"], "lies in --data");
    check(&desk, &["serve", "--data", "bundle/data", "--models", "bundle"], "lies in --models");
}

#[test]
fn predict_writes_over_no_image_and_no_network() {
    let desk = Desk::new();
    // The result of case `a` would be the image of case `a_0000`'s only channel … of a case named as an image is.
    fs::create_dir(desk.at("images")).unwrap();
    fs::copy(desk.at("scan.nii.gz"), desk.at("images/a_0000_0000.nii.gz")).unwrap();
    fs::copy(desk.at("scan.nii.gz"), desk.at("images/a_0000.nii.gz")).unwrap();
    check(&desk, &["predict", "-i", "images", "-o", "images", "-m", "NETWORK"], "would be written over the image");
    symlink("images", desk.at("out")).unwrap();
    check(&desk, &["predict", "-i", "images", "-o", "out", "-m", "NETWORK"], "would be written over the image");
    let network = crate::desk::bundle().join("presegmentation");
    assert!(
        std::process::Command::new("cp").arg("-r").arg(network).arg(desk.at("network")).status().unwrap().success()
    );
    check(&desk, &["predict", "-i", "images", "-o", "network", "-m", "./network"], "would be written over the network");
}
