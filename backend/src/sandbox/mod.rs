//! What a process that works on what others brought may do to the machine: it yields to the server and to people's
//! saves, goes first when memory runs out, gains no rights, writes nowhere but where its results go, and reaches no
//! network. One that looks through files before anything is known of them reads nothing else either.

#[cfg(target_os = "linux")]
mod kernel;

use std::path::Path;

/// How much such a process yields to others; 19 is the most. Somebody waits for what is looked through.
const NICENESS: i32 = 10;
const NICENESS_OF_LOOKING: i32 = 3;
/// How willingly the system ends it when memory runs out; 1000 is the most.
const OUT_OF_MEMORY_SCORE: &str = "800";

/// Which files it may use.
#[derive(Clone, Copy, Debug)]
pub struct Reach<'a> {
    /// Written, made and removed beneath this folder alone.
    pub writes: &'a Path,
    /// Read beneath these folders and the one above; anywhere if nothing is said.
    pub reads: Option<&'a [&'a Path]>,
}

/// Takes the limits on, for this thread and all that it starts. Where the system does not know a limit, the process
/// runs without it and tells so.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "nothing is taken on, so nothing fails"))]
pub fn take_on(reach: &Reach<'_>, tell: impl Fn(&str)) {
    #[cfg(target_os = "linux")]
    {
        let niceness = if reach.reads.is_some() { NICENESS_OF_LOOKING } else { NICENESS };
        let taken = [
            ("priority", rustix::process::nice(niceness).map(drop).map_err(std::io::Error::from)),
            ("memory score", std::fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE)),
            ("memory", kernel::bound_memory()),
            ("new rights", rustix::thread::set_no_new_privs(true).map_err(std::io::Error::from)),
            ("files", kernel::confine_files(reach)),
            ("networks and programs", kernel::confine_calls()),
        ];
        for (limit, taken) in taken {
            if let Err(error) = taken {
                tell(&format!("runs without the limit on {limit}: {error}"));
            }
        }
    }
}

/// A server that is killed takes this process along, even one that is deep in a computation and does not read its
/// stdin.
///
/// # Errors
/// The system's.
pub fn end_with_the_server() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}
