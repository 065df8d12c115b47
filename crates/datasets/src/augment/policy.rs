//! Policies: operations that are drawn from a table.

use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use crate::Error;
use crate::random::below;

/// The operations that are applied to an image. Geometric ones take the nearest pixel, and black outside the image, as
/// torchvision does on PIL images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Several operations in a row, all of one strength (Cubuk et al. 2019). torchvision:
    /// `RandAugment(num_ops, magnitude)`.
    RandAugment {
        /// Number of operations, at least 1.
        operations: usize,
        /// Strength, 0 to 30.
        magnitude: usize,
    },
    /// One operation of random strength, from wider ranges (Müller and Hutter 2021). It moves images by up to 32
    /// pixels, whatever their size. torchvision: `TrivialAugmentWide()`.
    TrivialAugmentWide,
}

/// Number of strengths of an operation.
pub(super) const BINS: usize = 31;

/// An operation on bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

impl Operation {
    /// In torchvision's order and under its names.
    pub(super) const ALL: [Self; 14] = [
        Self::Identity,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
        Self::Rotate,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Sharpness,
        Self::Posterize,
        Self::Solarize,
        Self::AutoContrast,
        Self::Equalize,
    ];
}

/// A drawn operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) operation: Operation,
    /// Strength, below [`BINS`].
    pub(super) bin: usize,
    /// Whether the magnitude is negative, for operations with a sign.
    pub(super) negative: bool,
}

