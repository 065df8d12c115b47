//! Grouped spatial convolution, the depthwise half of a separable one.
//!
//! One function for every caller. Where each channel has its own kernels and the map is on the CPU, our kernels compute
//! it: channels are the vector, so any kernel size costs its taps and nothing else, and the operations that are pending
//! on the map are applied on the way in. libtorch computes everything else.

mod backward;
mod forward;
mod geometry;
mod on_gpu;
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "only AVX512-BF16 multiplies pairs")
)]
mod outputs;
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "only AVX512-BF16 multiplies pairs")
)]
mod paired;

use tch::Tensor;

use crate::FeatureMap;
use crate::cast::in_kind;
use crate::channel_values::{self, number_kind};
use crate::feature_map::{backward_of_masked, record_on};
use crate::nhwc::{covers, with_element};
use crate::simd::{Element, Number};

pub(crate) use forward::pixels_of;
pub use geometry::DepthwiseGeometry;
pub(crate) use geometry::Plan;
pub(crate) use outputs::Outputs;
pub(crate) use paired::PairedTaps;

/// Convolves `xs: [N, c_in, H, W]` with `ws: [c_out, c_in / groups, kh, kw]` and adds `bs: [c_out]`:
/// `[N, c_out, H', W']`.
///
/// Differentiable in all three; there is no second derivative where our kernels compute. The weights may be fp32 where
/// the map is bf16: sums are fp32 in any case.
/// PyTorch: `F.conv2d(xs, ws, bs, stride, padding, dilation, groups)`.
///
/// # Panics
/// Where kinds, devices or shapes do not fit, or the geometry is out of range, as every tch operator does. In the
/// backward pass, which reads `xs` and `ws` again, these are errors of libtorch.
pub fn depthwise_conv2d(
    xs: &FeatureMap,
    ws: &Tensor,
    bs: Option<&Tensor>,
    geometry: DepthwiseGeometry,
) -> Tensor {
    let plan = geometry.plan(xs.values(), ws, bs);
    let (c_in, c_out) = (xs.size()[1], ws.size()[0]);
    if let Some(ys) = on_gpu::depthwise_conv2d(xs, ws, bs, geometry) {
        return ys;
    }
    if !(geometry.groups == c_in && covers(xs.values()) && covers(ws)) {
        let xs = xs.resolve();
        let ws = in_kind(ws, xs.kind());
        let bs = bs.map(|bs| in_kind(bs, xs.kind()));
        let DepthwiseGeometry { stride, padding, dilation, groups } = geometry;
        return xs.conv2d(&ws, bs.as_ref(), stride, padding, dilation, groups);
    }
    match c_out / c_in {
        1 => one_kernel_a_channel(xs, ws, bs, plan),
        multiplier => {
            let xs = FeatureMap::from(xs.resolve());
            let of_each =
                |tensor: &Tensor, index| tensor.slice(0, index, None, multiplier).contiguous();
            // Output channel c * multiplier + m is channel c under its m-th kernel.
            let parts: Vec<Tensor> = (0..multiplier)
                .map(|m| {
                    let bs = bs.map(|bs| of_each(bs, m));
                    one_kernel_a_channel(&xs, &of_each(ws, m), bs.as_ref(), plan)
                })
                .collect();
            Tensor::stack(&parts, 2).flatten(1, 2)
        }
    }
}

fn one_kernel_a_channel(xs: &FeatureMap, ws: &Tensor, bs: Option<&Tensor>, plan: Plan) -> Tensor {
    with_element!(xs.values().kind(), E => run::<E>(xs, ws, bs, plan))
}

fn run<E: Element>(xs: &FeatureMap, ws: &Tensor, bs: Option<&Tensor>, plan: Plan) -> Tensor {
    let taps: Vec<E::Number> = taps_by_channel(ws);
    let ys = tch::no_grad(|| {
        let bs = bs.map(|bs| channel_values::read_channels(bs, plan.output.c));
        forward::run::<E>(&xs.laid_out(), &taps, bs.as_deref(), &plan)
    });
    let more: Vec<&Tensor> = std::iter::once(ws).chain(bs).collect();
    // The graph keeps the weights beside the taps, so that libtorch notices if they are written to in between.
    record_on(&[xs], &more, &[], &ys, move |maps, weights, gradient, needed| {
        let (xs, ws) = (&maps[0], &weights[0]);
        let backward::Gradients { map, taps, sums } =
            backward::run::<E>(xs, &taps, gradient, &plan);
        let mut gradients = backward_of_masked::<E>(xs, map, sums.as_ref());
        let taps = turned(&taps, plan.input.c);
        gradients.push(Some(channel_values::tensor(&taps, &ws.size(), ws.kind())));
        if let Some(bs) = weights.get(1) {
            let asked = needed.last() == Some(&true);
            let sum =
                || gradient.sum_dim_intlist([0, 2, 3].as_slice(), false, number_kind(gradient));
            gradients.push(asked.then(|| sum().to_kind(bs.kind())));
        }
        gradients
    });
    ys
}

/// The kernels as `[kh * kw, C]`: the channels of a tap are neighbours, as they are in the map.
fn taps_by_channel<N: Number>(ws: &Tensor) -> Vec<N> {
    let kernels = channel_values::read(ws);
    let taps = kernels.len() / (ws.size()[0] as usize).max(1);
    turned(&kernels, taps)
}

/// The transpose of a matrix of rows of `columns` numbers.
fn turned<N: Number>(matrix: &[N], columns: usize) -> Vec<N> {
    let mut turned = vec![N::default(); matrix.len()];
    let rows = matrix.len() / columns.max(1);
    for (row, numbers) in matrix.chunks_exact(columns.max(1)).enumerate() {
        for (column, number) in numbers.iter().enumerate() {
            turned[column * rows + row] = *number;
        }
    }
    turned
}

#[cfg(test)]
mod tests;
