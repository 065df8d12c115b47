//! The ten shapes, each with area 1 and centred at the origin.

use std::f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2};

/// A shape, one for each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Disc,
    Ring,
    Square,
    Frame,
    Triangle,
    Plus,
    X,
    HorizontalStripes,
    VerticalStripes,
    Checkerboard,
}

/// Width of the hole in a ring or a frame, as a share of the whole.
const HOLE: f64 = 0.6;
/// Side of the square with stripes or a checkerboard, of which one half is covered.
const PATCH: f64 = SQRT_2;
/// Periods in a patch: whole ones, so that one half is covered at any phase.
const STRIPES: f64 = 3.;
const CHECKS: f64 = 2.;

impl Shape {
    /// Every shape, by label.
    pub(super) const ALL: [Self; 10] = [
        Self::Disc,
        Self::Ring,
        Self::Square,
        Self::Frame,
        Self::Triangle,
        Self::Plus,
        Self::X,
        Self::HorizontalStripes,
        Self::VerticalStripes,
        Self::Checkerboard,
    ];

    /// Whether the point `v` below and `u` to the right of the centre belongs to the shape. `phases` is the start of a
    /// pattern within its period, downward and to the right.
    pub(super) fn covers(self, v: f64, u: f64, phases: [f64; 2]) -> bool {
        let radius_squared = v * v + u * u;
        // Half the side of the smallest upright square around both.
        let reach = v.abs().max(u.abs());
        match self {
            Self::Disc => radius_squared < 1. / PI,
            Self::Ring => {
                let outer = 1. / (PI * (1. - HOLE * HOLE));
                (HOLE * HOLE * outer..outer).contains(&radius_squared)
            }
            Self::Square => reach < 0.5,
            Self::Frame => {
                let outer = 0.5 / (1. - HOLE * HOLE).sqrt();
                (HOLE * outer..outer).contains(&reach)
            }
            Self::Triangle => {
                // Equilateral, standing on a side; the centroid is two thirds down.
                let height = 3_f64.sqrt().sqrt();
                let below_top = v + height * 2. / 3.;
                below_top < height && u.abs() < below_top / 3_f64.sqrt()
            }
            Self::Plus => {
                // Five of the nine fields of a square.
                let field = 1. / 5_f64.sqrt();
                reach < 1.5 * field && v.abs().min(u.abs()) < 0.5 * field
            }
            Self::X => {
                let (v, u) = ((v + u) * FRAC_1_SQRT_2, (v - u) * FRAC_1_SQRT_2);
                Self::Plus.covers(v, u, phases)
            }
            Self::HorizontalStripes => reach < PATCH / 2. && first_half(v, STRIPES, phases[0]),
            Self::VerticalStripes => reach < PATCH / 2. && first_half(u, STRIPES, phases[1]),
            Self::Checkerboard => {
                reach < PATCH / 2.
                    && first_half(v, CHECKS, phases[0]) == first_half(u, CHECKS, phases[1])
            }
        }
    }
}

/// Whether `position` lies in the first half of a period; a patch has `periods` of them.
fn first_half(position: f64, periods: f64, phase: f64) -> bool {
    (position * periods / PATCH + phase).rem_euclid(1.) < 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_area_one_and_its_centre_at_the_origin() {
        const STEPS: i32 = 800;
        for shape in Shape::ALL {
            for phases in [[0., 0.], [0.3, 0.8]] {
                let (mut area, mut moment) = (0., [0., 0.]);
                for (i, j) in (0..STEPS * STEPS).map(|n| (n / STEPS, n % STEPS)) {
                    let [v, u] = [i, j].map(|i| (f64::from(i) + 0.5) / f64::from(STEPS) * 2. - 1.);
                    if shape.covers(v, u, phases) {
                        let cell = 4. / f64::from(STEPS * STEPS);
                        area += cell;
                        moment = [moment[0] + v * cell, moment[1] + u * cell];
                    }
                }
                assert!((area - 1.).abs() < 0.01, "{shape:?} {phases:?}: area {area}");
                // A pattern's centre wanders with its phase, by a quarter of a period at most.
                assert!(moment.iter().all(|m| m.abs() < 0.13), "{shape:?} {phases:?}: {moment:?}");
            }
        }
    }

    #[test]
    fn shapes_by_hand() {
        let check = |shape: Shape, inside: &[(f64, f64)], outside: &[(f64, f64)]| {
            for &(v, u) in inside {
                assert!(shape.covers(v, u, [0., 0.]), "{shape:?} at {v}, {u}");
            }
            for &(v, u) in outside {
                assert!(!shape.covers(v, u, [0., 0.]), "{shape:?} at {v}, {u}");
            }
        };
        check(Shape::Disc, &[(0., 0.), (0.38, 0.38)], &[(0.42, 0.42)]);
        check(Shape::Ring, &[(0., 0.5)], &[(0., 0.), (0., 0.8)]);
        check(Shape::Square, &[(0., 0.), (0.48, 0.48)], &[(0., 0.52)]);
        check(Shape::Frame, &[(0.6, 0.6)], &[(0., 0.), (0.3, 0.3)]);
        check(Shape::Triangle, &[(-0.8, 0.), (0.4, 0.7)], &[(-0.8, 0.3), (0.5, 0.)]);
        check(Shape::Plus, &[(0., 0.6), (0.6, 0.)], &[(0.5, 0.5)]);
        check(Shape::X, &[(0.4, 0.4), (0.4, -0.4)], &[(0., 0.6), (0.6, 0.)]);
        check(Shape::HorizontalStripes, &[(0.1, -0.6), (0.1, 0.6)], &[(-0.1, 0.), (0.3, 0.)]);
        check(Shape::VerticalStripes, &[(-0.6, 0.1), (0.6, 0.1)], &[(0., -0.1), (0., 0.3)]);
        check(Shape::Checkerboard, &[(0.1, 0.1), (-0.1, -0.1)], &[(0.1, -0.1), (-0.1, 0.1)]);
    }
}
