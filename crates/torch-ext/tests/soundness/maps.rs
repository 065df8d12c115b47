//! Maps: what goes into a convolution, a pool, a sum or a norm, and what the graph hands back to their backward passes.

use tch::{Device, Kind, Tensor};
use torch_ext::{
    BatchNorm, DepthwiseGeometry, FeatureMap, PoolGeometry, Statistics, add, depthwise_conv2d,
    max_pool2d, pointwise_conv2d,
};

use crate::{FLOAT, answer, ones, refusal};

fn leaf(shape: &[i64]) -> Tensor {
    ones(shape).set_requires_grad(true)
}

fn same(groups: i64) -> DepthwiseGeometry {
    DepthwiseGeometry { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups }
}

fn depthwise(xs: &Tensor, ws: &Tensor) -> Tensor {
    depthwise_conv2d(&FeatureMap::from(xs), ws, None, same(xs.size()[1]))
}

fn normalised(xs: &Tensor, statistics: Statistics) -> FeatureMap {
    let c = [xs.size()[1]];
    let [weight, bias] = [leaf(&c), leaf(&c)];
    let running = [ones(&c), ones(&c)];
    let norm = BatchNorm {
        weight: &weight,
        bias: &bias,
        running_mean: &running[0],
        running_var: &running[1],
        momentum: 0.1,
        eps: 1e-5,
        correction: 1.0,
    };
    FeatureMap::batch_normalized(xs.shallow_clone(), &norm, statistics).expect("a map on the CPU")
}

#[track_caller]
fn assert_refused(expected: &str, body: impl FnOnce()) {
    let text = refusal(body);
    assert!(text.contains(expected), "expected a refusal with {expected:?}, got {text:?}");
}

/// The backward passes of every operator, after a tensor that the graph keeps was replaced.
mod replaced {
    use super::*;

    const KEPT: &str = "expected the tensor that the forward pass kept";
    const SHAPE: [i64; 4] = [1, 64, 128, 128];

    /// Other tensors in place of one of the shape `SHAPE`.
    fn replacements() -> Vec<Tensor> {
        vec![
            ones(&[1, 64, 1, 1]),
            ones(&[1, 64, 127, 128]),
            ones(&[1, 1, 1, 1]),
            ones(&[1]),
            ones(&[0]),
            ones(&[1, 0, 128, 128]),
            // The shape stays, the memory does not.
            ones(&SHAPE),
            ones(&[1, 1, 1, 1]).expand(SHAPE, false),
        ]
    }

    #[track_caller]
    fn check(operator: impl Fn(&Tensor) -> Tensor) {
        for replacement in replacements() {
            let mut xs = leaf(&SHAPE);
            let loss = operator(&xs).sum(Kind::Float);
            xs.set_data(&replacement);
            let error = Tensor::f_run_backward(&[loss], &[&xs], false, false).unwrap_err();
            assert!(error.to_string().contains(KEPT), "{:?}: {error}", replacement.size());
        }
    }

    #[test]
    fn the_map_of_a_depthwise_convolution() {
        check(|xs| depthwise(xs, &ones(&[64, 1, 3, 3])));
    }

    #[test]
    fn the_map_of_a_strided_depthwise_convolution() {
        let geometry = DepthwiseGeometry { stride: [2, 2], ..same(64) };
        let ws = ones(&[64, 1, 5, 5]);
        check(|xs| depthwise_conv2d(&FeatureMap::from(xs).relu(), &ws, None, geometry));
    }

    #[test]
    fn the_map_of_a_pool() {
        let geometry = PoolGeometry { kernel: 3, stride: 2, before: [1, 1], output: [64, 64] };
        check(|xs| max_pool2d(&FeatureMap::from(xs), geometry).unwrap());
    }

    #[test]
    fn the_map_of_a_strided_pointwise_convolution() {
        let ws = ones(&[8, 64, 1, 1]);
        check(|xs| pointwise_conv2d(&FeatureMap::from(xs), &ws, None, [2, 2]));
    }

    #[test]
    fn a_map_with_a_relu() {
        check(|xs| FeatureMap::from(xs).relu().resolve());
    }

    #[test]
    fn a_map_with_a_norm() {
        check(|xs| normalised(xs, Statistics::OfBatch).resolve());
        check(|xs| normalised(xs, Statistics::Fixed).relu().resolve());
    }

    #[test]
    fn a_term_of_a_sum() {
        let other = ones(&SHAPE);
        check(|xs| add(&FeatureMap::from(xs).relu(), &FeatureMap::from(&other)));
        check(|xs| add(&FeatureMap::from(&other), &normalised(xs, Statistics::OfBatch)));
    }

    /// A pointwise convolution keeps the map itself where it is channels-last already.
    #[test]
    fn the_map_of_a_pointwise_convolution() {
        let ws = leaf(&[8, 64, 1, 1]);
        for replacement in replacements() {
            let xs = torch_ext::channels_last(&ones(&SHAPE)).unwrap();
            let mut xs = xs.set_requires_grad(true);
            let ys = pointwise_conv2d(&FeatureMap::from(&xs), &ws, None, [1, 1]);
            xs.set_data(&replacement);
            let loss = ys.sum(Kind::Float);
            let error = Tensor::f_run_backward(&[loss], &[&ws], false, false).unwrap_err();
            assert!(error.to_string().contains(KEPT), "{:?}: {error}", replacement.size());
        }
    }

