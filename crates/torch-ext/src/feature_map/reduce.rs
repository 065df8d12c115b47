//! Sums over all pixels, channel by channel: batch statistics, and the sums that the gradient of a normalisation needs.
//!
//! Sums are built in fp32 over a few dozen pixels, those over a piece of the map, and the pieces in fp64. The pieces
//! are the same for any number of threads, so the sums are too.

use std::mem::MaybeUninit;
use std::ops::Range;

use tch::Tensor;

use super::{GradientSums, PendingMap, Prologue, backward_of_masked};
use crate::nhwc::Nhwc;
use crate::parallel::{Cut, for_each_of, piece};
use crate::simd::{Element, Kernel, Number, Simd};
use crate::view::{NewMap, View, ViewMut};

/// Pieces that `pixels` are cut into where sums are formed: enough for the threads of a large machine, and few enough
/// that adding them up costs little beside forming them. They depend on the map's size alone.
fn pieces_of(pixels: usize) -> usize {
    (pixels / 64).clamp(2, 64).min(pixels)
}

/// Bytes that are walked channel vector by channel vector; they fit the first-level cache.
const BAND: usize = 16 << 10;

/// Mean and biased variance of each channel of `xs`, which is laid out; zeros of an empty map.
pub(super) fn moments<E: Element>(xs: &Tensor) -> (Vec<f64>, Vec<f64>) {
    let values = View::<E>::of(xs);
    let (pixels, c) = (values.sizes().pixels(), values.sizes().c);
    // Deviations are counted from the first pixel: sums of squares of raw values lose the variance of a map that
    // lies far from zero.
    let mut pivot = vec![E::Number::default(); c];
    if pixels > 0 {
        E::run(FirstPixel::<E>::new(values, &mut pivot));
    }
    let [sums, squares] = sums(pixels, c, |range, [sums, squares]| {
        E::run(Deviations::<E>::new(values, &pivot, range, sums, squares));
    });
    let count = pixels.max(1) as f64;
    let mut mean = Vec::with_capacity(c);
    let mut variance = Vec::with_capacity(c);
    for ((sum, square), pivot) in sums.iter().zip(&squares).zip(&pivot) {
        let deviation = sum / count;
        mean.push(pivot.to_f64() + deviation);
        variance.push((square / count - deviation * deviation).max(0.0));
    }
    (mean, variance)
}

/// The first pixel of a map, in the type that the kernels compute in.
struct FirstPixel<'a, E: Element> {
    from: View<'a, E>,
    to: &'a mut [E::Number],
}

impl<'a, E: Element> FirstPixel<'a, E> {
    fn new(from: View<'a, E>, to: &'a mut [E::Number]) -> Self {
        let sizes = from.sizes();
        assert!(sizes.pixels() > 0 && to.len() == sizes.c, "expected a pixel of {sizes:?}");
        Self { from, to }
    }
}

// SAFETY: `new` has found a pixel, and as many places as its channels.
unsafe impl<E: Element> Kernel<E> for FirstPixel<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let (from, to, channels) = (self.from.start(), self.to.as_mut_ptr(), self.to.len());
        for c in (0..channels).step_by(S::LANES) {
            let span = S::span(channels - c);
            // SAFETY: the CPU has the instructions; the span ends with the channels.
            unsafe { S::store_numbers(to.add(c), span, S::load(from.add(c), span)) };
        }
    }
}

