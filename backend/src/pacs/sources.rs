//! Which PACS there are: a file that the operator writes. Secrets stand in files of their own or in the environment,
//! and in no message.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::web::Web;
use crate::dimse::Destination;
use crate::outgoing::{Tls, is_here};

/// What this server calls itself where nothing else is said.
const OWN_TITLE: &str = "I3DEEP";

/// What the operator's file says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    sources: Vec<Entry>,
}

/// A PACS in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    url: Option<String>,
    /// `host:port` of one that objects are only sent to, by C-STORE.
    dicom: Option<String>,
    /// What that one is called.
    ae_title: Option<String>,
    /// What this server is called there.
    own_ae_title: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    ca_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    #[serde(default)]
    allow_unencrypted: bool,
    #[serde(default)]
    annotators_may_search: bool,
}

/// The PACS that this server may ask, and those that it may only send to; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    asked: Arc<Vec<Source>>,
    archives: Arc<Vec<Archive>>,
}

/// One that objects are sent to by C-STORE, and that is asked nothing.
#[derive(Clone, Debug)]
pub struct Archive {
    /// What people call it.
    pub name: String,
    /// Where it listens.
    pub to: Destination,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Source {
    /// What people call it.
    pub name: String,
    /// Whether those may search it who do not see every case here.
    pub annotators_may_search: bool,
    pub(super) web: Arc<Web>,
}

impl Sources {
    /// Reads the operator's file, and the secrets that it names.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let entries: Entries =
            serde_json::from_str(&text).with_context(|| format!("{} is no list of sources", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let mut names = BTreeSet::new();
        let (mut sources, mut archives) = (Vec::new(), Vec::new());
        for entry in entries.sources {
            let name = entry.name.clone();
            ensure!(is_name(&name), "{name:?} is no name of a source: letters, digits, dots, - and _, 64 at most");
            ensure!(names.insert(name.clone()), "two sources are called {name}");
            let unusable = || format!("the source {name} cannot be used");
            match entry.dicom {
                None => sources.push(entry.open(folder).with_context(unusable)?),
                Some(_) => archives.push(entry.archive().with_context(unusable)?),
            }
        }
        Ok(Self { asked: Arc::new(sources), archives: Arc::new(archives) })
    }

    /// All of them, in the file's order.
    pub fn all(&self) -> &[Source] {
        &self.asked
    }

    /// Those that objects are only sent to, in the file's order.
    pub fn archives(&self) -> &[Archive] {
        &self.archives
    }

    /// The one of this name.
    pub fn named(&self, name: &str) -> Option<&Source> {
        self.asked.iter().find(|source| source.name == name)
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl Entry {
    /// One that is only sent to.
    fn archive(self) -> Result<Archive> {
        let is_asked = self.url.is_some() || self.user.is_some() || self.token_file.is_some() || self.ca_file.is_some();
        ensure!(
            !is_asked && !self.annotators_may_search,
            "what has dicom has no url, account or certificate; objects are only sent there"
        );
        let address = self.dicom.unwrap_or_default();
        ensure!(address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()), "dicom is host:port");
        check_reach(&format!("http://{address}"), self.allow_unencrypted)
            .with_context(|| "DICOM's own protocol is not encrypted and knows no password")?;
        let title = |title: Option<String>, what: &str| -> Result<String> {
            let title = title.unwrap_or_else(|| OWN_TITLE.to_owned());
            let fits =
                (1..=16).contains(&title.len()) && title.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
            ensure!(fits, "{what} is no AE title: 16 letters and digits at most");
            Ok(title)
        };
        ensure!(self.ae_title.is_some(), "give ae_title, what it is called");
        let to = Destination {
            address,
            called: title(self.ae_title, "ae_title")?,
            calling: title(self.own_ae_title, "own_ae_title")?,
        };
        Ok(Archive { name: self.name, to })
    }

    fn open(self, folder: &Path) -> Result<Source> {
        let url =
            self.url.as_deref().context("give url, where /studies begins, or dicom, where objects are sent to")?;
        ensure!(self.ae_title.is_none() && self.own_ae_title.is_none(), "AE titles are of what has dicom and no url");
        check_reach(url, self.allow_unencrypted)?;
        let authorization = self.authorization(folder)?;
        let read = |file: &PathBuf| {
            std::fs::read(folder.join(file)).with_context(|| format!("cannot read {}", file.display()))
        };
        let pair = match (&self.certificate_file, &self.key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
            _ => bail!("a client's certificate needs certificate_file and key_file"),
        };
        let tls = Tls { authorities: self.ca_file.as_ref().map(read).transpose()?, pair };
        let web = Web::open(self.name.clone(), url.trim_end_matches('/').to_owned(), authorization, tls)?;
        Ok(Source { name: self.name, annotators_may_search: self.annotators_may_search, web: Arc::new(web) })
    }

    /// What is said in the `Authorization` of every request; RFC 7617 for a password, RFC 6750 for a token.
    fn authorization(&self, folder: &Path) -> Result<Option<String>> {
        let password = secret(folder, self.password_file.as_deref(), self.password_env.as_deref(), "password")?;
        let token = secret(folder, self.token_file.as_deref(), self.token_env.as_deref(), "token")?;
        match (&self.user, password, token) {
            (None, None, None) => Ok(None),
            (Some(user), Some(password), None) => {
                ensure!(!user.contains(':'), "a user's name holds no colon");
                Ok(Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))))
            }
            (None, None, Some(token)) => Ok(Some(format!("Bearer {token}"))),
            _ => bail!("give user with password_file or password_env, or token_file or token_env, not both"),
        }
    }
}

