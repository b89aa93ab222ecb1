//! `i3deep serve`: the parts, put together.

use std::io::{IsTerminal, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use actix_web::http::header::HeaderName;
use anyhow::{Context, Result, bail, ensure};
use clap::builder::PossibleValue;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tracing_subscriber::EnvFilter;

use super::outputs::check_apart;
use super::place::Place;
use super::programs::{NETWORKS, SERVER, beside};
use super::receive::{self, Receiving};
use super::sign_in::SignIn;
use crate::bundle::Catalogue;
use crate::http::{Access, Client, Parts, Proxy};
use crate::inference::DeviceChoice;
use crate::intake::Lookers;
use crate::pacs::{Imports, Sources};
use crate::scan_io::KeptReference;
use crate::store::{Opening, Store};
use crate::work::Supervisor;

impl clap::ValueEnum for KeptReference {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Patient, Self::Identifiers, Self::Nothing]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Patient => "patient",
            Self::Identifiers => "identifiers",
            Self::Nothing => "nothing",
        }))
    }
}

/// Arguments of `i3deep serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where it works.
    #[command(flatten)]
    place: Place,
    /// Largest upload.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    upload_limit_mib: u64,
    /// Start although the data folder does not fit together, as a start without this option has said: go on with the
    /// database that is there, and without volumes that are missing. Nothing is deleted.
    #[arg(long)]
    accept_data_as_it_is: bool,
    /// What is kept of whom an uploaded DICOM series is, for the DICOM SEG that goes back: who the patient is, so that
    /// a PACS files it; unique identifiers alone; or nothing, and then there is no DICOM SEG. It is kept apart from
    /// the case and shown nowhere.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    keep_of_dicom: KeptReference,
    /// PACS that series are opened from and segmentations sent to, by DICOMweb: a file in JSON, as docs/hospital.md has
    /// it. No other is ever asked.
    #[arg(long, value_name = "FILE")]
    pacs: Option<PathBuf>,
    /// A built OHIF viewer, whose pages are then found under /ohif/ and show what the first of the PACS has; its MONAI
    /// Label panel works with /monailabel/BUNDLE/. Whoever its files come from can do here what its visitors can.
    #[arg(long, value_name = "DIR", requires = "pacs")]
    ohif: Option<PathBuf>,
    /// Images that others send.
    #[command(flatten)]
    receiving: Receiving,
    /// Ask everybody who they are. The first start prints a link, good for one use, with which the first administrator
    /// makes an account. Once there are accounts, they are asked for with or without this.
    #[arg(long)]
    accounts: bool,
    /// A name, without port, under which the server answers; may be given several times. Needed unless it listens on
    /// this machine alone.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Certificate chain, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Address of a proxy in front that encrypts; may be given several times. What others say about the origin of a
    /// request is not believed.
    #[arg(long = "proxy", value_name = "ADDRESS")]
    proxies: Vec<IpAddr>,
    /// The header in which the proxy names the account of a person whom it has signed in.
    #[arg(long, value_name = "HEADER", requires = "proxies")]
    proxy_user_header: Option<String>,
    /// Accounts of elsewhere.
    #[command(flatten)]
    sign_in: SignIn,
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
    check_reach(args)?;
    check_apart(("--data", &args.place.data), ("--models", &args.place.models))?;
    check_apart(("--data", &args.place.data), ("--client", &args.place.client))?;
    let tls = tls(args)?;
    let dicom = args.receiving.listen()?;
    let sources = args.pacs.as_deref().map(Sources::read).transpose()?.unwrap_or_default();
    check_device(args.place.device)?;
    let client = Client::open(&args.place.client).with_context(|| {
        format!(
            "there is no client in {}; build it with `trunk build --release`, or say where it is with --client",
            args.place.client.display()
        )
    })?;
    let ohif = args.ohif.as_deref().map(Client::open).transpose().context("there is no built OHIF (--ohif)")?;
    let bundles = Catalogue::new(args.place.models.clone());
    let found = bundles.list();
    if found.is_empty() {
        bail!("{} holds no model bundle; say where they are with --models", args.place.models.display());
    }
    args.receiving.check_bundle(&found)?;
    for bundle in &found {
        match &bundle.problem {
            None => tracing::info!("bundle {} {}", bundle.name, bundle.version),
            Some(problem) => tracing::warn!("bundle {} cannot be used: {problem}", bundle.name),
        }
    }
    let listener = TcpListener::bind(args.place.bind).with_context(|| {
        format!("cannot listen on {}; is another i3deep running? --bind chooses another address", args.place.bind)
    })?;
    actix_web::rt::System::new().block_on(serve(
        args,
        Open { listener, tls, sources, dicom, ohif: ohif.map(Arc::new) },
        Arc::new(bundles),
        Arc::new(client),
    ))
}

