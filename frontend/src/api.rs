//! The server, seen from the browser: one function per endpoint. The only module that names the network.

use std::fmt::{self, Display};

use gloo_net::http::{Request, RequestBuilder, Response};
use js_sys::Promise;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::api::route::{self, Method, Route};
use shared::api::{
    Account, ApiError, BinnedCase, BundleInfo, CaseDetail, CaseSummary, Decision, ErrorCode, Event, ExportFormat,
    Forecast, FoundStudies, Import, Judgement, KeyInfo, KeyMade, Me, NewKey, NewReading, Note, OpenSeries, PacsInfo,
    PacsSeries, Person, Reading, RefineOptions, Review, SIGN_OF_LIFE, SendTo, Sent, SignIn, SignInWays, SliceVersion,
    StudyQuery,
};
use shared::case::{CaseId, Job, JobId};
use shared::correction::CorrectedSlice;
use shared::effort::SliceEffort;
use shared::geometry::Plane;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, AbortSignal, EventSource, File, FormData, MessageEvent, ProgressEvent, RequestInit, XmlHttpRequest,
};

/// A save is a few kilobytes; a network that takes longer than this has lost it.
const SAVE_LIMIT_MS: u32 = 10_000;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No answer: the server is down or the network is.
    Unreachable,
    /// The server said no.
    Refused {
        /// Why, for programs.
        code: ErrorCode,
        /// What, why and what to do.
        message: String,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Unreachable => f.write_str(
                "The server cannot be reached; check that i3Deep is running. The status says what is kept on this \
                 computer.",
            ),
            Trouble::Refused { message, .. } => f.write_str(message),
        }
    }
}

impl Trouble {
    /// Whether trying again later may help.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Trouble::Unreachable => true,
            Trouble::Refused { code, .. } => code.may_pass(),
        }
    }

    fn refused(status: u16, body: &str) -> Self {
        let error = serde_json::from_str(body).unwrap_or_else(|_| ApiError {
            // A proxy in between has answered, or a server that has failed.
            code: if status >= 500 { ErrorCode::Internal } else { ErrorCode::Unknown },
            message: format!("The server answered {status} without saying why; its log may."),
        });
        // A word that this client does not know from a server that has failed: trying again may help, as after any
        // failure.
        let code = if error.code == ErrorCode::Unknown && status >= 500 { ErrorCode::Internal } else { error.code };
        Trouble::Refused { code, message: error.message }
    }
}

/// What a request comes to.
pub(crate) type Answer<T> = Result<T, Trouble>;

/// Who the server takes this browser's user for.
pub(crate) async fn me() -> Answer<Me> {
    get(route::ME, []).await
}

/// Begins a session.
pub(crate) async fn sign_in(who: &SignIn) -> Answer<Me> {
    let request = request(route::SIGN_IN, []).json(who).map_err(|_| Trouble::Unreachable)?;
    read(answer(request.send().await).await?).await
}

/// How people sign in, beside a name and a password.
pub(crate) async fn sign_in_ways() -> Answer<SignInWays> {
    get(route::SIGN_IN_WAYS, []).await
}

/// Where the way to whoever signs people in elsewhere begins.
pub(crate) fn provider_url() -> &'static str {
    route::GO_TO_PROVIDER.path
}

/// Ends this browser's session.
pub(crate) async fn sign_out() -> Answer<()> {
    send(request(route::SIGN_OUT, [])).await.map(drop)
}

/// Makes an account.
pub(crate) async fn add_person(name: &str, account: &Account) -> Answer<Person> {
    let request = request(route::ADD_PERSON, [&name]).json(account).map_err(|_| Trouble::Unreachable)?;
    read(answer(request.send().await).await?).await
}

/// Changes what somebody may do; they are signed out.
pub(crate) async fn change_person(name: &str, account: &Account) -> Answer<Person> {
    let request = request(route::CHANGE_PERSON, [&name]).json(account).map_err(|_| Trouble::Unreachable)?;
    read(answer(request.send().await).await?).await
}

/// The bundles offered.
pub(crate) async fn bundles() -> Answer<Vec<BundleInfo>> {
    get(route::BUNDLES, []).await
}

/// All cases, newest first.
pub(crate) async fn cases() -> Answer<Vec<CaseSummary>> {
    get(route::CASES, []).await
}

/// What jobs would come to now.
pub(crate) async fn forecasts() -> Answer<Vec<Forecast>> {
    get(route::FORECAST, []).await
}

