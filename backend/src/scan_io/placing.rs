//! Where a header says that its voxels lie. The scan's own place is the sform's, else the qform's, else that of the
//! sizes alone, as nibabel has it (nifti1.h, "3D image orientation and location in space"). Other programs choose
//! otherwise where these contradict each other, and save masks accordingly: ITK (SimpleITK, ITK-SNAP, Slicer) prefers a
//! qform to an sform whose code is not 1 or that is sheared, takes spacing from `pixdim` and directions from the form,
//! turns axes with negative `pixdim`, and puts a scan without orientation at the origin. All of these are [`Placings`]
//! of the same voxels.

use shared::geometry::{Affine, Geometry, GeometryError, GridDifference};

use super::ScanError;
use super::header::Header;

/// Largest and smallest size of a voxel, in mm: ten metres, a nanometre.
const SIZES_MM: std::ops::RangeInclusive<f64> = 1e-6..=1e4;
/// Spacing that nnU-Net gives the missing axis of a picture, as a multiple of the larger of the others.
const FLAT_SPACING: f64 = 999.0;

/// Every place that a header allows its voxels, the scan's own first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placings(Vec<Geometry>);

impl Placings {
    /// The places of `dims` voxels under a header.
    pub(super) fn of(header: &Header, dims: [usize; 3]) -> Result<Self, ScanError> {
        let spacing = spacing_mm(header)?;
        let flat = header.is_flat();
        let mut candidates = candidates(header, dims, spacing);
        if flat {
            candidates.push(at_origin([spacing[0], spacing[1], 1.0]));
        }
        let mut places: Vec<Geometry> = Vec::new();
        for affine in &candidates {
            let affine = if flat { in_plane(affine) } else { *affine };
            if let Ok(place) = Geometry::new(dims, spacing, affine)
                && !places.contains(&place)
            {
                places.push(place);
            }
        }
        if places.is_empty() {
            return Err(GeometryError::SingularAffine.into());
        }
        Ok(Self(places))
    }

    /// One place only.
    pub(super) fn only(place: Geometry) -> Self {
        Self(vec![place])
    }

    /// The scan's own.
    pub(super) fn own(&self) -> &Geometry {
        &self.0[0]
    }

    /// Whether labels under another header lie on this scan's voxels: in any of the places that nibabel or ITK read
    /// from them, if this header allows it.
    ///
    /// # Errors
    /// The difference between the two own places.
    pub(super) fn accept(&self, labels: &Self) -> Result<(), GridDifference> {
        let allowed = |place: &Geometry| self.0.iter().any(|own| place.check_same_grid(own).is_ok());
        if labels.0.iter().any(allowed) { Ok(()) } else { labels.own().check_same_grid(self.own()) }
    }

    /// What in the header contradicts itself, in words that follow "its header".
    pub(super) fn contradictions(&self) -> Option<String> {
        let own = self.own();
        let (columns, spacing) = (own.column_lengths_mm(), own.spacing_mm);
        let [x, y, z] = spacing;
        let apart = (0..2 + usize::from(z < FLAT_SPACING * x.max(y)))
            .any(|axis| (columns[axis] - spacing[axis]).abs() > 0.01 * spacing[axis]);
        let words = |mm: [f64; 3]| mm.map(|v| format!("{v:.3}")).join(" × ");
        apart.then(|| {
            format!(
                "contradicts itself: voxels of {} mm by its affine, of {} mm by its pixdim. Networks and distances go \
                 by the latter, as in ITK and nnU-Net",
                words(columns),
                words(spacing)
            )
        })
    }
}

/// Sizes of a voxel in mm. A size of 0 is 1, as ITK and nibabel have it.
fn spacing_mm(header: &Header) -> Result<[f64; 3], ScanError> {
    let unit = header.mm_per_unit();
    let mut spacing = [1, 2, 3].map(|axis| match header.pixdim[axis].abs() {
        0.0 => 1.0,
        size => size * unit,
    });
    if header.is_flat() {
        spacing[2] = FLAT_SPACING * spacing[0].max(spacing[1]);
    }
    let sized = if header.is_flat() { 2 } else { 3 };
    if spacing[..sized].iter().any(|mm| !SIZES_MM.contains(mm)) {
        return Err(GeometryError::BadSpacing(spacing).into());
    }
    Ok(spacing)
}

