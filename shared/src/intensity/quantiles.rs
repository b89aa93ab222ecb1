//! Percentiles of all voxels, exact to a 512th of their value: a histogram with a bin for every sign, exponent and
//! seven leading bits, which fits 1e-9 and 1e9 alike and takes one pass, however large the scan.

use super::Counts;

/// Bins: the upper 16 bits of an f32, in the order of their values.
const BINS: usize = 1 << 16;
/// A single value that as large a share of the voxels has is background or padding.
const BACKGROUND_SHARE: f64 = 0.02;

/// The distribution of intensities; those that are not finite are left out.
#[derive(Clone, Debug)]
pub struct Quantiles {
    bins: Vec<u64>,
    /// The same without the voxels that have a background's very value.
    content: Vec<u64>,
    minimum: f32,
    maximum: f32,
}

/// Sorts like the values: negative ones reversed, positive ones above.
fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn value(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

impl Quantiles {
    /// Counts the intensities.
    pub fn of(intensities: &[f32]) -> Self {
        Self::counted(intensities.iter().map(|intensity| (*intensity, 1)))
    }

    /// The same, of intensities that have been counted.
    pub fn of_counts(counts: &Counts) -> Self {
        Self::counted(counts.each())
    }

    /// Of intensities, and how often each is there.
    fn counted(intensities: impl Iterator<Item = (f32, u64)> + Clone) -> Self {
        let mut bins = vec![0_u64; BINS];
        let (mut minimum, mut maximum) = (f32::INFINITY, f32::NEG_INFINITY);
        for (intensity, count) in intensities.clone().filter(|(v, _)| v.is_finite()) {
            // Minus zero is zero.
            bins[(key(intensity + 0.0) >> 16) as usize] += count;
            minimum = minimum.min(intensity);
            maximum = maximum.max(intensity);
        }
        if minimum > maximum {
            (minimum, maximum) = (0.0, 0.0);
        }
        let content = without_background(intensities, &bins, minimum);
        Self { bins, content, minimum, maximum }
    }

    /// The smallest intensity; 0 if there is none.
    pub fn minimum(&self) -> f32 {
        self.minimum
    }

    /// The largest intensity; 0 if there is none.
    pub fn maximum(&self) -> f32 {
        self.maximum
    }

    /// A percentile (0 to 100) of all voxels.
    pub fn all(&self, percent: f32) -> f32 {
        self.at(&self.bins, percent)
    }

    /// A percentile (0 to 100) of the voxels that are neither background nor padding: without those that have the
    /// smallest value, or the most frequent one, if that is at least a fiftieth of all. Of all voxels if nothing else
    /// is there.
    pub fn content(&self, percent: f32) -> f32 {
        let bins = if self.content.iter().any(|count| *count > 0) { &self.content } else { &self.bins };
        self.at(bins, percent)
    }

    fn at(&self, bins: &[u64], percent: f32) -> f32 {
        let total: u64 = bins.iter().sum();
        if total == 0 {
            return 0.0;
        }
        let rank = (f64::from(percent.clamp(0.0, 100.0)) / 100.0 * (total - 1) as f64).round() as u64;
        let mut before = 0;
        for (bin, count) in bins.iter().enumerate() {
            if rank < before + count {
                // The two bins around zero hold nothing but zeros, in any scan.
                if bin == BINS / 2 || bin + 1 == BINS / 2 {
                    return 0.0_f32.clamp(self.minimum, self.maximum);
                }
                // Within a bin values are taken as evenly spread.
                let share = (rank - before) as f64 / *count as f64;
                let first = (bin as u32) << 16;
                return value(first + (share * f64::from(u16::MAX)) as u32).clamp(self.minimum, self.maximum);
            }
            before += count;
        }
        self.maximum
    }
}

/// The histogram without the voxels that have the smallest value or the most frequent one, where these are many.
fn without_background(intensities: impl Iterator<Item = (f32, u64)>, bins: &[u64], minimum: f32) -> Vec<u64> {
    let total: u64 = bins.iter().sum();
    let many = |count: u64| count as f64 >= BACKGROUND_SHARE * total as f64 && count > 0;
    let mut content = bins.to_vec();
    let fullest = (0..BINS).max_by_key(|bin| bins[*bin]).unwrap_or_default();
    // Which values these two bins hold, and how often.
    let lowest = (key(minimum + 0.0) >> 16) as usize;
    let mut low = vec![0_u64; BINS];
    let mut full = vec![0_u64; BINS];
    for (intensity, count) in intensities.filter(|(v, _)| v.is_finite()) {
        let key = key(intensity + 0.0);
        let (bin, within) = ((key >> 16) as usize, (key & 0xffff) as usize);
        if bin == lowest {
            low[within] += count;
        }
        if bin == fullest {
            full[within] += count;
        }
    }
    let at_minimum = low[(key(minimum + 0.0) & 0xffff) as usize];
    let most = (0..BINS).max_by_key(|within| full[*within]).unwrap_or_default();
    if many(at_minimum) {
        content[lowest] -= at_minimum;
    }
    let is_minimum = fullest == lowest && most == (key(minimum + 0.0) & 0xffff) as usize;
    if many(full[most]) && !is_minimum {
        content[fullest] -= full[most];
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_values_do() {
        let values = [f32::MIN, -3.5, -1e-9, 0.0, 1e-40, 1e-9, 0.1, 2.0, f32::MAX];
        assert!(values.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        assert!(values.iter().all(|v| value(key(*v)) == *v));
    }

    #[test]
    fn the_background_is_no_content() {
        // Three quarters zeros, and 1 to 25.
        let values: Vec<f32> = (0..100).map(|i| if i < 75 { 0.0 } else { (i - 74) as f32 }).collect();
        let quantiles = Quantiles::of(&values);
        assert_eq!((quantiles.minimum(), quantiles.maximum()), (0.0, 25.0));
        assert_eq!((quantiles.all(50.0), quantiles.content(0.0), quantiles.content(100.0)), (0.0, 1.0, 25.0));
        assert!((quantiles.content(50.0) - 13.0).abs() <= 13.0 / 128.0);
        assert_eq!(Quantiles::of(&[]).content(50.0), 0.0);
        assert_eq!(Quantiles::of(&[7.0; 9]).content(50.0), 7.0);
    }

    proptest::proptest! {
        #[test]
        fn counted_or_not_they_are_the_same(values in proptest::collection::vec(-2000_i32..3000, 1..400)) {
            let values: Vec<f32> = values.into_iter().map(|value| (value / 7) as f32).collect();
            let (least, most) = values.iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
            let mut counts = vec![0; (most - least) as usize + 1];
            values.iter().for_each(|value| counts[(value - least) as usize] += 1);
            let (got, expected) = (Quantiles::of_counts(&Counts::new(least, counts)), Quantiles::of(&values));
            proptest::prop_assert_eq!(format!("{got:?}"), format!("{expected:?}"));
        }

        #[test]
        fn percentiles_are_where_sorting_finds_them(
            mut values in proptest::collection::vec(-1e6_f32..1e6, 1..300),
            percent in 0_f32..100.0,
        ) {
            let got = Quantiles::of(&values).all(percent);
            values.sort_by(f32::total_cmp);
            let expected = values[(f64::from(percent) / 100.0 * (values.len() - 1) as f64).round() as usize];
            let tolerance = expected.abs() / 100.0 + 1e-30;
            proptest::prop_assert!((got - expected).abs() <= tolerance, "{} is not {}", got, expected);
        }
    }
}