/// One case.
pub(crate) async fn case(id: &CaseId) -> Answer<CaseDetail> {
    get(route::CASE, [id]).await
}

/// Where a case's small picture is.
pub(crate) fn thumbnail_url(id: &CaseId) -> String {
    route::THUMBNAIL.at([id])
}

/// Writes a note on a case.
pub(crate) async fn set_note(id: &CaseId, note: &Note) -> Answer<()> {
    let request = request(route::NOTE, [id]).json(note).map_err(|_| Trouble::Unreachable)?;
    answer(request.send().await).await.map(drop)
}

/// Who works here; for those who give cases to people.
pub(crate) async fn people() -> Answer<Vec<Person>> {
    get(route::PEOPLE, []).await
}

/// Gives a case to these people and to nobody else.
pub(crate) async fn assign(id: &CaseId, people: &[String]) -> Answer<()> {
    let request = request(route::ASSIGN, [id]).json(people).map_err(|_| Trouble::Unreachable)?;
    answer(request.send().await).await.map(drop)
}

/// This person's keys for programs.
pub(crate) async fn keys() -> Answer<Vec<KeyInfo>> {
    get(route::KEYS, []).await
}

/// Makes a key for a program.
pub(crate) async fn add_key(key: &NewKey) -> Answer<KeyMade> {
    post(request(route::ADD_KEY, []), key).await
}

/// Revokes a key.
pub(crate) async fn revoke_key(id: i64) -> Answer<()> {
    send(request(route::REVOKE_KEY, [&id])).await.map(drop)
}

/// A case as those who review it see it.
pub(crate) async fn review(id: &CaseId) -> Answer<Review> {
    get(route::REVIEW, [id]).await
}

/// Says that a case waits for a reviewer, or that a second reading is finished.
pub(crate) async fn hand_in(id: &CaseId) -> Answer<()> {
    send(request(route::HAND_IN, [id])).await.map(drop)
}

/// Sends a case back, or approves it.
pub(crate) async fn judge(id: &CaseId, judgement: &Judgement) -> Answer<()> {
    let request = request(route::JUDGE, [id]).json(judgement).map_err(|_| Trouble::Unreachable)?;
    answer(request.send().await).await.map(drop)
}

/// Asks somebody to read slices of a case a second time.
pub(crate) async fn ask_reading(id: &CaseId, wanted: &NewReading) -> Answer<Reading> {
    post(request(route::ASK_READING, [id]), wanted).await
}

/// Puts a case into the bin.
pub(crate) async fn delete_case(id: &CaseId) -> Answer<()> {
    send(request(route::DELETE_CASE, [id])).await.map(drop)
}

/// Deleted cases that can be brought back.
pub(crate) async fn bin() -> Answer<Vec<BinnedCase>> {
    get(route::BIN, []).await
}

/// Takes a case out of the bin.
pub(crate) async fn restore_case(id: &CaseId) -> Answer<CaseSummary> {
    read(send(request(route::RESTORE, [id])).await?).await
}

/// Volumes that are on their way; they are let go when this is dropped.
pub(crate) struct Fetches(AbortController);

impl Fetches {
    /// Nothing is on its way yet; none of a browser that cannot let anything go.
    pub(crate) fn new() -> Option<Self> {
        AbortController::new().ok().map(Self)
    }

    /// What each of them listens to.
    pub(crate) fn end(&self) -> AbortSignal {
        self.0.signal()
    }
}

