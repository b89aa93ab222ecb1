//! Passwords, kept as argon2id.

use std::sync::LazyLock;

use actix_web::web;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

use super::super::Refusal;

/// A hash that is nobody's, with the parameters of all others.
static NOBODYS: LazyLock<Option<String>> = LazyLock::new(|| hashed("nobody's").ok());

/// What is kept of a password.
pub(super) async fn hash(password: String) -> Result<String, Refusal> {
    let hash = web::block(move || hashed(&password)).await.map_err(|error| Refusal::internal(&error))?;
    hash.map_err(|error| Refusal::internal(&error))
}

fn hashed(password: &str) -> Result<String, argon2::password_hash::Error> {
    Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
}

/// Whether a password is the one that was kept. Takes as long if none was, so that nobody learns which names exist.
pub(super) async fn is_password(password: String, kept: Option<String>) -> Result<bool, Refusal> {
    web::block(move || is_hashed(&password, kept.as_deref())).await.map_err(|error| Refusal::internal(&error))
}

fn is_hashed(password: &str, kept: Option<&str>) -> bool {
    let Some(hash) = kept.or(NOBODYS.as_deref()) else { return false };
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok() && kept.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_is_right() {
        let kept = hashed("correct horse").unwrap();
        assert!(kept.starts_with("$argon2id$"), "{kept}");
        assert!(is_hashed("correct horse", Some(&kept)));
        assert!(!is_hashed("Correct horse", Some(&kept)));
        assert!(!is_hashed("nobody's", None), "nobody is let in by the hash that is nobody's");
    }
}
