//! Who works here.

use serde::{Deserialize, Serialize};

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Works on the cases that they brought or were given.
    Annotator,
    /// Sees every case, and gives cases to people.
    Reviewer,
    /// The same, and says who works here.
    Admin,
}

impl Role {
    /// Whether every case is theirs to see.
    pub fn sees_all(self) -> bool {
        matches!(self, Role::Reviewer | Role::Admin)
    }
}

/// Somebody with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Person {
    /// What they sign in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they are shut out.
    #[serde(default)]
    pub disabled: bool,
}

/// Who the server takes the asker for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// The account's name, or `local` where there are no accounts.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they came with a session that can be ended.
    pub can_sign_out: bool,
}

/// A name and a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignIn {
    /// The account's name.
    pub name: String,
    /// The password.
    pub password: String,
    /// For the first administrator: the word in the link that the server printed when it was started without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<String>,
}

/// How people sign in, beside a name and a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignInWays {
    /// What the button says that leads to a provider; none if there is no provider.
    pub provider: Option<String>,
}

/// Why somebody who came back from a provider is not signed in; stands in the address of the sign-in page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInTrouble {
    /// The provider does not answer, or not as the standard has it.
    Away,
    /// The provider has signed nobody in.
    Refused,
    /// Begun too long ago, or in another browser, or finished.
    Expired,
    /// The provider's statement is not believed.
    Untrusted,
    /// There is no account for them.
    Unknown,
    /// The account of that name has a password, or is another's.
    Taken,
    /// They are shut out.
    ShutOut,
    /// The provider names nobody, or by what is no name here.
    BadName,
    /// Too many tries.
    TooOften,
}

impl SignInTrouble {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Away,
        Self::Refused,
        Self::Expired,
        Self::Untrusted,
        Self::Unknown,
        Self::Taken,
        Self::ShutOut,
        Self::BadName,
        Self::TooOften,
    ];

    /// As it stands in an address.
    pub fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Untrusted => "untrusted",
            Self::Unknown => "unknown",
            Self::Taken => "taken",
            Self::ShutOut => "shut-out",
            Self::BadName => "bad-name",
            Self::TooOften => "too-often",
        }
    }
}

/// An account to be made or changed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Account {
    /// What they may do.
    pub role: Role,
    /// Whether they are shut out.
    #[serde(default)]
    pub disabled: bool,
    /// A new password; needed for a new account, unless its person is signed in by a provider or a proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// A program's key, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyInfo {
    /// What it is revoked by.
    pub id: i64,
    /// What it is for.
    pub label: String,
    /// Seconds since 1970, UTC.
    pub created_s: i64,
    /// When it was last used, to the minute.
    pub seen_s: Option<i64>,
}

/// What a key is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewKey {
    /// In words.
    pub label: String,
}

/// A key, the one time that it is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyMade {
    /// About it.
    pub info: KeyInfo,
    /// To be sent as `Authorization: Bearer …`.
    pub key: String,
}
