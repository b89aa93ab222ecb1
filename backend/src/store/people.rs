//! Who may work here: people, their sessions, their programs' keys, and which cases are whose.
//!
//! Secrets are kept as digests: whoever reads the database can sign in as nobody. Passwords come here as argon2id
//! hashes; how they are made and compared is `http::people`'s.

use shared::api::{KeyInfo, Person, Role};
use shared::case::{CaseId, JobId};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Actor, Store, StoreError, audit, from_word, now_s, number, readings, to_word};

/// How long a session lasts if nothing is asked in it.
const IDLE_LIMIT_S: i64 = 8 * 3600;
/// How long a session lasts at most.
const SESSION_LIMIT_S: i64 = 7 * 24 * 3600;
/// How often it is noted that a session is in use.
const SEEN_INTERVAL_S: i64 = 60;

/// What a person is let in by.
#[derive(Clone, Copy, Debug)]
pub enum Secret<'a> {
    /// A browser's session, by the digest of its cookie.
    Session(&'a str),
    /// A program's key, by its digest.
    Key(&'a str),
}

impl Store {
    /// Whether anybody has an account here.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn has_people(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM people)").fetch_one(&self.readers).await?)
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn people(&self) -> Result<Vec<Person>, StoreError> {
        let rows =
            sqlx::query("SELECT name, role, disabled FROM people ORDER BY name").fetch_all(&self.readers).await?;
        rows.iter().map(person).collect()
    }

    /// A person and their password's hash, unless they are shut out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn credentials(&self, name: &str) -> Result<Option<(Person, String)>, StoreError> {
        let row =
            sqlx::query("SELECT name, role, disabled, password FROM people WHERE name = ? AND NOT disabled").bind(name);
        let row = row.fetch_optional(&self.readers).await?;
        row.map(|row| Ok((person(&row)?, row.try_get("password")?))).transpose()
    }

    /// Adds a person.
    ///
    /// # Errors
    /// [`StoreError::NotNow`] if the name is taken.
    pub async fn add_person(&self, actor: &Actor, person: &Person, password: &str) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let added = sqlx::query(
            "INSERT INTO people (name, role, password, disabled, created_s) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO NOTHING",
        )
        .bind(&person.name)
        .bind(to_word(&person.role)?)
        .bind(password)
        .bind(person.disabled)
        .bind(now_s())
        .execute(&mut *change)
        .await?;
        if added.rows_affected() == 0 {
            return Err(StoreError::NotNow("somebody here has this name already; choose another"));
        }
        audit::record(&mut change, actor, "person.add", &person.name).await?;
        change.commit().await
    }

    /// Changes what a person may do, and their password if one is given. Whoever is changed is signed out.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::NotNow`] if nobody were left to let others in.
    pub async fn change_person(
        &self,
        actor: &Actor,
        person: &Person,
        password: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        if person.role.sees_all() && !person.disabled && readings::reads_any_blind(&mut change, &person.name).await? {
            return Err(StoreError::NotNow(
                "they read slices of a case a second time, blind, and would see every case; wait until that is over",
            ));
        }
        let changed =
            sqlx::query("UPDATE people SET role = ?, disabled = ?, password = coalesce(?, password) WHERE name = ?")
                .bind(to_word(&person.role)?)
                .bind(person.disabled)
                .bind(password)
                .bind(&person.name)
                .execute(&mut *change)
                .await?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::NotFound("such person"));
        }
        let admins: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM people WHERE role = 'admin' AND NOT disabled)")
                .fetch_one(&mut *change)
                .await?;
        if !admins {
            return Err(StoreError::NotNow("this is the last administrator; make somebody else one first"));
        }
        sqlx::query("DELETE FROM sessions WHERE person = ?").bind(&person.name).execute(&mut *change).await?;
        audit::record(&mut change, actor, "person.change", &person.name).await?;
        change.commit().await
    }

    /// Begins a session; those whose time is over are forgotten.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn begin_session(&self, name: &str, digest: &str) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let now = now_s();
        sqlx::query("DELETE FROM sessions WHERE seen_s < ? OR begun_s < ?")
            .bind(now - IDLE_LIMIT_S)
            .bind(now - SESSION_LIMIT_S)
            .execute(&mut *change)
            .await?;
        sqlx::query("INSERT INTO sessions (digest, person, begun_s, seen_s) VALUES (?, ?, ?, ?)")
            .bind(digest)
            .bind(name)
            .bind(now)
            .bind(now)
            .execute(&mut *change)
            .await?;
        audit::record(&mut change, &Actor::person(name), "session.begin", "").await?;
        change.commit().await
    }

    /// Ends a session; one that has ended stays so.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end_session(&self, digest: &str) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let name: Option<String> = sqlx::query_scalar("DELETE FROM sessions WHERE digest = ? RETURNING person")
            .bind(digest)
            .fetch_optional(&mut *change)
            .await?;
        if let Some(name) = name {
            audit::record(&mut change, &Actor::person(name), "session.end", "").await?;
        }
        change.commit().await
    }

    /// Whose secret this is; nobody's if it has been revoked, its time is over, or the person is shut out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn let_in(&self, secret: Secret<'_>) -> Result<Option<Person>, StoreError> {
        let now = now_s();
        let (row, digest, note) = match secret {
            Secret::Session(digest) => {
                let query = "SELECT name, role, disabled, seen_s FROM people JOIN sessions ON person = name
                             WHERE digest = ? AND NOT disabled AND seen_s >= ? AND begun_s >= ?";
                let row = sqlx::query(query).bind(digest).bind(now - IDLE_LIMIT_S).bind(now - SESSION_LIMIT_S);
                (row.fetch_optional(&self.readers).await?, digest, "UPDATE sessions SET seen_s = ? WHERE digest = ?")
            }
            Secret::Key(digest) => {
                let query = "SELECT name, role, disabled, seen_s FROM people JOIN keys ON person = name
                             WHERE digest = ? AND NOT disabled";
                (
                    sqlx::query(query).bind(digest).fetch_optional(&self.readers).await?,
                    digest,
                    "UPDATE keys SET seen_s = ? WHERE digest = ?",
                )
            }
        };
        let Some(row) = row else { return Ok(None) };
        if row.try_get::<i64, _>("seen_s")? < now - SEEN_INTERVAL_S {
            let mut change = self.change().await?;
            sqlx::query(note).bind(now).bind(digest).execute(&mut *change).await?;
            change.commit().await?;
        }
        person(&row).map(Some)
    }

    /// Gives a program a key of a person's.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn add_key(&self, name: &str, label: &str, digest: &str) -> Result<KeyInfo, StoreError> {
        let mut change = self.change().await?;
        let now = now_s();
        let id = sqlx::query_scalar(
            "INSERT INTO keys (person, label, digest, created_s, seen_s) VALUES (?, ?, ?, ?, 0) RETURNING id",
        )
        .bind(name)
        .bind(label)
        .bind(digest)
        .bind(now)
        .fetch_one(&mut *change)
        .await?;
        audit::record(&mut change, &Actor::person(name), "key.add", label).await?;
        change.commit().await?;
        Ok(KeyInfo { id, label: label.to_owned(), created_s: now, seen_s: None })
    }

    /// A person's keys.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keys(&self, name: &str) -> Result<Vec<KeyInfo>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, label, created_s, nullif(seen_s, 0) AS seen_s FROM keys WHERE person = ? ORDER BY id",
        )
        .bind(name);
        let key = |row: &SqliteRow| {
            let (id, label) = (row.try_get("id")?, row.try_get("label")?);
            Ok(KeyInfo { id, label, created_s: row.try_get("created_s")?, seen_s: row.try_get("seen_s")? })
        };
        rows.fetch_all(&self.readers).await?.iter().map(key).collect()
    }

    /// Revokes a person's key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn revoke_key(&self, name: &str, id: i64) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let label: Option<String> = sqlx::query_scalar("DELETE FROM keys WHERE id = ? AND person = ? RETURNING label")
            .bind(id)
            .bind(name)
            .fetch_optional(&mut *change)
            .await?;
        let label = label.ok_or(StoreError::NotFound("such key"))?;
        audit::record(&mut change, &Actor::person(name), "key.revoke", &label).await?;
        change.commit().await
    }

    /// Whether a case is a person's to work on: they made it, or it was given to them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn may_work_on(&self, name: &str, case: &str) -> Result<bool, StoreError> {
        let query = "SELECT EXISTS (SELECT 1 FROM cases WHERE id = ?1 AND (created_by = ?2
                         OR EXISTS (SELECT 1 FROM assignments WHERE case_number = number AND person = ?2)))";
        Ok(sqlx::query_scalar(query).bind(case).bind(name).fetch_one(&self.readers).await?)
    }

    /// Ids of the cases that are a person's to work on.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn cases_of(&self, name: &str) -> Result<Vec<CaseId>, StoreError> {
        let query = "SELECT id FROM cases
                     WHERE created_by = ?1 OR number IN (SELECT case_number FROM assignments WHERE person = ?1)";
        let ids: Vec<String> = sqlx::query_scalar(query).bind(name).fetch_all(&self.readers).await?;
        Ok(ids.into_iter().map(CaseId::from).collect())
    }

    /// The case that a job is for.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn case_of_job(&self, job: JobId) -> Result<CaseId, StoreError> {
        let case =
            sqlx::query_scalar("SELECT c.id FROM cases c JOIN jobs j ON j.case_number = c.number WHERE j.id = ?")
                .bind(job.0);
        let case: Option<String> = case.fetch_optional(&self.readers).await?;
        Ok(case.ok_or(StoreError::NotFound("such job"))?.into())
    }

    /// Who a case has been given to.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn assigned(&self, case: &CaseId) -> Result<Vec<String>, StoreError> {
        let query = "SELECT person FROM assignments JOIN cases ON number = case_number WHERE id = ? ORDER BY person";
        Ok(sqlx::query_scalar(query).bind(case.as_str()).fetch_all(&self.readers).await?)
    }

    /// Gives a case to these people and to nobody else.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such case or person.
    pub async fn assign(&self, actor: &Actor, case: &CaseId, people: &[String]) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let number = number(&mut change, case).await?;
        if readings::is_one(&mut change, number).await? {
            return Err(StoreError::NotNow("a second reading is its reader's alone"));
        }
        for name in people {
            if readings::reads_blind(&mut change, number, name).await? {
                return Err(StoreError::NotNow(
                    "somebody among these reads slices of this case a second time; wait until that is finished",
                ));
            }
        }
        sqlx::query("DELETE FROM assignments WHERE case_number = ?").bind(number).execute(&mut *change).await?;
        for name in people {
            let added = sqlx::query(
                "INSERT OR IGNORE INTO assignments (case_number, person) SELECT ?, name FROM people WHERE name = ?",
            )
            .bind(number)
            .bind(name)
            .execute(&mut *change)
            .await?;
            if added.rows_affected() == 0 {
                return Err(StoreError::NotFound("such person"));
            }
        }
        audit::record(&mut change, actor, "case.assign", &format!("{case} {}", people.join(" "))).await?;
        change.commit().await?;
        self.announce(case);
        Ok(())
    }
}

fn person(row: &SqliteRow) -> Result<Person, StoreError> {
    let role: Role = from_word(row.try_get("role")?)?;
    Ok(Person { name: row.try_get("name")?, role, disabled: row.try_get("disabled")? })
}
