//! Matrix products of our own, for inference on packed weights and for training on weights as they lie.
//!
//! libtorch leaves fp32 products to MKL, which runs on half of the vector width on AMD's CPUs, and bf16 products to
//! oneDNN, which packs and prepares anew for each of them. At small batches a training step has a hundred products of
//! a few dozen rows, so that preparing costs more than multiplying. Here the thread that needs a panel of columns lays it
//! out just before its use, from weights and maps as they lie; rounding to bf16 is part of that.
//!
//! Kernels hold lists and blocks of memory whose constructors compare sizes, once for each panel.

mod blocks;
mod finish;
mod kernel;
mod outputs;
mod panel;
mod weights;

use std::cell::RefCell;

use tch::{Kind, Tensor};

use crate::dense::{described, is_dense};
use crate::simd::{Bf16, Element, InstructionSet, chosen, pairs};
use crate::view::View;

pub(crate) use blocks::Blocks;
pub(crate) use finish::{Finish, Sums};
pub(crate) use kernel::{Pair, Product, Rows, Single};
pub(crate) use outputs::{forward, input_gradient};
pub(crate) use weights::weight_gradient;

use panel::Scheme;

/// Columns of a panel: four AVX-512 vectors, or four AMX tiles, of sums.
pub(crate) const BLOCK: usize = 64;

/// Panels are filled up with zeros to a multiple of so many columns: those of one AVX-512 vector. It is a multiple of every
/// set's lanes.
pub(crate) const VECTOR: usize = 16;

/// Bytes that the caches move at a time.
const LINE: usize = 64;

/// Rows of a product that are worth a panel: for fewer, laying it out would cost too much.
const FEWEST: usize = 48;

/// Pieces of work for each thread.
const PIECES: usize = 2;

/// The element of maps in training, and the factors that its products are made of.
pub(crate) trait Trained: Element<Number = f32> {
    /// fp32 one at a time, bf16 in pairs; weights are fp32 and rounded on the way in.
    type Factors: Scheme;
}

impl Trained for f32 {
    type Factors = Single;
}

impl Trained for Bf16 {
    type Factors = Pair;
}

/// Runs a block with the element of a kind that [`covers`] accepts as a type of the given name.
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

/// The elements of a laid-out `map` of `pixels` pixels of `channels` channels.
///
/// # Panics
/// Where it has other sizes or another kind.
fn map_of<E: Element>(map: &Tensor, pixels: usize, channels: usize) -> &[E] {
    let view = View::<E>::of(map);
    let sizes = view.sizes();
    assert!(
        sizes.pixels() == pixels && sizes.c == channels,
        "expected a map of {pixels} pixels and {channels} channels, got {sizes:?}"
    );
    view.elements()
}

/// The numbers of a contiguous fp32 matrix.
///
/// # Panics
/// Where `matrix` has other sizes, another kind, or gaps.
fn matrix_of(matrix: &Tensor, rows: usize, columns: usize) -> &[f32] {
    let fits = is_dense(matrix)
        && matrix.kind() == Kind::Float
        && matrix.size() == [rows as i64, columns as i64]
        && matrix.is_contiguous();
    assert!(
        fits,
        "expected a contiguous matrix [{rows}, {columns}] of Float, got {}",
        described(matrix)
    );
    if rows * columns == 0 {
        return &[];
    }
    // SAFETY: the matrix is dense, so that its memory holds all numbers of the type, and contiguous, so that they are
    // neighbours. The list borrows the tensor, and nobody writes weights while a product reads them.
    unsafe { std::slice::from_raw_parts(matrix.data_ptr().cast(), rows * columns) }
}

/// `map`, or a copy of it whose pairs of bf16 are aligned for a lane: a view may begin at an odd number.
fn aligned(map: &Tensor) -> Tensor {
    let aligned = map.data_ptr().cast::<f32>().is_aligned();
    if aligned { map.shallow_clone() } else { map.copy() }
}

thread_local! {
    /// Room that a thread keeps: for a panel of rows and one of columns.
    static PANELS: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

#[cfg(test)]
mod tests;