/// Affines in order of preference; some may not be invertible.
fn candidates(header: &Header, dims: [usize; 3], spacing_mm: [f64; 3]) -> Vec<Affine> {
    let mut forms: Vec<Affine> = Vec::new();
    let (sform, qform) = (header.srow, quaternion_form(header));
    if header.sform_code > 0 && is_invertible(&sform) {
        forms.push(sform);
    }
    if header.qform_code > 0 {
        forms.extend(qform);
    }
    let signs = [1, 2, 3].map(|axis| if header.pixdim[axis] < 0.0 { -1.0 } else { 1.0 });
    let signed: [f64; 3] = std::array::from_fn(|axis| signs[axis] * spacing_mm[axis]);
    let unit = header.mm_per_unit();
    let in_mm = |form: &Affine| form.map(|row| row.map(|v| v * unit));
    if forms.is_empty() {
        if header.sform_code > 0 || header.qform_code > 0 {
            // A header that claims a place and has none is not guessed at.
            return Vec::new();
        }
        return vec![centred(dims, spacing_mm), at_origin(spacing_mm), at_origin(signed)];
    }
    let mut all: Vec<Affine> = forms.iter().map(in_mm).collect();
    // As ITK has them: directions of the form, sizes and signs of `pixdim`.
    all.extend(forms.iter().map(in_mm).map(|form| resized(&form, spacing_mm)));
    all.extend(forms.iter().map(in_mm).map(|form| resized(&form, signed)));
    // As programs have them that know no units.
    if unit != 1.0 {
        all.extend(forms);
    }
    all
}

fn is_invertible(form: &Affine) -> bool {
    Geometry::new([1; 3], [1.0; 3], *form).is_ok()
}

/// A form's directions with these sizes.
fn resized(form: &Affine, sizes: [f64; 3]) -> Affine {
    let length = |column: usize| form.iter().map(|row| row[column].powi(2)).sum::<f64>().sqrt();
    form.map(|row| {
        [row[0] / length(0) * sizes[0], row[1] / length(1) * sizes[1], row[2] / length(2) * sizes[2], row[3]]
    })
}

/// The centre of the volume at the origin and x to the left, as nibabel and SPM have it for scans without orientation.
fn centred(dims: [usize; 3], [x, y, z]: [f64; 3]) -> Affine {
    let middle = |axis: usize, spacing: f64| spacing * (dims[axis] as f64 - 1.0) / 2.0;
    [[-x, 0.0, 0.0, middle(0, x)], [0.0, y, 0.0, -middle(1, y)], [0.0, 0.0, z, -middle(2, z)]]
}

/// The first voxel at the origin, x to the left and y to the back, as ITK has it for scans without orientation.
fn at_origin([x, y, z]: [f64; 3]) -> Affine {
    [[-x, 0.0, 0.0, 0.0], [0.0, -y, 0.0, 0.0], [0.0, 0.0, z, 0.0]]
}

/// What of an affine a picture has: its own two axes. As ITK, which drops the third; where that leaves nothing, sizes
/// alone.
fn in_plane(affine: &Affine) -> Affine {
    let [[a, b, _, tx], [c, d, _, ty], _] = *affine;
    [[a, b, 0.0, tx], [c, d, 0.0, ty], [0.0, 0.0, 1.0, 0.0]]
}

