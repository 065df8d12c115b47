//! The 3×3 kernel at stride 1 over a bf16 map, two taps to a multiplication, where the CPU multiplies pairs.
//!
//! For inference: the taps are rounded to bf16, and the map has no pending normalisation. Numbers are read as they lie,
//! 32 channels to a vector, and none is widened. In each column of the image the first two rows are a pair, and the
//! third row pairs up with its neighbour on the right: five multiplications of pairs do the work of nine. One tap is a
//! zero beside a number that counts elsewhere, so that an infinite number may give NaN.

use std::ops::Range;

use super::forward::{BAND, ZEROS};
use super::geometry::Plan;
use super::outputs::Outputs;
use crate::simd::pairs::{PairKernel, Pairs, ROW, place_in_zipped};
use crate::simd::{Bf16, Element};
use crate::view::View;

/// The pairs of taps, by row and column: each of the three columns' first two, the last row's first two, and its
/// third beside nothing.
const PAIRS: [[Option<[usize; 2]>; 2]; 5] = [
    [Some([0, 0]), Some([1, 0])],
    [Some([0, 1]), Some([1, 1])],
    [Some([0, 2]), Some([1, 2])],
    [Some([2, 0]), Some([2, 1])],
    [None, Some([2, 2])],
];

/// Taps and biases in the order that the kernel reads them: row of channels by row of channels, as zipped.
#[derive(Debug)]
pub(crate) struct PairedTaps {
    /// Five times `ROW` pairs for each row of channels.
    taps: Vec<[Bf16; 2]>,
    /// `ROW` numbers for each row of channels.
    bias: Vec<f32>,
}

impl PairedTaps {
    /// The pairs of `taps: [9, C]`, and `bias: [C]`.
    pub(crate) fn new(taps: &[f32], bias: Option<&[f32]>) -> Self {
        let channels = taps.len() / 9;
        let rows = channels.div_ceil(ROW);
        let mut paired =
            Self { taps: vec![[Bf16(0); 2]; rows * 5 * ROW], bias: vec![0.0; rows * ROW] };
        for c in 0..channels {
            let (row, place) = (c / ROW, place_in_zipped(c % ROW));
            for (index, pair) in PAIRS.iter().enumerate() {
                paired.taps[(row * 5 + index) * ROW + place] = pair.map(|tap| {
                    Bf16::narrow(tap.map_or(0.0, |[r, q]| taps[(r * 3 + q) * channels + c]))
                });
            }
            paired.bias[row * ROW + place] = bias.map_or(0.0, |bias| bias[c]);
        }
        paired
    }

    /// Computes the output pixels `pixels`, counted over all images, on the calling thread; `relu` applies to the map.
    /// The result is bf16.
    ///
    /// # Panics
    /// Where the map or the outputs do not have the sizes of `plan`, or the plan is not 3×3 at stride 1, and on a CPU that
    /// does not multiply pairs.
    pub(crate) fn pixels_of(
        &self,
        values: View<Bf16>,
        relu: bool,
        plan: &Plan,
        pixels: Range<usize>,
        outputs: Outputs<Bf16>,
    ) {
        let loops = Loops::new(self, values, plan, pixels, outputs);
        if relu {
            Bf16::run_pairs(Paired::<true>(loops));
        } else {
            Bf16::run_pairs(Paired::<false>(loops));
        }
    }
}

/// The map and the lists of the kernel, which have the sizes of the plan.
struct Loops<'a> {
    taps: &'a PairedTaps,
    values: View<'a, Bf16>,
    plan: Plan,
    pixels: Range<usize>,
    outputs: Outputs<'a, Bf16>,
    /// The first pixel of the outputs.
    to: *mut Bf16,
}

impl<'a> Loops<'a> {
    fn new(
        taps: &'a PairedTaps,
        values: View<'a, Bf16>,
        plan: &Plan,
        pixels: Range<usize>,
        outputs: Outputs<'a, Bf16>,
    ) -> Self {
        let Plan { input, output, .. } = *plan;
        let padded = input.c.next_multiple_of(ROW);
        assert!(
            plan.is_3x3(1)
                && values.sizes() == input
                && [output.n, output.c] == [input.n, input.c]
                && [taps.bias.len(), taps.taps.len()] == [padded, 5 * padded]
                && pixels.end <= output.pixels()
                && outputs.fit(pixels.len(), input.c),
            "expected a map and kernels of {plan:?}, got {:?} and a bias of {}",
            values.sizes(),
            taps.bias.len()
        );
        let to = outputs.start().expect("outputs of bf16");
        Self { taps, values, plan: *plan, pixels, outputs, to }
    }
}

struct Paired<'a, const RELU: bool>(Loops<'a>);

