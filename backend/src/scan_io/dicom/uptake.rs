//! What a PET image's numbers are multiplied with to be standardised uptake values by body weight (SUVbw, g/ml): as
//! QIBA's FDG-PET/CT profile has it for images in Bq/ml whose decay is corrected to the scan's start or to the
//! injection.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::DicomError;
use super::heads::{Head, items, text};
use super::name;
use super::object::{Part, open};

/// Turns the slices of PET images into uptake; those of other modalities stay as they are.
///
/// # Errors
/// [`DicomError::Uptake`] with what an image lacks.
pub(super) fn apply(heads: &mut [Head]) -> Result<(), DicomError> {
    for head in heads.iter_mut().filter(|head| is_pet(head)) {
        let file = || name(&head.file);
        let image = open(&head.file, Part::Head)?;
        let factor = factor(&image).map_err(|attribute| DicomError::Uptake { file: file(), attribute })?;
        for slice in head.slices.iter_mut().flatten() {
            slice.slope *= factor;
            slice.intercept *= factor;
        }
    }
    Ok(())
}

/// Whether it is an image of positron emission.
pub(super) fn is_pet(head: &Head) -> bool {
    head.modality == "PT"
}

/// The factor, or the attribute that is missing or cannot be used.
fn factor(image: &InMemDicomObject) -> Result<f64, &'static str> {
    let said = |tag: Tag| text(image, tag).to_uppercase();
    if said(tags::UNITS) != "BQML" {
        return Err("Units of BQML");
    }
    let corrected = said(tags::CORRECTED_IMAGE);
    if !["ATTN", "DECY"].iter().all(|word| corrected.split('\\').any(|said| said == *word)) {
        return Err("CorrectedImage with ATTN and DECY");
    }
    let weight_kg = positive(image, tags::PATIENT_WEIGHT).ok_or("PatientWeight")?;
    let agent = items(image, tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE).first();
    let agent = agent.ok_or("RadiopharmaceuticalInformationSequence")?;
    let dose_bq = positive(agent, tags::RADIONUCLIDE_TOTAL_DOSE).ok_or("RadionuclideTotalDose")?;
    let left = match said(tags::DECAY_CORRECTION).as_str() {
        "ADMIN" => 1.0,
        "START" => {
            let half_life_s = positive(agent, tags::RADIONUCLIDE_HALF_LIFE).ok_or("RadionuclideHalfLife")?;
            (-waited_s(image, agent)? / half_life_s).exp2()
        }
        _ => return Err("DecayCorrection of START or ADMIN"),
    };
    Ok(weight_kg * 1000.0 / (dose_bq * left))
}

/// From the injection to the scan's start.
fn waited_s(image: &InMemDicomObject, agent: &InMemDicomObject) -> Result<f64, &'static str> {
    let started = moment(&text(image, tags::SERIES_DATE), &text(image, tags::SERIES_TIME));
    let started = started.ok_or("SeriesDate and SeriesTime")?;
    let acquired = moment(&text(image, tags::ACQUISITION_DATE), &text(image, tags::ACQUISITION_TIME));
    // A series that was made afterwards does not say when the scan began.
    if acquired.is_some_and(|acquired| acquired < started) {
        return Err("SeriesTime that is the scan's");
    }
    let both = text(agent, tags::RADIOPHARMACEUTICAL_START_DATE_TIME);
    let injected = match both.get(..8).zip(both.get(8..)) {
        Some((date, time)) => moment(date, time.split(['+', '-']).next().unwrap_or_default()),
        None => moment(&text(image, tags::SERIES_DATE), &text(agent, tags::RADIOPHARMACEUTICAL_START_TIME))
            // Before midnight.
            .map(|at| if at > started { at - TimeDelta::days(1) } else { at }),
    };
    let injected = injected.ok_or("RadiopharmaceuticalStartTime")?;
    let waited_s = (started - injected).num_milliseconds() as f64 / 1000.0;
    if (0.0..86_400.0).contains(&waited_s) {
        Ok(waited_s)
    } else {
        Err("RadiopharmaceuticalStartTime before SeriesTime")
    }
}

/// A date and a time as DICOM writes them (PS3.5, DA and TM); a fraction of a second is left out.
fn moment(date: &str, time: &str) -> Option<NaiveDateTime> {
    let number = |text: &str, from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let day = NaiveDate::from_ymd_opt(date.get(..4)?.parse().ok()?, number(date, 4, 6)?, number(date, 6, 8)?)?;
    let second = number(time, 4, 6).unwrap_or(0).min(59);
    day.and_hms_opt(number(time, 0, 2)?, number(time, 2, 4).unwrap_or(0), second)
}

