//! Sign-in with a provider. A real one cannot be made to lie, so this one is written here: it speaks the protocol, with
//! a key of its own, and says whatever a test has it say. The browser's part is the test's. Against a real provider:
//! `e2e/tests/the-hospital-signs-people-in.spec.ts`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::people::{asking, person};
use crate::server::{Answer, Server, eventually};

/// A provider that says what it is told to say.
struct Provider {
    issuer: String,
    says: Arc<Mutex<Says>>,
}

#[derive(Default)]
struct Says {
    /// Claims that are not as they should be.
    lies: Value,
    /// The nonce of the sign-in that has begun last.
    nonce: String,
    /// Whether another key signs.
    forges: bool,
    /// What was sent to be exchanged, and under which `Authorization`.
    exchanged: Vec<(HashMap<String, String>, String)>,
}

impl Provider {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let says = Arc::new(Mutex::new(Says { lies: json!({}), ..Says::default() }));
        let (told, named) = (Arc::clone(&says), issuer.clone());
        let keys = [(); 2].map(|()| {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &SystemRandom::new()).unwrap()
        });
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&stream.unwrap(), &named, &keys, &told);
            }
        });
        Self { issuer, says }
    }

    fn lie(&self, lies: Value) {
        self.says.lock().unwrap().lies = lies;
    }
}

fn answer(mut stream: &TcpStream, issuer: &str, keys: &[EcdsaKeyPair; 2], says: &Mutex<Says>) {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let field = |name: &str| {
        let found =
            head.iter().find_map(|line| line.split_once(':').filter(|(known, _)| known.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; field("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else { return };
    let body = match path {
        "/.well-known/openid-configuration" => json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
            "userinfo_endpoint": format!("{issuer}/me"), "authorization_response_iss_parameter_supported": true,
        }),
        "/keys" => {
            let point = keys[0].public_key().as_ref();
            let half = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
            let odd = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "k" });
            json!({ "keys": [odd, { "kty": "EC", "crv": "P-256", "kid": "k", "x": half(1..33), "y": half(33..65) }] })
        }
        "/token" => {
            let mut says = says.lock().unwrap();
            says.exchanged.push((form(&String::from_utf8(body).unwrap()), field("authorization")));
            let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let mut claims = json!({ "iss": issuer, "sub": "4711", "aud": "i3deep", "iat": now_s, "exp": now_s + 300,
                                     "nonce": says.nonce, "preferred_username": "Anna" });
            for (name, value) in says.lies.as_object().unwrap() {
                claims[name] = value.clone();
            }
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(&json!({ "alg": "ES256", "kid": "k" })), part(&claims));
            let key = &keys[usize::from(says.forges)];
            let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
            json!({ "token_type": "Bearer", "access_token": "access", "id_token": token })
        }
        "/me" => {
            assert_eq!(field("authorization"), "Bearer access");
            says.lock().unwrap().lies["me"].clone()
        }
        other => panic!("{other} is not asked for"),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close",
        body.len()
    );
    write!(stream, "{head}\r\n\r\n{body}").unwrap();
}

/// A form's or a query's fields.
fn form(text: &str) -> HashMap<String, String> {
    let decoded = |text: &str| {
        let (mut bytes, mut rest) = (Vec::new(), text.bytes());
        while let Some(byte) = rest.next() {
            match byte {
                b'%' => {
                    let hex = [rest.next().unwrap(), rest.next().unwrap()];
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
                }
                other => bytes.push(other),
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect()
}

/// A server that knows the provider, and its administrator's cookie.
fn knowing(provider: &Provider, more: &[&str]) -> (Server, String) {
    asking(&[&["--oidc-issuer", &provider.issuer, "--oidc-client", "i3deep"], more].concat())
}

/// A browser on its way.
struct Browser<'a> {
    server: &'a Server,
    /// The cookie of the sign-in that has begun.
    cookie: String,
    /// What the provider was asked with.
    asked: HashMap<String, String>,
    provider: &'a Provider,
}

fn without_flags(answer: &Answer, name: &str) -> Option<String> {
    let cookies = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    cookies.filter_map(|cookie| cookie.split(';').next()).find(|cookie| cookie.contains(name)).map(str::to_owned)
}

impl<'a> Browser<'a> {
    /// Begins a sign-in.
    fn begin(server: &'a Server, provider: &'a Provider) -> Self {
        // ureq would go where it is sent.
        let answer = server.request_once("/api/session/provider", &[]);
        assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.body));
        let asked = answer.header("location").strip_prefix(&format!("{}/auth?", provider.issuer)).unwrap();
        let flags = answer.header("set-cookie").to_owned();
        assert!(
            flags.contains("HttpOnly") && flags.contains("SameSite=Lax") && flags.contains("Max-Age=600"),
            "{flags}"
        );
        let browser =
            Self { server, cookie: flags.split(';').next().unwrap().to_owned(), asked: form(asked), provider };
        provider.says.lock().unwrap().nonce = browser.asked["nonce"].clone();
        browser
    }

    fn back(&self, query: &str, cookie: &str) -> Answer {
        let query = query.replace("STATE", &self.asked["state"]).replace("ISSUER", &self.provider.issuer);
        self.server.request_once(&format!("/api/session/provider/back?{query}"), &[("cookie", cookie)])
    }

    /// Comes back as it should.
    fn comes_back(&self) -> Answer {
        self.back("code=c0de&state=STATE&iss=ISSUER", &self.cookie)
    }
}

