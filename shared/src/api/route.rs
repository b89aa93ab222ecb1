//! Every route: its method and its path. The server answers under these and the client asks under these; nobody else
//! writes an address.

use std::fmt::Display;

/// Where every route begins.
pub const PREFIX: &str = "/api";

/// What is asked of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Look; `HEAD` is answered wherever this is.
    Get,
    /// Make or do.
    Post,
    /// Replace.
    Put,
    /// Remove.
    Delete,
}

impl Method {
    /// As HTTP writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// A method and a path with `N` placeholders, such as `/api/cases/{id}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<const N: usize> {
    /// What is asked.
    pub method: Method,
    /// Of which path.
    pub path: &'static str,
}

impl<const N: usize> Route<N> {
    /// A route; does not compile as a constant if the path has another number of placeholders.
    const fn new(method: Method, path: &'static str) -> Self {
        assert!(placeholders(path) == N, "a route names another number of placeholders than its path has");
        Self { method, path }
    }

    /// The address with its placeholders filled in, in their order.
    pub fn at(self, values: [&dyn Display; N]) -> String {
        let mut values = values.into_iter();
        let mut address = String::new();
        for part in self.path.split_inclusive('}') {
            let Some((before, _)) = part.split_once('{') else {
                address += part;
                continue;
            };
            address += before;
            if let Some(value) = values.next() {
                push_encoded(&mut address, &value.to_string());
            }
        }
        address
    }
}

const fn placeholders(path: &str) -> usize {
    let (bytes, mut at, mut count) = (path.as_bytes(), 0, 0);
    while at < bytes.len() {
        if bytes[at] == b'{' {
            count += 1;
        }
        at += 1;
    }
    count
}

/// RFC 3986: what is not unreserved stands as `%XX`, so that no value can end its path segment.
pub fn push_encoded(address: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            *address += &format!("%{byte:02X}");
        }
    }
}

