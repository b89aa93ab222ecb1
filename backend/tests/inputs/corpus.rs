//! Some hundred files that are damaged, or odd, in one place each, through one `i3deep look`, the process that opens
//! what others bring: it answers each in words and in time, takes little memory, and is the same process at the end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::desk::{Fields, bundle};

const DIMS: [usize; 3] = [24, 20, 16];
/// Seconds of the processor's time that any file may take.
const LIMIT_S: f64 = 2.0;
/// What a file of a few thousand voxels may take beyond what the process has at rest.
const LIMIT_MIB: u64 = 64;

/// Files by name.
fn corpus() -> BTreeMap<String, Vec<u8>> {
    let mut random = Pcg64::seed_from_u64(14);
    let voxels: Vec<f32> = (0..DIMS.iter().product()).map(|_| random.random_range(0.0..100.0_f32).round()).collect();
    let plain = Fields::plain(DIMS, [1.0, 1.0, 1.5]).floats(&voxels);
    let mut files = BTreeMap::new();
    let mut add = |name: String, bytes: Vec<u8>| assert!(files.insert(name.clone(), bytes).is_none(), "{name} twice");
    add("plain.nii".to_owned(), plain.clone());
    // A field at a time, by its place in nifti1.h.
    for (field, at, values) in fields() {
        for (number, value) in values.iter().enumerate() {
            let mut bytes = plain.clone();
            bytes[at..at + value.len()].copy_from_slice(value);
            add(format!("{field}-{number}.nii"), bytes);
        }
    }
    for length in [0, 1, 2, 4, 40, 100, 347, 348, 351, 352, 353, 1000, plain.len() - 1] {
        add(format!("cut-{length}.nii"), plain[..length].to_vec());
    }
    let packed = packed(&plain);
    for share in 0..12 {
        add(format!("cut-{share}.nii.gz"), packed[..packed.len() * share / 12].to_vec());
    }
    for number in 0..24 {
        let mut bytes = packed.clone();
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 1 << random.random_range(0..8);
        add(format!("flipped-{number}.nii.gz"), bytes);
    }
    for number in 0..16 {
        let mut bytes = plain.clone();
        for _ in 0..8 {
            bytes[random.random_range(0..352)] = random.random();
        }
        add(format!("noise-{number}.nii"), bytes);
    }
    let noise = |random: &mut Pcg64, length: usize| (0..length).map(|_| random.random()).collect::<Vec<u8>>();
    for length in [1, 348, 540, 5000] {
        let bytes = noise(&mut random, length);
        add(format!("random-{length}.nii"), bytes);
    }
    add("bomb.nii.gz".to_owned(), self::packed(&[&plain[..], &vec![0_u8; 64 << 20]].concat()));
    let mut large = plain[..352].to_vec();
    (1..4).for_each(|axis| large[40 + 2 * axis..42 + 2 * axis].copy_from_slice(&512_i16.to_le_bytes()));
    add("claims-512.nii.gz".to_owned(), self::packed(&large));
    add("packed-twice.nii.gz".to_owned(), self::packed(&packed));
    add("packed-by-name-alone.nii.gz".to_owned(), plain.clone());
    add("text.nii".to_owned(), b"This is no image.".to_vec());
    add("png.nii".to_owned(), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec());
    add("zip.nii".to_owned(), b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec());
    for (number, header) in texts().into_iter().enumerate() {
        let (name, head) = header;
        add(format!("{number}-{name}"), [head.as_bytes(), &[7; 4 * 60]].concat());
    }
    files
}

