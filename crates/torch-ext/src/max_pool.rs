//! Max-pooling of a channels-last map, with what is pending on the map applied on the way in.
//!
//! libtorch's kernel keeps 64-bit indices, eight bytes for a two-byte number; ours keeps the tap that won, in the
//! map's own kind. The backward pass asks each input pixel which windows it won, so no two threads write one pixel.

use tch::Tensor;

use crate::FeatureMap;
use crate::feature_map::{GradientSums, Prologue, backward_of_masked, pieces_of, record_on, total};
use crate::nhwc::{Nhwc, covers, elements, laid_out, with_element};
use crate::parallel::{Shared, for_each, for_each_range, piece};
use crate::simd::{Element, Kernel, Simd};

/// The largest window whose taps bf16 can number.
const LARGEST: i64 = 15;

/// How a square window moves over the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolGeometry {
    /// Rows and columns of the window.
    pub kernel: i64,
    /// Pixels between two windows.
    pub stride: i64,
    /// Rows above and columns left of the picture that the first window covers; they never win.
    pub before: [i64; 2],
    /// Rows and columns that come out.
    pub output: [i64; 2],
}

/// The largest value under each window; `None` where our kernels do not compute on such a map.
///
/// `[N, C, H, W]` to `[N, C, H', W']`. Of equal values the first wins, and NaN wins over all, as in libtorch.
/// Panics where a window would lie outside the picture.
pub fn max_pool2d(xs: &FeatureMap, geometry: PoolGeometry) -> Option<Tensor> {
    let PoolGeometry { kernel, stride, before, output } = geometry;
    if !covers(xs.values()) || !(1..=LARGEST).contains(&kernel) {
        return None;
    }
    let input = Nhwc::of(xs.values());
    for (axis, pixels) in [(0, input.h as i64), (1, input.w as i64)] {
        let last = (output[axis] - 1) * stride - before[axis];
        assert!(
            stride > 0 && (0..kernel).contains(&before[axis]) && output[axis] > 0 && last < pixels,
            "expected every window of {geometry:?} to cover a part of {pixels} pixels"
        );
    }
    let [h, w] = output.map(|size| size as usize);
    let plan = Plan {
        input,
        output: Nhwc { h, w, ..input },
        kernel: kernel as usize,
        stride: stride as usize,
        before: before.map(|size| size as usize),
    };
    let learns = xs.inputs().iter().any(|input| input.requires_grad());
    let (ys, winners) = tch::no_grad(|| {
        let xs = xs.tail().of(&laid_out(&xs.values().detach()));
        let ys = plan.output.empty(xs.values());
        let winners = learns.then(|| plan.output.empty(xs.values()));
        with_element!(ys.kind(), E => forward::<E>(&xs, &ys, winners.as_ref(), plan));
        (ys, winners)
    });
    let Some(winners) = winners else { return Some(ys) };
    record_on(&[xs], &[], &[&winners], &ys, move |maps, kept, gradient, _| {
        with_element!(gradient.kind(), E => {
            let (map, sums) = backward::<E>(&maps[0], &kept[0], gradient, plan);
            backward_of_masked::<E>(&maps[0], map, sums.as_ref())
        })
    });
    Some(ys)
}

#[derive(Clone, Copy)]
struct Plan {
    input: Nhwc,
    output: Nhwc,
    kernel: usize,
    stride: usize,
    before: [usize; 2],
}

fn forward<E: Element>(xs: &FeatureMap, ys: &Tensor, winners: Option<&Tensor>, plan: Plan) {
    let (values, to, winners) = (elements(xs.values()), elements(ys), winners.map(elements));
    let (prologue, rows) = (xs.prologue::<E>(), plan.output.rows());
    for_each_range(rows, &|rows| match winners {
        Some(winners) => {
            E::run(Forward::<E, true> { values, to, winners, prologue, plan, rows });
        }
        None => {
            let winners = Shared(std::ptr::null_mut());
            E::run(Forward::<E, false> { values, to, winners, prologue, plan, rows });
        }
    });
}

/// The largest values and, if they are to be `KEPT` for the way back, which tap won.
struct Forward<E: Element, const KEPT: bool> {
    values: Shared<E>,
    to: Shared<E>,
    winners: Shared<E>,
    prologue: Prologue<E::Number>,
    plan: Plan,
    rows: std::ops::Range<usize>,
}