/// Refuses a device that is not there: only the other program knows. A processor is always there.
fn check_device(device: DeviceChoice) -> Result<()> {
    let program = beside(NETWORKS)?;
    if !matches!(device, DeviceChoice::Cuda(_)) {
        return Ok(());
    }
    let asked = Command::new(&program).args(["device", "--device", &device.to_string()]).output();
    let answer = asked.with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.status.success(), "{}", said.trim().trim_start_matches("error: "));
    Ok(())
}

/// Refuses to be reached from other machines unless everybody is asked who they are, and nobody in between can read
/// along.
fn check_reach(args: &Args) -> Result<()> {
    ensure!(
        args.accounts || !args.sign_in.has_provider(),
        "--oidc-issuer says who people are, and without --accounts nobody is asked: add --accounts"
    );
    if args.place.bind.ip().is_loopback() {
        return Ok(());
    }
    let bind = args.place.bind;
    ensure!(
        args.accounts,
        "{bind} is reachable from other machines: add --accounts, so that everybody is asked who they are, or listen \
         on 127.0.0.1"
    );
    ensure!(
        args.tls_certificate.is_some() || !args.proxies.is_empty(),
        "{bind} is reachable from other machines, and whoever is in between could read passwords and scans: add \
         --tls-certificate and --tls-key, or --proxy with the address of a proxy that encrypts, or listen on 127.0.0.1"
    );
    ensure!(
        !args.hosts.is_empty(),
        "say with --host under which name people open this server, such as --host seg.hospital.example"
    );
    Ok(())
}

