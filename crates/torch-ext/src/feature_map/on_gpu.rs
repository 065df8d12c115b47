//! Batch norm in training of a map on a GPU.

use tch::{Kind, Tensor};

use super::BatchNorm;
use crate::autograd::{Incoming, record};
use crate::channels_last;
use crate::cuda_kernels::{self, Running, expect};

/// The batch normalisation in training of `xs`, a map that the kernels cover, whose statistics enter the running ones; `None`
/// where libtorch has to compute it.
///
/// The statistics are ours, the rest is libtorch's: its kernels for that come near to the memory's speed.
pub(super) fn batch_norm(xs: &Tensor, norm: &BatchNorm) -> Option<Tensor> {
    let c = xs.size()[1];
    let fits = |tensor: &Tensor| {
        tensor.size() == [c]
            && tensor.kind() == Kind::Float
            && tensor.device() == xs.device()
            && tensor.is_contiguous()
    };
    if !norm.tensors().iter().all(|(_, tensor)| tensor.defined() && fits(tensor)) {
        return None;
    }
    let running = Running {
        mean: norm.running_mean,
        variance: norm.running_var,
        momentum: norm.momentum,
        correction: norm.correction,
    };
    let (ys, mean, inverse_deviation) = tch::no_grad(|| {
        let (mean, inverse_deviation) =
            expect(cuda_kernels::norm_statistics(xs, running, norm.eps));
        let ys = xs.batch_norm_elemt(
            Some(norm.weight),
            Some(norm.bias),
            &mean,
            &inverse_deviation,
            norm.eps,
        );
        (ys, mean, inverse_deviation)
    });
    let saved = [xs, &mean, &inverse_deviation, norm.weight];
    record(
        &[xs, norm.weight, norm.bias],
        &[&ys],
        &saved,
        |Incoming { saved, gradients, .. }| {
            let [xs, mean, inverse_deviation, weight] = saved else {
                unreachable!("the graph returns as many tensors as were saved")
            };
            let Some(gradient) = &gradients[0] else { return vec![None, None, None] };
            let gradient = expect(channels_last(gradient));
            // tch makes the map the receiver of both, though the gradient is libtorch's first argument.
            let (sum, product, of_weight, of_bias) = xs.batch_norm_backward_reduce(
                &gradient,
                mean,
                inverse_deviation,
                Some(weight),
                true,
                true,
                true,
            );
            let size = xs.size();
            let pixels = size[0] * size[2] * size[3];
            let count = Tensor::full([1], pixels, (Kind::Int, xs.device()));
            let of_map = xs.batch_norm_backward_elemt(
                &gradient,
                mean,
                inverse_deviation,
                Some(weight),
                &sum,
                &product,
                &count,
            );
            vec![Some(of_map), Some(of_weight), Some(of_bias)]
        },
    );
    Some(ys)
}