impl Drop for Fetches {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is fetched of a case's volumes; as `shared::packed` packs it.
pub(crate) enum Piece<'a> {
    /// A slab of a channel.
    Image(usize, usize),
    /// A plane of a channel.
    Plane(usize, Plane),
    /// The means of a channel's cells.
    Coarse(usize),
    /// A slab of a segmentation.
    Labels(&'a str, usize),
    /// A slab of the uncertainty.
    Uncertainty(usize),
}

/// A piece of a volume, unless that is let go before.
pub(crate) async fn piece(id: &CaseId, piece: &Piece<'_>, end: Option<&AbortSignal>) -> Answer<Vec<u8>> {
    let address = match piece {
        Piece::Image(channel, slab) => route::IMAGE_SLAB.at([id, channel, slab]),
        Piece::Plane(channel, Plane { axis, index }) => route::IMAGE_PLANE.at([id, channel, axis, index]),
        Piece::Coarse(channel) => route::IMAGE_COARSE.at([id, channel]),
        Piece::Labels(version, slab) => route::SEGMENTATION_SLAB.at([id, version, slab]),
        Piece::Uncertainty(slab) => route::UNCERTAINTY_SLAB.at([id, slab]),
    };
    let answer = send(Request::get(&address).abort_signal(end)).await?;
    answer.binary().await.map_err(|_| Trouble::Unreachable)
}

/// What a piece that does not fit is told as.
pub(crate) fn misfit() -> Trouble {
    Trouble::Refused {
        code: ErrorCode::Unknown,
        message: "The server's answer does not fit this client; reload the page.".to_owned(),
    }
}

/// Where a segmentation can be downloaded as NIfTI.
pub(crate) fn nifti_url(id: &CaseId, version: &str) -> String {
    route::NIFTI.at([id, &version])
}

/// Where the newest segmentation with the expert's corrections can be downloaded as NIfTI.
pub(crate) fn corrected_url(id: &CaseId) -> String {
    route::CORRECTED_NIFTI.at([id])
}

/// Where a segmentation can be downloaded in another format.
pub(crate) fn export_url(id: &CaseId, version: &str, format: ExportFormat) -> String {
    route::EXPORT.at([id, &version, &format.name()])
}

/// Where the newest segmentation with the expert's corrections can be downloaded in another format.
pub(crate) fn corrected_export_url(id: &CaseId, format: ExportFormat) -> String {
    route::CORRECTED_EXPORT.at([id, &format.name()])
}

/// The PACS that the server's operator has named.
pub(crate) async fn pacs() -> Answer<Vec<PacsInfo>> {
    get(route::PACS, []).await
}

/// Studies of a PACS that fit.
pub(crate) async fn find_studies(source: &str, query: &StudyQuery) -> Answer<FoundStudies> {
    post(request(route::FIND_STUDIES, [&source]), query).await
}

/// A study's series.
pub(crate) async fn pacs_series(source: &str, study: &str) -> Answer<Vec<PacsSeries>> {
    get(route::PACS_SERIES, [&source, &study]).await
}

/// Asks for a series of a PACS.
pub(crate) async fn open_series(source: &str, wanted: &OpenSeries) -> Answer<Import> {
    post(request(route::OPEN_SERIES, [&source]), wanted).await
}

/// What is on its way.
pub(crate) async fn imports() -> Answer<Vec<Import>> {
    get(route::IMPORTS, []).await
}

/// Where a slice of what is on its way is.
pub(crate) fn import_picture_url(id: &str) -> String {
    route::IMPORT_PICTURE.at([&id])
}

/// Stops an import.
pub(crate) async fn stop_import(id: &str) -> Answer<Import> {
    read(send(request(route::STOP_IMPORT, [&id])).await?).await
}

/// Sends the newest segmentation to a PACS.
pub(crate) async fn send_to_pacs(id: &CaseId, to: &SendTo) -> Answer<Sent> {
    post(request(route::SEND, [id]), to).await
}

/// What the expert has said so far.
pub(crate) async fn corrections(id: &CaseId) -> Answer<Vec<CorrectedSlice>> {
    get(route::CORRECTIONS, [id]).await
}

/// What was said of a slice, the latest first.
pub(crate) async fn slice_versions(id: &CaseId, Plane { axis, index }: Plane) -> Answer<Vec<SliceVersion>> {
    get(route::VERSIONS, [id, &axis, &index]).await
}

/// What one of a slice's versions says.
pub(crate) async fn slice_version(id: &CaseId, Plane { axis, index }: Plane, version: i64) -> Answer<CorrectedSlice> {
    get(route::VERSION, [id, &axis, &index, &version]).await
}

/// Saves a slice that is based on `slice.revision`; the answer carries the new revision.
pub(crate) async fn save(id: &CaseId, slice: &CorrectedSlice) -> Answer<CorrectedSlice> {
    let Plane { axis, index } = slice.plane;
    let limit = AbortSignal::timeout_with_u32(SAVE_LIMIT_MS);
    let put = request(route::SAVE_CORRECTION, [id, &axis, &index]).abort_signal(Some(&limit));
    let request = put.json(slice).map_err(|_| Trouble::Unreachable)?;
    read(answer(request.send().await).await?).await
}

/// Sends a slice in a request that outlives the page, which is about to go: its answer comes to nobody. A browser sends
/// 64 KB in this way (<https://fetch.spec.whatwg.org/#http-network-or-cache-fetch>); what is larger stays written down
/// here.
pub(crate) fn save_parting(id: &CaseId, slice: &CorrectedSlice) {
    let Plane { axis, index } = slice.plane;
    let address = route::SAVE_CORRECTION.at([id, &axis, &index]);
    put_parting(&address, &serde_json::to_string(slice).unwrap_or_default());
}

fn put_parting(address: &str, json: &str) {
    let init = RequestInit::new();
    init.set_method(Method::Put.name());
    init.set_body(&JsValue::from_str(json));
    let headers = js_sys::Object::new();
    let ready = js_sys::Reflect::set(&headers, &"content-type".into(), &"application/json".into())
        .and_then(|_| js_sys::Reflect::set(&init, &"keepalive".into(), &JsValue::TRUE));
    init.set_headers(&headers);
    if let (Ok(_), Some(window)) = (ready, web_sys::window()) {
        let asked = window.fetch_with_str_and_init(address, &init);
        // Whether it arrived is found out by the page that takes the slice over.
        leptos::task::spawn_local(async move { drop(JsFuture::from(asked).await) });
    }
}

/// Queues the refinement.
pub(crate) async fn refine(id: &CaseId, RefineOptions { adapt_seconds }: RefineOptions) -> Answer<Job> {
    let seconds = adapt_seconds.map(|seconds| ("adapt_seconds", seconds.to_string()));
    read(send(request(route::REFINE, [id]).query(seconds)).await?).await
}

/// Asks for the next slices to correct.
pub(crate) async fn begin_round(id: &CaseId) -> Answer<CaseDetail> {
    read(send(request(route::BEGIN_ROUND, [id])).await?).await
}

/// Stops a job.
pub(crate) async fn cancel(job: JobId) -> Answer<Job> {
    read(send(request(route::CANCEL, [&job])).await?).await
}

/// Asks again for what a failed or cancelled job was to do.
pub(crate) async fn retry(job: JobId) -> Answer<Job> {
    read(send(request(route::RETRY, [&job])).await?).await
}

/// Saves what is decided about a segmentation; the answer carries the new revision.
pub(crate) async fn decide(id: &CaseId, decision: &Decision) -> Answer<Decision> {
    let limit = AbortSignal::timeout_with_u32(SAVE_LIMIT_MS);
    let put = request(route::DECIDE, [id, &decision.version]).abort_signal(Some(&limit));
    let request = put.json(decision).map_err(|_| Trouble::Unreachable)?;
    read(answer(request.send().await).await?).await
}

/// Notes what slices have taken on one visit.
pub(crate) async fn note_effort(id: &CaseId, page: &str, slices: &[SliceEffort]) -> Answer<()> {
    let request = request(route::NOTE_EFFORT, [id, &page]).json(slices).map_err(|_| Trouble::Unreachable)?;
    answer(request.send().await).await.map(drop)
}

/// The same in a request that outlives the page.
pub(crate) fn note_effort_parting(id: &CaseId, page: &str, slices: &[SliceEffort]) {
    put_parting(&route::NOTE_EFFORT.at([id, &page]), &serde_json::to_string(slices).unwrap_or_default());
}

/// Where the effort log can be downloaded.
pub(crate) fn effort_url(id: &CaseId) -> String {
    route::EFFORT.at([id])
}

/// A scan to be uploaded.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    /// Bundle that segments it.
    pub(crate) bundle: String,
    /// The case's name.
    pub(crate) name: String,
    /// One file per channel, in the bundle's order.
    pub(crate) images: Vec<File>,
}

