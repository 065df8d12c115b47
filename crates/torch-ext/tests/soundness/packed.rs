//! Packed convolutions: what is packed is checked once, what runs through it each time.

use tch::{Device, Kind, Tensor};
use torch_ext::{DepthwiseHalf, Factors, FusedOps, PackedConv, PackedConvConfig};

use crate::{FLOAT, ones, refusal};

/// A 3×3 convolution of 4 channels to 6.
fn config() -> PackedConvConfig {
    PackedConvConfig {
        depthwise: None,
        weight: ones(&[6, 4, 3, 3]),
        bias: ones(&[6]),
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
    }
}

/// A separable one.
fn separable() -> PackedConvConfig {
    let half = DepthwiseHalf { weight: ones(&[4, 1, 3, 3]), bias: Some(ones(&[4])), relu: true };
    PackedConvConfig { depthwise: Some(half), weight: ones(&[6, 4, 1, 1]), ..config() }
}

#[track_caller]
fn check(config: &PackedConvConfig, expected: &str) {
    let error = PackedConv::new(config, Factors::Fp32).unwrap_err().to_string();
    assert!(error.contains(expected), "expected {expected:?}, got {error:?}");
}

/// Tensors that are no floating-point numbers on the CPU, of a given shape.
fn strangers(shape: &[i64]) -> Vec<Tensor> {
    let ones = |kind| Tensor::ones(shape, (kind, Device::Cpu));
    vec![
        Tensor::new(),
        ones(Kind::Int64),
        ones(Kind::Uint8),
        ones(Kind::Bool),
        ones(Kind::ComplexFloat),
        ones(Kind::Float).to_sparse(None, None::<i64>, None),
        ones(Kind::Float).to_mkldnn(),
        Tensor::internal_efficientzerotensor(shape, FLOAT),
    ]
}

#[test]
fn convolutions_that_fit_are_packed() {
    for config in [config(), separable()] {
        let conv = PackedConv::new(&config, Factors::Fp32).unwrap();
        let ys = conv.run(&ones(&[2, 4, 5, 5]), FusedOps::default());
        assert_eq!((ys.size(), conv.output_size(&[2, 4, 5, 5])), (vec![2, 6, 5, 5], [2, 6, 5, 5]));
    }
}

#[test]
fn weights_of_any_layout_and_kind_are_packed_by_their_values() {
    let plain = PackedConv::new(&config(), Factors::Fp32).unwrap();
    let xs = Tensor::arange(2 * 4 * 25, FLOAT).view([2, 4, 5, 5]);
    let expected = plain.run(&xs, FusedOps::default());
    let negated = Tensor::complex(&ones(&[6, 4, 3, 3]), &-ones(&[6, 4, 3, 3])).conj().imag();
    for weight in [
        ones(&[1]).expand([6, 4, 3, 3], false),
        ones(&[3, 3, 4, 6]).permute([3, 2, 0, 1]),
        ones(&[6, 4, 3, 3]).to_kind(Kind::Half),
        ones(&[6, 4, 3, 3]).to_kind(Kind::Double),
        ones(&[6, 4, 3, 3]).set_requires_grad(true),
        negated,
    ] {
        let bias = ones(&[1]).expand([6], false);
        let conv = PackedConv::new(&PackedConvConfig { weight, bias, ..config() }, Factors::Fp32);
        assert!(conv.unwrap().run(&xs, FusedOps::default()).equal(&expected));
    }
}

mod weights {
    use super::*;

    #[test]
    fn of_other_numbers() {
        for weight in strangers(&[6, 4, 3, 3]) {
            check(
                &PackedConvConfig { weight, ..config() },
                "expected weights [c_out, c_in, kh, kw] of floating-point numbers on the CPU, got ",
            );
        }
    }

    #[test]
    fn of_other_dimensions() {
        for shape in [&[][..], &[6], &[6, 4], &[6, 4, 3], &[6, 4, 3, 3, 1]] {
            check(
                &PackedConvConfig { weight: ones(shape), ..config() },
                "expected weights [c_out, c_in, kh, kw]",
            );
        }
    }

