//! Counts for whoever watches the server. They name no case, no file and no person.

use std::fmt;

use actix_web::HttpResponse;
use actix_web::web::Data;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use shared::api::route;

use super::{Parts, Refusal};
use crate::store::Figures;

/// As OpenMetrics asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfJobs {
    kind: String,
    state: String,
}

/// Counts for whoever watches the server.
#[utoipa::path(
    get,
    path = route::METRICS.path,
    responses((status = 200, description = "OpenMetrics text", content_type = "application/openmetrics-text"))
)]
pub(crate) async fn show(parts: Data<Parts>) -> Result<HttpResponse, Refusal> {
    let figures = parts.store.figures().await?;
    let text = text(&figures, parts.supervisor.state().up).map_err(|error| Refusal::internal(&error))?;
    Ok(HttpResponse::Ok().content_type(OPEN_METRICS).body(text))
}

fn text(figures: &Figures, worker_up: bool) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("i3deep");
    let mut gauge = |name: &str, help: &str, unit: Option<Unit>, value: i64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        match unit {
            Some(unit) => registry.register_with_unit(name, help, unit, gauge),
            None => registry.register(name, help, gauge),
        }
    };
    gauge("worker_up", "Whether the process that runs networks is up", None, i64::from(worker_up));
    gauge("cases", "Cases, those in the bin left out", None, figures.cases);
    gauge("cases_in_bin", "Cases that have been deleted and may come back", None, figures.cases_in_bin);
    gauge("corrected_slices", "Slices that somebody has corrected", None, figures.corrected_slices);
    gauge("free_disk", "Room left where the data folder is", Some(Unit::Bytes), figures.free_disk_bytes);
    gauge("database", "Size of the database", Some(Unit::Bytes), figures.database_bytes);
    let jobs = Family::<OfJobs, Gauge>::default();
    for (kind, state, count) in &figures.jobs {
        jobs.get_or_create(&OfJobs { kind: kind.clone(), state: state.clone() }).set(*count);
    }
    registry.register("jobs", "Jobs by kind and state", jobs);
    let changes: Counter = Counter::default();
    changes.inc_by(figures.changes.unsigned_abs());
    registry.register("changes", "Changes that the database has seen since it was made", changes);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_with_their_kinds_and_units() {
        let figures = Figures {
            cases: 3,
            cases_in_bin: 1,
            corrected_slices: 40,
            jobs: vec![("presegment".into(), "queued".into(), 2), ("refine".into(), "done".into(), 7)],
            changes: 99,
            free_disk_bytes: 5_000,
            database_bytes: 4_096,
        };
        let text = text(&figures, true).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        for line in [
            "i3deep_worker_up 1",
            "i3deep_cases 3",
            "i3deep_cases_in_bin 1",
            "i3deep_corrected_slices 40",
            "i3deep_free_disk_bytes 5000",
            "i3deep_database_bytes 4096",
            "i3deep_jobs{kind=\"presegment\",state=\"queued\"} 2",
            "i3deep_jobs{kind=\"refine\",state=\"done\"} 7",
            "i3deep_changes_total 99",
        ] {
            assert!(lines.contains(&line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