macro_rules! routes {
    ($($(#[$doc:meta])* $name:ident: Route<$count:literal> = $method:ident $path:literal;)*) => {
        $($(#[$doc])* pub const $name: Route<$count> = Route::new(Method::$method, $path);)*

        /// Every route there is.
        pub const ALL: &[(Method, &str)] = &[$((Method::$method, $path)),*];
    };
}

routes! {
    /// [`BundleInfo`](super::BundleInfo)s.
    BUNDLES: Route<0> = Get "/api/bundles";
    /// [`CaseSummary`](super::CaseSummary)s, newest first.
    CASES: Route<0> = Get "/api/cases";
    /// Multipart `bundle`, `name` (optional), `image` (one part a channel, in order) → 201 with a
    /// [`CaseSummary`](super::CaseSummary); queues the presegmentation.
    CREATE_CASE: Route<0> = Post "/api/cases";
    /// [`CaseDetail`](super::CaseDetail).
    CASE: Route<1> = Get "/api/cases/{id}";
    /// A [`Note`](super::Note) → 204.
    NOTE: Route<1> = Put "/api/cases/{id}/note";
    /// A small PNG of the scan, with what is segmented in it.
    THUMBNAIL: Route<1> = Get "/api/cases/{id}/thumbnail";
    /// 204; the case goes to the bin.
    DELETE_CASE: Route<1> = Delete "/api/cases/{id}";
    /// [`BinnedCase`](super::BinnedCase)s, the latest first.
    BIN: Route<0> = Get "/api/bin";
    /// [`CaseSummary`](super::CaseSummary).
    RESTORE: Route<1> = Post "/api/bin/{id}/restore";
    /// 204; for good.
    PURGE: Route<1> = Delete "/api/bin/{id}";
    /// Voxels, u16 little-endian, x fastest; intensity = minimum + step * voxel, as [`ImageInfo`](super::ImageInfo)
    /// says.
    IMAGE: Route<2> = Get "/api/cases/{id}/image/{channel}";
    /// A slab of the voxels, as [`pack`](crate::packed::pack) makes it of planes along the last stored axis.
    IMAGE_SLAB: Route<3> = Get "/api/cases/{id}/image/{channel}/slabs/{slab}";
    /// A plane of the voxels, likewise, u fastest.
    IMAGE_PLANE: Route<4> = Get "/api/cases/{id}/image/{channel}/planes/{axis}/{index}";
    /// The means of a large volume's [`Coarse`](crate::packed::Coarse) cells, likewise.
    IMAGE_COARSE: Route<2> = Get "/api/cases/{id}/image/{channel}/coarse";
    /// Voxels, u8, x fastest; 255 is 1.0; that of the newest segmentation.
    UNCERTAINTY: Route<1> = Get "/api/cases/{id}/uncertainty";
    /// A slab of it, as [`IMAGE_SLAB`].
    UNCERTAINTY_SLAB: Route<2> = Get "/api/cases/{id}/uncertainty/slabs/{slab}";
    /// Labels, u8, x fastest.
    SEGMENTATION: Route<2> = Get "/api/cases/{id}/segmentations/{version}";
    /// A slab of them, as [`IMAGE_SLAB`].
    SEGMENTATION_SLAB: Route<3> = Get "/api/cases/{id}/segmentations/{version}/slabs/{slab}";
    /// The same as .nii.gz with the scan's own geometry, as a download.
    NIFTI: Route<2> = Get "/api/cases/{id}/segmentations/{version}/nifti";
    /// The newest segmentation with all that the expert has corrected and saved, as .nii.gz with the scan's own
    /// geometry, as a download.
    CORRECTED_NIFTI: Route<1> = Get "/api/cases/{id}/corrected/nifti";
    /// A segmentation as an [`ExportFormat`](super::ExportFormat), as a download; `not_a_series` where a DICOM SEG is
    /// asked for of a case that came from no DICOM series.
    EXPORT: Route<3> = Get "/api/cases/{id}/segmentations/{version}/export/{format}";
    /// The newest segmentation with all that the expert has corrected and saved, as [`EXPORT`] gives it.
    CORRECTED_EXPORT: Route<2> = Get "/api/cases/{id}/corrected/export/{format}";
    /// [`Provenance`](super::Provenance).
    PROVENANCE: Route<2> = Get "/api/cases/{id}/segmentations/{version}/provenance";
    /// A [`Decision`](super::Decision) whose revision is the one it is based on → the same as stored;
    /// `stale_correction` if the base is stale.
    DECIDE: Route<2> = Put "/api/cases/{id}/segmentations/{version}/decision";
    /// [`SliceEffort`](crate::effort::SliceEffort)s of one visit of a page, which replace what it said before → 204.
    NOTE_EFFORT: Route<2> = Put "/api/cases/{id}/effort/{page}";
    /// What each slice has taken, as a table (CSV), as a download.
    EFFORT: Route<1> = Get "/api/cases/{id}/effort";
    /// [`CorrectedSlice`](crate::correction::CorrectedSlice)s.
    CORRECTIONS: Route<1> = Get "/api/cases/{id}/corrections";
    /// A [`CorrectedSlice`](crate::correction::CorrectedSlice) whose revision is the one it is based on → the same as
    /// stored; `stale_correction` if the base is stale, and then it is kept among the slice's versions.
    SAVE_CORRECTION: Route<3> = Put "/api/cases/{id}/corrections/{axis}/{index}";
    /// [`SliceVersion`](super::SliceVersion)s, the latest first.
    VERSIONS: Route<3> = Get "/api/cases/{id}/corrections/{axis}/{index}/versions";
    /// [`CorrectedSlice`](crate::correction::CorrectedSlice), as it was said.
    VERSION: Route<4> = Get "/api/cases/{id}/corrections/{axis}/{index}/versions/{version}";
    /// [`BringBack`](super::BringBack) → [`CorrectedSlice`](crate::correction::CorrectedSlice): what that version says
    /// is said again.
    BRING_BACK: Route<4> = Post "/api/cases/{id}/corrections/{axis}/{index}/versions/{version}";
    /// 202 with a [`Job`](crate::case::Job); `not_now` if no slice is done or a job is under way.
    REFINE: Route<1> = Post "/api/cases/{id}/refine";
    /// [`CaseDetail`](super::CaseDetail) with the next slices to correct; `not_now` unless a refinement has chosen
    /// some.
    BEGIN_ROUND: Route<1> = Post "/api/cases/{id}/rounds";
    /// The [`Job`](crate::case::Job), stopped.
    CANCEL: Route<1> = Post "/api/jobs/{id}/cancel";
    /// 202 with the [`Job`](crate::case::Job) that does again what a failed or cancelled one was to do; `not_now` if
    /// that is not the case's latest, or has been done since.
    RETRY: Route<1> = Post "/api/jobs/{id}/retry";
    /// What jobs would come to now: [`Forecast`](super::Forecast)s, for bundles of which some have been done.
    FORECAST: Route<0> = Get "/api/forecast";
    /// [`PacsInfo`](super::PacsInfo)s.
    PACS: Route<0> = Get "/api/pacs";
    /// [`StudyQuery`](super::StudyQuery) → [`FoundStudies`](super::FoundStudies). A patient's name stands in the body,
    /// so that it stands in no proxy's log.
    FIND_STUDIES: Route<1> = Post "/api/pacs/{source}/studies";
    /// [`PacsSeries`](super::PacsSeries) of a study.
    PACS_SERIES: Route<2> = Get "/api/pacs/{source}/studies/{study}/series";
    /// [`OpenSeries`](super::OpenSeries) → 202 with an [`Import`](super::Import).
    OPEN_SERIES: Route<1> = Post "/api/pacs/{source}/imports";
    /// The asker's own [`Import`](super::Import)s, the latest first.
    IMPORTS: Route<0> = Get "/api/imports";
    /// The [`Import`](super::Import), which stops; `not_now` if it has become a case.
    STOP_IMPORT: Route<1> = Delete "/api/imports/{import}";
    /// A slice of what is on its way, to look at while the others come (`image/png`); `not_found` when it is over.
    IMPORT_PICTURE: Route<1> = Get "/api/imports/{import}/picture";
    /// [`SendTo`](super::SendTo) → [`Sent`](super::Sent), once the PACS is known to have it: the newest segmentation
    /// with all that the expert has corrected and saved, as a DICOM SEG.
    SEND: Route<1> = Post "/api/cases/{id}/send";
    /// Server-sent events; each `data:` line is an [`Event`](super::Event).
    EVENTS: Route<0> = Get "/api/events";
    /// [`Health`](super::Health).
    HEALTH: Route<0> = Get "/api/health";
    /// 204 if a change would reach the disk right now, else `not_ready`.
    READY: Route<0> = Get "/api/ready";
    /// Counts for whoever watches the server, as OpenMetrics text.
    METRICS: Route<0> = Get "/api/metrics";
    /// Who the asker is: [`Me`](super::Me), or `sign_in_needed`.
    ME: Route<0> = Get "/api/session";
    /// [`SignIn`](super::SignIn) → [`Me`](super::Me) and a cookie.
    SIGN_IN: Route<0> = Post "/api/session";
    /// [`SignInWays`](super::SignInWays).
    SIGN_IN_WAYS: Route<0> = Get "/api/session/ways";
    /// 303: the browser goes to the provider that signs people in.
    GO_TO_PROVIDER: Route<0> = Get "/api/session/provider";
    /// 303: the browser comes back from there, and goes to `/` with a cookie or with the
    /// [`SignInTrouble`](super::SignInTrouble).
    BACK_FROM_PROVIDER: Route<0> = Get "/api/session/provider/back";
    /// 204; the cookie is worth nothing any more.
    SIGN_OUT: Route<0> = Delete "/api/session";
    /// [`Person`](super::Person)s.
    PEOPLE: Route<0> = Get "/api/people";
    /// An [`Account`](super::Account) under a new name → [`Person`](super::Person).
    ADD_PERSON: Route<1> = Post "/api/people/{name}";
    /// An [`Account`](super::Account) → [`Person`](super::Person); signs them out.
    CHANGE_PERSON: Route<1> = Put "/api/people/{name}";
    /// Names of those that a case was given to.
    ASSIGNED: Route<1> = Get "/api/cases/{id}/people";
    /// Names of those that a case is given to → the same.
    ASSIGN: Route<1> = Put "/api/cases/{id}/people";
    /// [`Review`](super::Review).
    REVIEW: Route<1> = Get "/api/cases/{id}/review";
    /// 204: the case waits for a reviewer; a second reading is finished.
    HAND_IN: Route<1> = Post "/api/cases/{id}/review";
    /// A [`Judgement`](super::Judgement) → 204; `not_now` if the case is no longer as it was seen.
    JUDGE: Route<1> = Put "/api/cases/{id}/review";
    /// [`NewReading`](super::NewReading) → 201 with a [`Reading`](super::Reading).
    ASK_READING: Route<1> = Post "/api/cases/{id}/readings";
    /// The asker's own [`KeyInfo`](super::KeyInfo)s.
    KEYS: Route<0> = Get "/api/keys";
    /// [`NewKey`](super::NewKey) → 201 with a [`KeyMade`](super::KeyMade).
    ADD_KEY: Route<0> = Post "/api/keys";
    /// 204.
    REVOKE_KEY: Route<1> = Delete "/api/keys/{id}";
    /// This list for programs: OpenAPI 3.1.
    OPENAPI: Route<0> = Get "/api/openapi.json";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_filled_in() {
        assert_eq!(CASES.at([]), "/api/cases");
        assert_eq!(SAVE_CORRECTION.at([&"0123", &"axial", &7]), "/api/cases/0123/corrections/axial/7");
        assert_eq!(NIFTI.at([&"a/../b", &"ä?"]), "/api/cases/a%2F..%2Fb/segmentations/%C3%A4%3F/nifti");
    }

    #[test]
    fn every_route_is_there_once() {
        let mut routes = ALL.to_vec();
        routes.sort_unstable();
        routes.dedup();
        assert_eq!(routes.len(), ALL.len());
        assert!(ALL.iter().all(|(_, path)| path.starts_with(&format!("{PREFIX}/"))));
    }
}
