//! Images that others send: a C-STORE receiver (PS3.7, 9.1.1; PS3.4, B) for modalities and a PACS' rules. Series gather
//! until they are quiet, and become cases of one bundle by way of the intake. DIMSE knows no passwords and no
//! encryption: who may send is known by address and by the name that they call.

mod arriving;
mod association;
mod message;
mod sending;

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use arriving::Arriving;

pub use arriving::Arrived;
pub use sending::{Destination, SendError, send};

/// Associations at a time.
const ASSOCIATIONS_LIMIT: usize = 8;

/// How a receiver works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is called.
    pub ae_title: String,
    /// Addresses that may send, beside this machine's own.
    pub from: Vec<IpAddr>,
    /// Where files lie until they are a case.
    pub folder: PathBuf,
    /// How long a series is quiet until it counts as whole.
    pub quiet: Duration,
    /// Most bytes of a series.
    pub limit_bytes: u64,
}

/// A receiver at work; clones share it.
#[derive(Clone, Debug)]
pub struct Receiver(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    settings: Settings,
    arriving: Arriving,
    associations: AtomicUsize,
}

impl Receiver {
    /// Begins to take in what is sent to a listener, on threads of its own.
    ///
    /// # Errors
    /// If there is no folder or no thread for it.
    pub fn start(listener: TcpListener, settings: Settings) -> std::io::Result<Self> {
        std::fs::create_dir_all(&settings.folder)?;
        let arriving = Arriving::new(settings.folder.clone(), settings.limit_bytes);
        let receiver = Self(Arc::new(Inside { settings, arriving, associations: AtomicUsize::new(0) }));
        let listening = receiver.clone();
        thread::Builder::new().name("dicom".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                match stream.and_then(|stream| Ok((stream.peer_addr()?, stream))) {
                    Ok((peer, stream)) => listening.greet(peer, stream),
                    Err(error) => {
                        tracing::warn!("a sender of images was not heard: {error}");
                        thread::sleep(Duration::from_millis(100));
                    }
                }
            }
        })?;
        Ok(receiver)
    }

    /// Series that are whole, as far as can be told.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.0.arriving.quiet(self.0.settings.quiet)
    }

    fn greet(&self, peer: SocketAddr, stream: TcpStream) {
        let address = peer.ip().to_canonical();
        if !address.is_loopback() && !self.0.settings.from.contains(&address) {
            tracing::warn!(peer = %address, "wants to send images, and may not (--dicom-from)");
            return;
        }
        let inside = Arc::clone(&self.0);
        if inside.associations.fetch_add(1, Ordering::SeqCst) >= ASSOCIATIONS_LIMIT {
            inside.associations.fetch_sub(1, Ordering::SeqCst);
            tracing::warn!(peer = %address, "wants to send images while {ASSOCIATIONS_LIMIT} others do");
            return;
        }
        let serve = move || {
            let _place = Place(&inside.associations);
            if let Err(why) = association::serve(stream, &inside.settings.ae_title, &inside.arriving) {
                tracing::warn!(peer = %address, "an association with a sender of images ended: {why}");
            }
        };
        if let Err(error) = thread::Builder::new().name("dicom-association".to_owned()).spawn(serve) {
            self.0.associations.fetch_sub(1, Ordering::SeqCst);
            tracing::warn!("no thread for a sender of images: {error}");
        }
    }
}

/// One of the associations that may be held.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
