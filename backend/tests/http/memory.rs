//! What a file may take of the machine's memory: one that is refused hardly any, one that is taken four times what its
//! voxels are. Measured as the most that the real processes ever held.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::scans::Nifti;
use crate::server::{BUNDLE, Server, eventually, memory_kib};

const MIB: u64 = 1 << 20;

/// A file whose header says this, with so many bytes of voxels.
struct File {
    dims: [i16; 3],
    /// NIfTI's number of the voxels' type.
    datatype: i16,
    spacing_mm: f32,
    /// What the header says.
    offset: f32,
    voxel_bytes: usize,
}

impl File {
    fn packed(&self) -> Vec<u8> {
        let mut header = Nifti { voxels: Vec::new(), ..Nifti::generated() }.plain();
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        for (axis, (extent, row)) in self.dims.iter().zip(0..3).enumerate() {
            put(42 + 2 * axis, &extent.to_le_bytes());
            put(80 + 4 * axis, &self.spacing_mm.to_le_bytes());
            put(280 + 16 * row + 4 * row, &self.spacing_mm.to_le_bytes());
        }
        put(70, &self.datatype.to_le_bytes());
        put(108, &self.offset.to_le_bytes());
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&header).unwrap();
        // Any two planes that lie one above the other differ.
        let piece: Vec<u8> = (0..1_u32 << 16).map(|at| (at.wrapping_mul(2_654_435_761) >> 27) as u8).collect();
        let mut left = self.voxel_bytes;
        while left > 0 {
            let n = left.min(piece.len());
            encoder.write_all(&piece[..n]).unwrap();
            left -= n;
        }
        encoder.finish().unwrap()
    }
}

/// The server and what looks scans through for it, before a file and at the worst moment since.
struct Watched<'a> {
    server: &'a Server,
    looker: String,
    before_kib: [u64; 2],
}

impl<'a> Watched<'a> {
    /// Forgets what was held so far.
    fn begin(server: &'a Server) -> Self {
        let looker = server.children("look").pop().expect("nothing looks scans through");
        let held = |process: &str| {
            std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
            memory_kib(process, "VmHWM:")
        };
        let before_kib = [held(&server.id().to_string()), held(&looker)];
        Self { server, looker, before_kib }
    }

    /// MiB that the server, and what looks scans through, held more than before.
    fn more_mib(&self) -> [u64; 2] {
        let now = [memory_kib(self.server.id(), "VmHWM:"), memory_kib(&self.looker, "VmHWM:")];
        [0, 1].map(|which| now[which].saturating_sub(self.before_kib[which]).div_ceil(1024))
    }
}

/// A server that has looked a scan through already.
fn server() -> Server {
    let server = Server::start();
    server.upload(BUNDLE, &[&Nifti::generated().packed()]);
    server
}

#[test]
fn a_refused_file_takes_hardly_any_memory() {
    let server = server();
    let file = File { dims: [64; 3], datatype: 4, spacing_mm: 1.0, offset: 352.0, voxel_bytes: 64 * 64 * 64 * 2 };
    let check = |name: &str, file: &File, says: &str, looker_mib: u64| {
        let watched = Watched::begin(&server);
        let answer = server.upload(BUNDLE, &[&file.packed()]);
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!([413, 422].contains(&answer.status) && said.contains(says), "{name}: {} {said}", answer.status);
        let [server_mib, more_mib] = watched.more_mib();
        println!("{name}: the server held {server_mib} MiB more, what looks scans through {more_mib} MiB");
        assert!(server_mib < 64, "{name}: the server held {server_mib} MiB more");
        assert!(more_mib < looker_mib, "{name}: what looks scans through held {more_mib} MiB more");
    };
    check("voxels that begin at 3 GiB", &File { offset: 3e9, voxel_bytes: 64 << 20, ..file }, "vox_offset", 64);
    check("voxels behind the end", &File { offset: 6e7, ..file }, "behind its end", 64);
    check("billions of voxels", &File { dims: [2048; 3], ..file }, "which is the limit", 64);
    check("much behind the voxels", &File { voxel_bytes: 256 << 20, ..file }, "stand behind the voxels", 64);
    check("micrometres", &File { spacing_mm: 1000.0, ..file }, "micrometres", 64);
    // Whether it is whole is known once everything that is there has been read: 4 bytes for each voxel are needed.
    let half = File { dims: [512, 512, 128], datatype: 2, voxel_bytes: 512 * 512 * 64, ..file };
    check("half a scan", &half, "the file is cut off", 4 * 32 + 64);
}

#[test]
fn a_scan_takes_at_most_four_times_its_voxels() {
    let server = server();
    let check = |name: &str, dims: [i16; 3], datatype: i16, size: u64| {
        let voxels = dims.map(|n| n as u64).iter().product::<u64>();
        let file = File { dims, datatype, spacing_mm: 1.0, offset: 352.0, voxel_bytes: (voxels * size) as usize };
        let packed = file.packed();
        let watched = Watched::begin(&server);
        let answer = server.upload(BUNDLE, &[&packed]);
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        let [server_mib, more_mib] = watched.more_mib();
        let job = &answer.json::<Value>()["job"]["id"];
        server.request("POST", &format!("/api/jobs/{job}/cancel"), &[]);
        let mib = voxels * size / MIB;
        println!("{name}, {mib} MiB of voxels: server {server_mib} MiB more, what looks scans through {more_mib} MiB");
        assert!(server_mib < 64, "{name}: the server held {server_mib} MiB more");
        assert!(server_mib + more_mib <= 4 * mib, "{name}: {server_mib} MiB and {more_mib} MiB more, of {mib} MiB");
    };
    check("int16", [256, 256, 256], 4, 2);
    check("float32", [256, 256, 128], 16, 4);
}

/// MiB of a process that nobody shares (proc(5), `smaps_rollup`).
fn private_mib(process: &str) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let of = |name: &str| rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kib = |name: &str| of(name).trim().trim_end_matches(" kB").parse::<u64>().unwrap();
    (kib("Private_Clean:") + kib("Private_Dirty:")) / 1024
}

/// Whether libtorch is mapped into a process (proc(5), `maps`).
fn holds_libtorch(process: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default().contains("/libtorch")
}

#[test]
fn libtorch_is_in_the_worker_alone() {
    let server = server();
    // Built without networks, there is none in it either. One that has just been started maps it yet.
    let is_up = |worker: &String| holds_libtorch(worker) || !cfg!(feature = "torch");
    let worker = eventually("worker with libtorch", || server.workers().into_iter().find(is_up));
    let looker = eventually("process that looks scans through", || server.children("look").pop());
    let server_itself = server.id().to_string();
    for (name, process) in [("server", &server_itself), ("what looks scans through", &looker), ("worker", &worker)] {
        let resident_mib = memory_kib(process, "VmRSS:") / 1024;
        println!("{name}: {resident_mib} MiB resident, {} private", private_mib(process));
    }
    assert!(!holds_libtorch(&server_itself), "the server");
    assert!(!holds_libtorch(&looker), "what looks scans through");
}
