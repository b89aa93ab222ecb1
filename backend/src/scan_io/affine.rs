//! The affine that a NIfTI header means: sform, else qform, else spacing alone (nifti1.h, "3D image orientation and location in space").

use nifti::NiftiHeader;
use shared::geometry::Affine;

/// World (RAS+, mm) from voxel.
pub(super) fn world_from_voxel(header: &NiftiHeader) -> Affine {
    if header.sform_code > 0 {
        [header.srow_x, header.srow_y, header.srow_z].map(|row| row.map(f64::from))
    } else if header.qform_code > 0 {
        from_quaternion(header)
    } else {
        let [x, y, z] = [1, 2, 3].map(|i| f64::from(header.pixdim[i]).abs());
        // The centre of the volume lies at the origin and x runs to the left, as nibabel and SPM have it for scans without orientation.
        let offset = |spacing: f64, i: usize| -spacing * (f64::from(header.dim[i]) - 1.0) / 2.0;
        [[-x, 0.0, 0.0, -offset(x, 1)], [0.0, y, 0.0, offset(y, 2)], [0.0, 0.0, z, offset(z, 3)]]
    }
}

fn from_quaternion(header: &NiftiHeader) -> Affine {
    let [b, c, d] = [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from);
    let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ];
    let handedness = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    let spacing = [f64::from(header.pixdim[1]), f64::from(header.pixdim[2]), f64::from(header.pixdim[3]) * handedness];
    let offset = [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from);
    [0, 1, 2].map(|row| [rotation[row][0] * spacing[0], rotation[row][1] * spacing[1], rotation[row][2] * spacing[2], offset[row]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> NiftiHeader {
        NiftiHeader { dim: [3, 5, 6, 7, 1, 1, 1, 1], pixdim: [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0], ..NiftiHeader::default() }
    }

    fn check(header: &NiftiHeader, expected: Affine) {
        for (row, wanted) in world_from_voxel(header).iter().zip(expected) {
            for (got, wanted) in row.iter().zip(wanted) {
                assert!((got - wanted).abs() < 1e-6, "{row:?} is not {wanted:?}");
            }
        }
    }

    #[test]
    fn sform_comes_first() {
        let mut header = header();
        (header.sform_code, header.qform_code) = (1, 1);
        header.srow_x = [2.0, 0.0, 0.0, -9.0];
        header.srow_y = [0.0, 3.0, 0.0, 8.0];
        header.srow_z = [0.0, 0.0, 4.0, 7.0];
        check(&header, [[2.0, 0.0, 0.0, -9.0], [0.0, 3.0, 0.0, 8.0], [0.0, 0.0, 4.0, 7.0]]);
    }

    #[test]
    fn qform_is_a_rotation_with_handedness() {
        // Half a turn about z; nibabel: Nifti1Header with quatern_d = 1, pixdim[0] = -1.
        let mut header = header();
        (header.sform_code, header.qform_code, header.quatern_d, header.quatern_x) = (0, 1, 1.0, 10.0);
        header.pixdim[0] = -1.0;
        check(&header, [[-2.0, 0.0, 0.0, 10.0], [0.0, -3.0, 0.0, 0.0], [0.0, 0.0, -4.0, 0.0]]);
    }

    #[test]
    fn without_orientation_the_centre_is_the_origin() {
        let mut header = header();
        (header.sform_code, header.qform_code) = (0, 0);
        check(&header, [[-2.0, 0.0, 0.0, 4.0], [0.0, 3.0, 0.0, -7.5], [0.0, 0.0, 4.0, -12.0]]);
    }
}
