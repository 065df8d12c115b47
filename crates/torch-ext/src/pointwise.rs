//! The channel half of a separable convolution: a 1×1 convolution is a matrix product over the pixels.
//!
//! libtorch's convolution kernels reach half of the CPU's matrix rate on such shapes, and in bf16 much less in the
//! backward pass. A matrix product reaches nearly all of it, three times: output, input gradient, weight gradient.

mod multiplier;

use tch::{Kind, Tensor};

use crate::FeatureMap;
use crate::autograd::{Incoming, record};
use crate::cast::in_kind;
use crate::dense::{described, expect_floating, is_floating};
use crate::matrix_product::Sizes;
use crate::nhwc::{Nhwc, covers, laid_out};
use crate::subsample::every;

use multiplier::{Multiplier, pixels};

/// Convolves `xs: [N, c_in, H, W]` with `ws: [c_out, c_in, 1, 1]` at every `stride`-th pixel and adds `bs: [c_out]`:
/// `[N, c_out, ⌈H / stride⌉, ⌈W / stride⌉]`.
///
/// Differentiable in all three; there is no second derivative where our kernels compute. The weights may be fp32 where
/// the map is bf16: the product is then of bf16 numbers, added up in fp32, and the weights' gradient is fp32.
/// PyTorch: `F.conv2d(xs, ws, bs, stride)` with a 1×1 kernel.
///
/// # Panics
/// Where kinds, devices or shapes do not fit, or a stride is not positive. In the backward pass, which reads `xs` and
/// `ws` again, these are errors of libtorch.
pub fn pointwise_conv2d(
    xs: &FeatureMap,
    ws: &Tensor,
    bs: Option<&Tensor>,
    stride: [i64; 2],
) -> Tensor {
    expect_fits(xs.values(), ws, bs, stride);
    let kind = xs.values().kind();
    if !(covers(xs.values()) && covers(ws)) {
        let bs = bs.map(|bs| in_kind(bs, kind));
        return xs.resolve().conv2d(&in_kind(ws, kind), bs.as_ref(), stride, [0, 0], [1, 1], 1);
    }
    let xs = match stride {
        [1, 1] => laid_out(&xs.resolve()),
        _ => every(xs, stride),
    };
    product(&xs, ws, bs)
}

/// Panics where this is no convolution that libtorch would compute.
fn expect_fits(xs: &Tensor, ws: &Tensor, bs: Option<&Tensor>, stride: [i64; 2]) {
    expect_floating(xs);
    let c_in = Nhwc::of(xs).c as i64;
    let with_kind = |tensor: &Tensor| {
        tensor.defined() && tensor.device() == xs.device() && tensor.f_kind().is_ok_and(is_floating)
    };
    let shape = if ws.defined() { ws.size() } else { Vec::new() };
    assert!(
        with_kind(ws) && matches!(shape[..], [c_out, c, 1, 1] if c == c_in && c_out > 0),
        "expected floating-point kernels [c_out, {c_in}, 1, 1] on {:?} for a map of {c_in} channels, got {}",
        xs.device(),
        described(ws)
    );
    if let Some(bs) = bs {
        assert!(
            with_kind(bs) && bs.size() == shape[..1],
            "expected a floating-point bias [{}] on {:?}, got {}",
            shape[0],
            xs.device(),
            described(bs)
        );
    }
    assert!(stride.iter().all(|&step| step > 0), "expected a stride of at least 1, got {stride:?}");
}