    #[test]
    fn the_kernels_of_a_depthwise_convolution() {
        for shape in [&[64, 1, 1, 1][..], &[1], &[0], &[64, 1, 3, 4]] {
            let (xs, mut ws) = (leaf(&[1, 64, 8, 8]), leaf(&[64, 1, 3, 3]));
            let loss = depthwise(&xs, &ws).sum(Kind::Float);
            ws.set_data(&ones(shape));
            let error = Tensor::f_run_backward(&[loss], &[&xs], false, false).unwrap_err();
            assert!(error.to_string().contains(KEPT), "{shape:?}: {error}");
        }
    }

    #[test]
    fn a_map_of_another_kind() {
        let (mut xs, ws) = (leaf(&[1, 64, 8, 8]), leaf(&[64, 1, 3, 3]));
        let loss = depthwise(&xs, &ws).sum(Kind::Float);
        xs.set_data(&ones(&[1, 64, 8, 8]).to_kind(Kind::Double));
        let error = Tensor::f_run_backward(&[loss], &[&ws], false, false).unwrap_err();
        assert!(error.to_string().contains(KEPT), "{error}");
    }

    /// Between the norm and the operator that applies it.
    #[test]
    fn the_values_under_a_pending_norm() {
        for (shape, expected) in [
            (&[1, 3, 2, 2][..], "expected a map of 64 channels to normalise, got 3"),
            (&[64], "expected feature maps [N, C, H, W], got [64] of Float on Cpu"),
            (&[], "expected feature maps [N, C, H, W], got [] of Float on Cpu"),
        ] {
            let mut xs = ones(&[1, 64, 8, 8]);
            let map = normalised(&xs, Statistics::OfBatch);
            xs.set_data(&ones(shape));
            assert_refused(expected, || drop(map.resolve()));
            assert_refused(expected, || drop(add(&map, &map)));
        }
        let mut xs = ones(&[1, 64, 8, 8]);
        let map = normalised(&xs, Statistics::OfBatch);
        xs.set_data(&ones(&[1, 64, 8, 8]).to_kind(Kind::Double));
        assert_refused("expected statistics of Double", || drop(map.resolve()));
    }
}

mod norms {
    use super::*;

    /// A norm of four channels, one tensor of which is replaced.
    #[track_caller]
    fn check(index: usize, tensor: &Tensor, statistics: Statistics, expected: &str) {
        let four = ones(&[4]);
        let mut tensors = [&four; 4];
        tensors[index] = tensor;
        let [weight, bias, running_mean, running_var] = tensors;
        let (momentum, eps, correction) = (0.1, 1e-5, 1.0);
        let norm = BatchNorm { weight, bias, running_mean, running_var, momentum, eps, correction };
        let xs = ones(&[2, 4, 3, 3]);
        assert_refused(expected, || drop(FeatureMap::batch_normalized(xs, &norm, statistics)));
        assert!(four.equal(&ones(&[4])), "a refused norm moves nothing");
    }

    #[track_caller]
    fn check_each(tensor: &Tensor, got: &str) {
        let names = ["a weight", "a bias", "a running mean", "a running variance"];
        for (index, name) in names.into_iter().enumerate() {
            let expected = format!(
                "expected {name} of 4 floating-point numbers on the CPU, one for each channel, got {got}"
            );
            for statistics in [Statistics::OfBatch, Statistics::Fixed] {
                check(index, tensor, statistics, &expected);
            }
        }
    }

    #[test]
    fn a_longer_tensor() {
        check_each(&ones(&[1000]), "[1000] of Float on Cpu");
    }

    #[test]
    fn a_shorter_tensor() {
        check_each(&ones(&[1]), "[1] of Float on Cpu");
    }

    #[test]
    fn an_empty_tensor() {
        check_each(&ones(&[0]), "[0] of Float on Cpu");
    }

    #[test]
    fn a_matrix() {
        check_each(&ones(&[4, 1]), "[4, 1] of Float on Cpu");
    }

    #[test]
    fn a_scalar() {
        check_each(&ones(&[]), "[] of Float on Cpu");
    }

    #[test]
    fn integers() {
        check_each(&Tensor::ones([4], (Kind::Int64, Device::Cpu)), "[4] of Int64 on Cpu");
    }

    #[test]
    fn an_undefined_tensor() {
        check_each(&Tensor::new(), "an undefined tensor");
    }

    #[test]
    fn strided_statistics_move_in_place() {
        let table = Tensor::zeros([4, 2], FLOAT);
        let (mean, variance, four) = (table.select(1, 0), table.select(1, 1), ones(&[4]));
        let norm = BatchNorm {
            weight: &four,
            bias: &four,
            running_mean: &mean,
            running_var: &variance,
            momentum: 1.0,
            eps: 1e-5,
            correction: 1.0,
        };
        let xs = ones(&[2, 4, 3, 3]) * 3.0;
        drop(FeatureMap::batch_normalized(xs, &norm, Statistics::OfBatch));
        assert!(table.equal(&Tensor::from_slice(&[3_f32, 0.0]).expand([4, 2], false)));
    }

    /// One number for all channels cannot hold four statistics.
    #[test]
    fn expanded_statistics_are_refused() {
        let four = ones(&[4]);
        let expanded = ones(&[1]).expand([4], false);
        let norm = BatchNorm {
            weight: &four,
            bias: &four,
            running_mean: &expanded,
            running_var: &four,
            momentum: 0.5,
            eps: 1e-5,
            correction: 1.0,
        };
        let xs = Tensor::arange(72, FLOAT).view([2, 4, 3, 3]);
        assert_refused("more than one element of the written-to tensor", || {
            drop(FeatureMap::batch_normalized(xs, &norm, Statistics::OfBatch));
        });
    }