    #[test]
    fn of_nothing() {
        for shape in [[0, 4, 3, 3], [6, 0, 3, 3], [6, 4, 0, 3], [6, 4, 3, 0], [0, 0, 0, 0]] {
            let bias = ones(&shape[..1]);
            check(
                &PackedConvConfig { weight: ones(&shape), bias, ..config() },
                "expected weights [c_out, c_in, kh, kw]",
            );
        }
    }

    #[test]
    fn of_more_than_a_pixel_after_a_depthwise_half() {
        check(
            &PackedConvConfig { weight: ones(&[6, 4, 3, 3]), ..separable() },
            "expected weights [c_out, c_in, 1, 1] after a depthwise half",
        );
    }
}

mod bias {
    use super::*;

    #[test]
    fn too_long() {
        for mut config in [config(), separable()] {
            config.bias = ones(&[65536]);
            check(&config, "expected a bias [6] of floating-point numbers on the CPU, got [65536]");
        }
    }

    #[test]
    fn too_short() {
        for mut config in [config(), separable()] {
            for shape in [&[][..], &[0], &[1], &[5], &[6, 1], &[2, 3]] {
                config.bias = ones(shape);
                check(&config, "expected a bias [6]");
            }
        }
    }

    #[test]
    fn of_other_numbers() {
        for bias in strangers(&[6]) {
            check(&PackedConvConfig { bias, ..config() }, "expected a bias [6]");
        }
    }
}

mod depthwise_half {
    use super::*;

    #[track_caller]
    fn check_half(weight: Tensor, bias: Option<Tensor>, expected: &str) {
        let half = DepthwiseHalf { weight, bias, relu: false };
        check(&PackedConvConfig { depthwise: Some(half), ..separable() }, expected);
    }

    #[test]
    fn of_other_channels() {
        for shape in [[5, 1, 3, 3], [8, 1, 3, 3], [1, 1, 3, 3], [4, 2, 3, 3], [4, 4, 3, 3]] {
            check_half(ones(&shape), None, "expected depthwise kernels [4, 1, kh, kw]");
        }
    }

    #[test]
    fn of_other_dimensions() {
        for shape in [&[][..], &[4], &[4, 1], &[4, 1, 3], &[4, 1, 0, 3], &[4, 1, 3, 3, 1]] {
            check_half(ones(shape), None, "expected depthwise kernels [4, 1, kh, kw]");
        }
    }

    #[test]
    fn of_other_numbers() {
        for weight in strangers(&[4, 1, 3, 3]) {
            check_half(weight, None, "expected depthwise kernels [4, 1, kh, kw]");
        }
        for bias in strangers(&[4]) {
            check_half(ones(&[4, 1, 3, 3]), Some(bias), "expected a depthwise bias [4]");
        }
    }

    /// Of four million channels, and of few.
    #[test]
    fn with_a_short_bias() {
        let many = 1 << 22;
        let half =
            DepthwiseHalf { weight: ones(&[many, 1, 1, 1]), bias: Some(ones(&[1])), relu: false };
        let config = PackedConvConfig {
            depthwise: Some(half),
            weight: ones(&[1, many, 1, 1]),
            bias: ones(&[1]),
            padding: [0, 0],
            ..config()
        };
        check(&config, "expected a depthwise bias [4194304]");
        for shape in [&[][..], &[0], &[1], &[3], &[5], &[4, 1]] {
            check_half(ones(&[4, 1, 3, 3]), Some(ones(shape)), "expected a depthwise bias [4]");
        }
    }
}

mod geometry {
    use super::*;

    const EXPECTED: &str = "expected a stride and a dilation of at least 1 and a padding of at least 0, all below 2^31";

