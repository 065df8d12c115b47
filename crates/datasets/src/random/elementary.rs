//! Logarithm and exponential from basic arithmetic only. Those of math libraries differ in their last bit between
//! machines, and a draw may depend on it: a rejected number shifts all later ones.

use std::f64::consts::{LN_2, SQRT_2};

/// Bits of a double's mantissa, and the bias of its exponent.
const MANTISSA: u32 = 52;
const BIAS: i64 = 1023;

/// The natural logarithm of a positive normal number. The error is at most two units in the last place of the result,
/// or of 1 where the result is smaller.
pub(super) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> MANTISSA) as i64 - BIAS;
    let mut mantissa = f64::from_bits(bits & ((1 << MANTISSA) - 1) | ((BIAS as u64) << MANTISSA));
    if mantissa > SQRT_2 {
        mantissa /= 2.;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), with an argument of at most 0.172: twelve terms.
    let ratio = (mantissa - 1.) / (mantissa + 1.);
    let square = ratio * ratio;
    let series = (0..12).rev().fold(0., |sum, k| sum * square + 1. / f64::from(2 * k + 1));
    exponent as f64 * LN_2 + 2. * ratio * series
}

/// e to the power of `x`, to thirteen digits; 0 or infinity where the result is not a normal number.
pub(super) fn exp(x: f64) -> f64 {
    if x < -708. {
        return 0.;
    }
    if x > 709. {
        return f64::INFINITY;
    }
    let powers = (x / LN_2).round();
    // At most 0.347: the first fifteen terms of Taylor's series.
    let rest = x - powers * LN_2;
    let series = (1..15).rev().fold(1., |sum, k| 1. + sum * rest / f64::from(k));
    series * f64::from_bits(((powers as i64 + BIAS) as u64) << MANTISSA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_those_of_the_math_library() {
        let mut x = 1e-300;
        while x < 1e300 {
            let error = (ln(x) - x.ln()).abs();
            assert!(error <= 4e-16 * x.ln().abs().max(1.), "ln {x}: {} {}", ln(x), x.ln());
            x *= 1.37;
        }
        assert_eq!([ln(1.), ln(0.5), ln(2.)], [0., -LN_2, LN_2]);
    }

    #[test]
    fn exponentials_are_those_of_the_math_library() {
        for x in (-7079..7090).map(|tenths| f64::from(tenths) / 10.) {
            assert!((exp(x) / x.exp() - 1.).abs() < 2e-13, "exp {x}: {} {}", exp(x), x.exp());
        }
        assert_eq!([exp(0.), exp(-1e9), exp(1e9)], [1., 0., f64::INFINITY]);
    }
}
