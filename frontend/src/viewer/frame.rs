//! What to draw, as data: voxels become bitmaps and outlines in grid space (see `camera`). Any renderer can draw a
//! [`Frame`]; nothing here knows a canvas.

use std::collections::BTreeMap;

use shared::label::{BACKGROUND, Label};

use super::camera::{Placement, ViewGrid};
use super::palette::Pattern;

/// Pixels of a whole plane, one per voxel, as shown: column fastest, RGBA, not premultiplied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bitmap {
    /// Columns and rows.
    pub(crate) dims: [usize; 2],
    /// Four bytes per voxel.
    pub(crate) rgba: Vec<u8>,
    /// Grows with every change, so that renderers know what to upload.
    pub(crate) version: u64,
}

/// Straight line in grid space.
pub(crate) type Segment = [[f64; 2]; 2];

/// Lines of one colour.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outline {
    /// Red, green, blue.
    pub(crate) rgb: [u8; 3],
    /// Width in CSS pixels.
    pub(crate) width_px: f64,
    /// Dashed lines mark what is not a label.
    pub(crate) dashed: bool,
    /// The lines.
    pub(crate) segments: Vec<Segment>,
}

/// One view, ready to be drawn.
#[derive(Clone, Debug)]
pub(crate) struct Frame<'a> {
    /// Size of the canvas in CSS pixels.
    pub(crate) size_px: [f64; 2],
    /// Where the grid lies on it.
    pub(crate) placement: Placement,
    /// Grey values, below everything.
    pub(crate) image: Option<&'a Bitmap>,
    /// Whether grey values are interpolated between voxels.
    pub(crate) smooth: bool,
    /// Labels and uncertainty, in whole voxels.
    pub(crate) overlay: Option<&'a Bitmap>,
    /// Label boundaries, changes, the brush.
    pub(crate) outlines: Vec<Outline>,
    /// The crosshair, in grid space.
    pub(crate) crosshair: Option<[f64; 2]>,
    /// A bar of a known length.
    pub(crate) scale_bar: Option<ScaleBar>,
}

/// A bar of a known length, to measure by eye.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ScaleBar {
    /// What it stands for, in millimetres.
    pub(crate) length_mm: f64,
    /// How long it is drawn.
    pub(crate) length_px: f64,
}

impl ScaleBar {
    /// The longest bar of a round length that is no longer than `most_px`; none where even that of a micrometre is.
    pub(crate) fn new(px_per_mm: f64, most_px: f64) -> Option<Self> {
        let lengths_mm = (-3..=3).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        let length_mm = lengths_mm.rev().find(|mm| mm * px_per_mm <= most_px)?;
        Some(Self { length_mm, length_px: length_mm * px_per_mm })
    }

    /// Its length in words: `2 cm`, `5 mm`.
    pub(crate) fn text(&self) -> String {
        if self.length_mm >= 9.99 {
            format!("{:.0} cm", self.length_mm / 10.0)
        } else {
            format!("{} mm", (self.length_mm * 1e3).round() / 1e3)
        }
    }
}

/// Every so many rows and columns of a plane's voxels (u fastest), from the first on.
pub(crate) fn thinned<T: Copy>(voxels: &[T], dims: [usize; 2], step: usize) -> Vec<T> {
    let rows = voxels.chunks(dims[0].max(1)).step_by(step);
    rows.flat_map(|row| row.iter().step_by(step).copied()).collect()
}

/// Grey pixels of a plane (`voxels`, u fastest) through a table of greys.
pub(crate) fn image_rgba(grid: &ViewGrid, voxels: &[u16], greys: &[u8]) -> Vec<u8> {
    rgba(grid, |offset, _| {
        let grey = voxels.get(offset).and_then(|voxel| greys.get(usize::from(*voxel))).copied().unwrap_or(0);
        [grey, grey, grey, 255]
    })
}

/// The brightest that another channel is drawn in, through the grey of the one that is looked at.
const BLENDED_RGB: [u8; 3] = [255, 176, 66];