/// Calls `kernel` for each piece of the pixels with `K` rows of `c` zeros to add to; returns the totals.
fn sums<N: Number, const K: usize>(
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

/// The gradients in a map's inputs, from a kernel that writes the one in the tensor that the map resolves to.
///
/// `kernel` receives rows of the map, the place for all of their pixels, and the last step before a gradient goes there.
pub(crate) fn gradients_by_row<E: Element>(
    map: &PendingMap,
    kernel: impl Fn(Range<usize>, &mut [MaybeUninit<E>], IntoMap<'_, E>) + Sync,
) -> Vec<Option<Tensor>> {
    let mut gradient = NewMap::empty(map.sizes(), map.values());
    let (mean, relu, c) = (map.mean(), map.relu(), map.sizes().c);
    let totals = sums_by_row(ViewMut::of(&mut gradient), 2, |rows, to, sums| {
        kernel(rows, to, IntoMap::new(relu, mean, sums, c));
    });
    let sums = mean.map(|_| GradientSums::of(totals));
    backward_of_masked::<E>(map, gradient.into_tensor(), sums.as_ref())
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

/// Adds the deviations from `pivot` and their squares over `range`.
struct Deviations<'a, E: Element> {
    values: View<'a, E>,
    pivot: &'a [E::Number],
    range: Range<usize>,
    sums: &'a mut [E::Number],
    squares: &'a mut [E::Number],
}

impl<'a, E: Element> Deviations<'a, E> {
    fn new(
        values: View<'a, E>,
        pivot: &'a [E::Number],
        range: Range<usize>,
        sums: &'a mut [E::Number],
        squares: &'a mut [E::Number],
    ) -> Self {
        let sizes = values.sizes();
        assert!(
            range.end <= sizes.pixels() && [pivot.len(), sums.len(), squares.len()] == [sizes.c; 3],
            "expected a number for each of {} channels",
            sizes.c
        );
        Self { values, pivot, range, sums, squares }
    }
}

// SAFETY: `new` has compared the pixels and channels of all lists.
unsafe impl<E: Element> Kernel<E> for Deviations<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, pivot, range, sums, squares } = self;
        let (channels, values, pivot) = (pivot.len(), values.start(), pivot.as_ptr());
        let (sums, squares) = (sums.as_mut_ptr(), squares.as_mut_ptr());
        for band in bands::<E>(range, channels) {
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: the CPU has the instructions; pixels are of the range, and the span ends with the channels.
                unsafe {
                    let pivot = S::load_numbers(pivot.add(c), span);
                    let (mut sum, mut square) = (S::zero(), S::zero());
                    for pixel in band.clone() {
                        let x = S::load(values.add(pixel * channels + c), span);
                        let deviation = S::sub(x, pivot);
                        sum = S::add(sum, deviation);
                        square = S::fma(deviation, deviation, square);
                    }
                    add_to::<E, S>(sums.add(c), span, sum);
                    add_to::<E, S>(squares.add(c), span, square);
                }
            }
        }
    }
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

/// The last step before a kernel writes a gradient in the map that it read.
pub(crate) struct IntoMap<'a, E: Element> {
    relu: bool,
    /// Of the values, where they are normalised: the gradient and its product with the centred value are added up.
    mean: Option<&'a [E::Number]>,
    /// Both sums, `[2, C]`.
    sums: &'a mut [E::Number],
    channels: usize,
}

impl<'a, E: Element> IntoMap<'a, E> {
    /// For a map of `channels` channels; `sums` is `[2, C]`.
    ///
    /// # Panics
    /// Where a list has another length.
    pub(crate) fn new(
        relu: bool,
        mean: Option<&'a [E::Number]>,
        sums: &'a mut [E::Number],
        channels: usize,
    ) -> Self {
        assert!(
            mean.is_none_or(|mean| mean.len() == channels) && sums.len() == 2 * channels,
            "expected a mean and two sums for each of {channels} channels"
        );
        Self { relu, mean, sums, channels }
    }

    /// Whether it is for a map of `channels` channels.
    pub(crate) fn fits(&self, channels: usize) -> bool {
        self.channels == channels
    }

