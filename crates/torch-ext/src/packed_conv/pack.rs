//! The weights of a matrix product in the order in which the micro-kernel reads them.

use super::Factors;
use crate::memory::LargePages;
use crate::simd::Bf16;

/// Columns of a block: four AVX-512 vectors, or two AMX tiles, of sums.
pub(super) const BLOCK: usize = 64;

/// A matrix `[K, c_out]` in blocks of columns, each contiguous, the last filled up with zeros.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) c_out: usize,
    /// Rows, filled up to an even number for bf16.
    pub(super) k: usize,
    pub(super) numbers: Packed,
    /// `[c_out]`, filled up with zeros to whole blocks.
    pub(super) bias: Vec<f32>,
}

#[derive(Debug)]
pub(super) enum Packed {
    /// Blocks of `[K, BLOCK]`.
    Fp32(LargePages<f32>),
    /// Blocks of `[K / 2, BLOCK, 2]`.
    Bf16(LargePages<Bf16>),
}

impl Columns {
    /// Packs `matrix: [K, c_out]` and `bias: [c_out]`.
    pub(super) fn pack(matrix: &[f32], mut bias: Vec<f32>, factors: Factors) -> Self {
        let c_out = bias.len();
        let rows = matrix.len() / c_out.max(1);
        let blocks = c_out.div_ceil(BLOCK);
        bias.resize(blocks * BLOCK, 0.0);
        let k = match factors {
            Factors::Fp32 => rows,
            Factors::Bf16 => rows.next_multiple_of(2),
        };
        let at = |row: usize, column: usize| {
            if row < rows && column < c_out { matrix[row * c_out + column] } else { 0.0 }
        };
        let numbers = match factors {
            Factors::Fp32 => Packed::Fp32(LargePages::from_fn(blocks * k * BLOCK, |i| {
                at(i / BLOCK % k, i / (BLOCK * k) * BLOCK + i % BLOCK)
            })),
            Factors::Bf16 => Packed::Bf16(LargePages::from_fn(blocks * k * BLOCK, |i| {
                let (block, i) = (i / (BLOCK * k), i % (BLOCK * k));
                let row = i / (2 * BLOCK) * 2 + i % 2;
                Bf16::narrow(at(row, block * BLOCK + i / 2 % BLOCK))
            })),
        };
        Self { c_out, k, numbers, bias }
    }

    /// What they are packed as.
    pub(super) fn factors(&self) -> Factors {
        match self.numbers {
            Packed::Fp32(_) => Factors::Fp32,
            Packed::Bf16(_) => Factors::Bf16,
        }
    }
}
