//! QIDO-RS (PS3.18, 10.6): what the PACS has. Answers are DICOM's model in JSON (PS3.18, F).

use std::collections::BTreeSet;

use serde_json::Value;
use shared::api::{FoundStudies, PacsSeries, PacsStudy, StudyQuery};

use super::sources::Source;
use super::{PacsError, uid};

/// Most studies that are shown.
const STUDIES_LIMIT: usize = 100;
/// Most images of a series; the longest have some thousand slices.
pub(super) const IMAGES_LIMIT: usize = 8192;
/// How many are asked for at a time.
const PAGE: usize = 1000;

/// Studies that fit, the latest first.
///
/// # Errors
/// [`PacsError`].
pub fn find_studies(source: &Source, query: &StudyQuery) -> Result<FoundStudies, PacsError> {
    let mut seen = BTreeSet::new();
    let (mut studies, mut are_more) = (Vec::new(), false);
    for asked in asked(query)? {
        let limit = (STUDIES_LIMIT + 1).to_string();
        let mut asked: Vec<(&str, &str)> = asked.iter().map(|(key, value)| (*key, value.as_str())).collect();
        asked.extend([("includefield", "00081030"), ("includefield", "00080061"), ("limit", &limit)]);
        let found = source.web.find("/studies", &asked)?;
        are_more |= found.len() > STUDIES_LIMIT;
        studies.extend(
            found.iter().map(study).filter(|study| uid(&study.study).is_ok() && seen.insert(study.study.clone())),
        );
    }
    studies.sort_by(|a, b| b.date.cmp(&a.date).then_with(|| a.study.cmp(&b.study)));
    are_more |= studies.len() > STUDIES_LIMIT;
    studies.truncate(STUDIES_LIMIT);
    Ok(FoundStudies { studies, are_more })
}

/// The series of a study, by their numbers.
///
/// # Errors
/// [`PacsError`].
pub fn find_series(source: &Source, study: &str) -> Result<Vec<PacsSeries>, PacsError> {
    let path = format!("/studies/{}/series", uid(study)?);
    let fields = [("includefield", "0008103E"), ("includefield", "00201209")];
    let found = source.web.find(&path, &fields)?;
    let mut series: Vec<PacsSeries> = found.iter().map(series).filter(|found| uid(&found.series).is_ok()).collect();
    series.sort_by(|a, b| (a.number, &a.series).cmp(&(b.number, &b.series)));
    Ok(series)
}

/// Unique identifiers of a series' images.
pub(super) fn find_instances(source: &Source, study: &str, series: &str) -> Result<Vec<String>, PacsError> {
    let path = format!("/studies/{}/series/{}/instances", uid(study)?, uid(series)?);
    let (mut instances, mut seen) = (Vec::new(), BTreeSet::new());
    // A PACS may give fewer at a time than it was asked for; one that knows no offset says the same again.
    loop {
        let (limit, offset) = (PAGE.to_string(), instances.len().to_string());
        let found = source.web.find(&path, &[("limit", &limit), ("offset", &offset)])?;
        let before = instances.len();
        for instance in found.iter().map(|object| text(object, "00080018")) {
            if seen.insert(instance.clone()) {
                instances.push(uid(&instance)?.to_owned());
            }
        }
        if instances.len() > IMAGES_LIMIT {
            return Err(PacsError::TooMany(IMAGES_LIMIT));
        }
        if instances.len() == before {
            return Ok(instances);
        }
    }
}

/// How many images a series has; nothing if the PACS does not say.
pub(super) fn count_instances(source: &Source, study: &str, series: &str) -> Result<Option<usize>, PacsError> {
    let path = format!("/studies/{}/series", uid(study)?);
    let asked = [("SeriesInstanceUID", uid(series)?), ("includefield", "00201209")];
    let found = source.web.find(&path, &asked)?;
    Ok(found.iter().find(|found| text(found, "0020000E") == series).and_then(|found| integer(found, "00201209")))
}

