//! The PACS on the other end: search it, open one of its series, send a segmentation there.

use std::path::PathBuf;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Json, Path};
use shared::api::{
    CaseSummary, ErrorCode, ExportFormat, FoundStudies, Import, ImportState, OpenSeries, PacsInfo, PacsSeries, SendTo,
    Sent, StudyQuery, route,
};
use shared::case::CaseId;

use super::super::people::Visitor;
use super::upload::{Scratch, disk, take_in};
use super::{Parts, Refusal, export};
use crate::intake::{Brought, Glance, case_name, check_images, find_bundle};
use crate::pacs::{
    Fetch, Outcome, PacsError, Progress, Source, Ticket, fetch, find_series, find_studies, glimpse, send_by_dicom,
    study_of,
};
use crate::scan_io::identity;
use crate::store::{Act, StoreError, UnderWay};

/// The PACS that this server's operator has named.
#[utoipa::path(
    get,
    path = route::PACS.path,
    responses((status = 200, description = "The PACS", body = Vec<PacsInfo>))
)]
pub(crate) async fn list(parts: Data<Parts>, visitor: Visitor) -> Json<Vec<PacsInfo>> {
    let info = |source: &Source| PacsInfo { name: source.name.clone(), may_search: may_search(&visitor, source) };
    let archives = parts.sources.archives().iter();
    let archives = archives.map(|archive| PacsInfo { name: archive.name.clone(), may_search: false });
    Json(parts.sources.all().iter().map(info).chain(archives).collect())
}

/// Studies that fit, the latest first. Asked of those who see every case here, and of others where the operator says
/// so. That somebody searched is recorded, not for whom.
#[utoipa::path(
    post,
    path = route::FIND_STUDIES.path,
    params(("source" = String, Path, description = "The PACS")),
    request_body = StudyQuery,
    responses((status = 200, description = "The studies", body = FoundStudies))
)]
pub(crate) async fn studies(
    parts: Data<Parts>,
    visitor: Visitor,
    source: Path<String>,
    query: Json<StudyQuery>,
) -> Result<Json<FoundStudies>, Refusal> {
    let source = searchable(&parts, &visitor, &source)?;
    parts.store.note(&visitor.actor(), Act::SearchPacs, &source.name).await?;
    Ok(Json(ask(move || find_studies(&source, &query)).await?))
}

/// The series of a study, by their numbers.
#[utoipa::path(
    get,
    path = route::PACS_SERIES.path,
    params(("source" = String, Path, description = "The PACS"), ("study" = String, Path, description = "Its UID")),
    responses((status = 200, description = "The series", body = Vec<PacsSeries>))
)]
pub(crate) async fn series(
    parts: Data<Parts>,
    visitor: Visitor,
    path: Path<(String, String)>,
) -> Result<Json<Vec<PacsSeries>>, Refusal> {
    let (source, study) = path.into_inner();
    let source = searchable(&parts, &visitor, &source)?;
    // Whoever looks at series opens one.
    parts.lookers.get_ready();
    Ok(Json(ask(move || find_series(&source, &study)).await?))
}

/// Fetches series, one for each of the bundle's channels, and makes a case of them, as an upload does. Answers at once.
#[utoipa::path(
    post,
    path = route::OPEN_SERIES.path,
    params(("source" = String, Path, description = "The PACS")),
    request_body = OpenSeries,
    responses((status = 202, description = "The import, which has begun", body = Import))
)]
pub(crate) async fn open(
    parts: Data<Parts>,
    visitor: Visitor,
    source: Path<String>,
    wanted: Json<OpenSeries>,
) -> Result<HttpResponse, Refusal> {
    let source = searchable(&parts, &visitor, &source)?;
    let (wanted, bundles) = (wanted.into_inner(), parts.bundles.clone());
    let name = case_name(&wanted.name)?;
    let offered = web::block(move || bundles.list()).await.map_err(|error| Refusal::internal(&error))?;
    let bundle = find_bundle(&offered, &wanted.bundle)?;
    check_images(&bundle, wanted.series.len())?;
    let ticket = parts.imports.begin(&visitor.name, &source.name, &bundle.name);
    let ticket = ticket.ok_or_else(|| Refusal::busy("you have too many imports under way"))?;
    parts.store.note(&visitor.actor(), Act::OpenFromPacs, &source.name).await?;
    let import = ticket.now();
    let under_way = UnderWay {
        id: ticket.id().to_owned(),
        owner: visitor.name.clone(),
        source: source.name.clone(),
        wanted: wanted.clone(),
    };
    parts.store.keep_import(&under_way).await?;
    let desk = Desk { parts, visitor };
    tokio::spawn(desk.carry_out(ticket, source, wanted, name));
    Ok(HttpResponse::Accepted().json(import))
}

