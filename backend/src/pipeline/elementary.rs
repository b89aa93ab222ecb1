//! exp and ln in plain arithmetic, so that the compiler computes several at once; the library's are called one by one.
//! Polynomials and constants are those of the Cephes library (S. Moshier, `expf` and `logf`): off by two units in the
//! last place at most.

/// The upper part of ln 2, exact in few bits, and the rest.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// e to the x, for x from −87 to 88; beyond, the value at the nearer end.
pub(super) fn exp(x: f32) -> f32 {
    // Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    (p * r * r + r + 1.0) * f32::from_bits(power)
}

/// The natural logarithm; below the smallest normal number it stays at that number's, so that nothing is infinite.
pub(super) fn ln(x: f32) -> f32 {
    const ROOT_OF_HALF: i32 = 0x3f35_04f3;
    let bits = x.max(f32::MIN_POSITIVE).to_bits() as i32;
    let exponent = bits.wrapping_sub(ROOT_OF_HALF) >> 23;
    let z = f32::from_bits(bits.wrapping_sub(exponent << 23) as u32) - 1.0;
    let e = exponent as f32;
    let p = 7.037_683_6e-2;
    let p = p * z - 1.151_461e-1;
    let p = p * z + 1.167_699_9e-1;
    let p = p * z - 1.242_014_1e-1;
    let p = p * z + 1.424_932_3e-1;
    let p = p * z - 1.666_805_8e-1;
    let p = p * z + 2.000_071_5e-1;
    let p = p * z - 2.499_999_4e-1;
    let p = p * z + 3.333_333e-1;
    let square = z * z;
    z + (p * z * square + e * LN_2[1] - 0.5 * square) + e * LN_2[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_agree_with_double_precision() {
        for step in 0..=2_000_000 {
            let x = -87.0 + step as f32 * 175.0 / 2_000_000.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() <= 2.5e-7 * exact, "exp({x}) is {}", exp(x));
            let positive = exp(x);
            let exact = f64::from(positive).ln();
            assert!(
                (f64::from(ln(positive)) - exact).abs() <= 2.5e-7 * exact.abs() + 1e-9,
                "ln({positive}) is {}",
                ln(positive)
            );
        }
    }

    #[test]
    fn ends_are_finite() {
        fn check(got: f32, expected: f32) {
            assert!((got - expected).abs() <= 1e-6 * expected.abs(), "{got} {expected}");
        }
        check(exp(0.0), 1.0);
        check(exp(-1e30), (-87.0_f32).exp());
        check(exp(f32::INFINITY), 88.0_f32.exp());
        assert_eq!(ln(1.0), 0.0);
        check(ln(0.0), f32::MIN_POSITIVE.ln());
        check(ln(-1.0), f32::MIN_POSITIVE.ln());
    }
}