/// The unique identifier of an image from the middle of a series, as the PACS counts them: where slices lie is known
/// when all are here.
pub(super) fn find_middle(source: &Source, study: &str, series: &str) -> Result<String, PacsError> {
    let middle = count_instances(source, study, series)?.unwrap_or(0) / 2;
    let path = format!("/studies/{}/series/{}/instances", uid(study)?, uid(series)?);
    let found = source.web.find(&path, &[("limit", "1"), ("offset", &middle.to_string())])?;
    // A PACS that knows neither gives all of them.
    let one = found.get(middle).or(found.first()).ok_or_else(|| source.web.not_there())?;
    Ok(uid(&text(one, "00080018"))?.to_owned())
}

/// A text of everything at an address of which one attribute is so.
pub(super) fn find_values(
    source: &Source,
    path: &str,
    asked: (&str, &str),
    tag: &str,
) -> Result<Vec<String>, PacsError> {
    let found = source.web.find(path, &[asked, ("includefield", tag)])?;
    Ok(found.iter().map(|object| text(object, tag)).collect())
}

/// The questions that a query comes to. A patient is asked for by number and by name: nobody knows which was typed.
fn asked(query: &StudyQuery) -> Result<Vec<Vec<(&'static str, String)>>, PacsError> {
    let [patient, accession, modality] = [&query.patient, &query.accession, &query.modality].map(|text| text.trim());
    let date = dates(query.from.trim(), query.until.trim())?;
    if patient.is_empty() && accession.is_empty() && date.is_none() {
        return Err(PacsError::EmptyQuery);
    }
    let mut all: Vec<(&'static str, String)> = Vec::new();
    let given = [("AccessionNumber", accession.to_owned()), ("ModalitiesInStudy", modality.to_uppercase())];
    all.extend(given.into_iter().filter(|(_, value)| !value.is_empty()));
    all.extend(date.map(|date| ("StudyDate", date)));
    if patient.is_empty() {
        return Ok(vec![all]);
    }
    let mut ways = vec![("PatientName", name_pattern(patient))];
    // To some a comma parts numbers of a list.
    if !patient.contains([',', '^']) {
        ways.push(("PatientID", patient.to_owned()));
    }
    Ok(ways.into_iter().map(|way| [vec![way], all.clone()].concat()).collect())
}

/// What a name holds, in the order in which it was typed. Whatever parts a name's parts, and letters that a PACS may
/// keep in another character set, may be anything: some undo no percent-encoding either.
fn name_pattern(typed: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let parts: Vec<&str> = typed.split(|c| !is_plain(c)).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { format!("*{typed}*") } else { format!("*{}*", parts.join("*")) }
}

/// A range of days, as DICOM writes it; nothing if no day is given.
fn dates(from: &str, until: &str) -> Result<Option<String>, PacsError> {
    let day = |text: &str| -> Result<String, PacsError> {
        let parts: Vec<&str> = text.split('-').collect();
        let digits = |part: &&str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
        match &parts[..] {
            [""] => Ok(String::new()),
            [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2) => Ok(parts.concat()),
            _ => Err(PacsError::Day(text.to_owned())),
        }
    };
    let (first, last) = (day(from)?, day(until)?);
    Ok((!first.is_empty() || !last.is_empty()).then(|| format!("{first}-{last}")))
}

fn study(object: &Value) -> PacsStudy {
    PacsStudy {
        study: text(object, "0020000D"),
        patient_name: name(object, "00100010"),
        patient_id: text(object, "00100020"),
        birth_date: day(&text(object, "00100030")),
        date: day(&text(object, "00080020")),
        accession: text(object, "00080050"),
        description: text(object, "00081030"),
        modalities: values(object, "00080061").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

fn series(object: &Value) -> PacsSeries {
    PacsSeries {
        series: text(object, "0020000E"),
        modality: text(object, "00080060"),
        description: text(object, "0008103E"),
        number: integer(object, "00200011"),
        images: integer(object, "00201209"),
    }
}

fn values<'a>(object: &'a Value, tag: &str) -> &'a [Value] {
    object[tag]["Value"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// An attribute's first value as text, without what would turn or break a line.
fn text(object: &Value, tag: &str) -> String {
    let value = values(object, tag).first();
    let text = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default();
    text.trim().chars().filter(|c| !c.is_control()).take(256).collect()
}

/// A whole number, which some write as text.
fn integer<N: TryFrom<i64>>(object: &Value, tag: &str) -> Option<N> {
    let value = values(object, tag).first()?;
    let number = value.as_i64().or_else(|| value.as_f64().map(|number| number as i64));
    N::try_from(number.or_else(|| value.as_str()?.trim().parse().ok())?).ok()
}

/// A person's name as people write it: family name, given names.
fn name(object: &Value, tag: &str) -> String {
    let Some(value) = values(object, tag).first() else { return String::new() };
    let groups = ["Alphabetic", "Ideographic", "Phonetic"].iter().filter_map(|group| value[group].as_str());
    let written = groups.chain(value.as_str()).next().unwrap_or_default();
    let parts: Vec<&str> = written.split('^').map(str::trim).filter(|part| !part.is_empty()).collect();
    let joined = match &parts[..] {
        [] => String::new(),
        [family] => (*family).to_owned(),
        [family, rest @ ..] => format!("{family}, {}", rest.join(" ")),
    };
    joined.chars().filter(|c| !c.is_control()).take(256).collect()
}

/// `20240229` as `2024-02-29`; anything else as it is.
fn day(text: &str) -> String {
    match (text.get(..4), text.get(4..6), text.get(6..8)) {
        (Some(year), Some(month), Some(day)) if text.len() == 8 => format!("{year}-{month}-{day}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_becomes_what_dicom_asks() {
        let check = |query: StudyQuery, expected: &[&[(&str, &str)]]| {
            let got = asked(&query).unwrap();
            let got: Vec<Vec<(&str, &str)>> =
                got.iter().map(|asked| asked.iter().map(|(key, value)| (*key, value.as_str())).collect()).collect();
            assert_eq!(got, expected);
        };
        let query = |patient: &str| StudyQuery { patient: patient.into(), ..StudyQuery::default() };
        check(query("Doe, Jane"), &[&[("PatientName", "*Doe*Jane*")]]);
        check(query("P 7"), &[&[("PatientName", "*P*7*")], &[("PatientID", "P 7")]]);
        check(query("Müller-Lüdenscheidt^A"), &[&[("PatientName", "*M*ller-L*denscheidt*A*")]]);
        check(query("李"), &[&[("PatientName", "*李*")], &[("PatientID", "李")]]);
        check(
            StudyQuery { accession: " A7 ".into(), modality: "mr".into(), ..StudyQuery::default() },
            &[&[("AccessionNumber", "A7"), ("ModalitiesInStudy", "MR")]],
        );
        check(
            StudyQuery { from: "2024-02-28".into(), until: "2024-03-01".into(), ..StudyQuery::default() },
            &[&[("StudyDate", "20240228-20240301")]],
        );
        check(StudyQuery { from: "2024-02-28".into(), ..StudyQuery::default() }, &[&[("StudyDate", "20240228-")]]);
        let refused = |query: StudyQuery| asked(&query).unwrap_err().to_string();
        assert!(refused(StudyQuery { modality: "CT".into(), ..StudyQuery::default() }).starts_with("say whom"));
        assert!(refused(StudyQuery { from: "1.3.2024".into(), ..StudyQuery::default() }).contains("2024-02-29"));
    }

    #[test]
    fn answers_are_read_as_people_write() {
        let object = json!({
            "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane^M"}]},
            "00100020": {"vr": "LO", "Value": ["PAT\u{7}-7"]},
            "00100030": {"vr": "DA"},
            "00080020": {"vr": "DA", "Value": ["20240229"]},
            "00080061": {"vr": "CS", "Value": ["CT", "SEG"]},
            "00200011": {"vr": "IS", "Value": ["4"]},
            "00201209": {"vr": "IS", "Value": [30]},
        });
        let study = study(&object);
        assert_eq!((study.study.as_str(), study.patient_name.as_str()), ("1.2.3", "Doe, Jane M"));
        assert_eq!(
            (study.patient_id.as_str(), study.birth_date.as_str(), study.date.as_str()),
            ("PAT-7", "", "2024-02-29")
        );
        assert_eq!(study.modalities, ["CT", "SEG"]);
        let series = series(&object);
        assert_eq!((series.number, series.images), (Some(4), Some(30)));
        assert_eq!(name(&json!({"00100010": {"Value": ["A^B"]}}), "00100010"), "A, B");
    }
}
