//! `i3deep send`: DICOM objects, such as what `export` writes, to whom takes them by C-STORE.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::outputs::{shown, wrong};
use crate::dimse::{Destination, send};

/// Arguments of `i3deep send`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// DICOM files, such as a SEG that `export` has written.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where the receiver listens. DICOM's own protocol is not encrypted and knows no password.
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// What the receiver is called.
    #[arg(long, value_name = "TITLE")]
    ae_title: String,
    /// What this program is called there.
    #[arg(long, value_name = "TITLE", default_value = "I3DEEP")]
    own_ae_title: String,
}

/// Sends one after the other; the first that is not taken ends it.
pub(crate) fn run(args: &Args) -> Result<()> {
    for title in [&args.ae_title, &args.own_ae_title] {
        if title.is_empty() || title.len() > 16 || !title.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(wrong(format!("{title:?} is no AE title: 16 letters and digits at most")));
        }
    }
    let to =
        Destination { address: args.to.clone(), called: args.ae_title.clone(), calling: args.own_ae_title.clone() };
    for file in &args.files {
        let object = std::fs::read(file).with_context(|| format!("cannot read {}", shown(file)))?;
        send(&to, &object).with_context(|| format!("{} was not sent", shown(file)))?;
        println!("{} is stored, {} says", shown(file), args.ae_title);
    }
    Ok(())
}
