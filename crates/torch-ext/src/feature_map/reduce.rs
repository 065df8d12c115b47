//! Gradients in a map, and the sums over its pixels that the gradient of a normalisation needs.

use std::mem::MaybeUninit;
use std::ops::Range;

use tch::Tensor;

use super::sums::{add_to, bands, sums, sums_by_row};
use super::{GradientSums, PendingMap, Prologue, backward_of_masked};
use crate::simd::{Element, Kernel, Simd};
use crate::view::{NewMap, View, ViewMut};

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
