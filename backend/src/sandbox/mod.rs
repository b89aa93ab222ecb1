//! What a worker process may do to the machine: it yields to the server and to people's saves, goes first when memory
//! runs out, gains no rights, writes nowhere but where its results go, and reaches no network.

use std::path::Path;
use std::time::Duration;

/// How much a worker yields to others; 19 is the most.
const NICENESS: i32 = 10;
/// How willingly the system ends it when memory runs out; 1000 is the most.
const OUT_OF_MEMORY_SCORE: &str = "800";

/// How long a job may take altogether.
pub(super) const JOB_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// Takes the limits on, for this thread and all that it starts; `work` is where results go. Where the system does not
/// know a limit, the worker runs without it and tells so.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "nothing is taken on, so nothing fails"))]
pub(super) fn take_on(work: &Path, tell: impl Fn(&str)) {
    #[cfg(target_os = "linux")]
    {
        use super::sandbox;

        let taken = [
            ("priority", rustix::process::nice(NICENESS).map(drop).map_err(std::io::Error::from)),
            ("memory score", std::fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE)),
            ("memory", sandbox::bound_memory()),
            ("new rights", rustix::thread::set_no_new_privs(true).map_err(std::io::Error::from)),
            ("files", sandbox::confine_writes(work)),
            ("networks and programs", sandbox::confine_calls()),
        ];
        for (limit, taken) in taken {
            if let Err(error) = taken {
                tell(&format!("runs without the limit on {limit}: {error}"));
            }
        }
    }
}