#[track_caller]
fn check_refused(answer: &Answer, trouble: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, format!("/?sign-in-trouble={trouble}").as_str()));
    let session =
        answer.headers.get_all("set-cookie").iter().any(|value| !value.to_str().unwrap().contains("-sign-in="));
    assert!(!session, "somebody was let in: {answer:?}");
}

fn me(server: &Server, answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.header("location")), (303, "/"), "{}", server.log());
    let cookies: Vec<&str> = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let session = cookies.iter().find(|cookie| !cookie.contains("-sign-in=")).unwrap();
    assert!(session.contains("HttpOnly") && session.contains("SameSite=Strict"), "{session}");
    let flow = without_flags(answer, "-sign-in=").unwrap();
    assert!(flow.ends_with('='), "the browser keeps nothing of the way: {flow}");
    server.send("GET", "/api/session", &[("cookie", session.split(';').next().unwrap())], None).json()
}

#[test]
fn whom_the_provider_signs_in_is_let_in() {
    let provider = Provider::start();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "s3cr:et\n").unwrap();
    let more = ["--oidc-new-people", "annotator", "--oidc-secret", secret.path().to_str().unwrap()];
    let (server, _) = knowing(&provider, &more);
    assert_eq!(server.get("/api/session/ways").json::<Value>()["provider"], "Sign in with the hospital's account");
    let browser = Browser::begin(&server, &provider);
    let asked = |name: &str| browser.asked[name].as_str();
    let back = format!("{}/api/session/provider/back", server.url());
    assert_eq!((asked("response_type"), asked("client_id"), asked("scope")), ("code", "i3deep", "openid profile"));
    assert_eq!((asked("redirect_uri"), asked("code_challenge_method")), (back.as_str(), "S256"));
    assert!(asked("state").len() == 43 && asked("nonce").len() == 43 && asked("state") != asked("nonce"));
    let came = browser.comes_back();
    assert_eq!(me(&server, &came), json!({ "name": "anna", "role": "annotator", "can_sign_out": true }));
    let (form, authorization) = provider.says.lock().unwrap().exchanged.pop().unwrap();
    assert_eq!((form["code"].as_str(), form["redirect_uri"].as_str()), ("c0de", back.as_str()));
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"])), asked("code_challenge"));
    assert_eq!(authorization, format!("Basic {}", STANDARD.encode("i3deep:s3cr%3Aet")));

    // Known by the provider's number for them from now on, whatever they are called.
    provider.lie(json!({ "preferred_username": "admin" }));
    assert_eq!(me(&server, &Browser::begin(&server, &provider).comes_back())["name"], "anna");
    // Another person of her name is not her; nor is who calls themselves as a local account.
    provider.lie(json!({ "sub": "4712" }));
    check_refused(&Browser::begin(&server, &provider).comes_back(), "taken");
    provider.lie(json!({ "sub": "4712", "preferred_username": "admin" }));
    check_refused(&Browser::begin(&server, &provider).comes_back(), "taken");
    // Where the token does not say it, the provider is asked.
    provider.lie(
        json!({ "sub": "4713", "preferred_username": null, "me": { "sub": "4713", "preferred_username": "bert" } }),
    );
    assert_eq!(me(&server, &Browser::begin(&server, &provider).comes_back())["name"], "bert");
    provider.lie(
        json!({ "sub": "4714", "preferred_username": null, "me": { "sub": "4711", "preferred_username": "carl" } }),
    );
    check_refused(&Browser::begin(&server, &provider).comes_back(), "untrusted");
    provider.lie(json!({ "sub": "4714", "preferred_username": "a/../b" }));
    check_refused(&Browser::begin(&server, &provider).comes_back(), "bad-name");
    let password = server.send("POST", "/api/session", &[], Some(&json!({ "name": "anna", "password": "" })));
    assert_eq!(password.refusal(401).0, "wrong_password", "she has no password");
    assert!(!server.log().contains("anna") && !server.log().contains("s3cr"), "{}", server.log());
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let provider = Provider::start();
    let (server, _) = knowing(&provider, &["--oidc-new-people", "annotator"]);
    let check = |query: &str, trouble: &str| {
        let browser = Browser::begin(&server, &provider);
        check_refused(&browser.back(query, &browser.cookie), trouble);
        check_refused(&browser.comes_back(), "expired");
    };
    check("code=c0de&state=STATE&iss=http://evil.example", "untrusted");
    check("code=c0de&state=STATE", "untrusted");
    check("error=access_denied&state=STATE&iss=ISSUER", "refused");
    check("state=STATE&iss=ISSUER", "away");
    let browser = Browser::begin(&server, &provider);
    for query in ["", "code=c0de&iss=ISSUER", "code=c0de&state=guess&iss=ISSUER", "error=access_denied"] {
        check_refused(&browser.back(query, &browser.cookie), "expired");
    }
    // Somebody else's way, sent to a person for them to follow: their browser has not begun it.
    let other = Browser::begin(&server, &provider);
    check_refused(
        &browser.back(&format!("code=c0de&state={}&iss=ISSUER", other.asked["state"]), &browser.cookie),
        "expired",
    );
    check_refused(&other.comes_back(), "expired");
    check_refused(&browser.back("code=c0de&state=STATE&iss=ISSUER", ""), "expired");
    assert!(provider.says.lock().unwrap().exchanged.is_empty(), "no code was given away");

    let browser = Browser::begin(&server, &provider);
    me(&server, &browser.comes_back());
    check_refused(&browser.comes_back(), "expired");
    let lie = |lies: Value| {
        provider.lie(lies.clone());
        check_refused(&Browser::begin(&server, &provider).comes_back(), "untrusted");
    };
    lie(json!({ "nonce": "another" }));
    lie(json!({ "nonce": null }));
    lie(json!({ "aud": "another" }));
    lie(json!({ "iss": "http://evil.example" }));
    lie(json!({ "exp": 1000 }));
    lie(json!({ "iat": 99_999_999_999_u64 }));
    provider.lie(json!({}));
    provider.says.lock().unwrap().forges = true;
    check_refused(&Browser::begin(&server, &provider).comes_back(), "untrusted");
}