impl<E: Element, const KEPT: bool> Kernel<E> for Forward<E, KEPT> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, to, winners, prologue, plan, rows } = self;
        let Plan { input, output, kernel, stride, before } = plan;
        let channels = input.c;
        for (row, ow) in rows.flat_map(|row| (0..output.w).map(move |ow| (row, ow))) {
            let (n, oh) = (row / output.h, row % output.h);
            let span_of = |position: usize, before: usize, pixels: usize| {
                let start = position * stride;
                start.saturating_sub(before)..(start + kernel - before).min(pixels)
            };
            let (lines, columns) =
                (span_of(oh, before[0], input.h), span_of(ow, before[1], input.w));
            for c in (0..channels).step_by(S::LANES) {
                let span = S::span(channels - c);
                // SAFETY: lines and columns lie within the map, channels within the span.
                unsafe {
                    let mut best = S::splat(f64::NEG_INFINITY);
                    let mut winner = S::splat(-1.0);
                    for (ih, iw) in
                        lines.clone().flat_map(|ih| columns.clone().map(move |iw| (ih, iw)))
                    {
                        let at = ((n * input.h + ih) * input.w + iw) * channels + c;
                        let x = prologue.apply::<E, S>(S::load(values.0.add(at), span), c, span);
                        if KEPT {
                            let tap = (ih + before[0] - oh * stride) * kernel + iw + before[1]
                                - ow * stride;
                            winner = S::where_greater(x, best, S::splat(tap as f64), winner);
                        }
                        best = S::where_greater(x, best, x, best);
                    }
                    let at = (row * output.w + ow) * channels + c;
                    S::store(to.0.add(at), span, best);
                    if KEPT {
                        S::store(winners.0.add(at), span, winner);
                    }
                }
            }
        }
    }
}

/// The gradient in what the map resolves to, cut off at its ReLU, and its sums for a normalisation.
fn backward<E: Element>(
    xs: &FeatureMap,
    winners: &Tensor,
    gradient: &Tensor,
    plan: Plan,
) -> (Tensor, Option<GradientSums>) {
    let (channels, rows) = (plan.input.c, plan.input.rows());
    let pieces = pieces_of(plan.input.pixels()).min(rows);
    let mut partial = vec![E::Number::default(); pieces * 2 * channels];
    let map = plan.input.empty(xs.values());
    let (values, winners, gradients) =
        (elements(xs.values()), elements(winners), elements(gradient));
    let (to, prologue, mean) = (elements(&map), xs.prologue::<E>(), xs.mean());
    let sums = Shared(partial.as_mut_ptr());
    for_each(pieces, &|index| {
        // SAFETY: each piece has sums of its own.
        let sums = unsafe { sums.offset(index * 2 * channels) };
        let rows = piece(rows, pieces, index);
        E::run(Backward::<E> { values, winners, gradients, to, prologue, mean, sums, plan, rows });
    });
    let row = |row| total(&partial, pieces, 2 * channels, row * channels, channels);
    (map, mean.map(|_| GradientSums { gradient: row(0), product: row(1) }))
}

struct Backward<E: Element> {
    values: Shared<E>,
    winners: Shared<E>,
    gradients: Shared<E>,
    to: Shared<E>,
    prologue: Prologue<E::Number>,
    mean: Option<Shared<E::Number>>,
    sums: Shared<E::Number>,
    plan: Plan,
    rows: std::ops::Range<usize>,
}

