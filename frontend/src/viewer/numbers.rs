//! Intensities as text: as many digits as tell neighbouring greys apart, whatever the scan's unit.

/// A value out of a range that spans `span`: decimals down to a hundredth of the span; powers of ten where the number
/// would be mostly zeros.
pub(crate) fn shown(value: f64, span: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let span = if span.is_finite() && span > 0.0 { span } else { value.abs() };
    let size = value.abs().max(span);
    let decimals = (2.0 - span.log10()).floor().clamp(0.0, 300.0) as usize;
    if size == 0.0 {
        "0".into()
    } else if !(1e-3..1e6).contains(&size) {
        // Significant digits of this value: as many as the span's hundredth needs.
        let digits = (value.abs().log10().floor() - span.log10().floor() + 2.0).clamp(0.0, 8.0);
        format!("{value:.*e}", if value == 0.0 { 0 } else { digits as usize })
    } else {
        let text = format!("{value:.decimals$}");
        if text.trim_start_matches('-').bytes().all(|digit| matches!(digit, b'0' | b'.')) {
            text.trim_start_matches('-').to_owned()
        } else {
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_follow_the_span() {
        fn check(value: f64, span: f64, expected: &str) {
            assert_eq!(shown(value, span), expected);
        }
        check(40.0, 400.0, "40");
        check(-1024.4, 4000.0, "-1024");
        check(0.5, 1.0, "0.50");
        check(0.123, 0.1, "0.123");
        check(5e-10, 1e-9, "5.0e-10");
        check(1e-9, 1e-9, "1.00e-9");
        check(3.2e9, 1e9, "3.20e9");
        check(0.0, 1e-9, "0e0");
        check(-0.2, 400.0, "0");
        check(7.0, 0.0, "7.0");
        check(f64::NAN, 1.0, "–");
    }
}
