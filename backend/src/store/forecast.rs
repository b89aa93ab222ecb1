//! How long a job would take that nobody has asked for yet, by how long those before it have taken.

use shared::api::Forecast;
use sqlx::Row;

use super::{Actor, Store, StoreError, from_word};

/// Of a bundle's jobs of a kind, so many of the latest are looked at.
const LATEST: i64 = 20;

impl Store {
    /// What a job of each kind of each bundle would come to if this person asked for it now; none of those of which no
    /// job has been done yet.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forecasts(&self, actor: &Actor) -> Result<Vec<Forecast>, StoreError> {
        // The median of the latest, so that one odd scan changes nothing. What goes first is as `lease` takes it: what
        // runs, refinements, then everybody's first, everybody's second, … up to where this person's next one stands.
        let rows = sqlx::query(
            "WITH done AS (SELECT bundle, kind, took_ms,
                                  row_number() OVER (PARTITION BY bundle, kind ORDER BY j.id DESC) AS age
                           FROM jobs j JOIN cases ON number = case_number WHERE took_ms IS NOT NULL),
                  ranked AS (SELECT bundle, kind, took_ms,
                                    row_number() OVER (PARTITION BY bundle, kind ORDER BY took_ms) AS place,
                                    count(*) OVER (PARTITION BY bundle, kind) AS count
                             FROM done WHERE age <= ?1),
                  typical AS (SELECT bundle, kind, took_ms FROM ranked WHERE place = (count + 1) / 2),
                  busy AS (SELECT j.kind, j.state, j.asked_by, coalesce(t.took_ms, 0) * (1 - j.progress) AS left_ms,
                                  row_number() OVER (PARTITION BY asked_by, j.kind, state ORDER BY j.id) AS nth
                           FROM jobs j JOIN cases c ON c.number = j.case_number
                                LEFT JOIN typical t ON t.bundle = c.bundle AND t.kind = j.kind
                           WHERE state IN ('queued', 'running')),
                  own AS (SELECT count(*) AS waiting FROM busy WHERE asked_by = ?2 AND state = 'queued'
                                                                   AND kind = 'presegment')
             SELECT t.bundle, t.kind, t.took_ms,
                    (SELECT coalesce(sum(left_ms), 0.0) FROM busy b, own
                     WHERE state = 'running' OR b.kind = 'refine'
                           OR (t.kind = 'presegment' AND nth <= waiting + (asked_by <> ?2))) AS wait_ms
             FROM typical t ORDER BY t.bundle, t.kind",
        )
        .bind(LATEST)
        .bind(actor)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Forecast {
                    bundle: row.try_get("bundle")?,
                    kind: from_word(row.try_get("kind")?)?,
                    wait_s: row.try_get::<f64, _>("wait_ms")? / 1000.0,
                    takes_s: row.try_get::<i64, _>("took_ms")? as f64 / 1000.0,
                })
            })
            .collect()
    }
}