    #[test]
    fn an_empty_batch_leaves_the_statistics_alone() {
        for shape in [[0, 4, 3, 3], [2, 4, 0, 3], [2, 4, 3, 0]] {
            let xs = leaf(&shape);
            let [mean, variance] = [ones(&[4]) * 5.0, ones(&[4]) * 7.0];
            let (weight, bias) = (leaf(&[4]), leaf(&[4]));
            let norm = BatchNorm {
                weight: &weight,
                bias: &bias,
                running_mean: &mean,
                running_var: &variance,
                momentum: 0.1,
                eps: 1e-5,
                correction: 1.0,
            };
            let map = FeatureMap::batch_normalized(xs.shallow_clone(), &norm, Statistics::OfBatch);
            let ys = map.unwrap().relu().resolve();
            ys.sum(Kind::Float).backward();
            assert_eq!((ys.size(), xs.grad().size()), (shape.to_vec(), shape.to_vec()));
            assert!(mean.equal(&(ones(&[4]) * 5.0)) && variance.equal(&(ones(&[4]) * 7.0)));
            for gradient in [weight.grad(), bias.grad()] {
                assert!(gradient.equal(&Tensor::zeros([4], FLOAT)), "{shape:?}: {gradient}");
            }
        }
    }
}

/// Maps without elements: each is computed, or refused in a sentence.
mod zeros {
    use super::*;

    #[test]
    fn no_images() {
        let xs = leaf(&[0, 4, 5, 5]);
        let ws = leaf(&[4, 1, 3, 3]);
        let ys = depthwise(&xs, &ws);
        let pooled = {
            let geometry = PoolGeometry { kernel: 3, stride: 2, before: [1, 1], output: [3, 3] };
            max_pool2d(&FeatureMap::from(&xs).relu(), geometry).unwrap()
        };
        let pw = leaf(&[3, 4, 1, 1]);
        let picked = pointwise_conv2d(&FeatureMap::from(&xs), &pw, None, [2, 2]);
        let loss = ys.sum(Kind::Float) + pooled.sum(Kind::Float) + picked.sum(Kind::Float);
        loss.backward();
        assert_eq!(ys.size(), [0, 4, 5, 5]);
        assert_eq!((pooled.size(), picked.size()), (vec![0, 4, 3, 3], vec![0, 3, 3, 3]));
        assert!(ws.grad().equal(&Tensor::zeros([4, 1, 3, 3], FLOAT)));
        assert!(pw.grad().equal(&Tensor::zeros([3, 4, 1, 1], FLOAT)));
    }

    #[test]
    fn no_channels() {
        let xs = leaf(&[1, 0, 5, 5]);
        assert_refused("for 0 channels in 0 groups", || {
            drop(depthwise(&xs, &ones(&[0, 1, 3, 3])));
        });
        let pw = leaf(&[3, 0, 1, 1]);
        let ys = pointwise_conv2d(&FeatureMap::from(&xs), &pw, None, [2, 2]);
        ys.sum(Kind::Float).backward();
        assert!(ys.equal(&Tensor::zeros([1, 3, 3, 3], FLOAT)));
        assert_eq!(pw.grad().size(), [3, 0, 1, 1]);
    }

    #[test]
    fn no_pixels() {
        for (shape, pixels) in [([1, 4, 0, 5], 0), ([1, 4, 5, 0], 0)] {
            let xs = leaf(&shape);
            assert_refused(
                &format!("does not fit {pixels} pixels padded to {}", pixels + 2),
                || drop(depthwise(&xs, &ones(&[4, 1, 3, 3]))),
            );
            let pw = leaf(&[3, 4, 1, 1]);
            let ys = pointwise_conv2d(&FeatureMap::from(&xs), &pw, None, [2, 2]);
            ys.sum(Kind::Float).backward();
            assert_eq!(ys.numel(), 0);
            assert!(pw.grad().equal(&Tensor::zeros([3, 4, 1, 1], FLOAT)));
            let geometry = PoolGeometry { kernel: 3, stride: 1, before: [1, 1], output: [1, 1] };
            assert_refused("to cover a part of 0 pixels", || {
                drop(max_pool2d(&FeatureMap::from(&xs), geometry));
            });
        }
    }

    /// Padding alone: no tap meets a pixel.
    #[test]
    fn a_kernel_that_fits_the_padding_alone() {
        let geometry = DepthwiseGeometry { padding: [2, 2], ..same(4) };
        for shape in [[1, 4, 0, 5], [1, 4, 5, 0], [1, 4, 0, 0]] {
            let (xs, ws) = (leaf(&shape), leaf(&[4, 1, 3, 3]));
            let ys = depthwise_conv2d(&FeatureMap::from(&xs).relu(), &ws, None, geometry);
            ys.sum(Kind::Float).backward();
            assert_eq!(ys.abs().sum(Kind::Double).double_value(&[]), 0.0, "{shape:?}");
            assert!(ws.grad().equal(&Tensor::zeros([4, 1, 3, 3], FLOAT)), "{shape:?}");
        }
    }