fn positive(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    text(object, tag).parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0)
}

#[cfg(test)]
mod tests {
    use dicom_core::value::DataSetSequence;
    use dicom_core::{DataElement, PrimitiveValue, VR};

    use super::*;

    /// An image of a patient of 70 kg who was given 350 MBq of F-18 an hour before.
    fn image(changes: &[(Tag, &str)]) -> InMemDicomObject {
        let all = [
            (tags::UNITS, "BQML"),
            (tags::CORRECTED_IMAGE, "DECY\\ATTN\\SCAT"),
            (tags::DECAY_CORRECTION, "START"),
            (tags::PATIENT_WEIGHT, "70"),
            (tags::SERIES_DATE, "20240229"),
            (tags::SERIES_TIME, "101500"),
            (tags::ACQUISITION_DATE, "20240229"),
            (tags::ACQUISITION_TIME, "101730.25"),
            (tags::RADIONUCLIDE_TOTAL_DOSE, "350000000"),
            (tags::RADIONUCLIDE_HALF_LIFE, "6586.2"),
            (tags::RADIOPHARMACEUTICAL_START_TIME, "091500.00"),
        ];
        let said = |tag: Tag| changes.iter().chain(&all).find(|(other, _)| *other == tag).map_or("", |(_, text)| *text);
        let put = |object: &mut InMemDicomObject, tag: Tag| {
            object.put(DataElement::new(tag, VR::LO, PrimitiveValue::from(said(tag))));
        };
        let (mut image, mut agent) = (InMemDicomObject::new_empty(), InMemDicomObject::new_empty());
        all[..8].iter().for_each(|(tag, _)| put(&mut image, *tag));
        all[8..].iter().for_each(|(tag, _)| put(&mut agent, *tag));
        put(&mut agent, tags::RADIOPHARMACEUTICAL_START_DATE_TIME);
        let items = DataSetSequence::from(vec![agent]);
        image.put(DataElement::new(tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE, VR::SQ, items));
        image
    }

    #[test]
    fn a_factor_is_weight_by_the_dose_that_is_left() {
        let check = |changes: &[(Tag, &str)], expected: f64| {
            let got = factor(&image(changes)).unwrap();
            assert!((got / expected - 1.0).abs() < 1e-9, "{got} is not {expected}");
        };
        // By hand: 70,000 g / (350e6 Bq × 2^(−3600/6586.2)).
        check(&[], 2.921_273_492_443_7e-4);
        check(&[(tags::DECAY_CORRECTION, "ADMIN")], 2e-4);
        check(&[(tags::RADIOPHARMACEUTICAL_START_DATE_TIME, "20240229101500")], 2e-4);
        check(&[(tags::RADIOPHARMACEUTICAL_START_DATE_TIME, "20240229101500.0+0100")], 2e-4);
        let before_midnight = [
            (tags::SERIES_TIME, "0005"),
            (tags::ACQUISITION_TIME, "0006"),
            (tags::RADIOPHARMACEUTICAL_START_TIME, "230500"),
        ];
        check(&before_midnight, factor(&image(&[])).unwrap());
    }

    #[test]
    fn what_is_missing_is_said() {
        let check = |tag: Tag, value: &str, expected: &str| {
            assert_eq!(factor(&image(&[(tag, value)])), Err(expected), "{tag:?} {value}");
        };
        check(tags::UNITS, "CNTS", "Units of BQML");
        check(tags::UNITS, "", "Units of BQML");
        check(tags::CORRECTED_IMAGE, "ATTN", "CorrectedImage with ATTN and DECY");
        check(tags::DECAY_CORRECTION, "NONE", "DecayCorrection of START or ADMIN");
        check(tags::PATIENT_WEIGHT, "0", "PatientWeight");
        check(tags::PATIENT_WEIGHT, "", "PatientWeight");
        check(tags::RADIONUCLIDE_TOTAL_DOSE, "-1", "RadionuclideTotalDose");
        check(tags::RADIONUCLIDE_HALF_LIFE, "NaN", "RadionuclideHalfLife");
        check(tags::SERIES_TIME, "", "SeriesDate and SeriesTime");
        check(tags::ACQUISITION_TIME, "090000", "SeriesTime that is the scan's");
        check(tags::RADIOPHARMACEUTICAL_START_TIME, "", "RadiopharmaceuticalStartTime");
        check(
            tags::RADIOPHARMACEUTICAL_START_DATE_TIME,
            "20240301101500",
            "RadiopharmaceuticalStartTime before SeriesTime",
        );
    }
}
