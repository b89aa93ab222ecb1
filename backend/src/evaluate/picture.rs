//! Pictures for the report: one axial plane of a case with the truth's contour over a segmentation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::geometry::{Axis, Plane};
use shared::intensity::Window;
use shared::label::{BACKGROUND, Label, LabelSet};
use shared::volume::Volume;

/// Bytes of a pixel: red, green, blue.
type Pixel = [u8; 3];

/// The axial plane with most true foreground, once for each segmentation, side by side, as a data URL. Nothing if the
/// grids differ.
pub fn side_by_side(
    image: &Volume<f32>,
    truth: &Volume<Label>,
    segmentations: &[&Volume<Label>],
    labels: &LabelSet,
) -> Option<String> {
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
    let across: Vec<Pixel> = (0..rows)
        .flat_map(|v| panels.iter().flat_map(move |panel| panel[v * width..(v + 1) * width].iter().copied()))
        .collect();
    Some(format!("data:image/png;base64,{}", STANDARD.encode(png(&across, width * panels.len()).ok()?)))
}

fn fullest_axial_plane(truth: &Volume<Label>) -> Option<Plane> {
    let planes = (0..truth.geometry().plane_count(Axis::Axial)).map(|index| Plane { axis: Axis::Axial, index });
    planes.max_by_key(|plane| {
        truth.read_plane(*plane).map_or(0, |labels| labels.iter().filter(|label| **label != BACKGROUND).count())
    })
}

/// Pixels whose right or lower neighbour has another label.
fn contour(labels: &[Label], width: usize) -> Vec<bool> {
    let differs = |at: usize, other: Option<&Label>| other.is_some_and(|other| *other != labels[at]);
    (0..labels.len())
        .map(|at| differs(at, labels.get(at + width)) || ((at + 1) % width != 0 && differs(at, labels.get(at + 1))))
        .collect()
}

fn shaded(grey: u8, label: Label, on_contour: bool, labels: &LabelSet) -> Pixel {
    match (on_contour, labels.find(label)) {
        (true, _) => [255, 255, 255],
        (false, Some(info)) => info.rgb().map(|channel| ((u16::from(channel) + u16::from(grey)) / 2) as u8),
        (false, None) => [grey; 3],
    }
}

/// A PNG of pixels that are given from the bottom row up, which puts the head and the front up for RAS scans.
fn png(pixels: &[Pixel], width: usize) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, (pixels.len() / width.max(1)) as u32);
    encoder.set_color(png::ColorType::Rgb);
    let rows: Vec<u8> = pixels.chunks(width.max(1)).rev().flatten().flatten().copied().collect();
    encoder.write_header()?.write_image_data(&rows)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use shared::geometry::Geometry;
    use shared::label::LabelInfo;

    use super::*;

    /// Width, height and bytes of an image, top row first.
    fn decoded(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn the_first_row_given_is_at_the_bottom() {
        let bytes = png(&[[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]], 2).unwrap();
        assert_eq!(decoded(&bytes), (2, 2, vec![7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6]));
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
        let labels = LabelSet(vec![LabelInfo { value: 1, name: "a".into(), colour: "#ff0000".into(), code: None }]);
        let url = side_by_side(&image, &truth, &[&truth, &truth], &labels).unwrap();
        let bytes = STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let (width, height, pixels) = decoded(&bytes);
        assert_eq!((width, height), (2 * 5, 4));
        assert!(pixels.chunks(3).all(|pixel| pixel[0] > pixel[1]), "the label's red lies over the grey of every voxel");
    }
}