    /// `g` cut off at the ReLU, added to the sums. `raw` is the value as stored, `x` the value that the kernel read.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`, and the span at channel `c` lies within the channels that [`Self::fits`]
    /// accepts.
    #[inline(always)]
    pub(crate) unsafe fn pass<S: Simd<E>>(
        &mut self,
        g: S::Vector,
        [raw, x]: [S::Vector; 2],
        c: usize,
        span: S::Span,
    ) -> S::Vector {
        // SAFETY: the caller has the instructions, and `new` as many numbers in each list as the span reaches.
        unsafe {
            // The ReLU's result is positive where its argument was.
            let g = if self.relu { S::where_positive(x, g) } else { g };
            if let Some(mean) = self.mean {
                let centred = S::sub(raw, S::load_numbers(mean.as_ptr().add(c), span));
                let sums = self.sums.as_mut_ptr();
                add_to::<E, S>(sums.add(c), span, g);
                add_to::<E, S>(sums.add(self.channels + c), span, S::mul(g, centred));
            }
            g
        }
    }
}

/// Cuts `range` into runs of pixels that fit a cache.
fn bands<E: Element>(range: Range<usize>, channels: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (BAND / (channels * size_of::<E>()).max(1)).max(4);
    let end = range.end;
    range.step_by(step).map(move |start| start..(start + step).min(end))
}

/// The sums of `gradient`, cut off at the map's ReLU, and of its product with the centred values.
pub(super) fn gradient_sums<E: Element>(map: &PendingMap, gradient: &Tensor) -> GradientSums {
    let mean = map.mean().expect("only a normalisation needs sums");
    let maps = [map.view::<E>(), View::of(gradient)];
    let (sizes, prologue) = (map.sizes(), map.prologue());
    let [gradient, product] = sums(sizes.pixels(), sizes.c, |range, sums| {
        E::run(Products::<E>::new(maps, mean, prologue, range, sums));
    });
    GradientSums { gradient, product }
}

struct Products<'a, E: Element> {
    values: View<'a, E>,
    gradients: View<'a, E>,
    mean: &'a [E::Number],
    prologue: Prologue<'a, E::Number>,
    range: Range<usize>,
    sums: &'a mut [E::Number],
    products: &'a mut [E::Number],
}

impl<'a, E: Element> Products<'a, E> {
    fn new(
        [values, gradients]: [View<'a, E>; 2],
        mean: &'a [E::Number],
        prologue: Prologue<'a, E::Number>,
        range: Range<usize>,
        [sums, products]: [&'a mut [E::Number]; 2],
    ) -> Self {
        let sizes = values.sizes();
        assert!(
            gradients.sizes() == sizes
                && range.end <= sizes.pixels()
                && prologue.fits(sizes.c)
                && [mean.len(), sums.len(), products.len()] == [sizes.c; 3],
            "expected a gradient of {sizes:?} and statistics of {} channels, got {:?}",
            sizes.c,
            gradients.sizes()
        );
        Self { values, gradients, mean, prologue, range, sums, products }
    }
}

// SAFETY: `new` has compared the pixels and channels of all lists.
unsafe impl<E: Element> Kernel<E> for Products<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, gradients, mean, prologue, range, sums, products } = self;
        let channels = mean.len();
        let (values, gradients, mean) = (values.start(), gradients.start(), mean.as_ptr());
        let (sums, products) = (sums.as_mut_ptr(), products.as_mut_ptr());
        let (scale, shift) = prologue.affine().expect("a normalisation has a scale");
        for band in bands::<E>(range, channels) {
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: the CPU has the instructions; pixels are of the range, and the span ends with the channels.
                unsafe {
                    let mean = S::load_numbers(mean.add(c), span);
                    let scale = S::load_numbers(scale.add(c), span);
                    let shift = S::load_numbers(shift.add(c), span);
                    let (mut sum, mut product) = (S::zero(), S::zero());
                    for pixel in band.clone() {
                        let at = pixel * channels + c;
                        let x = S::load(values.add(at), span);
                        let mut g = S::load(gradients.add(at), span);
                        if prologue.relu() {
                            g = S::where_positive(S::fma(x, scale, shift), g);
                        }
                        sum = S::add(sum, g);
                        product = S::fma(g, S::sub(x, mean), product);
                    }
                    add_to::<E, S>(sums.add(c), span, sum);
                    add_to::<E, S>(products.add(c), span, product);
                }
            }
        }
    }
}
