//! Distributions: uniform numbers and ratios, normal noise, the weights of a mixture.

use rand_chacha::ChaCha8Rng;

use super::elementary::{exp, ln};
use super::unit;

/// A uniform draw from `[low, high)`.
pub fn uniform(rng: &mut ChaCha8Rng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * unit(rng)
}

/// A draw from `low` to `high`, both above 0, with a uniform logarithm: twice as large is as likely as half as large.
pub fn uniform_in_log(rng: &mut ChaCha8Rng, range: [f64; 2]) -> f64 {
    exp(uniform(rng, range.map(ln)))
}

/// Two independent draws from the normal distribution of mean 0 and deviation 1 (Marsaglia's polar method, which
/// computes only a logarithm).
pub fn normals(rng: &mut ChaCha8Rng) -> [f64; 2] {
    loop {
        let point = [(); 2].map(|()| 2. * unit(rng) - 1.);
        let square = point[0] * point[0] + point[1] * point[1];
        if square > 0. && square < 1. {
            let stretch = (-2. * ln(square) / square).sqrt();
            return point.map(|coordinate| coordinate * stretch);
        }
    }
}

/// A draw from Beta(`a`, `b`), both above 0, in `[0, 1]`: the share of a gamma draw in the sum of two.
pub fn beta(rng: &mut ChaCha8Rng, a: f64, b: f64) -> f64 {
    let [first, second] = [a, b].map(|shape| ln_gamma(rng, shape));
    1. / (1. + exp(second - first))
}

