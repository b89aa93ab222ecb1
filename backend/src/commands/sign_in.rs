//! Options of `i3deep serve` about sign-in with a provider (OpenID Connect).

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use shared::api::Role;

use crate::oidc::{Provider, Settings};
use crate::secret::Hidden;

/// How people sign in with an account that they have elsewhere.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SignIn {
    /// Let people sign in with a provider (OpenID Connect), by its issuer address, such as
    /// https://login.hospital.example/realms/staff. Local accounts go on working beside it.
    #[arg(long, value_name = "URL", requires = "oidc_client")]
    oidc_issuer: Option<String>,
    /// What this server is called with the provider.
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    oidc_client: Option<String>,
    /// File with the secret that the provider knows this server by; without it this server is a public client.
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    oidc_secret: Option<PathBuf>,
    /// Where browsers come back to, as it is written down with the provider; the first --host and
    /// /api/session/provider/back unless given.
    #[arg(long, value_name = "URL", requires = "oidc_issuer")]
    oidc_redirect: Option<String>,
    /// The claim that names a person's account the first time; later they are known by the provider's own number for
    /// them.
    #[arg(long, value_name = "CLAIM", default_value = "preferred_username")]
    oidc_claim: String,
    /// What is asked for beside `openid`.
    #[arg(long = "oidc-scope", value_name = "SCOPE", default_value = "profile", value_delimiter = ',')]
    oidc_scopes: Vec<String>,
    /// What the button on the sign-in page says.
    #[arg(long, value_name = "WORDS", default_value = "Sign in with the hospital's account")]
    oidc_label: String,
    /// Make an account for whom the provider signs in and nobody knows: annotator or reviewer. Without it an
    /// administrator makes it, without a password.
    #[arg(long, value_name = "ROLE", requires = "oidc_issuer", value_parser = role)]
    oidc_new_people: Option<Role>,
    /// Authorities that are trusted to know the provider, PEM; the system's unless given.
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    oidc_ca: Option<PathBuf>,
}

fn role(word: &str) -> Result<Role, String> {
    match word {
        "annotator" => Ok(Role::Annotator),
        "reviewer" => Ok(Role::Reviewer),
        _ => Err("annotator or reviewer; administrators are made by administrators".to_owned()),
    }
}

impl SignIn {
    /// Whether there is a provider.
    pub(super) fn has_provider(&self) -> bool {
        self.oidc_issuer.is_some()
    }

    /// The provider, if there is one; browsers come back to `back` unless the operator says where.
    pub(super) fn provider(&self, back: &str) -> Result<Option<Provider>> {
        let (Some(issuer), Some(client)) = (&self.oidc_issuer, &self.oidc_client) else { return Ok(None) };
        let redirect = self.oidc_redirect.clone().unwrap_or_else(|| back.to_owned());
        let path = shared::api::route::BACK_FROM_PROVIDER.path;
        ensure!(redirect.ends_with(path), "--oidc-redirect has to end in {path}");
        let read = |file: &PathBuf| std::fs::read(file).with_context(|| format!("cannot read {}", file.display()));
        let secret = self.oidc_secret.as_ref().map(read).transpose()?.map(String::from_utf8).transpose()?;
        let secret = secret.map(|secret| Hidden(secret.trim_end_matches(['\r', '\n']).to_owned()));
        ensure!(secret.as_ref().is_none_or(|Hidden(secret)| !secret.is_empty()), "the file of --oidc-secret is empty");
        let provider = Provider::new(Settings {
            issuer: issuer.clone(),
            client: client.clone(),
            secret,
            redirect,
            claim: self.oidc_claim.clone(),
            scopes: self.oidc_scopes.clone(),
            label: self.oidc_label.clone(),
            new_people: self.oidc_new_people,
            authorities: self.oidc_ca.as_ref().map(read).transpose()?,
        })?;
        Ok(Some(provider))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        sign_in: SignIn,
    }

    #[test]
    fn nobody_in_between_reads_along() {
        fn check(arguments: &[&str], back: &str, expected: Result<bool, &str>) {
            let arguments = [&["serve"], arguments].concat();
            let got = Cli::try_parse_from(arguments.clone()).map_err(|error| error.to_string()).and_then(|cli| {
                let provider = cli.sign_in.provider(back).map_err(|error| format!("{error:#}"))?;
                Ok(provider.is_some())
            });
            match (got, expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{arguments:?}"),
                (Err(words), Err(says)) => assert!(words.contains(says), "{arguments:?}: {words}"),
                (got, _) => panic!("{arguments:?}: {got:?}"),
            }
        }
        const BACK: &str = "https://seg.example/api/session/provider/back";
        let given = ["--oidc-issuer", "https://login.example", "--oidc-client", "i3deep"];
        check(&[], BACK, Ok(false));
        check(&["--oidc-issuer", "http://127.0.0.1:9000", "--oidc-client", "i3deep"], BACK, Ok(true));
        check(&["--oidc-issuer", "http://login.example", "--oidc-client", "i3deep"], BACK, Err("begin with https://"));
        check(
            &["--oidc-issuer", "http://127.0.0.1.evil.example", "--oidc-client", "i"],
            BACK,
            Err("begin with https://"),
        );
        check(&["--oidc-issuer", "https://login.example"], BACK, Err("--oidc-client"));
        check(
            &[&given[..2], &["--oidc-client", "i", "--oidc-new-people", "admin"]].concat(),
            BACK,
            Err("annotator or"),
        );
        let local = ["--oidc-issuer", "http://localhost:9000", "--oidc-client", "i3deep"];
        let open = "http://seg.example/api/session/provider/back";
        check(&local, open, Err("not encrypted"));
        check(
            &[&local[..], &["--oidc-redirect", "https://seg.example/elsewhere"]].concat(),
            BACK,
            Err("has to end in"),
        );
        check(&[&local[..], &["--oidc-secret", "/absent"]].concat(), BACK, Err("cannot read /absent"));
    }
}