    #[test]
    fn no_kernels() {
        let xs = ones(&[1, 4, 5, 5]);
        assert_refused("expected floating-point kernels", || {
            drop(depthwise(&xs, &ones(&[0, 1, 3, 3])))
        });
        assert_refused("expected floating-point kernels", || {
            drop(pointwise_conv2d(&FeatureMap::from(&xs), &ones(&[0, 4, 1, 1]), None, [1, 1]));
        });
        assert_refused("a kernel of [0, 3]", || drop(depthwise(&xs, &ones(&[4, 1, 0, 3]))));
    }
}

/// Numbers that no convolution has.
mod geometry {
    use super::*;

    #[track_caller]
    fn check_depthwise(kernel: i64, geometry: DepthwiseGeometry, expected: &str) {
        // On our kernels and, in half precision, on libtorch's.
        for kind in [Kind::Float, Kind::Half] {
            let xs = FeatureMap::from(Tensor::ones([1, 2, 5, 5], (kind, Device::Cpu)));
            assert_refused(expected, || {
                drop(depthwise_conv2d(&xs, &ones(&[2, 1, kernel, kernel]), None, geometry));
            });
        }
    }

    const AT_LEAST: &str =
        "expected a kernel, stride and dilation of at least 1 and a padding of at least 0";
    const BEYOND: &str = "expected a reach and a padded image of less than 2^63 pixels";

    #[test]
    fn strides_of_a_depthwise_convolution() {
        for stride in [[0, 1], [1, 0], [-1, 1], [i64::MIN, 2]] {
            check_depthwise(3, DepthwiseGeometry { stride, ..same(2) }, AT_LEAST);
        }
    }

    #[test]
    fn a_stride_beyond_the_image_leaves_one_output() {
        let (xs, ws) = (leaf(&[1, 2, 5, 5]), ones(&[2, 1, 3, 3]));
        let geometry = DepthwiseGeometry { stride: [i64::MAX; 2], ..same(2) };
        let ys = depthwise_conv2d(&FeatureMap::from(&xs), &ws, None, geometry);
        ys.sum(Kind::Float).backward();
        assert_eq!((ys.size(), ys.double_value(&[0, 0, 0, 0])), (vec![1, 2, 1, 1], 4.0));
        assert_eq!(xs.grad().sum(Kind::Double).double_value(&[]), 8.0);
    }

    #[test]
    fn dilations() {
        for dilation in [[0, 1], [1, -1], [i64::MIN, 1]] {
            check_depthwise(3, DepthwiseGeometry { dilation, ..same(2) }, AT_LEAST);
        }
        for dilation in [[i64::MAX, 1], [1, 1 << 62]] {
            check_depthwise(3, DepthwiseGeometry { dilation, ..same(2) }, BEYOND);
        }
        // Five taps: four times this wraps around to zero.
        check_depthwise(5, DepthwiseGeometry { dilation: [1 << 62, 1], ..same(2) }, BEYOND);
        let far = DepthwiseGeometry { dilation: [1 << 40, 1], ..same(2) };
        check_depthwise(3, far, "a kernel that reaches over 2199023255553 pixels does not fit");
    }

    #[test]
    fn paddings() {
        for padding in [[-1, 0], [0, -1], [i64::MIN, 0]] {
            check_depthwise(3, DepthwiseGeometry { padding, ..same(2) }, AT_LEAST);
        }
        for padding in [[i64::MAX, 0], [0, 1 << 62]] {
            check_depthwise(3, DepthwiseGeometry { padding, ..same(2) }, BEYOND);
        }
        let wide = DepthwiseGeometry { padding: [1 << 40, 1 << 40], ..same(2) };
        check_depthwise(3, wide, "do not fit in memory");
    }

    #[test]
    fn groups() {
        for groups in [0, -1, 3, i64::MIN, i64::MAX] {
            let expected = format!("for 2 channels in {groups} groups");
            check_depthwise(3, same(groups), &expected);
        }
    }

    #[test]
    fn strides_of_a_pointwise_convolution() {
        for stride in [[0, 1], [1, 0], [-1, 1], [i64::MIN, 2]] {
            for kind in [Kind::Float, Kind::Half] {
                let xs = FeatureMap::from(Tensor::ones([1, 2, 5, 5], (kind, Device::Cpu)));
                assert_refused(&format!("expected a stride of at least 1, got {stride:?}"), || {
                    drop(pointwise_conv2d(&xs, &ones(&[3, 2, 1, 1]), None, stride));
                });
            }
        }
        let xs = leaf(&[1, 2, 5, 5]);
        let stride = [i64::MAX, 1];
        let ys = pointwise_conv2d(&FeatureMap::from(&xs), &ones(&[3, 2, 1, 1]), None, stride);
        ys.sum(Kind::Float).backward();
        assert_eq!(ys.size(), [1, 3, 1, 5]);
        assert_eq!(xs.grad().sum(Kind::Double).double_value(&[]), 30.0);
    }

