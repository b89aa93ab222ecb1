//! How a bundle's networks are to see a scan: as it is stored, or as their training data were stored.

use shared::geometry::Geometry;

use crate::bundle::BundleManifest;
use crate::pipeline::reorient::Reorientation;

/// The way to how the networks are to see a scan: none, unless it is stored as no scan that they know and the bundle
/// wants it turned.
pub fn reorientation(manifest: &BundleManifest, scan: &Geometry) -> Reorientation {
    let BundleManifest { orientations, reorient, .. } = manifest;
    let wanted = orientations.first().filter(|_| *reorient && !orientations.contains(&scan.orientation()));
    wanted.and_then(|wanted| Reorientation::to(wanted, scan)).unwrap_or(Reorientation::IDENTITY)
}

/// What is to be said of a scan that is stored as none that the networks were trained on, if they will see it so.
pub fn orientation_warning(manifest: &BundleManifest, scan: &Geometry) -> Option<String> {
    let BundleManifest { orientations, reorient, .. } = manifest;
    let own = scan.orientation();
    let strange = !orientations.is_empty() && !*reorient && !orientations.contains(&own);
    strange.then(|| {
        format!(
            "the scan is stored {own}, and the networks were trained on scans stored {}; they may be much worse here. \
             Store it so, for example with nibabel's as_closest_canonical",
            orientations.join(", ")
        )
    })
}