/// Fields of the header, where they lie, and values that are odd or wrong.
fn fields() -> Vec<(String, usize, Vec<Vec<u8>>)> {
    let shorts = |values: &[i16]| values.iter().map(|value| value.to_le_bytes().to_vec()).collect::<Vec<_>>();
    let floats = |values: &[f32]| values.iter().map(|value| value.to_le_bytes().to_vec()).collect::<Vec<_>>();
    let mut all = Vec::new();
    for axis in 0..8 {
        all.push((format!("dim{axis}"), 40 + 2 * axis, shorts(&[0, -1, 2, 32767, -32768])));
        let odd = [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-30, 1e30];
        all.push((format!("pixdim{axis}"), 76 + 4 * axis, floats(&odd)));
    }
    all.push(("datatype".into(), 70, shorts(&[0, 1, 2, 4, 8, 64, 128, 256, 1024, 1536, 2304, 9999, -1])));
    all.push(("bitpix".into(), 72, shorts(&[0, 1, 8, -8, 32767])));
    let offsets = [0.0, -8.0, 351.0, 353.0, 300.5, 1e9, 1e18, f32::MAX, f32::NAN, f32::INFINITY];
    all.push(("offset".into(), 108, floats(&offsets)));
    for (name, at) in [("slope", 112), ("intercept", 116)] {
        all.push((name.into(), at, floats(&[0.0, -2.0, 1e38, -1e38, f32::NAN, f32::INFINITY])));
    }
    for (name, at) in [("qform", 252), ("sform", 254)] {
        all.push((name.into(), at, shorts(&[0, 2, 4, 5, -1, 999])));
    }
    for number in 0..6 {
        all.push((format!("quatern{number}"), 256 + 4 * number, floats(&[0.6, 2.0, f32::NAN, f32::INFINITY])));
    }
    for number in 0..12 {
        all.push((format!("srow{number}"), 280 + 4 * number, floats(&[0.0, 1e30, f32::NAN, f32::INFINITY])));
    }
    all.push(("units".into(), 123, (0..=255).step_by(37).map(|value| vec![value]).collect()));
    all.push(("magic".into(), 344, [*b"n+1x", *b"n+2\0", *b"ni1\0", *b"\0\0\0\0", *b"ANA\0"].map(Vec::from).to_vec()));
    let sizes = [0_i32, 349, 540, -1, 0x5c01_0000, i32::MAX];
    all.push(("sizeof".into(), 0, sizes.iter().map(|value| value.to_le_bytes().to_vec()).collect()));
    all
}