    #[test]
    fn windows_of_a_pool() {
        let fits = PoolGeometry { kernel: 3, stride: 2, before: [1, 1], output: [3, 3] };
        for geometry in [
            PoolGeometry { stride: 0, ..fits },
            PoolGeometry { stride: -1, ..fits },
            PoolGeometry { stride: i64::MIN, ..fits },
            PoolGeometry { stride: i64::MAX, ..fits },
            PoolGeometry { stride: 1 << 62, output: [5, 1], ..fits },
            PoolGeometry { before: [-1, 1], ..fits },
            PoolGeometry { before: [1, 3], ..fits },
            PoolGeometry { before: [i64::MIN, 1], ..fits },
            PoolGeometry { before: [i64::MAX, 1], ..fits },
            PoolGeometry { output: [0, 3], ..fits },
            PoolGeometry { output: [3, -1], ..fits },
            PoolGeometry { output: [4, 3], ..fits },
            PoolGeometry { output: [i64::MAX, 1], stride: 1, ..fits },
            PoolGeometry { output: [i64::MIN, 1], ..fits },
        ] {
            assert_refused("to cover a part of 5 pixels", || {
                drop(max_pool2d(&FeatureMap::from(ones(&[1, 2, 5, 5])), geometry));
            });
        }
        // A stride that takes no second step is none.
        let once = PoolGeometry { stride: i64::MAX, output: [1, 1], ..fits };
        let ys = max_pool2d(&FeatureMap::from(ones(&[1, 2, 5, 5])), once).unwrap();
        assert!(ys.equal(&ones(&[1, 2, 1, 1])));
    }

    /// libtorch computes windows that our kernels do not number.
    #[test]
    fn kernels_of_a_pool_that_are_not_ours() {
        for kernel in [0, -1, 16, i64::MIN, i64::MAX] {
            let geometry = PoolGeometry { kernel, stride: 1, before: [0, 0], output: [1, 1] };
            assert!(max_pool2d(&FeatureMap::from(ones(&[1, 2, 5, 5])), geometry).is_none());
        }
    }
}

/// Tensors that are no list of numbers in memory.
mod layouts {
    use super::*;

    /// -1 in every place, as the imaginary part of a conjugate: its memory holds 1.
    fn negated(shape: &[i64]) -> Tensor {
        let imaginary = Tensor::complex(&ones(shape), &ones(shape)).conj().imag();
        assert!(imaginary.is_neg() && imaginary.double_value(&vec![0; shape.len()]) == -1.0);
        imaginary
    }

    #[test]
    fn a_pending_negation_of_a_map() {
        let xs = negated(&[1, 4, 3, 3]);
        let map = || FeatureMap::from(&xs);
        assert_eq!(map().relu().resolve().abs().sum(Kind::Double).double_value(&[]), 0.0);
        let ws = ones(&[4, 1, 3, 3]);
        assert_eq!(depthwise(&xs, &ws).double_value(&[0, 0, 1, 1]), -9.0);
        let pw = ones(&[2, 4, 1, 1]);
        for stride in [[1, 1], [2, 2]] {
            let ys = pointwise_conv2d(&map(), &pw, None, stride);
            assert_eq!(ys.double_value(&[0, 0, 0, 0]), -4.0);
        }
        let sum = add(&map(), &FeatureMap::from(ones(&[1, 4, 3, 3])).relu());
        assert_eq!(sum.abs().sum(Kind::Double).double_value(&[]), 0.0);
        let geometry = PoolGeometry { kernel: 3, stride: 1, before: [0, 0], output: [1, 1] };
        assert!(max_pool2d(&map(), geometry).is_none());
    }

    #[test]
    fn a_pending_negation_of_weights() {
        let xs = ones(&[1, 4, 3, 3]);
        assert_eq!(depthwise(&xs, &negated(&[4, 1, 3, 3])).double_value(&[0, 0, 1, 1]), -9.0);
        let bias = negated(&[4]);
        let ys =
            depthwise_conv2d(&FeatureMap::from(&xs), &ones(&[4, 1, 3, 3]), Some(&bias), same(4));
        assert_eq!(ys.double_value(&[0, 0, 1, 1]), 8.0);
        let map = FeatureMap::from(&xs);
        let ys = pointwise_conv2d(&map, &negated(&[2, 4, 1, 1]), Some(&negated(&[2])), [1, 1]);
        assert_eq!(ys.double_value(&[0, 0, 0, 0]), -5.0);
        let ys = pointwise_conv2d(&map, &ones(&[2, 4, 1, 1]), Some(&negated(&[2])), [1, 1]);
        assert_eq!(ys.double_value(&[0, 0, 0, 0]), 3.0);
    }

    #[test]
    fn a_pending_negation_of_statistics() {
        let (four, mean) = (ones(&[4]), negated(&[4]));
        let norm = BatchNorm {
            weight: &four,
            bias: &mean,
            running_mean: &mean,
            running_var: &four,
            momentum: 0.5,
            eps: 0.0,
            correction: 1.0,
        };
        let norm_of = |statistics| {
            let xs = ones(&[1, 4, 3, 3]);
            FeatureMap::batch_normalized(xs, &norm, statistics).unwrap().resolve()
        };
        // (1 - -1) / 1 - 1
        assert_eq!(norm_of(Statistics::Fixed).double_value(&[0, 0, 0, 0]), 1.0);
        drop(norm_of(Statistics::OfBatch));
        assert_eq!(mean.double_value(&[0]), 0.0, "half of -1 and half of 1");
    }

    /// A gradient may come as a view that is negated when it is read.
    #[test]
    fn a_pending_negation_of_a_gradient() {
        let xs = leaf(&[1, 4, 3, 3]);
        let ys = depthwise(&xs, &ones(&[4, 1, 1, 1]).constant_pad_nd([1, 1, 1, 1]));
        let zeros = ys.detach().zeros_like();
        let loss = Tensor::complex(&zeros, &ys).conj().imag().sum(Kind::Float);
        loss.backward();
        assert!(xs.grad().equal(&-ones(&[1, 4, 3, 3])));
    }