/// Uploads a scan; `progress` hears the share sent. By XMLHttpRequest, because fetch does not say how far an upload is.
pub(crate) async fn upload(upload: &Upload, progress: impl Fn(f64) + 'static) -> Answer<CaseSummary> {
    let request = start_upload(upload, progress).await.map_err(|_| Trouble::Unreachable)?;
    let (status, body) = (request.status().unwrap_or(0), request.response_text().ok().flatten().unwrap_or_default());
    match status {
        0 => Err(Trouble::Unreachable),
        200..=299 => serde_json::from_str(&body).map_err(|_| Trouble::refused(status, "")),
        _ => Err(Trouble::refused(status, &body)),
    }
}

async fn start_upload(upload: &Upload, progress: impl Fn(f64) + 'static) -> Result<XmlHttpRequest, JsValue> {
    let form = FormData::new()?;
    form.append_with_str("bundle", &upload.bundle)?;
    form.append_with_str("name", &upload.name)?;
    for image in &upload.images {
        // The file's own name stays here: it may be a patient's.
        form.append_with_blob_and_filename("image", image, "image")?;
    }
    let request = XmlHttpRequest::new()?;
    request.open_with_async(route::CREATE_CASE.method.name(), route::CREATE_CASE.path, true)?;
    let heard = Closure::<dyn Fn(ProgressEvent)>::new(move |event: ProgressEvent| {
        progress(event.loaded() / event.total().max(1.0))
    });
    request.upload()?.set_onprogress(Some(heard.as_ref().unchecked_ref()));
    let finished = Promise::new(&mut |resolve, _| request.set_onloadend(Some(&resolve)));
    request.send_with_opt_form_data(Some(&form))?;
    JsFuture::from(finished).await?;
    Ok(request)
}

