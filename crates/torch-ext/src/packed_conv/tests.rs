//! Packed convolutions against the same spelled in libtorch's operators, in fp64.

use tch::Device;

use super::*;
use crate::simd::tests::on_every_set;

fn noise(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Double, Device::Cpu))
}

/// A depthwise kernel size (0: none), the matrix's kernel size, stride, padding, dilation.
type Geometry = (i64, i64, i64, i64, i64);

fn config(
    c_in: i64,
    c_out: i64,
    (depthwise, kernel, stride, padding, dilation): Geometry,
) -> PackedConvConfig {
    PackedConvConfig {
        depthwise: (depthwise > 0).then(|| DepthwiseHalf {
            weight: noise(&[c_in, 1, depthwise, depthwise]) * 0.3,
            bias: (c_out % 2 == 0).then(|| noise(&[c_in])),
            relu: c_out % 3 == 0,
        }),
        weight: noise(&[c_out, c_in, kernel, kernel]) * 0.2,
        bias: noise(&[c_out]),
        stride: [stride; 2],
        padding: [padding; 2],
        dilation: [dilation; 2],
    }
}

fn spelled(config: &PackedConvConfig, xs: &Tensor, ops: FusedOps) -> Tensor {
    let PackedConvConfig { depthwise, weight, bias, stride, padding, dilation } = config;
    let xs = if ops.opens_with_relu { xs.relu() } else { xs.shallow_clone() };
    let ys = match depthwise {
        Some(half) => {
            let xs = xs.conv2d(
                &half.weight,
                half.bias.as_ref(),
                stride,
                padding,
                dilation,
                xs.size()[1],
            );
            let xs = if half.relu { xs.relu() } else { xs };
            xs.conv2d(weight, Some(bias), [1, 1], [0, 0], [1, 1], 1)
        }
        None => xs.conv2d(weight, Some(bias), stride, padding, dilation, 1),
    };
    let ys = match ops.residual {
        Some(residual) if ops.residual_relu => ys + residual.relu(),
        Some(residual) => ys + residual,
        None => ys,
    };
    if ops.closes_with_relu { ys.relu() } else { ys }
}

fn ops(bits: u8, residual: Option<&Tensor>) -> FusedOps<'_> {
    FusedOps {
        opens_with_relu: bits & 1 > 0,
        closes_with_relu: bits & 2 > 0,
        residual,
        residual_relu: bits == 7,
    }
}

#[track_caller]
fn check(shape: [i64; 4], c_out: i64, geometry: Geometry) {
    let config = config(shape[1], c_out, geometry);
    let xs = noise(&shape);
    let bare = spelled(&config, &xs, FusedOps::default());
    let residual = noise(&bare.size());
    for (bits, residual) in [(0, None), (3, None), (4, Some(&residual)), (7, Some(&residual))] {
        let near = |kind: Kind, factors: Factors, bound: f64| {
            let Some(packed) =
                (factors == Factors::Fp32 || multiplies_pairs() || matrix_kernel::available())
                    .then(|| PackedConv::new(&config, factors).expect("a shape that packs"))
            else {
                return;
            };
            // The same inputs for both, rounded to the kind once.
            let rounded = |tensor: &Tensor| tensor.to_kind(kind);
            let expected = {
                let residual = residual.map(|residual| rounded(residual).to_kind(Kind::Double));
                spelled(&config, &rounded(&xs).to_kind(Kind::Double), ops(bits, residual.as_ref()))
            };
            let residual = residual.map(rounded);
            let got = packed.run(&rounded(&xs), ops(bits, residual.as_ref()));
            assert_eq!((got.size(), got.kind()), (expected.size(), kind));
            assert_eq!(packed.output_size(&shape)[..], got.size());
            let scale = expected.abs().max().double_value(&[]).max(1.0);
            let off = (got.to_kind(Kind::Double) - expected).abs().max().double_value(&[]) / scale;
            assert!(
                off < bound,
                "{kind:?} by {factors:?}: {off:e} at {shape:?} to {c_out}, {geometry:?}, {bits}"
            );
        };
        on_every_set(|_| {
            near(Kind::Float, Factors::Fp32, 1e-5);
            near(Kind::BFloat16, Factors::Fp32, 0.01);
            near(Kind::BFloat16, Factors::Bf16, 0.02);
        });
    }
}

macro_rules! named {
    ($($name:ident: $shape:expr, $c_out:expr, $geometry:expr;)*) => {
        mod convolutions_agree_with_libtorch {
            use super::*;
            $(#[test]
            fn $name() {
                tch::manual_seed(0);
                check($shape, $c_out, $geometry);
            })*
        }
    };
}
named! {
    // Depthwise and pointwise, as in the three flows.
    separable: [2, 64, 9, 9], 128, (3, 1, 1, 1, 1);
    separable_of_the_middle_flow: [1, 728, 5, 5], 728, (3, 1, 1, 1, 1);
    separable_of_odd_channels: [3, 37, 7, 6], 66, (3, 1, 1, 1, 1);
    separable_with_stride: [2, 16, 9, 8], 24, (3, 1, 2, 1, 1);
    separable_with_dilation: [2, 16, 12, 11], 9, (5, 1, 1, 2, 2);
    separable_of_one_pixel: [2, 33, 1, 1], 8, (3, 1, 1, 1, 1);
    separable_with_wide_padding: [1, 70, 2, 5], 9, (3, 1, 1, 2, 1);
    separable_without_padding: [1, 31, 3, 4], 6, (3, 1, 1, 0, 1);
    separable_with_windows_of_padding: [2, 16, 4, 5], 6, (3, 1, 1, 3, 1);
    // Shortcuts and stem.
    shortcut: [2, 64, 9, 9], 128, (0, 1, 2, 0, 1);
    stem_with_stride: [2, 3, 13, 12], 32, (0, 3, 2, 0, 1);
    stem: [1, 32, 8, 8], 64, (0, 3, 1, 0, 1);
    linear: [4, 5, 1, 1], 7, (0, 1, 1, 0, 1);
    with_dilation: [3, 7, 6, 6], 12, (0, 3, 1, 2, 2);
}

#[test]
fn an_empty_batch_stays_empty() {
    let packed = PackedConv::new(&config(8, 4, (3, 1, 1, 1, 1)), Factors::Fp32).unwrap();
    let xs = Tensor::zeros([0, 8, 5, 5], (Kind::Float, Device::Cpu));
    assert_eq!(packed.run(&xs, FusedOps::default()).size(), [0, 4, 5, 5]);
}

#[test]
#[should_panic(
    expected = "expected fp32 or bf16 maps [N, 8, H, W] on a CPU, got [1, 9, 5, 5] of Float on Cpu"
)]
fn other_channels_are_refused() {
    let packed = PackedConv::new(&config(8, 4, (3, 1, 1, 1, 1)), Factors::Fp32).unwrap();
    drop(packed.run(&Tensor::zeros([1, 9, 5, 5], (Kind::Float, Device::Cpu)), FusedOps::default()));
}
