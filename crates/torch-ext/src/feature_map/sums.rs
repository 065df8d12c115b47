//! Sums over all pixels, channel by channel.
//!
//! Sums are built in fp32 over a few dozen pixels, those over a piece of the map, and the pieces in fp64. The pieces
//! are the same for any number of threads, so the sums are too.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::parallel::{Cut, for_each_of, piece};
use crate::simd::{Element, Number, Simd};
use crate::view::ViewMut;

/// Pieces that `pixels` are cut into where sums are formed: enough for the threads of a large machine, and few enough
/// that adding them up costs little beside forming them. They depend on the map's size alone.
fn pieces_of(pixels: usize) -> usize {
    (pixels / 64).clamp(2, 64).min(pixels)
}

/// Bytes that are walked channel vector by channel vector; they fit the first-level cache.
const BAND: usize = 16 << 10;

/// Calls `kernel` for each piece of the pixels with `K` rows of `c` zeros to add to; returns the totals.
pub(super) fn sums<N: Number, const K: usize>(
    pixels: usize,
    c: usize,
    kernel: impl Fn(Range<usize>, [&mut [N]; K]) + Sync,
) -> [Vec<f64>; K] {
    // Without channels there is nothing to add up.
    let count = if c == 0 { 0 } else { pieces_of(pixels) };
    let pieces = (0..count).map(|index| piece(pixels, count, index));
    let totals = sums_of_pieces(pieces.collect(), [K, c], |range, sums: &mut [N]| {
        let mut rows = Cut::new(sums, K);
        kernel(range, std::array::from_fn(|_| rows.take(1)));
    });
    totals.try_into().expect("as many totals as rows of sums")
}

/// As [`sums`], for a kernel that walks whole rows of the images and keeps `sum_rows` rows of sums. It also receives the
/// elements of its rows of `to`, which has these sizes.
pub(crate) fn sums_by_row<E: Element>(
    to: ViewMut<E>,
    sum_rows: usize,
    kernel: impl Fn(Range<usize>, &mut [MaybeUninit<E>], &mut [E::Number]) + Sync,
) -> Vec<Vec<f64>> {
    let sizes = to.sizes();
    // Without elements there is nothing to add up.
    let rows = if sizes.elements() == 0 { 0 } else { sizes.rows() };
    let pieces = pieces_of(sizes.pixels()).min(rows);
    let mut rest = Cut::new(to.into_elements(), rows);
    let parts = (0..pieces).map(|index| piece(rows, pieces, index));
    let parts = parts.map(|rows| (rows.clone(), rest.take(rows.len())));
    sums_of_pieces(parts.collect(), [sum_rows, sizes.c], |(rows, to), sums| kernel(rows, to, sums))
}

/// The totals, row by row, of the numbers that `kernel` adds to each piece's own `[rows, c]` sums.
fn sums_of_pieces<T: Send, N: Number>(
    pieces: Vec<T>,
    [rows, c]: [usize; 2],
    kernel: impl Fn(T, &mut [N]) + Sync,
) -> Vec<Vec<f64>> {
    let count = pieces.len();
    let mut partial = vec![N::default(); count * rows * c];
    let mut rest = Cut::new(&mut partial, count);
    let parts = pieces.into_iter().map(|piece| (piece, rest.take(1)));
    for_each_of(parts.collect(), &|(piece, sums)| kernel(piece, sums));
    let total = |row: usize| {
        let mut total = vec![0.0; c];
        for index in 0..count {
            let part = &partial[(index * rows + row) * c..][..c];
            total.iter_mut().zip(part).for_each(|(sum, number)| *sum += number.to_f64());
        }
        total
    };
    (0..rows).map(total).collect()
}

/// Adds a band's sum to its piece's. Sums of sums lose fewer digits than one long sum.
///
/// # Safety
/// The CPU has the instructions of `S`, and the numbers of the span can be read and written at `at`.
#[inline(always)]
pub(crate) unsafe fn add_to<E: Element, S: Simd<E>>(
    at: *mut E::Number,
    span: S::Span,
    sum: S::Vector,
) {
    // SAFETY: the caller has the instructions and the numbers.
    unsafe { S::store_numbers(at, span, S::add(S::load_numbers(at, span), sum)) }
}

/// Cuts `range` into runs of pixels that fit a cache.
pub(super) fn bands<E: Element>(
    range: Range<usize>,
    channels: usize,
) -> impl Iterator<Item = Range<usize>> {
    let step = (BAND / (channels * size_of::<E>()).max(1)).max(4);
    let end = range.end;
    range.step_by(step).map(move |start| start..(start + step).min(end))
}