impl<E: Element> Kernel<E> for Backward<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let Self { values, winners, gradients, to, prologue, mean, sums, plan, rows } = self;
        let Plan { input, output, kernel, stride, before } = plan;
        let channels = input.c;
        // The windows over a line: from the first that reaches it to the last that starts at or ahead of it.
        let windows = |position: usize, before: usize, count: usize| {
            let end = position + before;
            (end + 1).saturating_sub(kernel).div_ceil(stride)..(end / stride + 1).min(count)
        };
        for (row, iw) in rows.flat_map(|row| (0..input.w).map(move |iw| (row, iw))) {
            let (n, ih) = (row / input.h, row % input.h);
            let lines = windows(ih, before[0], output.h);
            let columns = windows(iw, before[1], output.w);
            for c in (0..channels).step_by(S::LANES) {
                let (span, at) = (S::span(channels - c), (row * input.w + iw) * channels + c);
                // SAFETY: lines and columns lie within the maps, channels within the span.
                unsafe {
                    let mut g = S::zero();
                    for (oh, ow) in
                        lines.clone().flat_map(|oh| columns.clone().map(move |ow| (oh, ow)))
                    {
                        let tap =
                            (ih + before[0] - oh * stride) * kernel + iw + before[1] - ow * stride;
                        let from = ((n * output.h + oh) * output.w + ow) * channels + c;
                        let winner = S::load(winners.0.add(from), span);
                        let incoming = S::load(gradients.0.add(from), span);
                        g = S::add(g, S::where_equal(winner, S::splat(tap as f64), incoming));
                    }
                    if prologue.relu || mean.is_some() {
                        let raw = S::load(values.0.add(at), span);
                        if prologue.relu {
                            g = S::where_positive(prologue.apply::<E, S>(raw, c, span), g);
                        }
                        if let Some(mean) = mean {
                            let centred = S::sub(raw, S::load_numbers(mean.0.add(c), span));
                            let (sum, product) = (sums.0.add(c), sums.0.add(channels + c));
                            S::store_numbers(sum, span, S::add(S::load_numbers(sum, span), g));
                            let so_far = S::load_numbers(product, span);
                            S::store_numbers(product, span, S::fma(g, centred, so_far));
                        }
                    }
                    S::store(to.0.add(at), span, g);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::simd::tests::on_every_set;
    use crate::{BatchNorm, Statistics};

    /// Pool and gradients (map, scale, shift) as spelled by `pool`.
    fn run(xs: &Tensor, kind: Kind, pool: impl Fn(&Tensor, &[Tensor; 2]) -> Tensor) -> Vec<Tensor> {
        let xs = xs.to_kind(kind).detach().copy().set_requires_grad(true);
        let ramp = Tensor::arange(xs.size()[1], (kind, Device::Cpu)) * 0.1;
        // Both signs: under a negative scale the smallest value wins.
        let affine = [&ramp - 0.65, ramp * 0.3].map(|tensor| tensor.set_requires_grad(true));
        let ys = pool(&xs, &affine);
        let pull = Tensor::arange(ys.numel() as i64, (kind, Device::Cpu)).sin();
        (&ys * pull.view(ys.size().as_slice())).sum(kind).backward();
        let gradients = [&xs, &affine[0], &affine[1]].map(Tensor::grad);
        std::iter::once(ys.detach()).chain(gradients).filter(Tensor::defined).collect()
    }

    #[track_caller]
    fn check(shape: [i64; 4], kernel: i64, stride: i64, padding: i64, normalise: bool) {
        let xs = Tensor::randn(shape, (Kind::Double, Device::Cpu));
        let expected = run(&xs, Kind::Double, |xs, [scale, shift]| {
            let none = None::<&Tensor>;
            let xs = match normalise {
                true => xs
                    .batch_norm(Some(scale), Some(shift), none, none, true, 0.1, 1e-5, false)
                    .relu(),
                false => xs.shallow_clone(),
            };
            xs.max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1, 1], false)
        });
        let output = [2, 3].map(|axis| (shape[axis] + 2 * padding - kernel) / stride + 1);
        let geometry = PoolGeometry { kernel, stride, before: [padding; 2], output };
        let ours = |kind| {
            run(&xs, kind, |xs, [scale, shift]| {
                let map = match normalise {
                    true => {
                        let running = [scale.zeros_like(), scale.ones_like()].map(|t| t.detach());
                        let norm = BatchNorm {
                            weight: scale,
                            bias: shift,
                            running_mean: &running[0],
                            running_var: &running[1],
                            momentum: 0.1,
                            eps: 1e-5,
                            correction: 1.0,
                        };
                        let (xs, statistics) = (xs.shallow_clone(), Statistics::OfBatch);
                        FeatureMap::batch_normalized(xs, &norm, statistics).unwrap().relu()
                    }
                    false => FeatureMap::from(xs),
                };
                max_pool2d(&map, geometry).unwrap()
            })
        };
        let agree = |got: Vec<Tensor>, bound: f64, what: &str| {
            assert_eq!(got.len(), expected.len());
            for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
                let distance = (got - expected).abs().max().double_value(&[]);
                assert!(
                    distance < bound,
                    "{what}, result {index}: off by {distance:e} at {shape:?} {geometry:?}"
                );
            }
        };
        agree(ours(Kind::Double), 1e-10, "fp64");
        on_every_set(|set| agree(ours(Kind::Float), 1e-4, &format!("{set:?}")));
    }

    #[test]
    fn windows_agree_with_libtorch() {
        tch::manual_seed(0);
        for normalise in [false, true] {
            check([2, 19, 13, 12], 3, 2, 1, normalise);
            check([3, 16, 7, 9], 3, 1, 1, normalise);
            check([2, 5, 8, 8], 2, 2, 0, normalise);
            check([2, 3, 11, 10], 5, 3, 2, normalise);
        }
    }

    #[test]
    fn the_first_of_equal_values_and_nan_win() {
        let geometry = PoolGeometry { kernel: 3, stride: 2, before: [1, 1], output: [2, 2] };
        let xs =
            Tensor::from_slice(&[1_f32, 1., 1., 1., f32::NAN, 1., 1., 1., 1.]).view([1, 1, 3, 3]);
        let ours = max_pool2d(&FeatureMap::from(&xs), geometry).unwrap();
        assert!(ours.isnan().all().int64_value(&[]) == 1, "{ours}");
        let flat = Tensor::ones([1, 1, 4, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let gradient = |pool: &dyn Fn(&Tensor) -> Tensor| {
            Tensor::run_backward(&[pool(&flat).sum(Kind::Float)], &[&flat], false, false).remove(0)
        };
        let ours = gradient(&|xs| max_pool2d(&FeatureMap::from(xs), geometry).unwrap());
        assert!(ours.equal(&gradient(&|xs| xs.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false))));
    }
}