/// Headers of other formats that say too little, too much, or lead elsewhere; 60 floats follow each.
fn texts() -> Vec<(&'static str, String)> {
    let nrrd = |more: &str| format!("NRRD0004\ntype: float\ndimension: 3\nsizes: 5 4 3\nencoding: raw\n{more}\n");
    let meta = |more: &str| {
        format!(
            "ObjectType = Image\nNDims = 3\nDimSize = 5 4 3\n{more}ElementType = MET_FLOAT\nElementDataFile = LOCAL\n"
        )
    };
    vec![
        ("plain.nrrd", nrrd("endian: little\n")),
        ("no-endian.nrrd", nrrd("")),
        ("elsewhere.nrrd", nrrd("endian: little\ndata file: /etc/passwd\n")),
        ("above.nrrd", nrrd("endian: little\ndata file: ../../secret.raw\n")),
        ("skip.nrrd", nrrd("endian: little\nbyte skip: 99999999999\n")),
        ("huge.nrrd", nrrd("endian: little\n").replace("5 4 3", "99999 99999 99999")),
        ("negative.nrrd", nrrd("endian: little\n").replace("5 4 3", "-5 4 3")),
        ("many.nrrd", nrrd("endian: little\n").replace("dimension: 3", "dimension: 999999999")),
        ("nan.nrrd", nrrd("endian: little\nspace: LPS\nspace directions: (nan,0,0) (0,1,0) (0,0,1)\n")),
        ("flat.nrrd", nrrd("endian: little\nspace: LPS\nspace directions: (1,0,0) (1,0,0) (0,0,1)\n")),
        ("gzip.nrrd", nrrd("endian: little\n").replace("raw", "gzip")),
        ("hex.nrrd", nrrd("endian: little\n").replace("raw", "hex")),
        ("plain.mha", meta("")),
        ("elsewhere.mha", meta("").replace("LOCAL", "/etc/passwd")),
        ("list.mha", meta("").replace("LOCAL", "LIST")),
        ("huge.mha", meta("").replace("5 4 3", "99999 99999 99999")),
        ("packed.mha", meta("CompressedData = True\nCompressedDataSize = 18446744073709551615\n")),
        ("skewed.mha", meta("TransformMatrix = 1 0 0 1 0 0 0 0 1\n")),
        ("spacing.mha", meta("ElementSpacing = 0 inf nan\n")),
        ("channels.mha", meta("ElementNumberOfChannels = 4294967295\n")),
    ]
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The corpus in a folder, and what is answered to each file.
struct Looked {
    work: TempDir,
    answers: BTreeMap<String, Value>,
    slowest: (f64, String),
    grown_mib: u64,
}

impl Looked {
    fn through() -> Self {
        let work = tempfile::tempdir().unwrap();
        let corpus = corpus();
        let models = bundle().parent().unwrap().canonicalize().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_i3deep"))
            .arg("look")
            .arg("--models")
            .arg(models)
            .arg("--work")
            .arg(work.path().canonicalize().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut input, process) = (child.stdin.take().unwrap(), PathBuf::from(format!("/proc/{}", child.id())));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut answers, mut slowest, mut before_mib) = (BTreeMap::new(), (0.0, String::new()), None);
        for (name, bytes) in &corpus {
            let folder = work.path().join(format!("of-{name}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(name), bytes).unwrap();
            let asked = json!({ "ask": "scan", "folder": format!("of-{name}"), "files": [name], "bundle": "phantom",
                                "kept": "nothing" });
            let begun = processor_s(&process);
            writeln!(input, "{asked}").unwrap();
            let line = lines.next().unwrap_or_else(|| panic!("{name} has ended the process")).unwrap();
            let took = processor_s(&process) - begun;
            if took > slowest.0 {
                slowest = (took, name.clone());
            }
            before_mib.get_or_insert_with(|| peak_mib(&process));
            answers.insert(name.clone(), serde_json::from_str(&line).unwrap());
        }
        let grown_mib = peak_mib(&process) - before_mib.unwrap();
        drop(input);
        assert!(child.wait().unwrap().success(), "the process has not ended well");
        Self { work, answers, slowest, grown_mib }
    }

    fn taken(&self) -> impl Iterator<Item = &String> {
        self.answers.iter().filter(|(_, answer)| answer["say"] == "looked").map(|(name, _)| name)
    }
}

/// Seconds that the processor has worked for a process (proc(5): fields 14 and 15 of `stat`, in hundredths).
fn processor_s(process: &Path) -> f64 {
    let stat = fs::read_to_string(process.join("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The most that a process has held.
fn peak_mib(process: &Path) -> u64 {
    let status = fs::read_to_string(process.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn every_file_is_answered_in_words_and_in_time() {
    let looked = Looked::through();
    let taken = looked.taken().count();
    println!(
        "{} files, {taken} taken; slowest {:.2} s of the processor ({}), {} MiB more at the most",
        looked.answers.len(),
        looked.slowest.0,
        looked.slowest.1,
        looked.grown_mib
    );
    assert!(looked.answers.len() >= 250, "{} files", looked.answers.len());
    assert!(looked.answers["plain.nii"]["say"] == "looked", "{}", looked.answers["plain.nii"]);
    assert!(taken >= 20 && taken < looked.answers.len() - 100, "{taken} taken");
    for (name, answer) in looked.answers.iter().filter(|(_, answer)| answer["say"] != "looked") {
        let message = answer["message"].as_str().unwrap();
        assert!(answer["say"] == "refused" && message.len() > 15 && !message.contains("panicked"), "{name}: {answer}");
        assert!(["scan", "size"].contains(&answer["fault"].as_str().unwrap()), "{name}: {answer}");
        assert!(
            !message.contains("root:") && !message.contains(looked.work.path().to_str().unwrap()),
            "{name}: {answer}"
        );
    }
    assert!(looked.slowest.0 < LIMIT_S, "{} takes {} s", looked.slowest.1, looked.slowest.0);
    assert!(looked.grown_mib < LIMIT_MIB, "{} MiB more", looked.grown_mib);
}
