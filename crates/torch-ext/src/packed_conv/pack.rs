//! The weights of a matrix product in the order in which the micro-kernel reads them.

use super::Factors;
use crate::matrix_product::{BLOCK, VECTOR};
use crate::memory::LargePages;
use crate::simd::Bf16;

/// A matrix `[K, c_out]` in blocks of columns, each contiguous, the last filled up with zeros.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) c_out: usize,
    /// Rows, filled up to an even number for bf16.
    pub(super) k: usize,
    pub(super) numbers: Packed,
    /// `[c_out]`, filled up with zeros to whole vectors.
    pub(super) bias: Vec<f32>,
}

#[derive(Debug)]
pub(super) enum Packed {
    /// Blocks of `[K, width]`.
    Fp32(LargePages<f32>),
    /// Blocks of `[K / 2, width, 2]`.
    Bf16(LargePages<Bf16>),
}

impl Columns {
    /// Packs `matrix: [K, c_out]` and `bias: [c_out]`, which is not empty.
    ///
    /// # Panics
    /// Where the matrix has no whole rows of as many columns.
    pub(super) fn pack(matrix: &[f32], mut bias: Vec<f32>, factors: Factors) -> Self {
        let c_out = bias.len();
        let rows = matrix.len() / c_out;
        assert_eq!(matrix.len(), rows * c_out, "expected a weight of {c_out} columns");
        let packed_out = c_out.next_multiple_of(VECTOR);
        bias.resize(packed_out, 0.0);
        let k = match factors {
            Factors::Fp32 => rows,
            Factors::Bf16 => rows.next_multiple_of(2),
        };
        let at = |row: usize, column: usize| {
            if row < rows && column < c_out { matrix[row * c_out + column] } else { 0.0 }
        };
        // The first column of the `i`-th number's block, the block's width, and the number's place within it.
        let place = |i: usize| {
            let block = i / (k * BLOCK).max(1);
            let width = BLOCK.min(packed_out - block * BLOCK);
            (block * BLOCK, width, i - block * k * BLOCK)
        };
        let numbers = match factors {
            Factors::Fp32 => Packed::Fp32(LargePages::from_fn(packed_out * k, |i| {
                let (column, width, i) = place(i);
                at(i / width, column + i % width)
            })),
            Factors::Bf16 => Packed::Bf16(LargePages::from_fn(packed_out * k, |i| {
                let (column, width, i) = place(i);
                Bf16::narrow(at(i / (2 * width) * 2 + i % 2, column + i / 2 % width))
            })),
        };
        Self { c_out, k, numbers, bias }
    }

    /// Lanes of 32 bits in a row of factors.
    pub(super) fn lanes(&self) -> usize {
        match self.numbers {
            Packed::Fp32(_) => self.k,
            Packed::Bf16(_) => self.k / 2,
        }
    }

    /// Number of blocks.
    pub(super) fn blocks(&self) -> usize {
        self.bias.len().div_ceil(BLOCK)
    }

    /// The first column of a block, and its width, filled up.
    pub(super) fn block(&self, index: usize) -> (usize, usize) {
        let start = index * BLOCK;
        (start, BLOCK.min(self.bias.len() - start))
    }

    /// The factors that they are packed as.
    pub(super) fn factors(&self) -> Factors {
        match self.numbers {
            Packed::Fp32(_) => Factors::Fp32,
            Packed::Bf16(_) => Factors::Bf16,
        }
    }
}
