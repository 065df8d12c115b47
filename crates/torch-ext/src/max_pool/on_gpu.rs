//! Max-pooling of a map on a GPU.

use tch::Tensor;

use super::PoolGeometry;
use crate::FeatureMap;
use crate::autograd::{Incoming, record};
use crate::cuda_kernels::{self, Window, expect};

/// The max-pool of `xs`, a map that the kernels cover, in windows of at most 15 pixels that each cover a part of it.
pub(super) fn max_pool2d(xs: &FeatureMap, geometry: PoolGeometry) -> Tensor {
    let xs = xs.resolve();
    let PoolGeometry { kernel, stride, before, output } = geometry;
    let window = Window { kernel, stride, before, output };
    let (ys, winners) = tch::no_grad(|| expect(cuda_kernels::max_pool_forward(&xs, window)));
    record(&[&xs], &[&ys], &[&xs, &winners], move |Incoming { saved, gradients, .. }| {
        let gradient = gradients[0].as_ref();
        let backward = |gradient| {
            expect(cuda_kernels::max_pool_backward(&saved[0], &saved[1], gradient, window))
        };
        vec![gradient.map(backward)]
    });
    ys
}