/// The event stream, open until dropped. The browser reconnects by itself.
pub(crate) struct Events {
    source: EventSource,
    _heard: Vec<Closure<dyn Fn(MessageEvent)>>,
    _state: Vec<Closure<dyn Fn()>>,
}

/// Listens to the server. `on_sign` hears true with every sign of life that the stream brings, and false when it
/// breaks; whoever sees it come up again has missed events.
pub(crate) fn events(on_event: impl Fn(Event) + 'static, on_sign: impl Fn(bool) + Clone + 'static) -> Option<Events> {
    let source = EventSource::new(route::EVENTS.path).ok()?;
    let heard = Closure::<dyn Fn(MessageEvent)>::new(move |message: MessageEvent| {
        let event = message.data().as_string().and_then(|text| serde_json::from_str(&text).ok());
        event.into_iter().for_each(&on_event);
    });
    source.set_onmessage(Some(heard.as_ref().unchecked_ref()));
    let (alive, broken) = (on_sign.clone(), on_sign);
    // An open connection says nothing: a proxy may hold back what comes through it.
    let alive = Closure::<dyn Fn()>::new(move || alive(true));
    let broken = Closure::<dyn Fn()>::new(move || broken(false));
    source.add_event_listener_with_callback(SIGN_OF_LIFE, alive.as_ref().unchecked_ref()).ok()?;
    source.set_onerror(Some(broken.as_ref().unchecked_ref()));
    Some(Events { source, _heard: vec![heard], _state: vec![alive, broken] })
}

/// Whether events arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamState {
    /// The browser is trying.
    Connecting,
    /// They do.
    Open,
    /// The browser has given up, as it does after an answer that is no stream.
    Closed,
}

impl Events {
    /// How the stream fares.
    pub(crate) fn state(&self) -> StreamState {
        match self.source.ready_state() {
            EventSource::CONNECTING => StreamState::Connecting,
            EventSource::OPEN => StreamState::Open,
            _ => StreamState::Closed,
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.source.close();
    }
}

fn request<const N: usize>(route: Route<N>, values: [&dyn Display; N]) -> RequestBuilder {
    let address = route.at(values);
    match route.method {
        Method::Get => Request::get(&address),
        Method::Post => Request::post(&address),
        Method::Put => Request::put(&address),
        Method::Delete => Request::delete(&address),
    }
}

async fn post<T: DeserializeOwned>(request: RequestBuilder, body: &impl Serialize) -> Answer<T> {
    let request = request.json(body).map_err(|_| Trouble::Unreachable)?;
    read(answer(request.send().await).await?).await
}

async fn get<T: DeserializeOwned, const N: usize>(route: Route<N>, values: [&dyn Display; N]) -> Answer<T> {
    read(send(request(route, values)).await?).await
}

async fn send(request: RequestBuilder) -> Answer<Response> {
    answer(request.send().await).await
}

async fn answer(response: Result<Response, gloo_net::Error>) -> Answer<Response> {
    let response = response.map_err(|_| Trouble::Unreachable)?;
    if response.ok() {
        return Ok(response);
    }
    let body = response.text().await.unwrap_or_default();
    Err(Trouble::refused(response.status(), &body))
}

async fn read<T: DeserializeOwned>(response: Response) -> Answer<T> {
    response.json().await.map_err(|_| misfit())
}
