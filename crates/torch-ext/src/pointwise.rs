//! The channel half of a separable convolution: a 1×1 convolution is a matrix product over the pixels.
//!
//! libtorch's convolution kernels reach half of the CPU's matrix rate on such shapes, and in bf16 much less in the
//! backward pass. A matrix product reaches nearly all of it, three times: output, input gradient, weight gradient.

mod multiplier;

use tch::{Kind, Tensor};

use crate::FeatureMap;
use crate::autograd::{Incoming, record};
use crate::nhwc::{Nhwc, covers, laid_out};
use crate::product::Sizes;
use crate::subsample::every;

use multiplier::{Multiplier, pixels};

/// Convolves `xs: [N, c_in, H, W]` with `ws: [c_out, c_in, 1, 1]` at every `stride`-th pixel and adds `bs: [c_out]`.
///
/// Differentiable in all three. The weights may be fp32 where the map is bf16: the product is then of bf16 numbers,
/// added up in fp32, and the weights' gradient is fp32.
/// PyTorch: `F.conv2d(xs, ws, bs, stride)` with a 1×1 kernel.
pub fn pointwise_conv2d(
    xs: &FeatureMap,
    ws: &Tensor,
    bs: Option<&Tensor>,
    stride: [i64; 2],
) -> Tensor {
    let kind = xs.values().kind();
    if !(covers(xs.values()) && covers(ws)) {
        let [ws, bs] = [Some(ws), bs].map(|tensor| tensor.map(|tensor| tensor.to_kind(kind)));
        let ws = ws.expect("just wrapped");
        return xs.resolve().conv2d(&ws, bs.as_ref(), stride, [0, 0], [1, 1], 1);
    }
    let xs = match stride {
        [1, 1] => laid_out(&xs.resolve()),
        _ => every(xs, stride),
    };
    let input = Nhwc::of(&xs);
    let (c_in, shape) = (input.c as i64, ws.size());
    assert!(
        shape[1..] == [c_in, 1, 1],
        "expected kernels [c_out, {c_in}, 1, 1] for a map of {c_in} channels, got {shape:?}"
    );
    product(&xs, ws, bs, input)
}

/// Every pixel's channels times the matrix that `ws` is, and the way back.
fn product(xs: &Tensor, ws: &Tensor, bs: Option<&Tensor>, input: Nhwc) -> Tensor {
    let output = Nhwc { c: ws.size()[0] as usize, ..input };
    let sizes = Sizes { rows: input.pixels(), k: input.c, columns: output.c };
    let multiplier = Multiplier::fastest(xs.kind(), sizes);
    let matrix = multiplier.matrix(ws, xs.kind());
    let ys = tch::no_grad(|| {
        let ys = output.empty(xs);
        multiplier.forward(sizes, xs, &matrix, bs, &ys);
        ys
    });
    let inputs: Vec<&Tensor> = [xs, ws].into_iter().chain(bs).collect();
    let kinds: Vec<Kind> = inputs.iter().map(|input| input.kind()).collect();
    record(&inputs, &[&ys], &[xs, &matrix], move |Incoming { saved, gradients, needed }| {
        let Some(gradient) = &gradients[0] else { return kinds.iter().map(|_| None).collect() };
        let (gradient, xs, matrix) = (laid_out(gradient), &saved[0], &saved[1]);
        let parts = |index: usize| match index {
            0 => {
                let part = input.empty(xs);
                multiplier.input_gradient(sizes, &gradient, matrix, &part);
                part
            }
            1 => multiplier.weight_gradient(sizes, &gradient, xs).unsqueeze(-1).unsqueeze(-1),
            _ => pixels(&gradient, output.c).sum_dim_intlist(
                [0].as_slice(),
                false,
                sum_kind(kinds[index]),
            ),
        };
        (0..kinds.len())
            .map(|index| needed[index].then(|| parts(index).to_kind(kinds[index])))
            .collect()
    });
    ys
}

/// Biases are summed over many pixels: in fp32 at least.
fn sum_kind(kind: Kind) -> Kind {
    if kind == Kind::Double { kind } else { Kind::Float }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Output and gradients (map, weights, bias) as spelled by `convolve`.
    fn run(
        kind: Kind,
        tensors: &[Tensor; 3],
        convolve: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor,
    ) -> Vec<Tensor> {
        let leaf = |tensor: &Tensor, kind| tensor.to_kind(kind).copy().set_requires_grad(true);
        let weights = if kind == Kind::BFloat16 { Kind::Float } else { kind };
        let (xs, ws) = (leaf(&tensors[0], kind), leaf(&tensors[1], weights));
        let bs = leaf(&tensors[2], weights);
        let ys = convolve(&xs, &ws, &bs);
        let pull = Tensor::arange(ys.numel() as i64, (Kind::Double, Device::Cpu)).sin();
        let pulled = ys.to_kind(Kind::Double).flatten(0, -1) * pull;
        pulled.sum(Kind::Double).backward();
        assert_eq!(
            (xs.grad().kind(), ws.grad().kind(), bs.grad().kind()),
            (kind, weights, weights)
        );
        let results = [ys.detach(), xs.grad(), ws.grad(), bs.grad()];
        results.map(|tensor| tensor.to_kind(Kind::Double)).into()
    }

    #[test]
    fn products_agree_with_libtorchs_convolution() {
        tch::manual_seed(0);
        let geometries = [(1, 5, 4), (2, 5, 4), (2, 7, 7), (3, 8, 2), (1, 1, 1)];
        // Odd channels do not go in pairs.
        let channels = [(19, 23), (18, 24)];
        for ((stride, h, w), (c_in, c_out)) in geometries
            .into_iter()
            .flat_map(|geometry| channels.map(|channels| (geometry, channels)))
        {
            let noise = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
            let tensors =
                [noise(&[3, c_in, h, w]).relu(), noise(&[c_out, c_in, 1, 1]), noise(&[c_out])];
            let expected = run(Kind::Double, &tensors, |xs, ws, bs| {
                xs.relu().conv2d(ws, Some(bs), [stride; 2], [0, 0], [1, 1], 1)
            });
            for (kind, bound) in
                [(Kind::Double, 1e-12), (Kind::Float, 1e-5), (Kind::BFloat16, 0.02)]
            {
                let got = run(kind, &tensors, |xs, ws, bs| {
                    pointwise_conv2d(&FeatureMap::from(xs).relu(), ws, Some(bs), [stride; 2])
                });
                for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
                    assert_eq!(got.size(), expected.size());
                    let scale = expected.abs().max().double_value(&[]).max(1.0);
                    let off = (got - expected).abs().max().double_value(&[]) / scale;
                    assert!(off < bound, "{kind:?}, stride {stride}, result {index}: {off:e}");
                }
            }
        }
    }

    #[test]
    #[should_panic(
        expected = "expected kernels [c_out, 3, 1, 1] for a map of 3 channels, got [2, 4, 1, 1]"
    )]
    fn channels_that_do_not_fit_are_refused() {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let xs = FeatureMap::from(zeros(&[1, 3, 2, 2]));
        drop(pointwise_conv2d(&xs, &zeros(&[2, 4, 1, 1]), None, [1, 1]));
    }
}
