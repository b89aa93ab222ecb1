//! Whether an ID token is believed: OpenID Connect Core 1.0, section 3.1.3.7; signatures as RFC 7518 has them, by the
//! library that encrypts this server's connections. Symmetric algorithms and `none` are not known here at all, so that
//! no token can choose them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

/// How far the two clocks may be apart.
const CLOCKS_APART_S: f64 = 60.0;
/// Longest token that is looked at.
const LONGEST: usize = 64 << 10;

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// No token at all.
    #[error("it is no signed token")]
    Shape,
    /// Signed in a way that is not accepted.
    #[error("its algorithm is not accepted (RS256, PS256, ES256, ES384 and EdDSA are)")]
    Algorithm,
    /// By a key that the provider does not name.
    #[error("it is signed with a key that the provider does not name")]
    NoKey,
    /// The signature is another's.
    #[error("its signature is wrong")]
    Signature,
    /// Another provider.
    #[error("it is another provider's")]
    Issuer,
    /// For somebody else.
    #[error("it is meant for another client")]
    Audience,
    /// Too old, or from the future.
    #[error("its time is over, or has not come; are both clocks right?")]
    Time,
    /// Not the answer to what was asked.
    #[error("it does not answer this sign-in")]
    Nonce,
    /// Two statements about two people.
    #[error("it is about another person than the provider's further statement")]
    Subject,
    /// An address that nobody has checked.
    #[error("the address has not been verified")]
    Email,
}

/// A provider's public key (RFC 7517).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Key {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

/// What a token says.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    exp: f64,
    iat: f64,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(flatten)]
    pub(super) more: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// What must be understood; nothing is.
    #[serde(default)]
    crit: Option<Value>,
}

/// What a token has to say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now_s: f64,
}

/// The claims of a token that is believed.
pub(super) fn verified(token: &str, keys: &[Key], expected: &Expected<'_>) -> Result<Claims, Untrusted> {
    let shape = |_| Untrusted::Shape;
    if token.len() > LONGEST {
        return Err(Untrusted::Shape);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Untrusted::Shape)?;
    let (header, claims) = signed.split_once('.').ok_or(Untrusted::Shape)?;
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(shape)?;
    if header.crit.is_some() {
        return Err(Untrusted::Algorithm);
    }
    let scheme = Scheme::of(&header.alg).ok_or(Untrusted::Algorithm)?;
    let fitting: Vec<&Key> = keys.iter().filter(|key| scheme.takes(key, &header)).collect();
    // Without a name a token's key is the only one that fits.
    let [key] = fitting[..] else { return Err(Untrusted::NoKey) };
    scheme.check(key, signed.as_bytes(), &decoded(signature)?)?;
    let claims: Claims = serde_json::from_slice(&decoded(claims)?).map_err(shape)?;
    check(&claims, expected)?;
    Ok(claims)
}

fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), Untrusted> {
    if claims.iss != expected.issuer {
        return Err(Untrusted::Issuer);
    }
    let (is_among, is_alone) = match &claims.aud {
        Audience::One(one) => (one == expected.client, true),
        Audience::Several(all) => (all.iter().any(|one| one == expected.client), all.len() == 1),
    };
    let is_party = claims.azp.as_deref().map_or(is_alone, |party| party == expected.client);
    if !(is_among && is_party) {
        return Err(Untrusted::Audience);
    }
    // So that what is no number is refused, too.
    let in_time = claims.exp > expected.now_s - CLOCKS_APART_S && claims.iat < expected.now_s + CLOCKS_APART_S;
    if !in_time {
        return Err(Untrusted::Time);
    }
    if claims.nonce.as_deref() != Some(expected.nonce) || claims.sub.is_empty() {
        return Err(Untrusted::Nonce);
    }
    Ok(())
}

/// An algorithm that is accepted.
#[derive(Clone, Copy)]
enum Scheme {
    Rsa(&'static signature::RsaParameters, &'static str),
    Curve { algorithm: &'static dyn VerificationAlgorithm, kty: &'static str, curve: &'static str, name: &'static str },
}

