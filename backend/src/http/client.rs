//! The browser's side: the files that trunk built.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use actix_files::NamedFile;
use actix_web::http::Method;
use actix_web::http::header::{
    AcceptEncoding, CACHE_CONTROL, ContentEncoding, Encoding, Header, HeaderValue, LOCATION, VARY,
};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::{Parts, Refusal, people};

/// The client's files and the inline scripts that its page may run.
#[derive(Debug)]
pub struct Client {
    folder: PathBuf,
    scripts: String,
    /// Files that do not change, compressed when they were first asked for.
    packed: Mutex<HashMap<PathBuf, Bytes>>,
}

impl Client {
    /// The client in a folder.
    ///
    /// # Errors
    /// If it holds no index.html.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        let folder = folder.canonicalize()?;
        let page = std::fs::read_to_string(folder.join("index.html"))?;
        Ok(Self { folder, scripts: inline_script_sources(&page), packed: Mutex::default() })
    }

    /// A file that does not change, as gzip: compressed once, and as well as gzip can.
    fn packed(&self, path: &Path) -> std::io::Result<Bytes> {
        let known = |packed: &Mutex<HashMap<PathBuf, Bytes>>| {
            packed.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
        };
        if let Some(packed) = known(&self.packed) {
            return Ok(packed);
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&std::fs::read(path)?)?;
        let packed = Bytes::from(encoder.finish()?);
        self.packed.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), packed.clone());
        Ok(packed)
    }

    /// What pages may load and run: this server's files, WebAssembly, and the loader that trunk writes into the page.
    pub(super) fn content_security_policy(&self) -> String {
        format!(
            "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'{}; style-src 'self' 'unsafe-inline'; img-src \
             'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
            self.scripts
        )
    }

    /// The file for a path; paths that name none are the workbench's own and get the page. Nothing outside the folder
    /// is ever found.
    fn find(&self, path: &str) -> PathBuf {
        let page = self.folder.join("index.html");
        let wanted = self.folder.join(path.trim_start_matches('/'));
        match wanted.canonicalize() {
            Ok(file) if file.is_file() && file.starts_with(&self.folder) => file,
            _ => page,
        }
    }
}

/// ` 'sha256-…'` for every script that stands in the page itself.
fn inline_script_sources(page: &str) -> String {
    let mut sources = String::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("<script") {
        let Some((attributes, after)) = after.split_once('>') else { break };
        let Some((script, after)) = after.split_once("</script>") else { break };
        if !attributes.contains("src=") {
            sources += &format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(script)));
        }
        rest = after;
    }
    sources
}

/// OHIF's files, where the operator has said where they are.
pub(super) async fn ohif(
    parts: Data<Parts>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let is_asked = matches!(*request.method(), Method::GET | Method::HEAD);
    let ohif = parts.ohif.as_ref().filter(|_| is_asked).ok_or_else(Refusal::no_such_route)?;
    let file = NamedFile::open(ohif.find(&path)).map_err(|error| Refusal::internal(&error))?;
    let mut response = file.into_response(&request);
    // Its names do not change with its files.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// What OHIF's pages may load and run: their own files, their WebAssembly, and workers and functions that they write
/// themselves (its arrays are compiled when they are made).
pub(super) const OHIF_POLICY: &str = concat!(
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; ",
    "connect-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; ",
    "font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// Every path that is not the API's.
pub(super) async fn file(parts: Data<Parts>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Refusal::no_such_route());
    }
    if let Some(answer) = exchange_word(&parts, &request)? {
        return Ok(answer);
    }
    let path = parts.client.find(request.path());
    // trunk puts a hash into every name but the page's.
    let lasting = path.file_name().is_some_and(|name| name != "index.html");
    let file = NamedFile::open(&path).map_err(|error| Refusal::internal(&error))?;
    let kind = file.content_type().clone();
    let brotli = if lasting { brotli(&path, &request) } else { None };
    let mut response = if let Some(smaller) = brotli {
        let smaller = smaller.set_content_type(kind).set_content_encoding(ContentEncoding::Brotli);
        let mut response = smaller.into_response(&request);
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
        response
    } else if lasting && takes(&request, ContentEncoding::Gzip) {
        let packed = web::block(move || parts.client.packed(&path)).await.map_err(|error| Refusal::internal(&error))?;
        HttpResponse::Ok()
            .content_type(kind)
            .insert_header(ContentEncoding::Gzip)
            .insert_header((VARY, "accept-encoding"))
            .body(packed.map_err(|error| Refusal::internal(&error))?)
    } else {
        file.into_response(&request)
    };
    let cache = if lasting { "public, max-age=31536000, immutable" } else { "no-cache" };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    Ok(response)
}

/// The same file as Brotli, which the build of the client has laid beside it, for whom takes that: browsers by TLS, and
/// on the server's own machine.
fn brotli(path: &Path, request: &HttpRequest) -> Option<NamedFile> {
    let smaller = path.with_added_extension("br");
    if takes(request, ContentEncoding::Brotli) { NamedFile::open(smaller).ok() } else { None }
}

/// Whether an answer may be encoded like that.
pub(super) fn takes(request: &HttpRequest, encoding: ContentEncoding) -> bool {
    let encoding = Encoding::Known(encoding);
    let chosen = AcceptEncoding::parse(request).map(|accepted| accepted.negotiate([encoding.clone()].iter()));
    chosen.is_ok_and(|chosen| chosen == Some(encoding))
}

/// The printed address has a word in it: the browser gets a session for it, and an address without it, so that it stays
/// in no history.
fn exchange_word(parts: &Parts, request: &HttpRequest) -> Result<Option<HttpResponse>, Refusal> {
    let Some(word) = request.query_string().split('&').find_map(|pair| pair.strip_prefix("token=")) else {
        return Ok(None);
    };
    let cookie = people::exchange(parts, word)?;
    let mut answer = HttpResponse::SeeOther();
    answer.insert_header((LOCATION, request.path().to_owned()));
    cookie.into_iter().for_each(|cookie| {
        answer.cookie(cookie);
    });
    Ok(Some(answer.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_scripts_are_allowed_by_their_digest() {
        let page = "<head><script src=\"a.js\"></script><script type=\"module\">\nimport a;\n</script></head>";
        assert_eq!(inline_script_sources(page), " 'sha256-svH6RcFkamLTnzwQW+jergXbH46sdUYqxhjfSeKLgvU='");
        assert_eq!(inline_script_sources("<p>"), "");
    }

    #[test]
    fn only_files_of_the_client_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("dist");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(folder.path().join("secret"), "").unwrap();
        std::fs::write(root.join("index.html"), "").unwrap();
        std::fs::write(root.join("a.js"), "").unwrap();
        let client = Client::open(&root).unwrap();
        let check = |path: &str, expected: &str| {
            assert_eq!(client.find(path), root.canonicalize().unwrap().join(expected), "{path}")
        };
        check("/", "index.html");
        check("/a.js", "a.js");
        check("/case/0123", "index.html");
        check("/../secret", "index.html");
        check("//etc/passwd", "index.html");
    }
}