    #[test]
    fn expanded_maps_weights_and_gradients() {
        let one = ones(&[1]);
        let xs = one.expand([2, 4, 5, 5], false).set_requires_grad(true);
        let ws = one.expand([4, 1, 3, 3], false);
        let bias = one.expand([4], false);
        let ys = depthwise_conv2d(&FeatureMap::from(&xs).relu(), &ws, Some(&bias), same(4));
        assert_eq!(ys.double_value(&[1, 3, 2, 2]), 10.0);
        let pw = one.expand([2, 4, 1, 1], false);
        let ys = pointwise_conv2d(&FeatureMap::from(ys), &pw, None, [1, 1]);
        // The gradient of a sum is one number, expanded.
        let gradient = Tensor::run_backward(&[ys.sum(Kind::Float)], &[&xs], false, false).remove(0);
        assert_eq!(gradient.double_value(&[1, 3, 2, 2]), 18.0);
    }

    /// Every operator on `xs: [1, 4, 3, 3]`, which holds ones in a layout of its own: libtorch's answer, or its refusal.
    #[track_caller]
    fn check_foreign(xs: &Tensor) {
        let map = || FeatureMap::from(xs);
        let dense = || FeatureMap::from(ones(&[1, 4, 3, 3]));
        let geometry = PoolGeometry { kernel: 3, stride: 1, before: [0, 0], output: [1, 1] };
        assert!(max_pool2d(&map(), geometry).is_none());
        let operators: [(&str, f64, &dyn Fn() -> Tensor); 6] = [
            ("relu", 1.0, &|| map().relu().resolve()),
            ("depthwise", 4.0, &|| depthwise(xs, &ones(&[4, 1, 3, 3]))),
            ("pointwise", 4.0, &|| pointwise_conv2d(&map(), &ones(&[2, 4, 1, 1]), None, [1, 1])),
            ("strided", 4.0, &|| pointwise_conv2d(&map(), &ones(&[2, 4, 1, 1]), None, [2, 2])),
            ("left", 2.0, &|| add(&map(), &dense())),
            ("right", 2.0, &|| add(&dense().relu(), &map())),
        ];
        for (name, expected, operator) in operators {
            match answer(operator) {
                Ok(ys) => {
                    let ys = if ys.is_mkldnn() || ys.is_sparse() {
                        ys.to_dense(None::<Kind>, false)
                    } else {
                        ys
                    };
                    assert_eq!(ys.double_value(&[0, 0, 0, 0]), expected, "{name}");
                }
                Err(text) => assert!(!text.is_empty(), "{name}"),
            }
        }
        let four = ones(&[4]);
        let norm = BatchNorm {
            weight: &four,
            bias: &four,
            running_mean: &four,
            running_var: &four,
            momentum: 0.5,
            eps: 0.0,
            correction: 1.0,
        };
        let map = FeatureMap::batch_normalized(xs.shallow_clone(), &norm, Statistics::OfBatch);
        assert!(map.is_none() && four.equal(&ones(&[4])));
    }

    #[test]
    fn onednn() {
        check_foreign(&ones(&[1, 4, 3, 3]).to_mkldnn());
    }

    #[test]
    fn sparse() {
        check_foreign(&ones(&[1, 4, 3, 3]).to_sparse_sparse_dim(4));
        check_foreign(&ones(&[1, 4, 3, 3]).to_sparse_sparse_dim(1));
    }

    /// A tensor of libtorch's that has no memory and stands for zeros: computed by libtorch, or refused.
    #[test]
    fn zeros_without_memory() {
        let zeros = |shape: &[i64]| Tensor::internal_efficientzerotensor(shape, FLOAT);
        let (xs, map) = (zeros(&[1, 4, 3, 3]), ones(&[1, 4, 3, 3]));
        let ws = ones(&[4, 1, 3, 3]);
        let pw = ones(&[2, 4, 1, 1]);
        let bias = zeros(&[4]);
        let operators: [(f64, &dyn Fn() -> Tensor); 6] = [
            (0.0, &|| FeatureMap::from(&xs).relu().resolve()),
            (0.0, &|| depthwise(&xs, &ws)),
            (0.0, &|| depthwise(&map, &zeros(&[4, 1, 3, 3]))),
            (0.0, &|| pointwise_conv2d(&FeatureMap::from(&xs), &pw, None, [1, 1])),
            (0.0, &|| add(&FeatureMap::from(&xs), &FeatureMap::from(&xs))),
            (9.0, &|| depthwise_conv2d(&FeatureMap::from(&map), &ws, Some(&bias), same(4))),
        ];
        for (index, (expected, operator)) in operators.into_iter().enumerate() {
            match answer(|| operator().double_value(&[0, 0, 1, 1])) {
                Ok(number) => assert_eq!(number, expected, "operator {index}"),
                Err(text) => assert!(!text.is_empty(), "operator {index}"),
            }
        }
    }

    /// Rows and columns exchanged, every second channel, turned around: all the same numbers.
    #[test]
    fn views_of_larger_tensors() {
        let wide = Tensor::arange(2 * 8 * 6 * 5, FLOAT).view([2, 8, 6, 5]);
        let view = wide.slice(1, 1, None, 2).transpose(2, 3).flip([2]);
        let copy = view.contiguous();
        let ws = ones(&[4, 1, 3, 3]);
        assert!(depthwise(&view, &ws).equal(&depthwise(&copy, &ws)));
        let [view, copy] = [view, copy].map(|xs| FeatureMap::from(xs).relu());
        let pw = ones(&[3, 4, 1, 1]);
        for stride in [[1, 1], [2, 2]] {
            let [a, b] = [&view, &copy].map(|xs| pointwise_conv2d(xs, &pw, None, stride));
            assert!(a.equal(&b));
        }
        assert!(view.resolve().equal(&copy.resolve()));
        assert!(add(&view, &view).equal(&add(&copy, &copy)));
    }
}