    #[test]
    fn out_of_range() {
        for bad in [0, -1, i64::MIN, i64::MAX, 1 << 31, 1 << 62] {
            for config in [config, separable] {
                for pair in [[bad, 1], [1, bad]] {
                    check(&PackedConvConfig { stride: pair, ..config() }, EXPECTED);
                    check(&PackedConvConfig { dilation: pair, ..config() }, EXPECTED);
                    if bad != 0 {
                        check(&PackedConvConfig { padding: pair, ..config() }, EXPECTED);
                    }
                }
            }
        }
    }

    #[track_caller]
    fn check_run(config: PackedConvConfig, shape: [i64; 4], expected: &str) {
        let conv = PackedConv::new(&config, Factors::Fp32).unwrap();
        for text in [
            refusal(|| drop(conv.run(&ones(&shape), FusedOps::default()))),
            refusal(|| assert_eq!(conv.output_size(&shape), [0; 4])),
        ] {
            assert!(text.contains(expected), "expected {expected:?}, got {text:?}");
        }
    }

    const ALMOST: i64 = (1 << 31) - 1;

    #[test]
    fn that_does_not_fit_the_image() {
        for config in [config(), separable()] {
            let config = PackedConvConfig { dilation: [ALMOST, 1], ..config };
            check_run(config, [1, 4, 5, 5], "does not fit 5 pixels padded to 7");
        }
    }

    #[test]
    fn whose_output_does_not_fit_in_memory() {
        for config in [config(), separable()] {
            let config = PackedConvConfig { padding: [ALMOST, ALMOST], ..config };
            check_run(config, [1, 4, 5, 5], "do not fit in memory");
        }
    }

    #[test]
    fn with_large_steps_sees_the_first_pixel() {
        for config in [config(), separable()] {
            let config = PackedConvConfig { stride: [ALMOST, ALMOST], padding: [1, 1], ..config };
            let conv = PackedConv::new(&config, Factors::Fp32).unwrap();
            assert_eq!(conv.run(&ones(&[1, 4, 5, 5]), FusedOps::default()).size(), [1, 6, 1, 1]);
        }
    }

    #[test]
    fn of_windows_that_see_nothing_but_padding() {
        for config in [config(), separable()] {
            let config = PackedConvConfig { padding: [9, 9], stride: [3, 4], ..config };
            let conv = PackedConv::new(&config, Factors::Fp32).unwrap();
            let ys = conv.run(&ones(&[1, 4, 5, 5]), FusedOps::default());
            assert!(ys.double_value(&[0, 5, 0, 0]).is_finite());
        }
    }
}

mod input {
    use super::*;

    #[track_caller]
    fn check_input(xs: &Tensor) {
        for config in [config(), separable()] {
            let conv = PackedConv::new(&config, Factors::Fp32).unwrap();
            let text = refusal(|| drop(conv.run(xs, FusedOps::default())));
            assert!(
                text.contains("expected fp32 or bf16 maps [N, 4, H, W] on a CPU, got "),
                "{text}"
            );
        }
    }

    #[test]
    fn of_other_numbers() {
        // A negated view and a tensor of one number are fine, and tested elsewhere.
        for xs in strangers(&[1, 4, 5, 5]) {
            check_input(&xs);
        }
        for kind in [Kind::Double, Kind::Half] {
            check_input(&Tensor::ones([1, 4, 5, 5], (kind, Device::Cpu)));
        }
    }

    #[test]
    fn of_other_channels_or_dimensions() {
        for shape in [
            &[][..],
            &[4],
            &[1, 4],
            &[1, 4, 5],
            &[1, 3, 5, 5],
            &[1, 5, 5, 5],
            &[1, 0, 5, 5],
            &[1, 4, 5, 5, 1],
        ] {
            check_input(&ones(shape));
        }
    }

    #[test]
    fn of_no_pixels() {
        for config in [config(), separable()] {
            let conv = PackedConv::new(&config, Factors::Fp32).unwrap();
            let ys = conv.run(&ones(&[0, 4, 5, 5]), FusedOps::default());
            assert_eq!(ys.size(), [0, 6, 5, 5]);
            let text = refusal(|| drop(conv.run(&ones(&[1, 4, 0, 5]), FusedOps::default())));
            assert!(text.contains("does not fit 0 pixels padded to 2"), "{text}");
        }
    }

