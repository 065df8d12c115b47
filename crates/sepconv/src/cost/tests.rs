//! The figures of the seeds: the post's D²·M·(K² + N), and the notebook's table of savings.

use super::*;

const SHAPE: ConvShape =
    ConvShape { c_in: 64, c_out: 128, kernel_size: [3, 3], output: [16, 16], bias: false };

#[test]
fn each_half_is_the_posts_formula() {
    let (g2, k2, m, n) = (256, 9, 64, 128);
    assert_eq!(regular(SHAPE).macs, g2 * k2 * m * n);
    assert_eq!(depthwise(ConvShape { c_out: 64, ..SHAPE }).macs, g2 * k2 * m);
    assert_eq!(pointwise(SHAPE).macs, g2 * m * n);
    assert_eq!(separable(SHAPE, 1).macs, g2 * m * (k2 + n));
}

#[test]
fn many_channels_approach_a_ninth() {
    // "The cost shrinks to 1/9": the limit for a 3×3 kernel as the output channels grow.
    assert!((reduction_ratio(1 << 40, 3) - 1. / 9.).abs() < 1e-9);
    assert!(reduction_ratio(728, 3) > 1. / 9.);
}

/// `conv has %.2f times more mults than DWS conv` for n = 32, 40, …, 104 and a 3×3 kernel.
#[test]
fn the_notebooks_table_of_savings() {
    let printed: Vec<String> =
        (32..112).step_by(8).map(|n| format!("{:.2}", 1. / reduction_ratio(n, 3))).collect();
    assert_eq!(
        printed,
        ["7.02", "7.35", "7.58", "7.75", "7.89", "8.00", "8.09", "8.16", "8.23", "8.28"]
    );
}

#[test]
fn the_ratio_is_that_of_the_counts() {
    for (c_out, kernel) in [(32, 3), (128, 5), (728, 3), (7, 1)] {
        let shape = ConvShape { c_out, kernel_size: [kernel, kernel], ..SHAPE };
        let counted = separable(shape, 1).macs as f64 / regular(shape).macs as f64;
        assert!((counted - reduction_ratio(c_out, kernel)).abs() < 1e-12, "{c_out} {kernel}");
    }
}

#[test]
fn biases_and_multipliers_count() {
    let biased = ConvShape { bias: true, ..SHAPE };
    assert_eq!(regular(biased).params - regular(SHAPE).params, 128);
    assert_eq!(separable(biased, 3).params, 64 * 3 * 9 + 64 * 3 + 64 * 3 * 128 + 128);
    assert_eq!(grouped(SHAPE, 2).macs * 2, regular(SHAPE).macs);
}
