//! `i3deep serve`: the parts, put together.

use std::io::IsTerminal;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tracing_subscriber::EnvFilter;

use crate::bundle::Catalogue;
use crate::http::{Client, Parts};
use crate::inference::DeviceChoice;
use crate::inference::torch::device_name;
use crate::store::{Opening, Store};
use crate::work::Supervisor;

/// Arguments of `i3deep serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    bind: SocketAddr,
    /// Where cases are kept; created if absent.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Folder of model bundles.
    #[arg(long, value_name = "DIR", default_value = "models")]
    models: PathBuf,
    /// The browser's files, as trunk built them.
    #[arg(long, value_name = "DIR", default_value = "dist")]
    client: PathBuf,
    /// What networks run on: auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Largest upload.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    upload_limit_mib: u64,
    /// Start although the data folder does not fit together, as a start without this option has said: go on with the database that is there, and without
    /// volumes that are missing. Nothing is deleted.
    #[arg(long)]
    accept_data_as_it_is: bool,
    /// Listen on an address that other machines reach, although everyone who reaches it sees and changes all cases. Only behind a proxy that checks who
    /// asks.
    #[arg(long)]
    allow_remote_without_login: bool,
}

/// Serves until it is told to stop.
pub(crate) fn run(args: &Args) -> Result<()> {
    // Ids only: names of cases and files may be patients'.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,i3deep=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let loopback_only = args.bind.ip().is_loopback();
    ensure!(
        loopback_only || args.allow_remote_without_login,
        "{} is reachable from other machines, and i3Deep asks nobody who they are. Put a proxy with a login in front and add --allow-remote-without-login, \
         or listen on 127.0.0.1",
        args.bind
    );
    device_name(args.device)?;
    let client = Client::open(&args.client).with_context(|| {
        format!("there is no client in {}; build it with `trunk build --release`, or say where it is with --client", args.client.display())
    })?;
    let bundles = Catalogue::new(args.models.clone());
    let found = bundles.list();
    if found.is_empty() {
        bail!("{} holds no model bundle; say where they are with --models", args.models.display());
    }
    for bundle in &found {
        match &bundle.problem {
            None => tracing::info!("bundle {} {}", bundle.name, bundle.version),
            Some(problem) => tracing::warn!("bundle {} cannot be used: {problem}", bundle.name),
        }
    }
    let listener = TcpListener::bind(args.bind)
        .with_context(|| format!("cannot listen on {}; is another i3deep running? --bind chooses another address", args.bind))?;
    actix_web::rt::System::new().block_on(serve(args, listener, Arc::new(bundles), Arc::new(client)))
}

async fn serve(args: &Args, listener: TcpListener, bundles: Arc<Catalogue>, client: Arc<Client>) -> Result<()> {
    let address = listener.local_addr()?;
    let opening = if args.accept_data_as_it_is { Opening::AsItIs } else { Opening::Checked };
    let store = Store::open(&args.data, opening).await.with_context(|| format!("cannot use the data folder {}", args.data.display()))?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let models = args.models.canonicalize()?;
    let supervisor = Supervisor::new(store.clone(), models, program, args.device);
    let work = tokio::spawn(supervisor.clone().run());
    let upkeep = tokio::spawn(store.clone().upkeep());
    let loopback_only = address.ip().is_loopback();
    let upload_limit_bytes = args.upload_limit_mib << 20;
    let parts = Parts { store: store.clone(), supervisor, bundles, client, upload_limit_bytes, loopback_only };
    let server = crate::http::serve(parts, listener)?;
    println!("i3deep is ready on http://{address}");
    server.await?;
    // Ends the worker, too.
    work.abort();
    // Fails only because it was just ended.
    let _ = work.await;
    upkeep.abort();
    let _ = upkeep.await;
    store.close().await.context("the data folder was not closed as it should be; everything acknowledged is on disk")
}