/// Kinds of numbers.
mod kinds {
    use super::*;

    const INTEGERS: [Kind; 6] =
        [Kind::Uint8, Kind::Int8, Kind::Int16, Kind::Int, Kind::Int64, Kind::Bool];

    #[test]
    fn integer_images_are_refused() {
        let four = ones(&[4]);
        let norm = BatchNorm {
            weight: &four,
            bias: &four,
            running_mean: &four,
            running_var: &four,
            momentum: 0.1,
            eps: 1e-5,
            correction: 1.0,
        };
        for kind in INTEGERS.into_iter().chain([Kind::ComplexFloat]) {
            let xs = Tensor::ones([1, 4, 5, 5], (kind, Device::Cpu));
            let expected = format!("expected floating-point images, got {kind:?}");
            assert_refused(&expected, || drop(depthwise(&xs, &ones(&[4, 1, 3, 3]))));
            assert_refused(&expected, || {
                let ws = ones(&[2, 4, 1, 1]);
                drop(pointwise_conv2d(&FeatureMap::from(&xs), &ws, None, [1, 1]));
            });
            assert_refused(&expected, || {
                drop(FeatureMap::batch_normalized(xs.shallow_clone(), &norm, Statistics::Fixed));
            });
        }
    }

    #[test]
    fn integer_weights_are_refused() {
        for kind in INTEGERS {
            let of_kind = |shape: &[i64]| Tensor::ones(shape, (kind, Device::Cpu));
            let xs = ones(&[1, 4, 5, 5]);
            let map = FeatureMap::from(&xs);
            let kernels = "expected floating-point kernels";
            assert_refused(kernels, || drop(depthwise(&xs, &of_kind(&[4, 1, 3, 3]))));
            assert_refused(kernels, || {
                drop(pointwise_conv2d(&map, &of_kind(&[2, 4, 1, 1]), None, [1, 1]));
            });
            let bias = "expected a floating-point bias [4]";
            assert_refused(bias, || {
                let ws = ones(&[4, 1, 3, 3]);
                drop(depthwise_conv2d(&map, &ws, Some(&of_kind(&[4])), same(4)));
            });
            assert_refused(bias, || {
                let ws = ones(&[4, 4, 1, 1]);
                drop(pointwise_conv2d(&map, &ws, Some(&of_kind(&[4])), [1, 1]));
            });
        }
    }

    /// libtorch computes these, where it has a kernel for the CPU.
    #[test]
    fn half_precision_is_libtorchs() {
        let xs = Tensor::ones([1, 4, 5, 5], (Kind::Half, Device::Cpu));
        let map = || FeatureMap::from(&xs).relu();
        let operators: [(f64, &dyn Fn() -> Tensor); 3] = [
            (9.0, &|| depthwise(&xs, &ones(&[4, 1, 3, 3]))),
            (5.0, &|| pointwise_conv2d(&map(), &ones(&[2, 4, 1, 1]), Some(&ones(&[2])), [2, 2])),
            (2.0, &|| add(&map(), &map())),
        ];
        for (expected, operator) in operators {
            match answer(operator) {
                Ok(ys) => {
                    let got = (ys.kind(), ys.double_value(&[0, 0, 2, 2]));
                    assert_eq!(got, (Kind::Half, expected));
                }
                Err(text) => assert!(!text.is_empty()),
            }
        }
    }

    #[test]
    fn maps_of_two_kinds_are_added_as_libtorch_does() {
        let wide = FeatureMap::from(Tensor::ones([1, 4, 5, 5], (Kind::Double, Device::Cpu)));
        let ys = add(&FeatureMap::from(ones(&[1, 4, 5, 5])).relu(), &wide);
        assert_eq!((ys.kind(), ys.double_value(&[0, 0, 0, 0])), (Kind::Double, 2.0));
        let count = FeatureMap::from(Tensor::ones([1, 4, 5, 5], (Kind::Int64, Device::Cpu)));
        let ys = add(&FeatureMap::from(ones(&[1, 4, 5, 5])).relu(), &count);
        assert_eq!((ys.kind(), ys.double_value(&[0, 0, 0, 0])), (Kind::Float, 2.0));
    }
}

/// Shapes that do not fit each other.
mod shapes {
    use super::*;

    #[test]
    fn kernels() {
        let xs = ones(&[1, 4, 5, 5]);
        for shape in [&[3, 1, 3, 3][..], &[4, 2, 3, 3], &[4, 1, 3], &[4], &[], &[5, 1, 3, 3]] {
            assert_refused(
                "expected floating-point kernels [c_out, c_in / groups, kh, kw]",
                || {
                    drop(depthwise(&xs, &ones(shape)));
                },
            );
        }
        for shape in [&[3, 3, 1, 1][..], &[3, 4, 1, 2], &[3, 4, 3, 3], &[3, 4], &[3], &[]] {
            assert_refused("expected floating-point kernels [c_out, 4, 1, 1]", || {
                drop(pointwise_conv2d(&FeatureMap::from(&xs), &ones(shape), None, [1, 1]));
            });
        }
    }

