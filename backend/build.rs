//! Links libtorch's CUDA half where the installed libtorch has one, and records where libtorch lies, so that nobody
//! needs `LD_LIBRARY_PATH`. Finds out which tests have what they need here, so that the others are ignored and counted
//! so.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn main() {
    tell_tests();
    link_libtorch();
}

/// `cfg(material)`: `../shared` lies beside the project. `cfg(may_mount)`: this user may mount a disk in a namespace of
/// its own; `cfg(may_listen)`: may give a network namespace an address. `cfg(other_user)`: this user may start curl as
/// another. `cfg(systemd)`: `systemd-analyze` is here; `cfg(hadolint)`: hadolint is; `cfg(user_manager)`: this user may
/// start a service manager of their own. `cfg(peers)` and
/// `cfg(monai)`: the environment variable `I3DEEP_PEERS` names a Python that has the programs which read what is
/// written here, and MONAI Label's client; `cfg(orthanc)`: Orthanc and its DICOMweb plugin are installed; `cfg(dcmtk)`:
/// its storescu is (docs/hospital.md).
fn tell_tests() {
    println!("cargo:rustc-check-cfg=cfg(material, may_mount, may_listen, other_user, systemd, user_manager, hadolint)");
    println!("cargo:rustc-check-cfg=cfg(peers, monai, packers, orthanc, dcmtk)");
    // Named only where it is there: a path that is missing would make Cargo build this crate again every time.
    let material = Path::new("../../shared/vectors/i3deep_reference.json");
    if material.is_file() {
        println!("cargo:rerun-if-changed={}", material.display());
        println!("cargo:rustc-cfg=material");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let mut mounting = Command::new("unshare");
    mounting
        .args(["--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if mounting.status().is_ok_and(|status| status.success()) {
        println!("cargo:rustc-cfg=may_mount");
    }
    let mut listening = Command::new("unshare");
    listening
        .args(["--map-root-user", "--net", "ip", "addr", "add", "10.77.0.1/24", "dev", "lo"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if listening.status().is_ok_and(|status| status.success()) {
        println!("cargo:rustc-cfg=may_listen");
    }
    let mut curl = Command::new("curl");
    curl.arg("--version").uid(65534).stdout(Stdio::null()).stderr(Stdio::null());
    if curl.status().is_ok_and(|status| status.success()) {
        println!("cargo:rustc-cfg=other_user");
    }
    let mut hadolint = Command::new("hadolint");
    hadolint.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if hadolint.status().is_ok_and(|status| status.success()) {
        println!("cargo:rustc-cfg=hadolint");
    }
    tell_of_orthanc();
    tell_of_systemd();
    println!("cargo:rerun-if-env-changed=I3DEEP_PEERS");
    if let Some(python) = std::env::var_os("I3DEEP_PEERS") {
        for (modules, name) in [
            ("highdicom, pydicom, SimpleITK", "peers"),
            ("monailabel.client, SimpleITK", "monai"),
            ("pydicom, imagecodecs, jpeg_ls, openjpeg", "packers"),
        ] {
            let mut python = Command::new(&python);
            python.args(["-c", &format!("import {modules}")]).stdout(Stdio::null()).stderr(Stdio::null());
            if python.status().is_ok_and(|status| status.success()) {
                println!("cargo:rustc-cfg={name}");
            }
        }
    }
}

/// Whether Orthanc and dcmtk are here.
fn tell_of_orthanc() {
    let plugin =
        ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so", "/usr/local/share/orthanc/plugins/libOrthancDicomWeb.so"];
    let mut orthanc = Command::new("Orthanc");
    orthanc.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    let has_plugin = plugin.iter().any(|file| Path::new(file).exists());
    if has_plugin && orthanc.status().is_ok_and(|status| status.success()) {
        println!("cargo:rustc-cfg=orthanc");
    }
    // Another program of this name knows no such option.
    let storescu = Command::new("storescu").arg("--version").output();
    if storescu.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("dcmtk")) {
        println!("cargo:rustc-cfg=dcmtk");
    }
}

fn tell_of_systemd() {
    let works = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if works("systemd-analyze", &["--version"]) {
        println!("cargo:rustc-cfg=systemd");
    }
    // A manager looks whether systemd has started the system, and needs a place for its services.
    const STARTED: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/own || exit 1
        export XDG_RUNTIME_DIR=/run/own
        timeout 20 /lib/systemd/systemd --user &
        for try in 1 2 3 4 5 6 7 8 9 10; do
            sleep 0.2
            if systemctl --user show-environment; then kill $!; exit 0; fi
        done
        kill $!
        exit 1";
    if works("unshare", &["--mount", "sh", "-c", STARTED]) {
        println!("cargo:rustc-cfg=user_manager");
    }
}

fn link_libtorch() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if std::env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    if std::env::var_os("CARGO_CFG_TARGET_OS").is_some_and(|system| system == "linux") {
        // What libtorch has of its own, too, the linker would offer to it and so keep, called or not: inline functions
        // of tch's C++, which call libtorch. `i3deep` runs no network and is to hold nothing of it.
        println!("cargo:rustc-link-arg-bin=i3deep=-Wl,--exclude-libs,ALL");
    }
    let Some(libtorch) = std::env::var_os("LIBTORCH").map(PathBuf::from) else {
        return;
    };
    let Ok(lib) = libtorch.join("lib").canonicalize() else {
        return;
    };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if lib.join("libtorch_cuda.so").is_file() {
        // tch calls no CUDA symbol itself, so the linker would drop the library and CUDA would seem absent.
        println!("cargo:rustc-link-search=native={}", lib.display());
        for target in ["arg-bin=i3deep-worker", "arg-tests", "arg-benches", "arg-examples"] {
            for argument in ["-Wl,--no-as-needed", "-ltorch_cuda", "-Wl,--as-needed"] {
                println!("cargo:rustc-link-{target}={argument}");
            }
        }
    }
}