/// Goes on with what was on its way when the server ended, from its first image: what had come of it went with the
/// server. What its owner may not open any more is forgotten.
pub(crate) async fn go_on(parts: &Data<Parts>) -> Result<(), StoreError> {
    for UnderWay { id, owner, source, wanted } in parts.store.imports_to_go_on_with().await? {
        let visitor = Visitor::returned(parts, &owner).await?;
        let allowed = visitor.and_then(|visitor| Some((searchable(parts, &visitor, &source).ok()?, visitor)));
        let Some(((source, visitor), name)) = allowed.zip(case_name(&wanted.name).ok()) else {
            parts.store.forget_import(&id).await?;
            continue;
        };
        if let Some(ticket) = parts.imports.begin_as(id, &owner, &source.name, &wanted.bundle) {
            let desk = Desk { parts: parts.clone(), visitor };
            tokio::spawn(desk.carry_out(ticket, source, wanted, name));
        }
    }
    Ok(())
}

/// The asker's own imports, the latest first.
#[utoipa::path(
    get,
    path = route::IMPORTS.path,
    responses((status = 200, description = "The imports", body = Vec<Import>))
)]
pub(crate) async fn imports(parts: Data<Parts>, visitor: Visitor) -> Json<Vec<Import>> {
    Json(parts.imports.of(&visitor.name))
}

/// Stops an import of the asker's; what was fetched goes.
#[utoipa::path(
    delete,
    path = route::STOP_IMPORT.path,
    params(("import" = String, Path, description = "The import")),
    responses((status = 200, description = "The import, stopped", body = Import))
)]
pub(crate) async fn stop(parts: Data<Parts>, visitor: Visitor, id: Path<String>) -> Result<Json<Import>, Refusal> {
    let none = || Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is no such import any more");
    let import = parts.imports.stop(&visitor.name, &id).ok_or_else(none)?;
    match import.state {
        ImportState::Cancelled => Ok(Json(import)),
        _ => {
            let message = "it is not fetching any more; if there is a case, delete that";
            Err(Refusal::new(StatusCode::CONFLICT, ErrorCode::NotNow, message))
        }
    }
}

/// A slice of an import of the asker's, to look at while the others come.
#[utoipa::path(
    get,
    path = route::IMPORT_PICTURE.path,
    params(("import" = String, Path, description = "The import")),
    responses((status = 200, description = "A slice, as it is stored", content_type = "image/png"))
)]
pub(crate) async fn picture(parts: Data<Parts>, visitor: Visitor, id: Path<String>) -> Result<HttpResponse, Refusal> {
    let none = || Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is no picture of such an import");
    let picture = parts.imports.picture(&visitor.name, &id).ok_or_else(none)?;
    Ok(HttpResponse::Ok().content_type("image/png").body(picture))
}

