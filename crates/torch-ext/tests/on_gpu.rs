//! On a GPU: our kernels against libtorch's in fp32, over the shapes of real networks and odd ones, and against themselves.

use tch::{Device, Kind, Reduction, Tensor};
use torch_ext::{
    BatchNorm, DepthwiseGeometry, FeatureMap, PoolGeometry, Statistics, channels_last,
    depthwise_conv2d, gpu_kernels_cover, max_pool2d,
};

const GPU: Device = Device::Cuda(0);

/// A map of bf16, channels-last.
fn map(shape: [i64; 4]) -> Tensor {
    let map = Tensor::randn(shape, (Kind::BFloat16, GPU));
    channels_last(&map).unwrap().set_requires_grad(true)
}

/// The distance of `ours` from `theirs`, as a part of the latter.
fn distance(ours: &Tensor, theirs: &Tensor) -> f64 {
    let theirs = theirs.to_kind(Kind::Double);
    let apart = (ours.to_kind(Kind::Double) - &theirs).norm().double_value(&[]);
    apart / theirs.norm().double_value(&[]).max(1e-30)
}

/// The gradients of a loss that pulls every number of `ys` in its own direction.
fn gradients(ys: &Tensor, inputs: &[&Tensor], pull: &Tensor) -> Vec<Tensor> {
    let loss = (ys.to_kind(Kind::Float) * pull).sum(Kind::Float);
    Tensor::run_backward(&[loss], inputs, false, false)
}

const SHAPES: [[i64; 4]; 8] = [
    [2, 8, 5, 7],
    [3, 64, 16, 16],
    [5, 728, 2, 2],
    [2, 128, 47, 33],
    [4, 728, 19, 19],
    [1, 1536, 10, 10],
    [2, 24, 33, 3],
    [2, 16, 1, 1],
];

const SAME: DepthwiseGeometry =
    DepthwiseGeometry { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 0 };

#[test]
#[ignore = "needs a CUDA device and the feature `gpu-kernels`"]
fn depthwise_convolutions_are_libtorchs() {
    for shape in SHAPES {
        for relu in [false, true] {
            let c = shape[1];
            let (xs, pull) = (map(shape), Tensor::randn(shape, (Kind::Float, GPU)));
            assert!(gpu_kernels_cover(&xs), "built without the feature `gpu-kernels`");
            let ws = Tensor::randn([c, 1, 3, 3], (Kind::Float, GPU)).set_requires_grad(true);
            let geometry = DepthwiseGeometry { groups: c, ..SAME };
            let given = FeatureMap::from(&xs);
            let given = if relu { given.relu() } else { given };
            let ys = depthwise_conv2d(&given, &ws, None, geometry);
            let ours = gradients(&ys, &[&xs, &ws], &pull);
            let wide = xs.detach().to_kind(Kind::Double).set_requires_grad(true);
            let kernels = ws.detach().to_kind(Kind::BFloat16).to_kind(Kind::Double);
            let kernels = kernels.set_requires_grad(true);
            let read = if relu { wide.relu() } else { wide.shallow_clone() };
            let expected = read.conv2d(&kernels, None::<Tensor>, [1, 1], [1, 1], [1, 1], c);
            let pull = pull.to_kind(Kind::BFloat16).to_kind(Kind::Double);
            let theirs = gradients_in_double(&expected, &[&wide, &kernels], &pull);
            assert!(distance(&ys, &expected) < 4e-3, "{shape:?} {relu}");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!(
                    distance(ours, theirs) < 6e-3,
                    "{shape:?} {relu}: {}",
                    distance(ours, theirs)
                );
            }
        }
    }
}

fn gradients_in_double(ys: &Tensor, inputs: &[&Tensor], pull: &Tensor) -> Vec<Tensor> {
    Tensor::run_backward(&[(ys * pull).sum(Kind::Double)], inputs, false, false)
}

