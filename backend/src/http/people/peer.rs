//! Who is at the other end of a connection. Within one machine the system knows: a process of this server's own user
//! may do anything that the server may anyway, another user's may not.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    let same = |one: SocketAddr, other: SocketAddr| {
        (one.ip().to_canonical(), one.port()) == (other.ip().to_canonical(), other.port())
    };
    let Ok(own) = procfs::process::Process::myself().and_then(|process| process.uid()) else { return false };
    let tables = [procfs::net::tcp(), procfs::net::tcp6()];
    // A socket that no process holds any more (inode 0) is listed as root's, whoever had it.
    tables.into_iter().flatten().flatten().any(|socket| {
        socket.inode != 0
            && socket.uid == own
            && same(socket.local_address, ends.theirs)
            && same(socket.remote_address, ends.ours)
    })
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