/// The qform, if its quaternion is one: no longer than 1.
fn quaternion_form(header: &Header) -> Option<Affine> {
    let [b, c, d] = header.quatern;
    let rest = 1.0 - (b * b + c * c + d * d);
    if rest.is_nan() || rest < -1e-3 {
        return None;
    }
    // Half a turn: what is left is rounding (nifti1_io.c and nibabel do the same).
    let (a, [b, c, d]) = if rest < 3.6e-7 {
        let length = (b * b + c * c + d * d).sqrt();
        (0.0, [b / length, c / length, d / length])
    } else {
        (rest.sqrt(), [b, c, d])
    };
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ];
    let handedness = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    let size = |axis: usize| match header.pixdim[axis].abs() {
        0.0 => 1.0,
        size => size,
    };
    let sizes = [size(1), size(2), size(3) * handedness];
    let form = [0, 1, 2].map(|row| {
        [rotation[row][0] * sizes[0], rotation[row][1] * sizes[1], rotation[row][2] * sizes[2], header.offset[row]]
    });
    is_invertible(&form).then_some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of 5 × 6 × 7 voxels of 2 × 3 × 4 mm without orientation: both codes are 0, the sform is zeros.
    fn header() -> Header {
        let geometry = Geometry::axis_aligned([5, 6, 7], [2.0, 3.0, 4.0]).unwrap();
        Header { sform_code: 0, srow: [[0.0; 4]; 3], ..Header::of_geometry(&geometry) }
    }

    const SFORM: Affine = [[2.0, 0.0, 0.0, -9.0], [0.0, 3.0, 0.0, 8.0], [0.0, 0.0, 4.0, 7.0]];

    #[track_caller]
    fn check(header: &Header, expected: Affine) {
        let own = Placings::of(header, [5, 6, 7]).unwrap().own().world_from_voxel;
        for (row, wanted) in own.iter().zip(expected) {
            for (got, wanted) in row.iter().zip(wanted) {
                assert!((got - wanted).abs() < 1e-6, "{own:?} is not {expected:?}");
            }
        }
    }

    #[test]
    fn the_sform_comes_first_then_the_qform_then_sizes() {
        check(&Header { sform_code: 1, qform_code: 1, srow: SFORM, ..header() }, SFORM);
        let turned = [[-2.0, 0.0, 0.0, 10.0], [0.0, -3.0, 0.0, 0.0], [0.0, 0.0, -4.0, 0.0]];
        // Half a turn about z with the other hand; nibabel: Nifti1Header with quatern_d = 1, pixdim[0] = -1.
        let mut qform = Header { qform_code: 1, quatern: [0.0, 0.0, 1.0], offset: [10.0, 0.0, 0.0], ..header() };
        qform.pixdim[0] = -1.0;
        check(&qform, turned);
        // An sform that is zeros gives way to a right qform, as in ITK; nibabel would have no place at all.
        check(&Header { sform_code: 1, ..qform }, turned);
        check(&header(), [[-2.0, 0.0, 0.0, 4.0], [0.0, 3.0, 0.0, -7.5], [0.0, 0.0, 4.0, -12.0]]);
    }

    #[test]
    fn units_are_converted_and_sizes_of_zero_are_one() {
        // SimpleITK 2.5.7 reads spacing (2, 3, 4) and origin (9, -8, 7) LPS from each.
        let mut micrometres =
            Header { sform_code: 1, units: 3, srow: SFORM.map(|row| row.map(|v| v * 1000.0)), ..header() };
        let mut metres = Header { sform_code: 1, units: 1, srow: SFORM.map(|row| row.map(|v| v / 1000.0)), ..header() };
        for axis in 1..4 {
            micrometres.pixdim[axis] *= 1000.0;
            metres.pixdim[axis] /= 1000.0;
        }
        for scan in [&micrometres, &metres] {
            check(scan, SFORM);
            let spacing = Placings::of(scan, [5, 6, 7]).unwrap().own().spacing_mm;
            assert!(
                spacing.iter().zip([2.0, 3.0, 4.0]).all(|(got, wanted)| (got - wanted).abs() < 1e-9),
                "{spacing:?}"
            );
        }
        let mut none = header();
        none.pixdim[1] = 0.0;
        assert_eq!(Placings::of(&none, [5, 6, 7]).unwrap().own().spacing_mm, [1.0, 3.0, 4.0]);
    }

    #[test]
    fn a_header_that_claims_a_place_and_has_none_is_refused() {
        for (bad, words) in [
            (Header { sform_code: 1, ..header() }, "affine is not invertible"),
            (Header { qform_code: 1, quatern: [1.0, 1.0, 1.0], ..header() }, "affine is not invertible"),
            (Header { sform_code: 1, srow: [[f64::NAN; 4]; 3], ..header() }, "affine is not invertible"),
            (
                Header { pixdim: [1.0, 1e30, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], sform_code: 1, srow: SFORM, ..header() },
                "spacing",
            ),
            (
                Header {
                    pixdim: [1.0, f64::NAN, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
                    sform_code: 1,
                    srow: SFORM,
                    ..header()
                },
                "spacing",
            ),
        ] {
            let message = Placings::of(&bad, [5, 6, 7]).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    /// Whether a scan accepts a mask that a program saved with this affine and these sizes.
    #[track_caller]
    fn check_mask(scan: &Header, affine: Affine, spacing: [f64; 3], expected: bool) {
        let mask = Header::of_geometry(&Geometry::new([5, 6, 7], spacing, affine).unwrap());
        let accepted = Placings::of(scan, [5, 6, 7]).unwrap().accept(&Placings::of(&mask, [5, 6, 7]).unwrap());
        assert_eq!(accepted.is_ok(), expected, "{accepted:?}");
    }

    #[test]
    fn masks_are_accepted_wherever_the_scans_header_allows() {
        let sizes = [2.0, 3.0, 4.0];
        // Without orientation: as SimpleITK 2.5.7 saves it, as nibabel 5.4.2 does, and elsewhere.
        check_mask(&header(), [[-2.0, 0.0, 0.0, 0.0], [0.0, -3.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]], sizes, true);
        check_mask(&header(), [[-2.0, 0.0, 0.0, 4.0], [0.0, 3.0, 0.0, -7.5], [0.0, 0.0, 4.0, -12.0]], sizes, true);
        check_mask(&header(), [[2.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]], sizes, false);
        // The same with a negative size, which SimpleITK 2.5.7 takes for a direction, and nibabel 5.4.2 does not.
        let mut negative = header();
        negative.pixdim[1] = -2.0;
        check_mask(&negative, [[2.0, 0.0, 0.0, 0.0], [0.0, -3.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]], sizes, true);
        check_mask(&negative, [[-2.0, 0.0, 0.0, 4.0], [0.0, 3.0, 0.0, -7.5], [0.0, 0.0, 4.0, -12.0]], sizes, true);
        // sform ≠ qform: SimpleITK saves the qform's place unless the sform's code is 1.
        let two = Header { sform_code: 2, qform_code: 1, srow: SFORM, offset: [10.0, 20.0, 30.0], ..header() };
        let q = [[2.0, 0.0, 0.0, 10.0], [0.0, 3.0, 0.0, 20.0], [0.0, 0.0, 4.0, 30.0]];
        check_mask(&two, SFORM, sizes, true);
        check_mask(&two, q, sizes, true);
        check_mask(&two, q.map(|row| row.map(|v| v + 0.5)), sizes, false);
        // pixdim ≠ sform: SimpleITK saves the sform's directions with pixdim's sizes.
        let mut wide = SFORM;
        wide[0][0] = 5.0;
        let apart = Header { sform_code: 1, srow: wide, ..header() };
        check_mask(&apart, wide, [5.0, 3.0, 4.0], true);
        check_mask(&apart, SFORM, sizes, true);
        check_mask(&apart, [[4.0, 0.0, 0.0, -9.0], SFORM[1], SFORM[2]], [4.0, 3.0, 4.0], false);
        // Sheared: SimpleITK reads the qform, nibabel the sform.
        let mut sheared = SFORM;
        sheared[0][1] = 0.5;
        let shear = Header { sform_code: 1, qform_code: 1, srow: sheared, offset: [10.0, 20.0, 30.0], ..header() };
        check_mask(&shear, q, sizes, true);
        check_mask(&shear, sheared, sizes, true);
        // Micrometres: nibabel knows no unit, SimpleITK converts.
        let mut tiny = Header { sform_code: 1, units: 3, srow: SFORM.map(|row| row.map(|v| v * 1000.0)), ..header() };
        (1..4).for_each(|axis| tiny.pixdim[axis] *= 1000.0);
        check_mask(&tiny, SFORM, sizes, true);
        check_mask(&tiny, tiny.srow, [2000.0, 3000.0, 4000.0], true);
        // SimpleITK turns an axis whose pixdim is negative.
        let mut negative = Header { sform_code: 1, srow: SFORM, ..header() };
        negative.pixdim[1] = -2.0;
        check_mask(&negative, [[-2.0, 0.0, 0.0, -9.0], SFORM[1], SFORM[2]], sizes, true);
    }

    #[test]
    fn contradictions_are_named() {
        assert_eq!(
            Placings::of(&Header { sform_code: 1, srow: SFORM, ..header() }, [5, 6, 7]).unwrap().contradictions(),
            None
        );
        let mut wide = SFORM;
        wide[0][0] = 5.0;
        let words = Placings::of(&Header { sform_code: 1, srow: wide, ..header() }, [5, 6, 7])
            .unwrap()
            .contradictions()
            .unwrap();
        assert!(
            words.starts_with(
                "contradicts itself: voxels of 5.000 × 3.000 × 4.000 mm by its affine, of 2.000 × 3.000 × 4.000 mm"
            ),
            "{words}"
        );
    }
}