    #[test]
    fn biases() {
        let map = FeatureMap::from(ones(&[1, 4, 5, 5]));
        for shape in [&[1][..], &[5], &[1000], &[0], &[4, 1], &[]] {
            assert_refused("expected a floating-point bias [4]", || {
                drop(depthwise_conv2d(&map, &ones(&[4, 1, 3, 3]), Some(&ones(shape)), same(4)));
            });
            assert_refused("expected a floating-point bias [8]", || {
                drop(depthwise_conv2d(&map, &ones(&[8, 1, 3, 3]), Some(&ones(shape)), same(4)));
            });
            assert_refused("expected a floating-point bias [4]", || {
                let ws = ones(&[4, 4, 1, 1]);
                drop(pointwise_conv2d(&map, &ws, Some(&ones(shape)), [1, 1]));
            });
        }
    }

    #[test]
    fn maps() {
        for shape in [&[][..], &[4], &[4, 5], &[4, 5, 5], &[1, 4, 5, 5, 1]] {
            let (xs, map) = (ones(shape), FeatureMap::from(ones(shape)));
            let expected = "expected feature maps [N, C, H, W], got";
            assert_refused(expected, || {
                drop(depthwise_conv2d(&map, &ones(&[4, 1, 3, 3]), None, same(4)));
            });
            assert_refused(expected, || {
                drop(pointwise_conv2d(&map, &ones(&[2, 4, 1, 1]), None, [1, 1]));
            });
            assert_refused(expected, || {
                let geometry =
                    PoolGeometry { kernel: 3, stride: 1, before: [1, 1], output: [5, 5] };
                drop(max_pool2d(&map, geometry));
            });
            assert_refused(expected, || drop(FeatureMap::from(&xs).relu().resolve()));
            assert_refused(expected, || drop(add(&map, &map)));
            assert_refused(expected, || {
                let four = ones(&[4]);
                let norm = BatchNorm {
                    weight: &four,
                    bias: &four,
                    running_mean: &four,
                    running_var: &four,
                    momentum: 0.1,
                    eps: 1e-5,
                    correction: 1.0,
                };
                drop(FeatureMap::batch_normalized(xs, &norm, Statistics::OfBatch));
            });
        }
    }

    #[test]
    fn terms_of_a_sum() {
        let a = FeatureMap::from(ones(&[1, 4, 5, 5]));
        for shape in [[1, 4, 5, 4], [1, 1, 1, 1], [2, 4, 5, 5], [1, 4, 0, 5]] {
            assert_refused("expected feature maps of one shape to add", || {
                drop(add(&a, &FeatureMap::from(ones(&shape)).relu()));
            });
        }
    }
}

/// `Tensor::new()`, which has neither shape nor kind.
mod undefined {
    use super::*;

    #[test]
    fn a_map() {
        let map = || FeatureMap::from(Tensor::new());
        let expected = "an undefined tensor";
        assert_refused(expected, || drop(map().size()));
        assert_refused(expected, || drop(add(&map(), &map())));
        assert_refused(expected, || drop(add(&FeatureMap::from(ones(&[1, 4, 5, 5])), &map())));
        assert_refused(expected, || {
            drop(depthwise_conv2d(&map(), &ones(&[4, 1, 3, 3]), None, same(4)));
        });
        assert_refused(expected, || {
            drop(pointwise_conv2d(&map(), &ones(&[4, 1, 1, 1]), None, [1, 1]));
        });
        assert_refused("undefined", || drop(map().relu().resolve()));
        let geometry = PoolGeometry { kernel: 3, stride: 1, before: [1, 1], output: [5, 5] };
        assert!(max_pool2d(&map(), geometry).is_none());
        assert!(!map().resolve().defined() && !map().on_gradient(|| ()).resolve().defined());
        let four = ones(&[4]);
        let norm = BatchNorm {
            weight: &four,
            bias: &four,
            running_mean: &four,
            running_var: &four,
            momentum: 0.1,
            eps: 1e-5,
            correction: 1.0,
        };
        assert_refused(expected, || {
            drop(FeatureMap::batch_normalized(Tensor::new(), &norm, Statistics::Fixed));
        });
    }

    #[test]
    fn weights() {
        let map = FeatureMap::from(ones(&[1, 4, 5, 5]));
        let (ws, nothing) = (ones(&[4, 1, 3, 3]), Tensor::new());
        let expected = "an undefined tensor";
        assert_refused(expected, || drop(depthwise_conv2d(&map, &nothing, None, same(4))));
        assert_refused(expected, || drop(depthwise_conv2d(&map, &ws, Some(&nothing), same(4))));
        assert_refused(expected, || drop(pointwise_conv2d(&map, &nothing, None, [1, 1])));
        assert_refused(expected, || {
            drop(pointwise_conv2d(&map, &ones(&[2, 4, 1, 1]), Some(&nothing), [1, 1]));
        });
    }
}

/// More than 2^31 elements, which 32 bits do not count.
#[test]
#[ignore = "needs 6 GB of memory"]
fn more_elements_than_32_bits_count() {
    let xs = Tensor::ones([1, 2, 32800, 32800], (Kind::BFloat16, Device::Cpu));
    let xs = torch_ext::channels_last(&xs).unwrap();
    let geometry = DepthwiseGeometry { stride: [64, 64], ..same(2) };
    let ys = depthwise_conv2d(&FeatureMap::from(&xs), &ones(&[2, 1, 3, 3]), None, geometry);
    assert_eq!((ys.size(), ys.double_value(&[0, 1, -1, -1])), (vec![1, 2, 513, 513], 9.0));
}