/// Sends the newest segmentation with all that the expert has decided, corrected and saved to a PACS, as a DICOM SEG,
/// and answers when the PACS has been asked for it and has it.
#[utoipa::path(
    post,
    path = route::SEND.path,
    params(("id" = CaseId, Path, description = "The case")),
    request_body = SendTo,
    responses((status = 200, description = "What the PACS has", body = Sent))
)]
pub(crate) async fn send(
    parts: Data<Parts>,
    visitor: Visitor,
    id: Path<CaseId>,
    to: Json<SendTo>,
) -> Result<Json<Sent>, Refusal> {
    let SendTo { source, format } = to.into_inner();
    let archive = parts.sources.archives().iter().find(|archive| archive.name == source).cloned();
    let asked = if archive.is_some() { None } else { Some(named(&parts, &source)?) };
    if format == ExportFormat::Nrrd {
        return Err(Refusal::unreadable("a PACS takes DICOM: the format is seg or seg-binary"));
    }
    let object = export::newest_object(&parts, &id, format).await?;
    // Before it leaves, so that nothing leaves unrecorded.
    parts.store.note(&visitor.actor(), Act::SendToPacs, &format!("{} {source}", id.as_str())).await?;
    let is = identity(&object).map_err(|error| Refusal::internal(&error))?;
    let is = Sent { study: is.study, series: is.series, instance: is.instance, found: asked.is_some() };
    Ok(Json(match (archive, asked) {
        (Some(archive), _) => ask(move || send_by_dicom(&archive, &object).map(|()| is)).await?,
        (None, Some(source)) => ask(move || crate::pacs::send(&source, &object, is)).await?,
        (None, None) => return Err(Refusal::no_such_route()),
    }))
}

/// The case of a series that another program names by its UID alone: fetched from the first PACS that the visitor may
/// search and that has it. Waits until it is a case.
pub(crate) async fn fetched(
    parts: &Data<Parts>,
    visitor: &Visitor,
    series: &str,
    bundle: &str,
) -> Result<CaseSummary, Refusal> {
    for source in parts.sources.all().iter().filter(|source| may_search(visitor, source)) {
        let (asked, uid) = (source.clone(), series.to_owned());
        let Some(study) = ask(move || study_of(&asked, &uid)).await? else { continue };
        let ticket = parts.imports.begin(&visitor.name, &source.name, bundle);
        let ticket = ticket.ok_or_else(|| Refusal::busy("you have too many imports under way"))?;
        parts.store.note(&visitor.actor(), Act::OpenFromPacs, &source.name).await?;
        let desk = Desk { parts: parts.clone(), visitor: visitor.clone() };
        let wanted =
            OpenSeries { study, series: vec![series.to_owned()], bundle: bundle.to_owned(), name: String::new() };
        return match desk.import(&ticket, source.clone(), wanted, None).await {
            Ok(Some(case)) => {
                ticket.end(Outcome::Case(case.id.clone()));
                Ok(case)
            }
            Ok(None) => {
                ticket.end(Outcome::Stopped);
                Err(Refusal::busy("the import was stopped"))
            }
            Err(refusal) => {
                ticket.end(Outcome::Failed(refusal.to_string()));
                Err(refusal)
            }
        };
    }
    let message = "no case came from this series, and no PACS that you may search has it";
    Err(Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message))
}

/// The PACS whose images a viewer beside the workbench shows: the first that the visitor may search.
pub(crate) fn shown(parts: &Parts, visitor: &Visitor) -> Result<Source, Refusal> {
    let none = || {
        let message = "this server knows no PACS that you may search; its operator names them with --pacs";
        Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
    };
    parts.sources.all().iter().find(|source| may_search(visitor, source)).cloned().ok_or_else(none)
}

/// What an import needs of the server.
struct Desk {
    parts: Data<Parts>,
    visitor: Visitor,
}

impl Desk {
    async fn carry_out(self, ticket: Ticket, source: Source, wanted: OpenSeries, name: Option<String>) {
        let outcome = match self.import(&ticket, source, wanted, name).await {
            Ok(Some(case)) => Outcome::Case(case.id),
            Ok(None) => Outcome::Stopped,
            Err(refusal) => Outcome::Failed(refusal.to_string()),
        };
        if let Err(error) = self.parts.store.forget_import(ticket.id()).await {
            tracing::warn!("an import that is over will be gone on with at the next start: {error}");
        }
        ticket.end(outcome);
    }

