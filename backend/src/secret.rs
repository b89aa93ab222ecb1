//! Words that nobody can guess, and what is kept of them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A text that stands in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub(crate) String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

/// 256 bits that nobody can guess, as text that fits into an address.
///
/// # Errors
/// If the system has no randomness to give.
pub(crate) fn random_word() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(std::io::Error::from)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a word, or told of it in advance (the `S256` challenge of RFC 7636): its SHA-256.
pub(crate) fn digest(word: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_long_and_never_the_same() {
        let [one, other] = [random_word().unwrap(), random_word().unwrap()];
        assert_ne!(one, other);
        assert_eq!(one.len(), 43);
        assert!(one.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{one}");
    }

    #[test]
    fn the_digest_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let challenge = digest("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
