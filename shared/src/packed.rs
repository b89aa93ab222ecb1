//! Volumes on their way to the browser: in slabs of whole planes along the last stored axis, each voxel as what a
//! median predictor (LOCO-I, Weinberger et al. 2000) left unsaid of it, low bytes before high ones, so that deflate
//! finds something to say shorter; and a coarse volume that stands in until the slabs have come.

use std::ops::Range;

/// What a slab weighs at most before it is packed, unless a single plane weighs more: little enough that it is unpacked
/// between two screen refreshes, and enough that the way there and back does not count.
const SLAB_BYTES: usize = 2 << 20;
/// Cells along each side of a coarse volume, at most.
const COARSE_CELLS: usize = 96;
/// A volume that weighs no more than this is here at once; nothing needs to stand in for it.
const SMALL_BYTES: usize = 4 << 20;

/// A voxel that can be packed.
pub trait Packable: Copy + Default {
    /// Bytes of one.
    const BYTES: usize;
    /// As an unsigned number.
    fn number(self) -> u16;
    /// What is left of it when a prediction is taken away, small for a small difference of either sign.
    fn residual(self, prediction: u16) -> u16;
    /// The inverse of [`Packable::residual`].
    fn restored(residual: u16, prediction: u16) -> Self;
}

impl Packable for u8 {
    const BYTES: usize = 1;

    fn number(self) -> u16 {
        u16::from(self)
    }

    fn residual(self, prediction: u16) -> u16 {
        let left = self.wrapping_sub(prediction as u8) as i8;
        u16::from(((left << 1) ^ (left >> 7)) as u8)
    }

    fn restored(residual: u16, prediction: u16) -> Self {
        let residual = residual as u8;
        (prediction as u8).wrapping_add((residual >> 1) ^ (residual & 1).wrapping_neg())
    }
}

impl Packable for u16 {
    const BYTES: usize = 2;

    fn number(self) -> u16 {
        self
    }

    fn residual(self, prediction: u16) -> u16 {
        let left = self.wrapping_sub(prediction) as i16;
        ((left << 1) ^ (left >> 15)) as u16
    }

    fn restored(residual: u16, prediction: u16) -> Self {
        prediction.wrapping_add((residual >> 1) ^ (residual & 1).wrapping_neg())
    }
}

/// How a volume is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slabs {
    dims: [usize; 3],
    /// Planes of each slab but the last.
    planes: usize,
}

impl Slabs {
    /// Of a volume of these dimensions whose voxels take so many bytes.
    pub fn new(dims: [usize; 3], voxel_bytes: usize) -> Self {
        let plane_bytes = (dims[0] * dims[1] * voxel_bytes).max(1);
        Self { dims, planes: (SLAB_BYTES / plane_bytes).max(1) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.dims[2].div_ceil(self.planes)
    }

    /// The slab that a plane along the last stored axis lies in.
    pub fn of_plane(&self, plane: usize) -> usize {
        plane / self.planes
    }

    /// Its voxels, by their offsets; none of a slab that there is not.
    pub fn voxels(&self, slab: usize) -> Range<usize> {
        let plane = self.dims[0] * self.dims[1];
        let first = slab.saturating_mul(self.planes).min(self.dims[2]);
        first * plane..(first + self.planes).min(self.dims[2]) * plane
    }

    /// Slabs, those nearest to a plane along the last stored axis first.
    pub fn around(&self, plane: usize) -> Vec<usize> {
        let middle = self.of_plane(plane);
        let mut slabs: Vec<usize> = (0..self.count()).collect();
        slabs.sort_by_key(|slab| slab.abs_diff(middle));
        slabs
    }
}

/// What the three voxels before this one foretell: an edge is followed, a slope is continued.
fn median(left: u16, above: u16, corner: u16) -> u16 {
    let (low, high) = (left.min(above), left.max(above));
    if corner >= high {
        low
    } else if corner <= low {
        high
    } else {
        (i32::from(left) + i32::from(above) - i32::from(corner)) as u16
    }
}

/// Voxels in rows of `columns`, as what is not foretold of each; low bytes first, then high ones.
pub fn pack<T: Packable>(voxels: &[T], columns: usize) -> Vec<u8> {
    let mut bytes = vec![0; voxels.len() * T::BYTES];
    let (low, high) = bytes.split_at_mut(voxels.len());
    let columns = columns.max(1);
    for row in 0..voxels.len().div_ceil(columns) {
        let here = row * columns..((row + 1) * columns).min(voxels.len());
        let mut left = None;
        for at in here {
            let voxel = voxels[at];
            let above = (row > 0).then(|| voxels[at - columns].number());
            let residual = voxel.residual(foretold(left, above));
            left = Some((voxel.number(), above.unwrap_or_default()));
            low[at] = residual as u8;
            if T::BYTES == 2 {
                high[at] = (residual >> 8) as u8;
            }
        }
    }
    bytes
}

/// `left` is the voxel before and the one above that.
fn foretold(left: Option<(u16, u16)>, above: Option<u16>) -> u16 {
    match (left, above) {
        (Some((left, corner)), Some(above)) => median(left, above, corner),
        (Some((left, _)), None) => left,
        (None, Some(above)) => above,
        (None, None) => 0,
    }
}

/// The inverse of [`pack`], into `voxels`; whether the bytes are as many as they should be.
#[must_use]
pub fn unpack<T: Packable>(bytes: &[u8], columns: usize, voxels: &mut [T]) -> bool {
    if bytes.len() != voxels.len() * T::BYTES || columns == 0 {
        return false;
    }
    let (low, high) = bytes.split_at(voxels.len());
    let residual = |at: usize| u16::from(low[at]) | if T::BYTES == 2 { u16::from(high[at]) << 8 } else { 0 };
    let mut before: &mut [T] = &mut [];
    let mut rest = voxels;
    let mut first = 0;
    while !rest.is_empty() {
        let (row, after) = rest.split_at_mut(columns.min(rest.len()));
        let mut left = None;
        for (column, voxel) in row.iter_mut().enumerate() {
            let above = before.get(column).map(|above| above.number());
            *voxel = T::restored(residual(first + column), foretold(left, above));
            left = Some((voxel.number(), above.unwrap_or_default()));
        }
        first += row.len();
        (before, rest) = (row, after);
    }
    true
}

/// How a coarse volume stands in for a fine one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coarse {
    /// Fine voxels along each side of a cell.
    pub factors: [usize; 3],
    /// Cells along each axis.
    pub dims: [usize; 3],
}

