//! Pictures for the report: one axial plane of a case with the truth's contour over a segmentation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::geometry::{Axis, Plane};
use shared::intensity::Window;
use shared::label::{BACKGROUND, Label, LabelSet};
use shared::volume::Volume;

/// Bytes of a pixel: red, green, blue.
type Pixel = [u8; 3];

/// The axial plane with most true foreground, once for each segmentation, side by side, as a data URL. Nothing if the grids differ.
pub fn side_by_side(image: &Volume<f32>, truth: &Volume<Label>, segmentations: &[&Volume<Label>], labels: &LabelSet) -> Option<String> {
    let plane = fullest_axial_plane(truth)?;
    let width = truth.geometry().plane_dims(plane.axis)[0];
    let window = Window::automatic(image.voxels());
    let grey: Vec<u8> = image.read_plane(plane).ok()?.into_iter().map(|v| window.grey(v)).collect();
    let contour = contour(&truth.read_plane(plane).ok()?, width);
    let mut panels = Vec::new();
    for segmentation in segmentations {
        let ours = segmentation.read_plane(plane).ok()?;
        let pixel = |at: usize| shaded(grey[at], ours[at], contour[at], labels);
        panels.push((0..grey.len()).map(pixel).collect::<Vec<Pixel>>());
    }
    let rows = grey.len() / width;
    let across: Vec<Pixel> =
        (0..rows).flat_map(|v| panels.iter().flat_map(move |panel| panel[v * width..(v + 1) * width].iter().copied())).collect();
    Some(format!("data:image/bmp;base64,{}", STANDARD.encode(bmp(&across, width * panels.len()))))
}

fn fullest_axial_plane(truth: &Volume<Label>) -> Option<Plane> {
    let planes = (0..truth.geometry().plane_count(Axis::Axial)).map(|index| Plane { axis: Axis::Axial, index });
    planes.max_by_key(|plane| truth.read_plane(*plane).map_or(0, |labels| labels.iter().filter(|label| **label != BACKGROUND).count()))
}

/// Pixels whose right or lower neighbour has another label.
fn contour(labels: &[Label], width: usize) -> Vec<bool> {
    let differs = |at: usize, other: Option<&Label>| other.is_some_and(|other| *other != labels[at]);
    (0..labels.len()).map(|at| differs(at, labels.get(at + width)) || ((at + 1) % width != 0 && differs(at, labels.get(at + 1)))).collect()
}

fn shaded(grey: u8, label: Label, on_contour: bool, labels: &LabelSet) -> Pixel {
    match (on_contour, labels.find(label)) {
        (true, _) => [255, 255, 255],
        (false, Some(info)) => info.rgb().map(|channel| ((u16::from(channel) + u16::from(grey)) / 2) as u8),
        (false, None) => [grey; 3],
    }
}

/// An uncompressed 24-bit bitmap; the first row given is at the bottom, which puts the head and the front up for RAS scans.
fn bmp(pixels: &[Pixel], width: usize) -> Vec<u8> {
    const HEADER: usize = 54;
    let padding = (4 - width * 3 % 4) % 4;
    let height = pixels.len() / width.max(1);
    let size = HEADER + (width * 3 + padding) * height;
    let mut bytes = b"BM".to_vec();
    for number in [size as u32, 0, HEADER as u32, 40, width as u32, height as u32] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.resize(HEADER, 0);
    for row in pixels.chunks(width.max(1)) {
        bytes.extend(row.iter().flat_map(|[r, g, b]| [*b, *g, *r]));
        bytes.resize(bytes.len() + padding, 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use shared::geometry::Geometry;
    use shared::label::LabelInfo;

    use super::*;

    #[test]
    fn a_bitmap_is_padded_to_four_bytes_a_row() {
        let bytes = bmp(&[[1, 2, 3], [4, 5, 6]], 1);
        assert_eq!(bytes.len(), 54 + 2 * 4);
        assert_eq!(&bytes[54..], [3, 2, 1, 0, 6, 5, 4, 0]);
        assert_eq!(bytes[18..26], [1, 0, 0, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn contours_lie_where_labels_change() {
        assert_eq!(contour(&[0, 1, 1, 0, 0, 0], 3), [true, true, true, false, false, false]);
    }

    #[test]
    fn a_picture_shows_every_segmentation() {
        let geometry = Geometry::axis_aligned([5, 4, 3], [1.0; 3]).unwrap();
        let image = Volume::new(geometry.clone(), (0..60).map(|v| v as f32).collect()).unwrap();
        let truth = Volume::filled(geometry, 1);
        let labels = LabelSet(vec![LabelInfo { value: 1, name: "a".into(), colour: "#ff0000".into() }]);
        let url = side_by_side(&image, &truth, &[&truth, &truth], &labels).unwrap();
        let bytes = STANDARD.decode(url.strip_prefix("data:image/bmp;base64,").unwrap()).unwrap();
        assert_eq!(bytes.len(), 54 + 4 * (5 * 2 * 3 + 2));
    }
}