    #[test]
    fn of_any_layout_is_read_by_its_values() {
        let conv = PackedConv::new(&separable(), Factors::Fp32).unwrap();
        let expected = conv.run(&ones(&[2, 4, 5, 5]), FusedOps::default());
        let negated = Tensor::complex(&ones(&[2, 4, 5, 5]), &-ones(&[2, 4, 5, 5])).conj().imag();
        for xs in [
            ones(&[1]).expand([2, 4, 5, 5], false),
            ones(&[5, 5, 4, 2]).permute([3, 2, 0, 1]),
            ones(&[2, 4, 9, 9]).slice(2, 0, None, 2).slice(3, 0, None, 2),
            ones(&[2, 4, 5, 5]).set_requires_grad(true),
            negated,
        ] {
            assert!(conv.run(&xs, FusedOps::default()).equal(&expected));
        }
    }

    #[test]
    fn of_other_sizes_than_asked_for() {
        let conv = PackedConv::new(&config(), Factors::Fp32).unwrap();
        for size in [
            &[][..],
            &[4],
            &[1, 4, 5],
            &[1, 5, 5, 5],
            &[-1, 4, 5, 5],
            &[1, 4, i64::MIN, 5],
            &[1, 4, 5, 5, 5],
        ] {
            let text = refusal(|| assert_eq!(conv.output_size(size), [0; 4]));
            assert!(text.contains("expected a size [N, 4, H, W], got"), "{text}");
        }
        for size in [[i64::MAX, 4, 5, 5], [1 << 40, 4, 1 << 20, 1 << 20], [1, 4, i64::MAX, 5]] {
            let text = refusal(|| assert_eq!(conv.output_size(&size), [0; 4]));
            assert!(text.contains("do not fit in memory"), "{text}");
        }
    }
}

mod residual {
    use super::*;

    #[test]
    fn of_another_shape_or_kind() {
        for config in [config(), separable()] {
            let conv = PackedConv::new(&config, Factors::Fp32).unwrap();
            let shapes = [&[][..], &[1], &[1, 6, 5], &[1, 6, 1, 1], &[1, 6, 5, 6], &[2, 6, 5, 5]];
            let others = strangers(&[1, 6, 5, 5]).into_iter();
            let others = others.chain([
                Tensor::ones([1, 6, 5, 5], (Kind::Double, Device::Cpu)),
                Tensor::ones([1, 6, 5, 5], (Kind::BFloat16, Device::Cpu)),
            ]);
            for residual in others.chain(shapes.map(ones)) {
                let ops = FusedOps { residual: Some(&residual), ..FusedOps::default() };
                let text = refusal(|| drop(conv.run(&ones(&[1, 4, 5, 5]), ops)));
                let expected = "expected a residual [1, 6, 5, 5] of Float on a CPU, got ";
                assert!(text.contains(expected), "{text}");
            }
        }
    }

    #[test]
    fn of_another_layout_is_added_by_its_values() {
        let conv = PackedConv::new(&separable(), Factors::Fp32).unwrap();
        let expected = conv.run(&ones(&[1, 4, 5, 5]), FusedOps::default()) + 1.0;
        let residual = ones(&[1]).expand([1, 6, 5, 5], false);
        let ops = FusedOps { residual: Some(&residual), ..FusedOps::default() };
        assert!(conv.run(&ones(&[1, 4, 5, 5]), ops).equal(&expected));
    }
}

/// A packed convolution is shared by the threads of a server.
#[test]
fn threads_share_a_packed_convolution() {
    let conv = PackedConv::new(&separable(), Factors::Fp32).unwrap();
    let expected = conv.run(&ones(&[1, 4, 5, 5]), FusedOps::default()).sum(Kind::Double);
    let expected = expected.double_value(&[]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let ys = conv.run(&ones(&[1, 4, 5, 5]), FusedOps::default());
                assert_eq!(ys.sum(Kind::Double).double_value(&[]), expected);
            });
        }
    });
}