/// A secret's text, from where it is said to be.
fn secret(folder: &Path, file: Option<&Path>, variable: Option<&str>, what: &str) -> Result<Option<String>> {
    let text = match (file, variable) {
        (None, None) => return Ok(None),
        (Some(file), None) => std::fs::read_to_string(folder.join(file))
            .with_context(|| format!("cannot read the {what} from {}", file.display()))?,
        (None, Some(variable)) => {
            std::env::var(variable).ok().with_context(|| format!("the variable {variable} holds no {what}"))?
        }
        (Some(_), Some(_)) => bail!("give {what}_file or {what}_env, not both"),
    };
    let text = text.trim_end_matches(['\r', '\n']).to_owned();
    ensure!(!text.is_empty() && !text.chars().any(char::is_control), "the {what} is empty or has control characters");
    Ok(Some(text))
}

/// Refuses addresses over which anybody in between could read along.
fn check_reach(url: &str, allow_unencrypted: bool) -> Result<()> {
    let (scheme, rest) = url.split_once("://").context("url has to begin with https:// or http://")?;
    ensure!(!url.contains(['?', '#', '@', ' ']), "url holds no query, user or blank; user and password stand apart");
    let host = rest.split('/').next().unwrap_or_default();
    ensure!(!host.is_empty(), "url names no host");
    match scheme {
        "https" => Ok(()),
        "http" if is_here(url) || allow_unencrypted => Ok(()),
        "http" => bail!(
            "{host} is another machine, and whoever is in between could read scans and passwords: give its https:// \
             address, or say \"allow_unencrypted\": true"
        ),
        _ => bail!("url has to begin with https:// or http://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sources, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "hush-hush\n").unwrap();
        let file = folder.path().join("pacs.json");
        std::fs::write(&file, text).unwrap();
        Sources::read(&file).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn sources_are_what_the_file_says() {
        let sources = read(
            r#"{"sources": [
                {"name": "clinic", "url": "http://127.0.0.1:8042/dicom-web/", "user": "me", "password_file": "secret"},
                {"name": "research", "url": "http://[::1]/dicom-web", "token_file": "secret",
                 "annotators_may_search": true}]}"#,
        )
        .unwrap();
        assert_eq!(sources.all().iter().map(|source| source.name.as_str()).collect::<Vec<_>>(), ["clinic", "research"]);
        assert!(sources.named("research").unwrap().annotators_may_search && sources.named("other").is_none());
        assert!(!format!("{sources:?}").contains("hush") && !format!("{sources:?}").contains("Basic"), "a secret");
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        fn check(source: &str, says: &str) {
            let words = read(&format!("{{\"sources\": [{source}]}}")).unwrap_err();
            assert!(words.contains(says) && !words.contains("hush"), "{source}: {words}");
        }
        check(r#"{"name": "a/b", "url": "https://pacs"}"#, "no name of a source");
        check(r#"{"name": "a", "url": "http://localhost"}, {"name": "a", "url": "http://localhost"}"#, "two sources");
        check(r#"{"name": "a", "url": "http://pacs.example/dicom-web"}"#, "allow_unencrypted");
        check(r#"{"name": "a", "url": "http://127.0.0.1.evil.example"}"#, "allow_unencrypted");
        check(r#"{"name": "a", "url": "ftp://pacs/etc"}"#, "has to begin with https://");
        check(r#"{"name": "a", "url": "https://me:pw@pacs"}"#, "stand apart");
        check(r#"{"name": "a", "url": "http://localhost", "user": "me"}"#, "not both");
        check(r#"{"name": "a", "url": "http://localhost", "user": "me", "password": "hush"}"#, "no list of sources");
        check(r#"{"name": "a", "url": "http://localhost", "token_file": "absent"}"#, "cannot read the token");
        check(r#"{"name": "a", "url": "http://localhost", "token_env": "I3DEEP_NOT_SET"}"#, "I3DEEP_NOT_SET");
        check(r#"{"name": "a", "url": "http://localhost", "key_file": "secret"}"#, "certificate_file");
    }
}