#[test]
#[ignore = "needs a CUDA device and the feature `gpu-kernels`"]
fn pools_are_libtorchs() {
    for shape in SHAPES.into_iter().filter(|shape| shape[2] > 1) {
        let xs = map(shape);
        // Equal values, of which the first wins.
        let xs = (xs.detach() * 2.0).round().to_kind(Kind::BFloat16).set_requires_grad(true);
        let output = [(shape[2] + 1) / 2, (shape[3] + 1) / 2];
        let geometry = PoolGeometry { kernel: 3, stride: 2, before: [1, 1], output };
        let ys = max_pool2d(&FeatureMap::from(&xs), geometry).expect("our kernels cover it");
        let wide = xs.detach().to_kind(Kind::Float).set_requires_grad(true);
        let expected = wide.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        assert!(ys.to_kind(Kind::Float).equal(&expected), "{shape:?}");
        let pull = Tensor::randn(expected.size(), (Kind::Float, GPU));
        let pull = pull.to_kind(Kind::BFloat16).to_kind(Kind::Float);
        let ours = gradients(&ys, &[&xs], &pull);
        let theirs = gradients(&expected, &[&wide], &pull);
        assert!(distance(&ours[0], &theirs[0]) < 4e-3, "{shape:?}");
    }
}

#[test]
#[ignore = "needs a CUDA device and the feature `gpu-kernels`"]
fn batch_norms_are_libtorchs() {
    for shape in SHAPES {
        let c = shape[1];
        // Far from zero, where squares would cancel.
        let xs = (map(shape).detach() + 20.0).set_requires_grad(true);
        let numbers = |value: f64| Tensor::full([c], value, (Kind::Float, GPU));
        let run = |ours: bool| {
            let xs = if ours {
                xs.shallow_clone()
            } else {
                xs.detach().to_kind(Kind::Float).set_requires_grad(true)
            };
            let [weight, bias] = [1.5, 0.5].map(|value| numbers(value).set_requires_grad(true));
            let (mean, var) = (numbers(0.0), numbers(1.0));
            let ys = if ours {
                let norm = BatchNorm {
                    weight: &weight,
                    bias: &bias,
                    running_mean: &mean,
                    running_var: &var,
                    momentum: 0.1,
                    eps: 1e-3,
                    correction: 1.0,
                };
                FeatureMap::batch_normalized(xs.shallow_clone(), &norm, Statistics::OfBatch)
                    .expect("our kernels cover it")
                    .resolve()
            } else {
                let (mean, var) = (Some(&mean), Some(&var));
                xs.batch_norm(Some(&weight), Some(&bias), mean, var, true, 0.1, 1e-3, false)
            };
            let target = ys.detach().to_kind(Kind::Float).cos();
            let loss = ys.to_kind(Kind::Float).mse_loss(&target, Reduction::Sum);
            let gradients = Tensor::run_backward(&[loss], &[&xs, &weight, &bias], false, false);
            (ys, mean, var, gradients)
        };
        let (ours, theirs) = (run(true), run(false));
        let single = shape[0] * shape[2] * shape[3] < 8;
        assert!(distance(&ours.0, &theirs.0) < 5e-3, "{shape:?} {}", distance(&ours.0, &theirs.0));
        assert!(distance(&ours.1, &theirs.1) < 1e-5 && distance(&ours.2, &theirs.2) < 1e-4);
        for (ours, theirs) in ours.3.iter().zip(&theirs.3) {
            let apart = distance(ours, theirs);
            assert!(single || apart < 3e-2, "{shape:?} {apart}");
        }
    }
}

#[test]
#[ignore = "needs a CUDA device and the feature `gpu-kernels`"]
fn two_runs_give_the_same_bits() {
    let (xs, ws) = (map([16, 128, 37, 37]), Tensor::randn([128, 1, 3, 3], (Kind::BFloat16, GPU)));
    let ws = ws.set_requires_grad(true);
    let geometry = DepthwiseGeometry { groups: 128, ..SAME };
    let pool = PoolGeometry { kernel: 3, stride: 2, before: [1, 1], output: [19, 19] };
    let pull = Tensor::randn([16, 128, 19, 19], (Kind::Float, GPU));
    let run = || {
        let ys = depthwise_conv2d(&FeatureMap::from(&xs).relu(), &ws, None, geometry);
        let ys = max_pool2d(&FeatureMap::from(ys), pool).unwrap();
        gradients(&ys, &[&xs, &ws], &pull)
    };
    let first = run();
    for _ in 0..5 {
        assert!(run().iter().zip(&first).all(|(again, first)| again.equal(first)));
    }
}

#[test]
fn a_map_on_a_cpu_is_libtorchs_or_the_other_kernels() {
    assert!(!gpu_kernels_cover(&Tensor::zeros([1, 8, 3, 3], (Kind::BFloat16, Device::Cpu))));
    assert!(!gpu_kernels_cover(&Tensor::new()));
}
