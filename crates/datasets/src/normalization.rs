//! Normalisation: from bytes to the numbers that a network reads.

use crate::Error;

/// `(byte / 255 - mean) / std` for each channel in RGB order. torchvision: `ToTensor`, then `Normalize`, to the bit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    /// Mean of each channel, on the scale 0 to 1.
    pub mean: [f64; 3],
    /// Standard deviation of each channel, on the scale 0 to 1.
    pub std: [f64; 3],
}

/// The normalised value of every byte in every channel.
pub(crate) type Table = [[f32; 256]; 3];

impl Normalization {
    /// CIFAR-10's constants, as in the notebook (seeds/000).
    pub const CIFAR10_NOTEBOOK: Self =
        Self { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.243, 0.261] };

    /// CIFAR-100's constants.
    pub const CIFAR100: Self =
        Self { mean: [0.5071, 0.4865, 0.4409], std: [0.2673, 0.2564, 0.2762] };

    /// From bytes to -1 to 1, as Xception's published weights expect.
    pub const HALF: Self = Self { mean: [0.5; 3], std: [0.5; 3] };

    /// One pixel, normalised.
    #[must_use]
    pub fn apply(&self, pixel: [u8; 3]) -> [f32; 3] {
        // In f32 and in this order, as in torchvision.
        std::array::from_fn(|channel| {
            (f32::from(pixel[channel]) / 255. - self.mean[channel] as f32)
                / self.std[channel] as f32
        })
    }

    pub(crate) fn table(&self) -> Result<Table, Error> {
        let usable = self.mean.iter().all(|mean| (*mean as f32).is_finite())
            && self.std.iter().all(|std| (*std as f32).is_normal() && *std > 0.);
        if !usable {
            return Err(Error::Normalization { mean: self.mean, std: self.std });
        }
        let mut table = [[0.; 256]; 3];
        for value in 0..=u8::MAX {
            for (column, normalized) in table.iter_mut().zip(self.apply([value; 3])) {
                column[usize::from(value)] = normalized;
            }
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_in_rgb_order_and_match_torchvision() {
        let check = |normalization: Normalization, pixel, expected: [f32; 3]| {
            assert_eq!(normalization.apply(pixel), expected);
            let table = normalization.table().unwrap();
            for channel in 0..3 {
                assert_eq!(table[channel][usize::from(pixel[channel])], expected[channel]);
            }
        };
        check(Normalization::HALF, [0, 255, 0], [-1., 1., -1.]);
        // Computed in NumPy's float32.
        check(Normalization::CIFAR10_NOTEBOOK, [0, 128, 255], [-1.9894737, 0.08132023, 2.1206896]);
        check(Normalization::CIFAR100, [17, 99, 201], [-1.6477116, -0.38324764, 1.25755]);
    }

    #[test]
    fn deviations_that_divide_by_nothing_are_refused() {
        for std in [0., -0.25, f64::NAN, f64::INFINITY, 1e-300] {
            let error = Normalization { mean: [0.5; 3], std: [0.25, std, 0.25] }.table();
            assert_eq!(
                error.unwrap_err().to_string(),
                format!(
                    "normalisation with mean [0.5, 0.5, 0.5] and standard deviation \
                     [0.25, {std:?}, 0.25]: every mean must be finite and every deviation \
                     finite and above 0"
                )
            );
        }
        assert!(Normalization { mean: [0.5, f64::NAN, 0.5], std: [1.; 3] }.table().is_err());
    }
}