// SAFETY: `Loops::new` has compared the map and the lists with the plan; windows that leave the image read zeros instead.
unsafe impl<const RELU: bool> PairKernel<Bf16> for Paired<'_, RELU> {
    #[inline(always)]
    unsafe fn run<S: Pairs<Bf16>>(self) {
        let Loops { taps, values, plan, pixels, outputs, to } = self.0;
        let Plan { input, output, padding, .. } = plan;
        let values = values.start();
        let (relu, ld) = (outputs.relu(), outputs.ld());
        let channels = input.c;
        let band_pixels = (BAND / (channels * size_of::<Bf16>()).max(1)).max(1);
        let bands = pixels.clone().step_by(band_pixels);
        let bands = bands.map(|start| start..(start + band_pixels).min(pixels.end));
        let rows_of_channels = channels.div_ceil(ROW);
        for (band, row_of_channels) in
            bands.flat_map(|band| (0..rows_of_channels).map(move |row| (band.clone(), row)))
        {
            let c = row_of_channels * ROW;
            let count = (channels - c).min(ROW);
            // SAFETY: the CPU has the instructions; rows and columns are compared with the map's sizes before they are read,
            // and the count ends with the channels.
            unsafe {
                let bias = two::<S>(taps.bias.as_ptr().add(c));
                let pairs_of_taps = taps.taps.as_ptr().add(row_of_channels * 5 * ROW).cast::<f32>();
                let mut taps = [bias; 5];
                for (index, taps) in taps.iter_mut().enumerate() {
                    *taps = two::<S>(pairs_of_taps.add(index * ROW));
                }
                let mut pixel = band.start;
                while pixel < band.end {
                    let (row, first_column) = (pixel / output.w, pixel % output.w);
                    let columns = first_column..(first_column + band.end - pixel).min(output.w);
                    let (n, oh) = (row / output.h, row % output.h);
                    // An image without pixels has no address.
                    let image = values.wrapping_add(n * input.h * input.w * channels + c);
                    // A row outside of the image is read as zeros, column after column.
                    let lines = std::array::from_fn(|k| {
                        let ih = (oh + k).wrapping_sub(padding[0]);
                        if ih < input.h {
                            (image.add(ih * input.w * channels), channels)
                        } else {
                            (ZEROS.as_ptr().cast::<Bf16>(), 0)
                        }
                    });
                    let lines = Lines::<RELU> { lines, width: input.w, count };
                    let left = columns.start.wrapping_sub(padding[1]);
                    let first = lines.column::<S>(left);
                    let second = lines.column::<S>(left.wrapping_add(1));
                    let mut above =
                        [S::zip_rows(first[0], first[1]), S::zip_rows(second[0], second[1])];
                    let mut below = S::zip_rows(first[2], second[2]);
                    let mut last = second[2];
                    // Up to here the column that a step adds lies within the image.
                    let checked_from = (input.w + padding[1]).saturating_sub(2);
                    for ow in columns {
                        let iw = ow.wrapping_sub(padding[1]).wrapping_add(2);
                        let [a, b, next] = if ow < checked_from {
                            lines.inside::<S>(iw)
                        } else {
                            lines.column::<S>(iw)
                        };
                        let (right, below_right) = (S::zip_rows(a, b), S::zip_rows(last, next));
                        let pairs = [above[0], above[1], right, below, below_right];
                        let mut sums = bias;
                        for (pairs, taps) in pairs.iter().zip(&taps) {
                            for (sum, (pairs, taps)) in sums.iter_mut().zip(pairs.iter().zip(taps))
                            {
                                *sum = S::dot(*pairs, *taps, *sum);
                            }
                        }
                        if relu {
                            sums = [S::relu(sums[0]), S::relu(sums[1])];
                        }
                        let at = (pixel - pixels.start) * ld + c;
                        S::store_row(to.add(at), count, sums);
                        above = [above[1], right];
                        below = below_right;
                        last = next;
                        pixel += 1;
                    }
                }
            }
        }
    }
}

/// The two vectors of numbers at `at`.
///
/// # Safety
/// The CPU has the instructions of `S`, and the numbers of two vectors can be read at `at`.
#[inline(always)]
unsafe fn two<S: Pairs<Bf16>>(at: *const f32) -> [S::Vector; 2] {
    let whole = S::span(S::LANES);
    // SAFETY: the caller has the instructions and the numbers.
    unsafe { [S::load_numbers(at, whole), S::load_numbers(at.add(S::LANES), whole)] }
}

/// The three lines of the image under a row of windows: the start of each, and the distance between its pixels.
///
/// Each line has `width` pixels of `count` channels, or reads the same zeros for all of them.
struct Lines<const RELU: bool> {
    lines: [(*const Bf16, usize); 3],
    width: usize,
    /// Channels that exist.
    count: usize,
}

impl<const RELU: bool> Lines<RELU> {
    /// The column `iw`.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`, and the column lies within the image.
    #[inline(always)]
    unsafe fn inside<S: Pairs<Bf16>>(&self, iw: usize) -> [S::Vector; 3] {
        // SAFETY: the caller has the instructions.
        let mut column = [unsafe { S::zero() }; 3];
        for (row, (line, step)) in column.iter_mut().zip(self.lines) {
            // SAFETY: the caller has the instructions and a column within the image.
            unsafe {
                let from = line.wrapping_add(iw * step);
                // The next channels of the row, which come into the cache for the next pass over the band.
                S::prefetch_near(from.wrapping_add(ROW).cast());
                *row = S::load_row(from, self.count);
                if RELU {
                    *row = S::relu_row(*row);
                }
            }
        }
        column
    }

    /// The column `iw`, zero beside the image.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`.
    #[inline(always)]
    unsafe fn column<S: Pairs<Bf16>>(&self, iw: usize) -> [S::Vector; 3] {
        // SAFETY: the caller has the instructions; the column is compared with the width first.
        unsafe { if iw < self.width { self.inside::<S>(iw) } else { [S::zero(); 3] } }
    }
}