/// Mixes another channel (`voxels`, u fastest) into the grey pixels of a plane. `grey` says how bright a voxel is,
/// `share` (0 to 1) how much of it is seen.
pub(crate) fn blend_in(rgba: &mut [u8], grid: &ViewGrid, voxels: &[u16], grey: impl Fn(u16) -> u8, share: f64) {
    let other = self::rgba(grid, |offset, _| {
        let grey = voxels.get(offset).map_or(0, |voxel| grey(*voxel));
        let [r, g, b] = BLENDED_RGB.map(|brightest| (u16::from(brightest) * u16::from(grey) / 255) as u8);
        [r, g, b, 255]
    });
    for (under, over) in rgba.iter_mut().zip(other) {
        *under = (f64::from(*under) * (1.0 - share) + f64::from(over) * share).round() as u8;
    }
}

/// How labels and uncertainty are coloured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tint {
    /// Colour of each label that is shown.
    pub(crate) labels: BTreeMap<Label, [u8; 3]>,
    /// What fills the area of labels that are not plain.
    pub(crate) patterns: BTreeMap<Label, Pattern>,
    /// 0 (invisible) to 1.
    pub(crate) label_opacity: f64,
    /// 0 (invisible) to 1.
    pub(crate) uncertainty_opacity: f64,
    /// Uncertainty below this is not drawn.
    pub(crate) least_uncertainty: u8,
}

/// Overlay pixels of a plane: uncertainty above labels. Either may be missing.
pub(crate) fn overlay_rgba(
    grid: &ViewGrid,
    labels: Option<&[Label]>,
    uncertainty: Option<&[u8]>,
    tint: &Tint,
) -> Vec<u8> {
    let mut colours = [[0; 4]; 256];
    for (label, [r, g, b]) in &tint.labels {
        colours[usize::from(*label)] = [*r, *g, *b, (tint.label_opacity * 255.0).round() as u8];
    }
    let heat: [[u8; 4]; 256] = std::array::from_fn(|value| match value as u8 {
        value if value < tint.least_uncertainty => [0; 4],
        value => heat(value, tint.uncertainty_opacity),
    });
    let mut patterns = [Pattern::Plain; 256];
    tint.patterns.iter().for_each(|(label, pattern)| patterns[usize::from(*label)] = *pattern);
    // Each label that is met is composed with every uncertainty once: a plane has a thousand times as many voxels.
    let mut composed: [Option<Box<[[u8; 4]; 256]>>; 256] = [const { None }; 256];
    rgba(grid, |offset, [column, row]| {
        let label = labels.and_then(|labels| labels.get(offset)).map_or(BACKGROUND, |label| *label);
        let label = usize::from(if patterns[usize::from(label)].fills(column, row) { label } else { BACKGROUND });
        let value = uncertainty.and_then(|values| values.get(offset)).map_or(0, |value| usize::from(*value));
        composed[label].get_or_insert_with(|| Box::new(heat.map(|heat| over(heat, colours[label]))))[value]
    })
}

fn rgba(grid: &ViewGrid, mut pixel: impl FnMut(usize, [usize; 2]) -> [u8; 4]) -> Vec<u8> {
    let [columns, rows] = grid.dims;
    let mut rgba = Vec::with_capacity(4 * columns * rows);
    for row in 0..rows {
        for column in 0..columns {
            rgba.extend_from_slice(&pixel(grid.plane_offset(column, row), [column, row]));
        }
    }
    rgba
}

/// Uncertainty 0 to 255 as the magma map (perceptually even, safe for colour-blind readers); what is certain is
/// transparent.
fn heat(value: u8, opacity: f64) -> [u8; 4] {
    let colorous::Color { r, g, b } = colorous::MAGMA.eval_rational(usize::from(value), 256);
    let alpha = opacity * (f64::from(value) / 255.0 * 2.5).min(1.0) * 255.0;
    [r, g, b, alpha.round() as u8]
}

