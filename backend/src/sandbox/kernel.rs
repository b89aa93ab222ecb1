//! What the kernel keeps a process from, should a scan or a network ever make it do what it was not written for: using
//! files that are not its own (Landlock), reaching a network, starting a program, looking into another process
//! (seccomp), and taking more memory than there is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::Reach;

/// The version of Landlock whose rights are named; an older kernel holds those that it knows.
const LANDLOCK: ABI = ABI::V5;

/// Graphics drivers and shared memory are files here.
const DEVICES: &str = "/dev";

/// Data that is this process's own is at most what the machine has, swap included: a job that wants more is refused
/// memory and says so, before others are ended for its sake. A card's reservations of addresses do not count.
pub(super) fn bound_memory() -> io::Result<()> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let kib = |name: &str| {
        let value =
            text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
        value.ok_or_else(|| io::Error::other(format!("the system does not say {name}")))
    };
    let most = (kib("MemTotal:")? + kib("SwapTotal:")?) << 10;
    setrlimit(Resource::Data, Rlimit { current: Some(most), maximum: Some(most) })?;
    Ok(())
}

/// No file is used but what the reach says, and devices.
pub(super) fn confine_files(reach: &Reach<'_>) -> io::Result<()> {
    let writing = AccessFs::from_write(LANDLOCK);
    let handled = if reach.reads.is_some() { AccessFs::from_all(LANDLOCK) } else { writing };
    let reads = reach.reads.unwrap_or_default();
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(handled)
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules([reach.writes, Path::new(DEVICES)], handled)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(reads, handled & AccessFs::from_read(LANDLOCK))))
        .and_then(|rules| rules.restrict_self())
        .map_err(io::Error::other)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(io::ErrorKind::Unsupported.into()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

/// No network but this machine's own sockets, no other program, no look into other processes, no new mounts.
pub(super) fn confine_calls() -> io::Result<()> {
    let family = |family: libc::c_int| {
        let is_family =
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(family.unsigned_abs()))?;
        SeccompRule::new(vec![is_family])
    };
    let families =
        [libc::AF_INET, libc::AF_INET6, libc::AF_PACKET].into_iter().map(family).collect::<Result<Vec<_>, _>>();
    let never = [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_bpf,
        libc::SYS_keyctl,
        // Would go round the rule on sockets.
        libc::SYS_io_uring_setup,
    ];
    // A call without conditions is denied always.
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = never.map(|call| (call, Vec::new())).into();
    rules.insert(libc::SYS_socket, families.map_err(io::Error::other)?);
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let here = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, here).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;
    use std::thread;

    use super::*;

    /// Does it on a thread of its own: limits hold for the thread that takes them on, and for what it starts.
    fn confined<T: Send>(reach: Reach<'_>, what: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let done = scope.spawn(move || {
                rustix::thread::set_no_new_privs(true).unwrap();
                confine_files(&reach).unwrap();
                confine_calls().unwrap();
                what()
            });
            done.join().unwrap()
        })
    }

    #[test]
    fn results_are_written_where_they_go_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let (work, other) = (folder.path().join("work"), folder.path().join("other"));
        for folder in [&work, &other] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("kept"), "kept").unwrap();
        }
        let denied = |result: io::Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
        confined(Reach { writes: &work, reads: None }, || {
            fs::write(work.join("result"), "1").unwrap();
            fs::remove_file(work.join("kept")).unwrap();
            assert_eq!(fs::read_to_string(other.join("kept")).unwrap(), "kept");
            denied(fs::write(other.join("result"), "1"));
            denied(fs::remove_file(other.join("kept")));
            denied(fs::create_dir(other.join("made")));
        });
        assert_eq!(fs::read_to_string(other.join("kept")).unwrap(), "kept");
        fs::write(other.join("after"), "the others are free").unwrap();
    }

    #[test]
    fn who_reads_little_reads_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["work", "models", "blobs"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("kept"), "kept").unwrap();
        }
        let denied = |kind: Option<ErrorKind>| assert_eq!(kind, Some(ErrorKind::PermissionDenied));
        let read = |name: &str| fs::read_to_string(at(name).join("kept"));
        confined(Reach { writes: &at("work"), reads: Some(&[&at("models")]) }, || {
            assert_eq!((read("work").unwrap(), read("models").unwrap()), ("kept".into(), "kept".into()));
            fs::write(at("work").join("result"), "1").unwrap();
            denied(read("blobs").err().map(|error| error.kind()));
            denied(fs::read_dir(at("blobs")).err().map(|error| error.kind()));
            denied(fs::write(at("models").join("result"), "1").err().map(|error| error.kind()));
            denied(fs::read("/etc/passwd").err().map(|error| error.kind()));
        });
        assert_eq!(read("blobs").unwrap(), "kept");
    }

    #[test]
    fn no_network_is_reached_and_no_program_started() {
        let work = tempfile::tempdir().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let (connected, listened, started) = confined(Reach { writes: work.path(), reads: None }, || {
            (TcpStream::connect(address), TcpListener::bind("127.0.0.1:0"), Command::new("true").status())
        });
        assert_eq!(connected.unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(listened.unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(started.unwrap_err().kind(), ErrorKind::PermissionDenied);
        TcpStream::connect(address).unwrap();
    }
}
