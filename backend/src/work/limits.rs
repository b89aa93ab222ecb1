//! What a worker process may do to the machine: it yields to the server and to people's saves, goes first when memory
//! runs out, and gains no rights.

use std::time::Duration;

/// How much a worker yields to others; 19 is the most.
const NICENESS: i32 = 10;
/// How willingly the system ends it when memory runs out; 1000 is the most.
const OUT_OF_MEMORY_SCORE: &str = "800";

/// How long a job may take altogether.
pub(super) const JOB_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// Takes the limits on. Where the system does not know one, the worker runs without it.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "nothing is taken on, so nothing fails"))]
pub(super) fn take_on(tell: impl Fn(&str)) {
    #[cfg(target_os = "linux")]
    {
        let taken = [
            ("priority", rustix::process::nice(NICENESS).map(drop).map_err(std::io::Error::from)),
            ("memory score", std::fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE)),
            ("no new rights", rustix::thread::set_no_new_privs(true).map_err(std::io::Error::from)),
        ];
        for (limit, taken) in taken {
            if let Err(error) = taken {
                tell(&format!("runs without the limit on {limit}: {error}"));
            }
        }
    }
}
