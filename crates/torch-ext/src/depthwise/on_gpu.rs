//! Depthwise convolution of a map on a GPU: 3×3 kernels of stride 1 that keep the size, which is all that Xception has.

use tch::{Kind, Tensor};

use super::DepthwiseGeometry;
use crate::FeatureMap;
use crate::autograd::{Incoming, record};
use crate::cast::in_kind;
use crate::cuda_kernels::{self, covers, expect};

/// The depthwise convolution of `xs` with `ws: [C, 1, 3, 3]`; `None` where libtorch has to compute it.
pub(super) fn depthwise_conv2d(
    xs: &FeatureMap,
    ws: &Tensor,
    bs: Option<&Tensor>,
    geometry: DepthwiseGeometry,
) -> Option<Tensor> {
    // First, because it answers at once for every map of a CPU.
    if !covers(xs.values()) {
        return None;
    }
    let (values, relu) = xs.values_and_relu()?;
    let DepthwiseGeometry { stride, padding, dilation, groups } = geometry;
    let same = stride == [1, 1] && padding == [1, 1] && dilation == [1, 1];
    let shape = [groups, 1, 3, 3];
    let fits = values.size()[1] == groups && ws.size() == shape && ws.device() == values.device();
    if !(same && fits && bs.is_none()) {
        return None;
    }
    let ws = in_kind(ws, Kind::BFloat16).contiguous();
    let ys = tch::no_grad(|| expect(cuda_kernels::depthwise_forward(values, &ws, relu)));
    record(&[values, &ws], &[&ys], &[values, &ws], move |Incoming { saved, gradients, needed }| {
        let Some(gradient) = &gradients[0] else { return vec![None, None] };
        let backward =
            cuda_kernels::depthwise_backward(&saved[0], &saved[1], gradient, relu, needed[0]);
        let (map, kernels) = expect(backward);
        vec![map, Some(kernels)]
    });
    Some(ys)
}