/// Alpha composition, `top` over `below`.
fn over(top: [u8; 4], below: [u8; 4]) -> [u8; 4] {
    if top[3] == 0 {
        return below;
    }
    let (ta, ba) = (f64::from(top[3]) / 255.0, f64::from(below[3]) / 255.0);
    let alpha = ta + ba * (1.0 - ta);
    let mix = |channel: usize| (f64::from(top[channel]) * ta + f64::from(below[channel]) * ba * (1.0 - ta)) / alpha;
    [mix(0) as u8, mix(1) as u8, mix(2) as u8, (alpha * 255.0).round() as u8]
}

/// The edges of each class of voxels, as long lines. `class` maps an offset in the plane's buffer to a class;
/// background has no edges.
pub(crate) fn boundaries(grid: &ViewGrid, class: impl Fn(usize) -> Label) -> BTreeMap<Label, Vec<Segment>> {
    let [columns, rows] = grid.dims;
    let cells: Vec<Label> = (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (column, row)))
        .map(|(c, r)| class(grid.plane_offset(c, r)))
        .collect();
    let mut edges = BTreeMap::new();
    let Some([[left, top], [right, bottom]]) = bounds(&cells, columns) else { return edges };
    let at = |column: usize, row: usize| {
        if column < columns && row < rows { cells[column + row * columns] } else { BACKGROUND }
    };
    let before = |index: usize, at: &dyn Fn(usize) -> Label| index.checked_sub(1).map_or(BACKGROUND, at);
    for row in top..=bottom {
        let sides = |column: usize| [before(row, &|row| at(column, row)), at(column, row)];
        join([left, right], sides, |from, to| [[from, row as f64], [to, row as f64]], &mut edges);
    }
    for column in left..=right {
        let sides = |row: usize| [before(column, &|column| at(column, row)), at(column, row)];
        join([top, bottom], sides, |from, to| [[column as f64, from], [column as f64, to]], &mut edges);
    }
    edges
}

/// Top left cell of the foreground and the cell after its bottom right, if there is any: outlines are usually small
/// beside the plane.
fn bounds(cells: &[Label], columns: usize) -> Option<[[usize; 2]; 2]> {
    let is_foreground = |label: &Label| *label != BACKGROUND;
    let mut bounds: Option<[[usize; 2]; 2]> = None;
    for (row, cells) in cells.chunks_exact(columns).enumerate() {
        if let (Some(first), Some(last)) = (cells.iter().position(is_foreground), cells.iter().rposition(is_foreground))
        {
            let [[left, top], [right, _]] = bounds.unwrap_or([[first, row], [last + 1, row + 1]]);
            bounds = Some([[left.min(first), top], [right.max(last + 1), row + 1]]);
        }
    }
    bounds
}

