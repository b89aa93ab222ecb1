//! Who is who with a provider that signs people in.

use shared::api::{Person, Role};
use sqlx::{Row, SqliteConnection};

use super::{Actor, Store, StoreError, audit, from_word, now_s, to_word};

/// Whether somebody whom a provider has signed in has an account here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// They have, or have one from now on.
    Person(Person),
    /// They have not, and get none unasked.
    Unknown,
    /// The account of that name has a password, or is another's.
    Taken,
    /// They are shut out.
    ShutOut,
}

impl Store {
    /// The account of somebody whom a provider calls `subject`, and whose account is to have this name. Once bound, it
    /// is theirs whatever the provider calls them later. An account with a password is never bound: whoever may choose
    /// their own name with the provider could take it over. Where there is none, one is made if `new` says what they
    /// may do.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn welcome(
        &self,
        issuer: &str,
        subject: &str,
        name: &str,
        new: Option<Role>,
    ) -> Result<Welcome, StoreError> {
        let mut change = self.change().await?;
        if let Some(person) = bound(&mut change, issuer, subject).await? {
            change.abandon().await?;
            return Ok(if person.disabled { Welcome::ShutOut } else { Welcome::Person(person) });
        }
        let row = sqlx::query(
            "SELECT role, disabled, password = '' AND NOT EXISTS (
                        SELECT 1 FROM identities WHERE issuer = ?2 AND person = name) AS free
             FROM people WHERE name = ?1",
        );
        let row = row.bind(name).bind(issuer).fetch_optional(&mut *change).await?;
        let person = match (row, new) {
            (Some(row), _) if row.try_get("disabled")? => return abandoned(change, Welcome::ShutOut).await,
            (Some(row), _) if !row.try_get::<bool, _>("free")? => return abandoned(change, Welcome::Taken).await,
            (Some(row), _) => Person { name: name.to_owned(), role: from_word(row.try_get("role")?)?, disabled: false },
            (None, Some(role)) => add(&mut change, name, role).await?,
            (None, None) => return abandoned(change, Welcome::Unknown).await,
        };
        sqlx::query("INSERT INTO identities (issuer, subject, person, bound_s) VALUES (?, ?, ?, ?)")
            .bind(issuer)
            .bind(subject)
            .bind(name)
            .bind(now_s())
            .execute(&mut *change)
            .await?;
        audit::record(&mut change, &Actor::person(name), "person.bind", issuer).await?;
        change.commit().await?;
        Ok(Welcome::Person(person))
    }
}

async fn abandoned(change: super::Change, welcome: Welcome) -> Result<Welcome, StoreError> {
    change.abandon().await?;
    Ok(welcome)
}

async fn bound(connection: &mut SqliteConnection, issuer: &str, subject: &str) -> Result<Option<Person>, StoreError> {
    let row = sqlx::query(
        "SELECT name, role, disabled FROM identities JOIN people ON name = person WHERE issuer = ? AND subject = ?",
    );
    let row = row.bind(issuer).bind(subject).fetch_optional(connection).await?;
    row.map(|row| {
        let role: Role = from_word(row.try_get("role")?)?;
        Ok(Person { name: row.try_get("name")?, role, disabled: row.try_get("disabled")? })
    })
    .transpose()
}

/// Makes an account without a password.
async fn add(connection: &mut SqliteConnection, name: &str, role: Role) -> Result<Person, StoreError> {
    sqlx::query("INSERT INTO people (name, role, password, disabled, created_s) VALUES (?, ?, '', 0, ?)")
        .bind(name)
        .bind(to_word(&role)?)
        .bind(now_s())
        .execute(&mut *connection)
        .await?;
    audit::record(connection, &Actor::server(), "person.add", name).await?;
    Ok(Person { name: name.to_owned(), role, disabled: false })
}
