//! Who is at the other end of a connection. Within one machine the system knows: a process of this server's own user
//! may do anything that the server may anyway, another user's may not.

use std::any::Any;
#[cfg(target_os = "linux")]
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(target_os = "linux")]
use std::sync::{LazyLock, Mutex, PoisonError};
#[cfg(target_os = "linux")]
use std::time::Instant;

use super::super::bounds::tcp;

/// A connection's two ends.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// The asker's.
    pub(super) theirs: SocketAddr,
    /// This server's.
    pub(super) ours: SocketAddr,
    /// Once its asker was found to be of this server's own user. A connection keeps its ends, and looking through the
    /// system's tables at every request takes longer than a save.
    own: Arc<AtomicBool>,
}

impl Ends {
    /// The ends of a connection that was just accepted.
    pub(crate) fn of(connection: &dyn Any) -> Option<Self> {
        let tcp = tcp(connection)?;
        Some(Self::between(tcp.peer_addr().ok()?, tcp.local_addr().ok()?))
    }

    fn between(theirs: SocketAddr, ours: SocketAddr) -> Self {
        Self { theirs, ours, own: Arc::default() }
    }

    /// Whether [`Ends::is_own_user`] has said yes before.
    pub(super) fn is_known(&self) -> bool {
        self.own.load(Ordering::Relaxed)
    }

    /// Whether a process of this server's own user is at the other end. Takes a look into the system's tables; false
    /// where there are none.
    pub(super) fn is_own_user(&self) -> bool {
        let own = is_loopback(self.theirs.ip()) && own_user(self);
        self.own.fetch_or(own, Ordering::Relaxed);
        own
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(target_os = "linux")]
fn own_user(ends: &Ends) -> bool {
    let plain = |end: SocketAddr| (end.ip().to_canonical(), end.port());
    let (asked, pair) = (Instant::now(), (plain(ends.theirs), plain(ends.ours)));
    let mut table = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    // What was read since this was asked holds for all who waited: a thousand connections that come at once do not read
    // the system's tables a thousand times.
    if table.begun.is_none_or(|begun| begun < asked) {
        *table = Table { begun: Some(Instant::now()), own: own_sockets() };
    }
    table.own.contains(&pair)
}

/// The two ends of a connection, one socket's own first.
#[cfg(target_os = "linux")]
type Pair = ((IpAddr, u16), (IpAddr, u16));

/// This user's connections.
#[cfg(target_os = "linux")]
struct Table {
    /// When reading them began.
    begun: Option<Instant>,
    own: HashSet<Pair>,
}

#[cfg(target_os = "linux")]
static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(|| Mutex::new(Table { begun: None, own: HashSet::new() }));

#[cfg(target_os = "linux")]
fn own_sockets() -> HashSet<Pair> {
    let plain = |end: SocketAddr| (end.ip().to_canonical(), end.port());
    let Ok(own) = procfs::process::Process::myself().and_then(|process| process.uid()) else { return HashSet::new() };
    let tables = [procfs::net::tcp(), procfs::net::tcp6()];
    // A socket that no process holds any more (inode 0) is listed as root's, whoever had it.
    let owned = tables.into_iter().flatten().flatten().filter(|socket| socket.inode != 0 && socket.uid == own);
    owned.map(|socket| (plain(socket.local_address), plain(socket.remote_address))).collect()
}

#[cfg(not(target_os = "linux"))]
fn own_user(_: &Ends) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn this_process_is_known_by_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, theirs) = listener.accept().unwrap();
        let ends = Ends::between(theirs, server.local_addr().unwrap());
        assert!(!ends.is_known());
        assert!(ends.is_own_user() && ends.is_known());
        drop(client);
        drop(server);
        assert!(!ends.is_own_user(), "nobody is there any more");
        let stranger = Ends::between("10.0.0.5:4000".parse().unwrap(), ends.ours);
        assert!(!stranger.is_own_user() && !stranger.is_known());
    }
}