/// Walks along a grid line with a class on either side of each step, and joins steps that separate the same two
/// classes.
fn join(
    [from, to]: [usize; 2],
    sides: impl Fn(usize) -> [Label; 2],
    segment: impl Fn(f64, f64) -> Segment,
    edges: &mut BTreeMap<Label, Vec<Segment>>,
) {
    let (mut start, mut here) = (from, sides(from));
    for step in from + 1..=to {
        let next = if step < to { sides(step) } else { [BACKGROUND; 2] };
        if step < to && next == here {
            continue;
        }
        if here[0] != here[1] {
            for class in here.into_iter().filter(|class| *class != BACKGROUND) {
                edges.entry(class).or_default().push(segment(start as f64, step as f64));
            }
        }
        (start, here) = (step, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::geometry::{Axis, Geometry};

    /// Axial planes of an RAS grid are shown flipped both ways.
    fn grid(dims: [usize; 2]) -> ViewGrid {
        ViewGrid::new(&Geometry::axis_aligned([dims[0], dims[1], 1], [1.0; 3]).unwrap(), Axis::Axial)
    }

    #[test]
    fn pixels_lie_where_the_grid_says() {
        let greys: Vec<u8> = (0..=255).collect();
        let rgba = image_rgba(&grid([2, 2]), &[10, 20, 30, 40], &greys);
        assert_eq!(rgba, [[40, 40, 40, 255], [30, 30, 30, 255], [20, 20, 20, 255], [10, 10, 10, 255]].concat());
    }

    #[test]
    fn a_thinned_plane_lies_as_the_whole_one() {
        fn check(dims: [usize; 2], step: usize, expected: &[u8]) {
            let voxels: Vec<u16> = (1..).take(dims[0] * dims[1]).collect();
            let greys: Vec<u8> = (0..=255).collect();
            let rgba = image_rgba(&grid(dims).thinned(step), &thinned(&voxels, dims, step), &greys);
            assert_eq!(rgba.iter().step_by(4).copied().collect::<Vec<_>>(), expected, "{dims:?} by {step}");
        }
        check([2, 2], 1, &[4, 3, 2, 1]);
        // 1 2 3 / 4 5 6 / 7 8 9
        check([3, 3], 2, &[9, 7, 3, 1]);
        // 1 2 3 4 / 5 6 7 8
        check([4, 2], 3, &[4, 1]);
    }

    #[test]
    fn another_channel_is_seen_through_the_grey_in_its_share() {
        fn check(share: f64, expected: [[u8; 4]; 2]) {
            let grid = grid([2, 1]);
            let mut rgba = image_rgba(&grid, &[100, 200], &(0..=255).collect::<Vec<u8>>());
            blend_in(&mut rgba, &grid, &[255, 0], |voxel| voxel as u8, share);
            assert_eq!(rgba, expected.concat(), "{share}");
        }
        check(0.0, [[200, 200, 200, 255], [100, 100, 100, 255]]);
        check(0.5, [[100, 100, 100, 255], [178, 138, 83, 255]]);
        check(1.0, [[0, 0, 0, 255], [255, 176, 66, 255]]);
    }

    #[test]
    fn labels_are_tinted_and_uncertainty_lies_above() {
        let tint = Tint {
            labels: [(1, [200, 0, 0])].into(),
            patterns: BTreeMap::from([(3, Pattern::Dots)]),
            label_opacity: 0.5,
            uncertainty_opacity: 1.0,
            least_uncertainty: 0,
        };
        let labels = overlay_rgba(&grid([2, 1]), Some(&[1, 0]), None, &tint);
        assert_eq!(labels, [[0, 0, 0, 0], [200, 0, 0, 128]].concat());
        let both = overlay_rgba(&grid([2, 1]), Some(&[1, 1]), Some(&[255, 0]), &tint);
        assert_eq!(both, [[200, 0, 0, 128], [252, 253, 191, 255]].concat());
    }

    #[test]
    fn the_scale_bar_is_of_a_round_length() {
        fn check(px_per_mm: f64, text: &str, length_px: f64) {
            let bar = ScaleBar::new(px_per_mm, 100.0).unwrap();
            assert_eq!(bar.text(), text);
            assert!((bar.length_px - length_px).abs() < 1e-9);
        }
        check(4.0, "2 cm", 80.0);
        check(12.0, "5 mm", 60.0);
        check(0.5, "20 cm", 100.0);
        check(300.0, "0.2 mm", 60.0);
        assert_eq!(ScaleBar::new(f64::NAN, 100.0), None);
    }

    #[test]
    fn boundaries_are_closed_and_joined() {
        fn check(dims: [usize; 2], labels: &[Label], expected: &[(Label, usize, f64)]) {
            let found = boundaries(&grid(dims), |offset| labels[offset]);
            let length = |s: &Segment| (s[1][0] - s[0][0]) + (s[1][1] - s[0][1]);
            let summary: Vec<_> =
                found.iter().map(|(label, lines)| (*label, lines.len(), lines.iter().map(length).sum())).collect();
            assert_eq!(summary, expected);
        }
        // One voxel; a bar of three as one rectangle; two labels side by side, each with its own outline.
        check([3, 3], &[0, 0, 0, 0, 1, 0, 0, 0, 0], &[(1, 4, 4.0)]);
        check([3, 1], &[1, 1, 1], &[(1, 4, 8.0)]);
        check([2, 1], &[1, 2], &[(1, 4, 4.0), (2, 4, 4.0)]);
        check([2, 2], &[0; 4], &[]);
    }
}