impl Coarse {
    /// Of a volume of these dimensions whose voxels take so many bytes; none of one that is small.
    pub fn of(dims: [usize; 3], voxel_bytes: usize) -> Option<Self> {
        let factors = dims.map(|count| count.div_ceil(COARSE_CELLS).max(1));
        let coarse = [0, 1, 2].map(|axis| dims[axis].div_ceil(factors[axis]));
        (dims.iter().product::<usize>() * voxel_bytes > SMALL_BYTES).then_some(Self { factors, dims: coarse })
    }

    /// The cell that a voxel lies in, as an offset.
    pub fn cell(&self, voxel: [usize; 3]) -> usize {
        let [x, y, z] = [0, 1, 2].map(|axis| voxel[axis] / self.factors[axis]);
        x + self.dims[0] * (y + self.dims[1] * z)
    }

    /// The means of the cells of a volume, which is given as its planes along the last stored axis.
    pub fn means<E>(
        &self,
        dims: [usize; 3],
        mut plane: impl FnMut(usize) -> Result<Vec<u16>, E>,
    ) -> Result<Vec<u16>, E> {
        let mut sums = vec![(0_u64, 0_u64); self.dims.iter().product()];
        for z in 0..dims[2] {
            for (y, row) in plane(z)?.chunks(dims[0].max(1)).enumerate() {
                for (x, voxel) in row.iter().enumerate() {
                    let sum = &mut sums[self.cell([x, y, z])];
                    *sum = (sum.0 + u64::from(*voxel), sum.1 + 1);
                }
            }
        }
        Ok(sums.into_iter().map(|(sum, count)| (sum / count.max(1)) as u16).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_cover_the_volume_once() {
        #[track_caller]
        fn check(dims: [usize; 3], bytes: usize, count: usize) {
            let slabs = Slabs::new(dims, bytes);
            assert_eq!(slabs.count(), count);
            let ends: Vec<usize> = (0..count).map(|slab| slabs.voxels(slab).end).collect();
            let begins: Vec<usize> = (0..count).map(|slab| slabs.voxels(slab).start).collect();
            assert_eq!(begins[0], 0);
            assert_eq!(begins[1..], ends[..count - 1]);
            assert_eq!(ends[count - 1], dims.iter().product::<usize>());
            assert!(slabs.voxels(count).is_empty() && slabs.voxels(usize::MAX).is_empty());
        }
        check([512, 512, 300], 2, 75);
        check([512, 512, 301], 1, 38);
        check([36, 50, 35], 2, 1);
        check([4096, 4096, 2], 2, 2);
        assert_eq!(Slabs::new([512, 512, 20], 2).around(9), [2, 1, 3, 0, 4]);
    }

    #[test]
    fn what_goes_on_from_row_to_row_costs_nothing() {
        let stripes: Vec<u16> = (0..12).map(|at| 100 + 7 * (at % 4)).collect();
        assert_eq!(pack(&stripes, 4), [[200, 14, 14, 14].to_vec(), vec![0; 20]].concat());
    }

    #[test]
    fn a_coarse_volume_holds_means() {
        let coarse = Coarse { factors: [2, 1, 2], dims: [2, 1, 1] };
        let means = coarse.means([3, 1, 2], |z| Ok::<_, ()>(vec![[10, 20, 30], [30, 40, 50]][z].to_vec()));
        assert_eq!(means, Ok(vec![25, 40]));
        assert_eq!(Coarse::of([512, 512, 300], 2).unwrap().dims, [86, 86, 75]);
        assert_eq!(Coarse::of([128, 128, 128], 2), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_packed_comes_back(
            fine in proptest::collection::vec(proptest::prelude::any::<u16>(), 0..200),
            columns in 1_usize..20,
        ) {
            let mut back = vec![0_u16; fine.len()];
            proptest::prop_assert!(unpack(&pack(&fine, columns), columns, &mut back));
            proptest::prop_assert_eq!(&back, &fine);
            let small: Vec<u8> = fine.iter().map(|voxel| *voxel as u8).collect();
            let mut back = vec![0_u8; small.len()];
            proptest::prop_assert!(unpack(&pack(&small, columns), columns, &mut back));
            proptest::prop_assert_eq!(back, small);
        }
    }
}