#[test]
fn strangers_stay_outside_until_an_administrator_knows_them() {
    let provider = Provider::start();
    let (server, admin) = knowing(&provider, &[]);
    check_refused(&Browser::begin(&server, &provider).comes_back(), "unknown");
    let account = |body: Value| server.send("POST", "/api/people/anna", &[("cookie", &admin)], Some(&body)).status;
    assert_eq!(account(json!({ "role": "reviewer" })), 201, "without a password, since a provider knows her");
    assert_eq!(me(&server, &Browser::begin(&server, &provider).comes_back())["role"], "reviewer");
    let out = json!({ "role": "reviewer", "disabled": true });
    assert_eq!(server.send("PUT", "/api/people/anna", &[("cookie", &admin)], Some(&out)).status, 200);
    check_refused(&Browser::begin(&server, &provider).comes_back(), "shut-out");
    // Local accounts work beside it.
    person(&server, &admin, "bert", "annotator");

    let (server, admin) = asking(&[]);
    assert_eq!(server.get("/api/session/provider").status, 404, "nobody else signs people in here");
    assert_eq!(server.get("/api/session/ways").json::<Value>(), json!({ "provider": null }));
    let made = server.send("POST", "/api/people/anna", &[("cookie", &admin)], Some(&json!({ "role": "annotator" })));
    assert_eq!(made.refusal(400).0, "unreadable_request", "a password is needed where nobody else knows her");
}

#[test]
fn a_provider_that_is_away_or_another_is_told_of() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (server, _) = asking(&["--oidc-issuer", &format!("http://{nobody}"), "--oidc-client", "i3deep"]);
    check_refused(&server.request_once("/api/session/provider", &[]), "away");
    let provider = Provider::start();
    // The same place by another name: not the issuer that it says it is.
    let other = provider.issuer.replace("127.0.0.1", "localhost");
    let (server, _) = asking(&["--oidc-issuer", &other, "--oidc-client", "i3deep"]);
    check_refused(&server.request_once("/api/session/provider", &[]), "away");
    eventually("words in the log", || server.log().contains("another issuer address").then_some(()));
}