impl Scheme {
    fn of(name: &str) -> Option<Self> {
        let curve = |algorithm, kty, curve, name| Scheme::Curve { algorithm, kty, curve, name };
        Some(match name {
            "RS256" => Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256, "RS256"),
            "PS256" => Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA256, "PS256"),
            "ES256" => curve(&signature::ECDSA_P256_SHA256_FIXED, "EC", "P-256", "ES256"),
            "ES384" => curve(&signature::ECDSA_P384_SHA384_FIXED, "EC", "P-384", "ES384"),
            "EdDSA" => curve(&signature::ED25519, "OKP", "Ed25519", "EdDSA"),
            _ => return None,
        })
    }

    fn takes(self, key: &Key, header: &Header) -> bool {
        let (kty, curve, name) = match self {
            Scheme::Rsa(_, name) => ("RSA", None, name),
            Scheme::Curve { kty, curve, name, .. } => (kty, Some(curve), name),
        };
        key.kty == kty
            && key.crv.as_deref() == curve
            && key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && key.alg.as_deref().is_none_or(|alg| alg == name)
            && (header.kid.is_none() || header.kid == key.kid)
    }

    fn check(self, key: &Key, signed: &[u8], signature: &[u8]) -> Result<(), Untrusted> {
        let checked = match self {
            Scheme::Rsa(parameters, _) => {
                let (n, e) = (decoded(&key.n)?, decoded(&key.e)?);
                RsaPublicKeyComponents { n: &n, e: &e }.verify(parameters, signed, signature)
            }
            Scheme::Curve { algorithm, kty, .. } => {
                let point = if kty == "EC" {
                    // SEC 1: 4 stands for "not compressed".
                    [vec![4], decoded(&key.x)?, decoded(&key.y)?].concat()
                } else {
                    decoded(&key.x)?
                };
                UnparsedPublicKey::new(algorithm, point).verify(signed, signature)
            }
        };
        checked.map_err(|_| Untrusted::Signature)
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, Untrusted> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Untrusted::Shape)
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    const EXPECTED: Expected<'_> =
        Expected { issuer: "https://login.example", client: "i3deep", nonce: "n", now_s: 1000.0 };

    struct Signer {
        pair: EcdsaKeyPair,
    }

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
            Self { pair }
        }

        fn key(&self, kid: &str) -> Key {
            let point = self.pair.public_key().as_ref();
            let half = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
            let key = json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": half(1..33), "y": half(33..65) });
            serde_json::from_value(key).unwrap()
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn claims() -> Value {
        json!({ "iss": "https://login.example", "sub": "4711", "aud": "i3deep", "exp": 1300, "iat": 990, "nonce": "n",
                "preferred_username": "anna" })
    }

    #[test]
    fn only_what_was_asked_for_is_believed() {
        let signer = Signer::new();
        let check = |change: &[(&str, Value)], expected: Result<(), Untrusted>| {
            let mut claims = claims();
            for (name, value) in change {
                claims[name] = value.clone();
            }
            let token = signer.token(&json!({ "alg": "ES256", "kid": "k" }), &claims);
            let got = verified(&token, &[signer.key("k")], &EXPECTED).map(|_| ());
            assert_eq!(got, expected, "{change:?}");
        };
        check(&[], Ok(()));
        check(&[("aud", json!(["i3deep"]))], Ok(()));
        check(&[("aud", json!(["i3deep", "other"])), ("azp", json!("i3deep"))], Ok(()));
        check(&[("aud", json!(["i3deep", "other"]))], Err(Untrusted::Audience));
        check(&[("aud", json!(["i3deep", "other"])), ("azp", json!("other"))], Err(Untrusted::Audience));
        check(&[("aud", json!("other"))], Err(Untrusted::Audience));
        check(&[("iss", json!("https://login.example/"))], Err(Untrusted::Issuer));
        check(&[("iss", json!("https://evil.example"))], Err(Untrusted::Issuer));
        check(&[("exp", json!(939))], Err(Untrusted::Time));
        check(&[("exp", json!(941))], Ok(()));
        check(&[("exp", json!("never"))], Err(Untrusted::Shape));
        check(&[("iat", json!(1061))], Err(Untrusted::Time));
        check(&[("nonce", json!("m"))], Err(Untrusted::Nonce));
        check(&[("nonce", Value::Null)], Err(Untrusted::Nonce));
        check(&[("sub", json!(""))], Err(Untrusted::Nonce));
    }

    #[test]
    fn only_the_providers_own_signature_is_taken() {
        let (signer, other) = (Signer::new(), Signer::new());
        let check = |token: &str, keys: &[Key], expected: Untrusted| {
            assert_eq!(verified(token, keys, &EXPECTED).unwrap_err(), expected, "{token}");
        };
        let header = json!({ "alg": "ES256", "kid": "k" });
        let good = signer.token(&header, &claims());
        check(&good, &[other.key("k")], Untrusted::Signature);
        check(&good, &[signer.key("l")], Untrusted::NoKey);
        check(&good, &[], Untrusted::NoKey);
        let nameless = signer.token(&json!({ "alg": "ES256" }), &claims());
        assert!(verified(&nameless, &[signer.key("k")], &EXPECTED).is_ok());
        check(&nameless, &[signer.key("k"), other.key("l")], Untrusted::NoKey);
        for alg in ["none", "HS256", "ES512", "es256", ""] {
            check(&signer.token(&json!({ "alg": alg }), &claims()), &[signer.key("k")], Untrusted::Algorithm);
        }
        // A key for another algorithm, or for encryption, signs nothing here.
        check(&signer.token(&json!({ "alg": "RS256", "kid": "k" }), &claims()), &[signer.key("k")], Untrusted::NoKey);
        let sealed = Key { purpose: Some("enc".to_owned()), ..signer.key("k") };
        check(&good, &[sealed], Untrusted::NoKey);
        let crit = json!({ "alg": "ES256", "kid": "k", "crit": ["b64"] });
        check(&signer.token(&crit, &claims()), &[signer.key("k")], Untrusted::Algorithm);
        // What was signed is what is read.
        let mut parts: Vec<&str> = good.split('.').collect();
        let forged = URL_SAFE_NO_PAD.encode(claims().to_string().replace("4711", "4712"));
        parts[1] = &forged;
        check(&parts.join("."), &[signer.key("k")], Untrusted::Signature);
        for text in ["", "a.b", "a.b.c", "....", &good[..good.len() - 4], &"a".repeat(LONGEST + 1)] {
            assert!(verified(text, &[signer.key("k")], &EXPECTED).is_err());
        }
    }

    #[test]
    fn rsa_is_taken_with_both_paddings() {
        // Made by Node's crypto.
        let n = "sMFthNllaGkowyRgx6SlLJcSZku5fNTgFKapbYAngGEG-UE2oh-V1d5fbmcX5YnxiwuzaneXx8xphG3_RNn4\
             wp8GnUWALJp6lWm30NPRgrgTuQMxgpVRCQJW6yQdxKTr9PQbphU9d89ixJeyCLeHYXWpR3CaDYVvLiD5C32b\
             5NpanfIvxkF-7B4eurT7QzIJ13cCalpMvfqRFd3eu3SX9JHX1EtlN1UZMfDSLO6RbE6YWcnpRlB4FhZVZ8Mc\
             -Wmt6zRIKDN3DbYKJeAIiViqv3pb34mXw0HUC7Q4oz7GTvLhApjKVKb5aMAFbCIRXoCzTTkirhqNDIh0ZNWX\
             HemK7Q";
        let signed = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UifQ";
        let check = |alg: &str, signature: &str| {
            let key: Key = serde_json::from_value(json!({ "kty": "RSA", "n": n, "e": "AQAB" })).unwrap();
            let (scheme, signature) = (Scheme::of(alg).unwrap(), decoded(signature).unwrap());
            assert_eq!(scheme.check(&key, signed.as_bytes(), &signature), Ok(()), "{alg}");
            let forged = signed.replace(".eyJ", ".eyK");
            assert_eq!(scheme.check(&key, forged.as_bytes(), &signature), Err(Untrusted::Signature), "{alg}");
        };
        check(
            "RS256",
            "qk7V0Ywk-BUZtsEPO5H8hbIrs51opH-ssLt_5FqLAT-AgZr3Pva_1X6xoZg0FldVv7p6ke8Ef-ifHPocNRce\
             ir8ILUnXRR8aWe9ZxmNLS08zp2t7bKApoFZU4ufpJgpSokI2Pp5HRqAiVjqGV4CJSzaXQTkkMBLHm_A683OT\
             15i9AjudUV_GOkyzapq7kcJrEgEDfr6ggKglO7SyVLa5W5RfhNyXtFQbZD8hmVQMy_vHcsrQ74lz6NZNaB9X\
             GXae6ZDedx576pnpglncG7BFVI_dlFT4itm-FmmHhXQsQkaQfbu_AOIrMUn_DpQf7FpdrjG_kFbyexn2rDRN\
             7-K2ug",
        );
        check(
            "PS256",
            "Yop8jVguOCBwxpDtqi7YshQLEpv8iDRkQhH8kCpNUDZQcTtm6djz-KAiHveMbrUQkuEndUYCNZXkuh790sJ1\
             14ZjEjwkKRrT_EqvRiBJ6D4p-0raXztsg4IjMrPvSrJR-trtqWll4wtVhcfaONPA4XWPPi3v4S3S4DduxY1i\
             hVmkGi8P5Ss2xIy0N8hnHxQCyjuDhOz-LcRtXWQvfYlvSe15zUWDG7aOCEu4q4gMbNCxLg5Q7OIzB53OGSLI\
             a1Y6brgHSnPMdGIZS1qVBbCaYS-TPhWsuC2C0ADRKDAVRhnQHqEbQ6xDBKu9TM8mwZ72clH8dpmF51Oc0TYK\
             -HIW3A",
        );
    }
}