    /// Nothing if it was stopped.
    async fn import(
        &self,
        ticket: &Ticket,
        source: Source,
        wanted: OpenSeries,
        name: Option<String>,
    ) -> Result<Option<CaseSummary>, Refusal> {
        let _turn = self.parts.imports.turn().await;
        if !ticket.enter(ImportState::Fetching) {
            return Ok(None);
        }
        let scratch = Scratch::new(&self.parts)?;
        let showing = Showing {
            parts: self.parts.clone(),
            import: ticket.id().to_owned(),
            progress: Arc::clone(&ticket.progress),
            folder: scratch.path().join("glimpse"),
            source: source.clone(),
            wanted: wanted.clone(),
        };
        self.parts.lookers.get_ready();
        tokio::spawn(showing.carry_out());
        let (folder, progress) = (scratch.path().to_owned(), Arc::clone(&ticket.progress));
        let (limit_bytes, bundle) = (self.parts.upload_limit_bytes, wanted.bundle);
        let fetched = web::block(move || {
            let (study, series) = (wanted.study.as_str(), &wanted.series[..]);
            fetch(&source, Fetch { study, series, folder: &folder, limit_bytes }, &progress)
        });
        let files = match fetched.await.map_err(|error| Refusal::internal(&error))? {
            Ok(files) => files,
            Err(PacsError::Stopped) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !ticket.enter(ImportState::Checking) {
            return Ok(None);
        }
        let brought = Brought { folder: scratch.path(), files: &files, bundle: &bundle, name };
        Ok(Some(take_in(&self.parts, &self.visitor, brought).await?))
    }
}

/// A slice that is shown while the others come. Nobody waits for it, and without it all goes on as well.
struct Showing {
    parts: Data<Parts>,
    import: String,
    progress: Arc<Progress>,
    /// Within the import's own, which goes with it.
    folder: PathBuf,
    source: Source,
    wanted: OpenSeries,
}

impl Showing {
    async fn carry_out(self) {
        if let Err(refusal) = self.show().await {
            tracing::debug!("no slice of an import is shown while it comes: {refusal}");
        }
    }

    async fn show(&self) -> Result<(), Refusal> {
        std::fs::create_dir(&self.folder).map_err(disk)?;
        let (folder, source, wanted) = (self.folder.clone(), self.source.clone(), self.wanted.clone());
        let limit_bytes = self.parts.upload_limit_bytes;
        // Counted apart from what becomes the case, and stopped with it.
        let progress = Arc::clone(&self.progress);
        let file = ask(move || {
            let (study, series) = (wanted.study.as_str(), &wanted.series[..]);
            glimpse(&source, Fetch { study, series, folder: &folder, limit_bytes }, &progress)
        });
        let glance = self.parts.lookers.glance(&file.await?).await?;
        let picture = web::block(move || greys_as_png(&glance)).await.map_err(|error| Refusal::internal(&error))?;
        self.parts.imports.show(&self.import, picture.map_err(|error| Refusal::internal(&error))?.into());
        Ok(())
    }
}

fn greys_as_png(glance: &Glance) -> Result<Vec<u8>, png::EncodingError> {
    let [columns, rows] = glance.size.map(|side| side as u32);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns, rows);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header()?.write_image_data(&glance.greys)?;
    Ok(bytes)
}

/// A PACS that the visitor may search.
fn searchable(parts: &Parts, visitor: &Visitor, name: &str) -> Result<Source, Refusal> {
    let source = named(parts, name)?;
    if may_search(visitor, &source) {
        return Ok(source);
    }
    let message = "your account may not search this PACS; ask a reviewer for the case";
    Err(Refusal::new(StatusCode::FORBIDDEN, ErrorCode::NotAllowed, message))
}

fn may_search(visitor: &Visitor, source: &Source) -> bool {
    visitor.role.sees_all() || source.annotators_may_search
}

fn named(parts: &Parts, name: &str) -> Result<Source, Refusal> {
    let none = || {
        let message = "this server knows no such PACS; its operator names them with --pacs";
        Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
    };
    parts.sources.named(name).cloned().ok_or_else(none)
}

/// Asks a PACS, which may take its time.
pub(crate) async fn ask<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, PacsError> + Send + 'static,
) -> Result<T, Refusal> {
    Ok(web::block(ask).await.map_err(|error| Refusal::internal(&error))??)
}
