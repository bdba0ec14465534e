//! The logarithm of a softmax's denominator, in loops that compilers turn into vector instructions.
//!
//! Sums run in a fixed number of lanes whatever the CPU has, and no operation is fused with another, so that every CPU
//! finds the same sum.

/// Partial results side by side.
const LANES: usize = 16;

/// The largest element; what is not a number counts as nothing.
pub(crate) fn max(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        (0..LANES).for_each(|lane| lanes[lane] = larger(lanes[lane], chunk[lane]));
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

/// `ln(sum(exp(x)))`; not a number if an element is not.
pub(crate) fn log_sum_exp(values: &[f32]) -> f32 {
    let max = max(values);
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        (0..LANES).for_each(|lane| lanes[lane] += exp_of_negative(chunk[lane] - max));
    }
    rest.iter().zip(&mut lanes).for_each(|(value, lane)| *lane += exp_of_negative(value - max));
    max + lanes.iter().sum::<f32>().ln()
}

/// `exp(x)` for `x <= 0`, within 2 units in the last place above its floor of 1e-38.
///
/// `x` is split into `n ln 2 + r`; a polynomial gives `exp(r)`, and `n` is added to its exponent (Cody and Waite 1980).
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 355.0 / 512.0; // 9 bits, so that its product with n is exact
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    /// Added to a small number, it leaves the nearest integer in the lowest bits.
    const ROUNDER: f32 = 12_582_912.0; // 1.5 * 2^23
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let series = COEFFICIENTS.iter().fold(0.0, |sum, coefficient| sum * r + coefficient);
    let exp = series * (r * r) + r + 1.0;
    f32::from_bits(exp.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// Of `(exp(r) - 1 - r) / r^2` for |r| <= ln 2 / 2, highest power first, from `expf` of Cephes (Moshier 1992).
const COEFFICIENTS: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(values: &[f32]) -> f64 {
        values.iter().map(|value| f64::from(*value).exp()).sum::<f64>().ln()
    }

    #[test]
    fn exponentials_are_within_two_units_in_the_last_place() {
        for x in (0..870_000).map(|i| -1e-4 * i as f32) {
            let exact = f64::from(x).exp();
            let error = (f64::from(exp_of_negative(x)) - exact).abs() / exact;
            assert!(error < 2.0 * f64::from(f32::EPSILON), "exp({x}) is off by {error:e}");
        }
    }

    #[test]
    fn sums_of_any_length_are_whole() {
        for len in [1, 15, 16, 17, 100, 2589] {
            let values: Vec<f32> = (0..len).map(|i| (i * 37 % 101) as f32 * 0.3 - 15.0).collect();
            let error = f64::from(log_sum_exp(&values)) - exact(&values);
            assert!(error.abs() < 4e-6, "{len} values: {error:e}");
            assert_eq!(max(&values), values.iter().copied().fold(f32::MIN, f32::max));
        }
    }

    #[test]
    fn large_and_impossible_logits_have_a_sum() {
        for (values, expected) in [
            ([1000.0, 1000.0], 1000.0 + std::f32::consts::LN_2),
            ([-1000.0, f32::NEG_INFINITY], -1000.0),
            ([0.0, -200.0], 0.0),
        ] {
            assert_eq!(log_sum_exp(&values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_sum_with_what_is_not_a_number_is_none() {
        let mut values = [0.0; 33];
        for place in [0, 31, 32] {
            values[place] = f32::NAN;
            assert!(log_sum_exp(&values).is_nan(), "{place}");
            values[place] = 0.0;
        }
        assert!(log_sum_exp(&[f32::NAN; 3]).is_nan() && log_sum_exp(&[f32::NEG_INFINITY; 3]).is_nan());
    }
}