impl Policy {
    pub(super) fn check(&self) -> Result<(), Error> {
        let Self::RandAugment { operations, magnitude } = *self else { return Ok(()) };
        if operations == 0 {
            let (option, accepted) = ("policy.operations", "1 or more");
            return Err(Error::OutOfRange { option, value: 0., accepted });
        }
        if magnitude >= BINS {
            let (option, accepted) = ("policy.magnitude", "a whole number from 0 to 30");
            return Err(Error::OutOfRange { option, value: magnitude as f64, accepted });
        }
        Ok(())
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> impl Iterator<Item = Step> {
        let (operations, magnitude) = match *self {
            Self::RandAugment { operations, magnitude } => (operations, Some(magnitude)),
            Self::TrivialAugmentWide => (1, None),
        };
        (0..operations).map(move |_| {
            let operation = Operation::ALL[below(rng, Operation::ALL.len() as u64) as usize];
            let bin = below(rng, BINS as u64) as usize;
            let negative = below(rng, 2) == 1;
            Step { operation, bin: magnitude.unwrap_or(bin), negative }
        })
    }

    /// Draws operations and applies them to `canvas`.
    pub(crate) fn apply(&self, rng: &mut ChaCha8Rng, canvas: &mut Canvas) {
        for step in self.draw(rng) {
            self.apply_step(step, canvas);
        }
    }

    /// Applies an operation. torchvision: `_apply_op` with the magnitude that `_augmentation_space` has for the bin.
    pub(super) fn apply_step(&self, step: Step, canvas: &mut Canvas) {
        let Step { operation, bin, negative } = step;
        let wide = match self {
            Self::RandAugment { .. } => false,
            Self::TrivialAugmentWide => true,
        };
        let signed = |most: f32| {
            let magnitude = f64::from(linspace(0., most, bin));
            if negative { -magnitude } else { magnitude }
        };
        let slope = || signed(if wide { 0.99 } else { 0.3 });
        let shift = |size: usize| {
            let most = if wide { 32. } else { 150. / 331. * size as f64 };
            signed(most as f32) as i64
        };
        let factor = || 1. + signed(if wide { 0.99 } else { 0.9 });
        match operation {
            Operation::Identity => {}
            Operation::ShearX => canvas.shear_x(slope()),
            Operation::ShearY => canvas.shear_y(slope()),
            Operation::TranslateX => canvas.translate(0, shift(canvas.width)),
            Operation::TranslateY => canvas.translate(shift(canvas.height), 0),
            Operation::Rotate => canvas.rotate(signed(if wide { 135. } else { 30. })),
            Operation::Brightness => canvas.brightness(factor()),
            Operation::Color => canvas.saturation(factor()),
            Operation::Contrast => canvas.contrast(factor()),
            Operation::Sharpness => canvas.sharpness(factor()),
            Operation::Posterize => {
                let bits_lost = if wide { 6. } else { 4. } * bin as f32 / (BINS - 1) as f32;
                canvas.posterize(8 - bits_lost.round_ties_even() as u32);
            }
            Operation::Solarize => canvas.solarize(f64::from(linspace(255., 0., bin))),
            Operation::AutoContrast => canvas.autocontrast(),
            Operation::Equalize => canvas.equalize(),
        }
    }
}

/// Entry `bin` of PyTorch's `linspace(start, end, 31)`: from the nearer end, in 32 bits, rounded once as on processors
/// with AVX2. Rounded twice, some entries would differ in their last bit, and a byte with them.
fn linspace(start: f32, end: f32, bin: usize) -> f32 {
    let step = (end - start) / (BINS - 1) as f32;
    if bin < BINS / 2 {
        step.mul_add(bin as f32, start)
    } else {
        (-step).mul_add((BINS - 1 - bin) as f32, end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::golden;
    use super::*;
    use crate::random::{Purpose, stream};

    const RAND: Policy = Policy::RandAugment { operations: 2, magnitude: 9 };

    fn named(policy: &str) -> Policy {
        match policy {
            "rand-augment" => RAND,
            _ => Policy::TrivialAugmentWide,
        }
    }

    fn operation(name: &str) -> Operation {
        let named = |operation: &&Operation| format!("{operation:?}") == name;
        *Operation::ALL.iter().find(named).unwrap()
    }

    /// Whether a strength may be taken to either side.
    fn signed(operation: Operation) -> bool {
        use Operation::{AutoContrast, Equalize, Identity, Posterize, Solarize};
        !matches!(operation, Identity | Posterize | Solarize | AutoContrast | Equalize)
    }

    #[test]
    fn shown_outcomes_are_torchvisions() {
        for case in golden::shown() {
            let mut canvas = case.image;
            let step = Step {
                operation: operation(&case.operation),
                bin: case.bin,
                negative: case.sign < 0.,
            };
            named(&case.policy).apply_step(step, &mut canvas);
            assert_eq!(
                canvas.pixels.as_flattened(),
                case.bytes,
                "{} {} {} {}",
                case.policy,
                case.operation,
                case.bin,
                case.sign
            );
        }
    }

    /// Every operation in every strength on every image.
    #[test]
    fn all_outcomes_are_torchvisions() {
        let mut wrong = Vec::new();
        let cases = golden::policies();
        assert_eq!(cases.len(), 2 * 6 * Operation::ALL.len());
        for case in cases {
            let operation = operation(&case.operation);
            let mut hash = golden::Hash::default();
            for bin in 0..BINS {
                for negative in [false, true].into_iter().take(1 + usize::from(signed(operation))) {
                    let mut canvas = golden::image(&case.image);
                    let step = Step { operation, bin, negative };
                    named(&case.policy).apply_step(step, &mut canvas);
                    hash.add(&canvas);
                }
            }
            if hash.value() != case.hash {
                wrong.push((case.policy, case.image, case.operation));
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn every_operation_strength_and_sign_is_drawn() {
        let mut counts = BTreeMap::<_, u32>::new();
        for index in 0..28_000 {
            let rng = &mut stream(0, Purpose::Policy, 0, index);
            for step in Policy::TrivialAugmentWide.draw(rng) {
                *counts.entry((step.operation as usize, step.negative)).or_default() += 1;
                *counts.entry((100 + step.bin, false)).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), 28 + BINS);
        for ((what, _), count) in counts {
            let expected: u32 = if what < 100 { 1000 } else { 28_000 / BINS as u32 };
            assert!(count.abs_diff(expected) < 160, "{what}: {count}");
        }
    }

    #[test]
    fn rand_augment_draws_its_number_of_operations_and_one_strength() {
        let steps = |operations| -> Vec<Step> {
            let policy = Policy::RandAugment { operations, magnitude: 9 };
            policy.draw(&mut stream(0, Purpose::Policy, 0, 0)).collect()
        };
        assert!(steps(5).iter().all(|step| step.bin == 9));
        assert_eq!(steps(5)[..3], steps(3));
        assert!((1..5).any(|at| steps(5)[at].operation != steps(5)[0].operation));
    }
}