/// The logarithm of a draw from Gamma(`shape`, 1), `shape` above 0 (Marsaglia and Tsang 2000). For a small shape the
/// draw itself underflows to 0, and two zeros have no share.
fn ln_gamma(rng: &mut ChaCha8Rng, shape: f64) -> f64 {
    if shape < 1. {
        // Section 6: Gamma(shape) is Gamma(shape + 1) times a uniform number to the 1 / shape.
        return ln_gamma(rng, shape + 1.) + ln(1. - unit(rng)) / shape;
    }
    let d = shape - 1. / 3.;
    let c = 1. / (9. * d).sqrt();
    loop {
        let [x, _] = normals(rng);
        let root = 1. + c * x;
        if root <= 0. {
            continue;
        }
        let v = root * root * root;
        if ln(1. - unit(rng)) < 0.5 * x * x + d - d * v + d * ln(v) {
            return ln(d) + ln(v);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_2_PI;

    use super::*;
    use crate::random::{Purpose, stream};

    const DRAWS: usize = 20_000;

    fn drawn(mut draw: impl FnMut(&mut ChaCha8Rng) -> f64) -> Vec<f64> {
        (0..DRAWS).map(|index| draw(&mut stream(0, Purpose::Mix, 0, index as u64))).collect()
    }

    /// Kolmogorov and Smirnov: the largest distance of the draws' distribution from `cumulative`
    /// lies below 1.95 / √n in 999 of 1000 cases.
    #[track_caller]
    fn follow(mut draws: Vec<f64>, cumulative: impl Fn(f64) -> f64) {
        draws.sort_by(f64::total_cmp);
        let n = draws.len() as f64;
        let distances = draws.iter().enumerate().map(|(below, &draw)| {
            let share = cumulative(draw);
            (share - below as f64 / n).abs().max((share - (below + 1) as f64 / n).abs())
        });
        let largest = distances.fold(0., f64::max);
        assert!(largest < 1.95 / n.sqrt(), "{largest}");
    }

    #[test]
    fn uniform_draws_are_even_in_numbers_or_in_logarithms() {
        follow(drawn(|rng| uniform(rng, [-2., 3.])), |x| (x + 2.) / 5.);
        follow(drawn(|rng| uniform_in_log(rng, [0.5, 8.])), |x| (x / 0.5).log2() / 4.);
        let mut rng = stream(0, Purpose::Mix, 0, 0);
        assert_eq!(uniform(&mut rng, [1.5, 1.5]), 1.5);
    }

    #[test]
    fn normal_draws_have_the_normal_moments_and_are_independent() {
        let pairs: Vec<_> = (0..DRAWS)
            .map(|index| normals(&mut stream(0, Purpose::Erasing, 0, index as u64)))
            .collect();
        let mean = |f: &dyn Fn([f64; 2]) -> f64| {
            pairs.iter().map(|&pair| f(pair)).sum::<f64>() / DRAWS as f64
        };
        for of in [0, 1] {
            // Each bound is four standard deviations of the mean.
            assert!(mean(&|pair| pair[of]).abs() < 0.029);
            assert!((mean(&|pair| pair[of].powi(2)) - 1.).abs() < 0.04);
            assert!(mean(&|pair| pair[of].powi(3)).abs() < 0.11);
            assert!((mean(&|pair| pair[of].powi(4)) - 3.).abs() < 0.28);
            // Phi(1) - Phi(-1) = 0.682689.
            assert!((mean(&|pair| f64::from(pair[of].abs() < 1.)) - 0.682_689).abs() < 0.014);
        }
        assert!(mean(&|[x, y]| x * y).abs() < 0.029);
        assert!(mean(&|[x, y]| (x * x - 1.) * (y * y - 1.)).abs() < 0.06);
    }

    #[test]
    fn gamma_draws_follow_the_distributions_that_have_a_formula() {
        let gamma = |shape| drawn(|rng| exp(ln_gamma(rng, shape)));
        follow(gamma(1.), |x| 1. - (-x).exp());
        follow(gamma(2.), |x| 1. - (-x).exp() * (1. + x));
        follow(gamma(3.), |x| 1. - (-x).exp() * (1. + x + x * x / 2.));
    }

    /// Mean and variance of Gamma(shape) are both the shape, and its third central moment is twice
    /// that.
    #[test]
    fn gamma_draws_have_their_moments_for_every_shape() {
        for shape in [0.1, 0.2, 0.7, 1.5, 10., 300.] {
            let draws = drawn(|rng| exp(ln_gamma(rng, shape)));
            let n = DRAWS as f64;
            let mean = draws.iter().sum::<f64>() / n;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            assert!((mean - shape).abs() < 4. * (shape / n).sqrt(), "{shape}: {mean}");
            let deviation = ((2. + 6. / shape) / n).sqrt() * shape;
            assert!((variance - shape).abs() < 4. * deviation, "{shape}: {variance}");
        }
    }

    #[test]
    fn beta_draws_follow_the_distributions_that_have_a_formula() {
        let beta = |a, b| drawn(|rng| beta(rng, a, b));
        follow(beta(1., 1.), |x| x);
        follow(beta(0.5, 0.5), |x| FRAC_2_PI * x.sqrt().asin());
        follow(beta(2., 2.), |x| x * x * (3. - 2. * x));
        follow(beta(1., 3.), |x| 1. - (1. - x).powi(3));
        follow(beta(3., 1.), |x| x.powi(3));
        follow(beta(0.25, 1.), |x| x.powf(0.25));
    }

    /// Mixtures use 0.2 and 0.1: a draw is almost always close to 0 or 1, and never NaN.
    #[test]
    fn small_shapes_keep_to_the_ends_of_the_interval() {
        for alpha in [0.2, 0.1, 1e-3, 1e-6] {
            let draws = drawn(|rng| beta(rng, alpha, alpha));
            assert!(draws.iter().all(|draw| (0. ..=1.).contains(draw)), "{alpha}");
            let n = DRAWS as f64;
            let mean = draws.iter().sum::<f64>() / n;
            assert!((mean - 0.5).abs() < 0.015, "{alpha}: {mean}");
            let variance = draws.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>() / n;
            let expected = 0.25 / (2. * alpha + 1.);
            assert!((variance - expected).abs() < 0.005, "{alpha}: {variance}");
        }
    }

    /// The numbers of a run must not change with the version of this program.
    #[test]
    fn draws_are_stable() {
        let rng = || stream(1, Purpose::Mix, 2, 3);
        let [x, y] = normals(&mut rng());
        let mixtures = [beta(&mut rng(), 0.2, 0.2), beta(&mut rng(), 1., 1.)];
        assert_eq!([x, y], [-1.5239011255364714, 0.6060167342061851]);
        assert_eq!(mixtures, [0.9999989377499121, 0.66242277258333]);
        assert_eq!(uniform_in_log(&mut rng(), [0.75, 4. / 3.]), 0.872437422920676);
    }
}
