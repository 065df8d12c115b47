//! Matrix products of our own, for inference on packed weights and for training on weights as they lie.
//!
//! libtorch leaves fp32 products to MKL, which runs on half of the vector width on AMD's CPUs, and bf16 products to
//! oneDNN, which packs and prepares anew for each of them. At small batches a training step has a hundred products of
//! a few dozen rows, so that preparing costs more than multiplying. Here a panel of columns is laid out by the thread
//! that needs it, just ahead of its use, from weights and maps as they lie; rounding to bf16 is part of that.

mod finish;
mod kernel;
mod outputs;
mod panel;
mod weights;

use std::cell::RefCell;

use tch::Kind;

use crate::simd::{Bf16, Element, InstructionSet, chosen, pairs};

pub(crate) use finish::{Finish, Sums};
pub(crate) use kernel::{Pair, Product, Rows, Single};
pub(crate) use outputs::{forward, input_gradient};
pub(crate) use weights::weight_gradient;

use panel::Scheme;

/// Columns of a panel: four AVX-512 vectors, or four AMX tiles, of sums.
pub(crate) const BLOCK: usize = 64;

/// Columns that panels are filled up to a multiple of, with zeros: those of one AVX-512 vector.
pub(crate) const VECTOR: usize = 16;

/// Rows of a product that are worth a panel: for fewer, laying it out would cost too much.
const FEWEST: usize = 48;

/// Pieces of work for each thread.
const PIECES: usize = 2;

/// What maps hold in training, and how it is multiplied.
pub(crate) trait Trained: Element<Number = f32> {
    /// fp32 by one, bf16 by two at a time; weights are fp32 and rounded on the way in.
    type Factors: Scheme;
}

impl Trained for f32 {
    type Factors = Single;
}

impl Trained for Bf16 {
    type Factors = Pair;
}

/// Runs a block with the element that maps of a kind hold as a type of the given name.
macro_rules! with_trained {
    ($kind:expr, $element:ident => $body:expr) => {
        match $kind {
            tch::Kind::Float => {
                type $element = f32;
                $body
            }
            _ => {
                type $element = crate::simd::Bf16;
                $body
            }
        }
    };
}
pub(crate) use with_trained;

/// The sizes of `ys[rows, columns] = xs[rows, k] * ws[columns, k]ᵀ`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) rows: usize,
    pub(crate) k: usize,
    pub(crate) columns: usize,
}

/// Whether maps of `kind` can be multiplied here: pairs need their instruction, and rows of whole pairs.
pub(crate) fn covers(kind: Kind, sizes: Sizes) -> bool {
    match kind {
        Kind::Float => true,
        Kind::BFloat16 => {
            sizes.k.is_multiple_of(2) && sizes.columns.is_multiple_of(2) && pairs::available()
        }
        _ => false,
    }
}

/// Whether that is faster than libtorch's product on this CPU. It was measured on AMD's; on Intel's, MKL's fp32 and
/// oneDNN's bf16 products are as fast.
pub(crate) fn is_faster() -> bool {
    crate::cpu::is_amds() && chosen() >= InstructionSet::Avx512
}

thread_local! {
    /// Room that a thread keeps: for a panel of rows and one of columns.
    static PANELS: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

#[cfg(test)]
mod tests;