/// Every pixel's channels times the matrix that `ws` is, with its backward pass; `xs` is laid out.
fn product(xs: &Tensor, ws: &Tensor, bs: Option<&Tensor>) -> Tensor {
    let input = Nhwc::of(xs);
    let output = Nhwc { c: ws.size()[0] as usize, ..input }.addressable();
    let sizes = Sizes { rows: input.pixels(), k: input.c, columns: output.c };
    let multiplier = Multiplier::fastest(xs.kind(), sizes);
    let matrix = multiplier.matrix(ws, xs.kind());
    let ys = tch::no_grad(|| multiplier.forward(sizes, xs, &matrix, bs, output));
    let inputs: Vec<&Tensor> = [xs, ws].into_iter().chain(bs).collect();
    let kinds: Vec<Kind> = inputs.iter().map(|input| input.kind()).collect();
    record(&inputs, &[&ys], &[xs, &matrix], move |Incoming { saved, gradients, needed }| {
        let Some(gradient) = &gradients[0] else { return kinds.iter().map(|_| None).collect() };
        let (gradient, xs, matrix) = (laid_out(gradient), &saved[0], &saved[1]);
        let parts = |index: usize| match index {
            0 => multiplier.input_gradient(sizes, &gradient, matrix, input),
            1 => multiplier.weight_gradient(sizes, &gradient, xs).unsqueeze(-1).unsqueeze(-1),
            _ => pixels(&gradient, sizes.rows, output.c).sum_dim_intlist(
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
    use crate::shapes::{Pointwise, pointwise_shapes};

    /// Output and gradients (map, weights, bias) of the convolution that `convolve` computes.
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

    #[track_caller]
    fn check(Pointwise { shape, c_out, stride }: Pointwise) {
        tch::manual_seed(0);
        let noise = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
        let tensors = [noise(&shape).relu(), noise(&[c_out, shape[1], 1, 1]), noise(&[c_out])];
        let expected = run(Kind::Double, &tensors, |xs, ws, bs| {
            xs.relu().conv2d(ws, Some(bs), stride, [0, 0], [1, 1], 1)
        });
        let expected_pixels = expected[0].numel() as i64 / c_out;
        for (kind, bound) in [(Kind::Double, 1e-12), (Kind::Float, 1e-5), (Kind::BFloat16, 0.02)] {
            let got = run(kind, &tensors, |xs, ws, bs| {
                pointwise_conv2d(&FeatureMap::from(xs).relu(), ws, Some(bs), stride)
            });
            for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert_eq!(got.size(), expected.size());
                // The terms of a bias gradient cancel in the sum, their rounding does not.
                let pixels = expected_pixels as f64;
                let least = if index == 3 { pixels.sqrt() } else { 1.0 };
                let scale = expected.abs().max().double_value(&[]).max(least);
                let off = (got - expected).abs().max().double_value(&[]) / scale;
                assert!(off < bound, "{kind:?}, result {index}: {off:e}");
            }
        }
    }

    macro_rules! named {
        ($($name:ident: $case:expr,)*) => {
            mod products_agree_with_libtorchs_convolution {
                use super::*;
                $(#[test]
                fn $name() {
                    check($case);
                })*
            }
        };
    }
    pointwise_shapes!(named);

    #[test]
    fn a_map_without_channels_gives_the_bias() {
        let floats = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
        let xs = FeatureMap::from(floats(&[1, 0, 2, 2]));
        let ys = pointwise_conv2d(&xs, &floats(&[3, 0, 1, 1]), Some(&floats(&[3])), [1, 1]);
        assert!(ys.equal(&floats(&[1, 3, 2, 2])));
        let ys = pointwise_conv2d(&xs, &floats(&[3, 0, 1, 1]), None, [2, 2]);
        assert!(ys.equal(&Tensor::zeros([1, 3, 1, 1], (Kind::Float, Device::Cpu))));
    }

    #[test]
    #[should_panic(
        expected = "expected floating-point kernels [c_out, 3, 1, 1] on Cpu for a map of 3 channels, got [2, 4, 1, 1] of \
                    Float on Cpu"
    )]
    fn channels_that_do_not_fit_are_refused() {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let xs = FeatureMap::from(zeros(&[1, 3, 2, 2]));
        drop(pointwise_conv2d(&xs, &zeros(&[2, 4, 1, 1]), None, [1, 1]));
    }
}