fn tls(args: &Args) -> Result<Option<ServerConfig>> {
    let (Some(certificate), Some(key)) = (&args.tls_certificate, &args.tls_key) else { return Ok(None) };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.with_context(|| format!("cannot read a certificate from {}", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read a private key from {}", key.display()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and the key do not belong together")?;
    Ok(Some(config))
}

/// Where the server listens, and how.
struct Open {
    listener: TcpListener,
    tls: Option<ServerConfig>,
    sources: Sources,
    /// Where images are sent to.
    dicom: Option<TcpListener>,
    ohif: Option<Arc<Client>>,
}

fn access(args: &Args, address: SocketAddr, accounts: bool) -> Result<Access> {
    let mut hosts: Vec<String> = args.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    if address.ip().is_loopback() {
        hosts.push("localhost".to_owned());
    }
    let header = |name: &String| {
        HeaderName::from_bytes(name.as_bytes()).with_context(|| format!("{name} is no name of a header"))
    };
    let user_header = args.proxy_user_header.as_ref().map(header).transpose()?;
    let proxy = (!args.proxies.is_empty()).then(|| Proxy { peers: args.proxies.clone(), user_header });
    let encrypted = args.tls_certificate.is_some() || proxy.is_some();
    Ok(Access::new(hosts, accounts, encrypted, proxy, address.port()))
}

async fn serve(args: &Args, open: Open, bundles: Arc<Catalogue>, client: Arc<Client>) -> Result<()> {
    let address = open.listener.local_addr()?;
    let opening = if args.accept_data_as_it_is { Opening::AsItIs } else { Opening::Checked };
    let store = Store::open(&args.place.data, opening)
        .await
        .with_context(|| format!("cannot use the data folder {}", args.place.data.display()))?;
    let has_people = store.has_people().await?;
    let mut access = access(args, address, args.accounts || has_people)?;
    let back = format!("{}{}", outer_url(args, address), shared::api::route::BACK_FROM_PROVIDER.path);
    access.provider = args.sign_in.provider(&back)?.map(Arc::new);
    let access = Arc::new(access);
    let models = args.place.models.canonicalize()?;
    let lookers = Lookers::new(beside(SERVER)?, models.clone(), store.work().canonicalize()?);
    let supervisor = Supervisor::new(store.clone(), models, beside(NETWORKS)?, args.place.device);
    let work = tokio::spawn(supervisor.clone().run());
    let upkeep = tokio::spawn(store.clone().upkeep());
    let upload_limit_bytes = args.upload_limit_mib << 20;
    let url = url(args, address);
    let invitation = if access.accounts && has_people { None } else { Some(access.invite()?) };
    let receiving = match open.dicom {
        None => None,
        Some(listener) => {
            let desk = receive::Desk {
                store: store.clone(),
                supervisor: supervisor.clone(),
                bundles: Arc::clone(&bundles),
                lookers: lookers.clone(),
                kept: args.keep_of_dicom,
            };
            let receiver = args.receiving.start(listener, &store, upload_limit_bytes)?;
            Some(tokio::spawn(receive::run(receiver, desk, args.receiving.bundle())))
        }
    };
    let parts = Parts {
        store: store.clone(),
        supervisor,
        lookers,
        bundles,
        client,
        ohif: open.ohif,
        upload_limit_bytes,
        access: Arc::clone(&access),
        kept: args.keep_of_dicom,
        sources: open.sources,
        imports: Imports::default(),
    };
    crate::http::go_on(&parts).await?;
    let server = crate::http::serve(parts, open.listener, open.tls)?;
    let mut ready = format!("i3deep is ready on {url}\n");
    match invitation {
        Some(word) if access.accounts => {
            ready +=
                &format!("nobody has an account yet; make the first administrator's, once: {url}/?invitation={word}\n")
        }
        Some(word) => ready += &format!("from another account of this machine: {url}/?token={word}\n"),
        None => {}
    }
    // Whoever started the server may have stopped listening.
    let _ = std::io::stdout().write_all(ready.as_bytes());
    server.await?;
    // Ends the worker, too.
    work.abort();
    // Fails only because it was just ended.
    let _ = work.await;
    if let Some(receiving) = receiving {
        receiving.abort();
        let _ = receiving.await;
    }
    upkeep.abort();
    let _ = upkeep.await;
    store.close().await.context("the data folder was not closed as it should be; everything acknowledged is on disk")
}

/// Where browsers find this server: a proxy encrypts, and stands where browsers expect it.
fn outer_url(args: &Args, address: SocketAddr) -> String {
    match args.hosts.first() {
        Some(host) if !args.proxies.is_empty() => format!("https://{host}"),
        _ => url(args, address),
    }
}

/// What people open.
fn url(args: &Args, address: SocketAddr) -> String {
    let scheme = if args.tls_certificate.is_some() { "https" } else { "http" };
    match args.hosts.first() {
        Some(host) if !address.ip().is_loopback() => format!("{scheme}://{host}:{}", address.port()),
        _ => format!("{scheme}://{address}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn only_who_asks_and_encrypts_is_reachable() {
        fn check(arguments: &[&str], expected: Result<(), &str>) {
            let args = Cli::try_parse_from([&["serve"], arguments].concat()).unwrap().args;
            match (check_reach(&args), expected) {
                (Ok(()), Ok(())) => {}
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
                (got, _) => panic!("{arguments:?}: {got:?}"),
            }
        }
        check(&[], Ok(()));
        check(&["--bind", "[::1]:8080"], Ok(()));
        check(&["--bind", "0.0.0.0:8080"], Err("add --accounts"));
        check(&["--bind", "0.0.0.0:8080", "--accounts"], Err("--tls-certificate"));
        check(&["--bind", "[::]:8080", "--accounts", "--proxy", "10.0.0.2"], Err("--host"));
        check(&["--bind", "10.0.0.5:8080", "--accounts", "--proxy", "10.0.0.2", "--host", "seg.example"], Ok(()));
    }
}
