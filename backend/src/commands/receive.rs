//! `i3deep serve --dicom-port`: images that others send become cases of one bundle.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use shared::api::BundleInfo;

use crate::bundle::Catalogue;
use crate::dimse::{Arrived, Receiver, Settings};
use crate::intake::{self, Brought, Lookers};
use crate::scan_io::KeptReference;
use crate::store::{Actor, Store};
use crate::work::Supervisor;

/// How often one looks whether a series is whole.
const LOOK: Duration = Duration::from_secs(1);

/// Arguments about images that others send.
#[derive(Debug, clap::Args)]
pub(super) struct Receiving {
    /// Take in images that modalities or a PACS send (DICOM C-STORE) on this port; each series becomes a case of
    /// --dicom-bundle.
    #[arg(long = "dicom-port", value_name = "PORT", requires = "receiving_bundle")]
    port: Option<u16>,
    /// The bundle that segments what is sent; one of a single channel.
    #[arg(long = "dicom-bundle", id = "receiving_bundle", value_name = "NAME", requires = "port")]
    bundle: Option<String>,
    /// What senders have to call this server.
    #[arg(long = "dicom-ae-title", value_name = "TITLE", default_value = "I3DEEP")]
    title: String,
    /// Where to listen for images. DICOM's own protocol is not encrypted: choose a network on which nobody reads along.
    #[arg(long = "dicom-bind", value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST.into())]
    listens_on: IpAddr,
    /// Address of a machine that may send images; may be given several times. This one may.
    #[arg(long = "dicom-from", value_name = "ADDRESS")]
    from: Vec<IpAddr>,
    /// A series is whole when nothing more of it has come for so long.
    #[arg(long = "dicom-quiet-seconds", value_name = "SECONDS", default_value_t = 10)]
    quiet_seconds: u64,
}

impl Receiving {
    /// Listens, if it is to.
    pub(super) fn listen(&self) -> Result<Option<TcpListener>> {
        let Some(port) = self.port else { return Ok(None) };
        let title = &self.title;
        let fits = (1..=16).contains(&title.len()) && title.bytes().all(|byte| byte.is_ascii_graphic() && byte != 92);
        ensure!(fits, "{title:?} is no AE title: 16 letters and digits at most");
        ensure!(
            self.listens_on.is_loopback() || !self.from.is_empty(),
            "images could be sent from anywhere: say with --dicom-from which machines may send"
        );
        let listener = TcpListener::bind((self.listens_on, port));
        let listener = listener.with_context(|| format!("cannot listen for images on {}:{port}", self.listens_on))?;
        tracing::info!("images are taken in as {title} on {}", listener.local_addr()?);
        Ok(Some(listener))
    }

    /// Refuses a bundle that no single series fits.
    pub(super) fn check_bundle(&self, offered: &[BundleInfo]) -> Result<()> {
        match &self.bundle {
            None => Ok(()),
            Some(name) => intake::find_bundle(offered, name)
                .and_then(|bundle| intake::check_images(&bundle, 1))
                .context("--dicom-bundle cannot be used"),
        }
    }

    /// The bundle that segments what is sent.
    pub(super) fn bundle(&self) -> String {
        self.bundle.clone().unwrap_or_default()
    }

    /// Begins to take in.
    pub(super) fn start(&self, listener: TcpListener, store: &Store, limit_bytes: u64) -> Result<Receiver> {
        let settings = Settings {
            ae_title: self.title.clone(),
            from: self.from.clone(),
            folder: store.work().join("received"),
            quiet: Duration::from_secs(self.quiet_seconds),
            limit_bytes,
        };
        Receiver::start(listener, settings).context("images cannot be taken in")
    }
}

/// What makes cases of series.
pub(super) struct Desk {
    pub(super) store: Store,
    pub(super) supervisor: Supervisor,
    pub(super) bundles: Arc<Catalogue>,
    pub(super) lookers: Lookers,
    pub(super) kept: KeptReference,
}

/// Makes a case of each series that is whole, one after the other, for ever.
pub(super) async fn run(receiver: Receiver, desk: Desk, bundle: String) {
    loop {
        for arrived in receiver.arrived() {
            take_in(arrived, &desk, &bundle).await;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn take_in(arrived: Arrived, desk: &Desk, bundle: &str) {
    let Arrived { files, folder, sender } = arrived;
    let images = files.len();
    let brought = Brought { folder: &folder, files: &files, bundle, name: None };
    let counter = intake::Desk { store: &desk.store, bundles: &desk.bundles, lookers: &desk.lookers, kept: desk.kept };
    match counter.take_in(&Actor::sender(&sender), brought).await {
        Ok(case) => {
            desk.supervisor.wake();
            tracing::info!(case = case.id.as_str(), "a series of {images} images was sent by {sender}");
        }
        // By its code alone: words may quote what stands in files.
        Err(error) => tracing::warn!("a series of {images} images from {sender} is not taken: {:?}", error.code()),
    }
    // What cannot be removed now is removed at the next start.
    let _ = std::fs::remove_dir_all(folder);
}
