//! Pending norms and ReLUs against libtorch's own, forward and backward.

use tch::{Device, Kind};

use super::*;
use crate::simd::tests::on_every_set;

fn noise(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Double, Device::Cpu))
}

/// `relu(norm(a)) + relu(b)` as `spelled` computes it, and its gradients in a, scale, shift and b.
fn run(kind: Kind, tensors: &[Tensor], spelled: impl Fn(&[Tensor]) -> Tensor) -> Vec<Tensor> {
    let leaves: Vec<Tensor> = tensors
        .iter()
        .map(|tensor| tensor.to_kind(kind).detach().copy().set_requires_grad(true))
        .collect();
    let ys = spelled(&leaves);
    let pull = Tensor::arange(ys.numel() as i64, (Kind::Double, Device::Cpu)).sin();
    (ys.to_kind(Kind::Double) * pull.view(ys.size().as_slice())).sum(Kind::Double).backward();
    let gradients = leaves.iter().map(Tensor::grad);
    std::iter::once(ys.detach())
        .chain(gradients)
        .map(|tensor| tensor.to_kind(Kind::Double))
        .collect()
}

fn ours(statistics: Statistics) -> impl Fn(&[Tensor]) -> Tensor {
    move |leaves| {
        let a = normalized(leaves, &running(&leaves[1]), statistics);
        add(&a.relu(), &FeatureMap::from(&leaves[3]).relu())
    }
}

/// The first tensor, normalised under the weight and bias that follow it.
fn normalized(leaves: &[Tensor], running: &[Tensor; 2], statistics: Statistics) -> FeatureMap {
    let norm = BatchNorm {
        weight: &leaves[1],
        bias: &leaves[2],
        running_mean: &running[0],
        running_var: &running[1],
        momentum: 0.1,
        eps: 1e-3,
        correction: 1.0,
    };
    FeatureMap::batch_normalized(leaves[0].shallow_clone(), &norm, statistics).unwrap()
}

/// Running statistics for as many channels as `weight` has.
fn running(weight: &Tensor) -> [Tensor; 2] {
    let ramp = Tensor::arange(weight.size()[0], (weight.kind(), Device::Cpu)) * 0.01;
    [&ramp - 0.1, ramp + 0.5]
}

fn libtorch(statistics: Statistics) -> impl Fn(&[Tensor]) -> Tensor {
    move |leaves| {
        let [mean, variance] = running(&leaves[1]);
        let of_batch = statistics == Statistics::OfBatch;
        let (scale, shift) = (Some(&leaves[1]), Some(&leaves[2]));
        let a = leaves[0].batch_norm(
            scale,
            shift,
            Some(&mean),
            Some(&variance),
            of_batch,
            0.1,
            1e-3,
            false,
        );
        a.relu() + leaves[3].relu()
    }
}

#[track_caller]
fn check_sum(shape: [i64; 4], statistics: Statistics) {
    tch::manual_seed(0);
    let c = [shape[1]];
    let tensors = [noise(&shape), noise(&c), noise(&c), noise(&shape)];
    let expected = run(Kind::Double, &tensors, libtorch(statistics));
    let near = |kind, bound: f64, what: &str| {
        let got = run(kind, &tensors, ours(statistics));
        for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let distance = (got - expected).abs().max().double_value(&[]);
            let scale = expected.abs().max().double_value(&[]).max(1.0);
            assert!(distance < bound * scale, "{what}, result {index}: {distance:e} of {scale}");
        }
    };
    near(Kind::Double, 1e-11, "fp64");
    on_every_set(|set| near(Kind::Float, 1e-5, &format!("{set:?}")));
}

#[test]
fn a_sum_under_statistics_of_the_batch_agrees_with_libtorch() {
    check_sum([4, 37, 5, 6], Statistics::OfBatch);
}

#[test]
fn a_sum_under_fixed_statistics_agrees_with_libtorch() {
    check_sum([4, 37, 5, 6], Statistics::Fixed);
}

#[test]
fn a_sum_of_single_pixels_agrees_with_libtorch() {
    check_sum([16, 728, 1, 1], Statistics::OfBatch);
}

#[test]
fn statistics_far_from_zero_keep_their_variance() {
    tch::manual_seed(1);
    let xs = (noise(&[8, 19, 9, 9]) * 0.1 + 100).to_kind(Kind::Float);
    let (variance, mean) = xs.to_kind(Kind::Double).var_mean_dim([0, 2, 3].as_slice(), true, false);
    let ones = Tensor::ones([19], (Kind::Float, Device::Cpu));
    on_every_set(|set| {
        // The running statistics are zero, so that a tenth of the measured ones is left.
        let running = [ones.zeros_like(), ones.zeros_like()];
        let leaves = [xs.shallow_clone(), ones.shallow_clone(), ones.zeros_like()];
        drop(normalized(&leaves, &running, Statistics::OfBatch));
        for (got, expected, bound) in [(&running[0], &mean, 1e-6), (&running[1], &variance, 1e-5)] {
            let off = (got.to_kind(Kind::Double) * 10 - expected) / expected;
            assert!(off.abs().max().double_value(&[]) < bound, "{set:?}");
        }
    });
}

#[test]
fn nothing_pending_costs_nothing() {
    let xs = noise(&[1, 3, 2, 2]);
    assert_eq!(FeatureMap::from(&xs).resolve().data_ptr(), xs.data_ptr());
}

#[test]
fn two_readers_of_one_map_share_its_gradient() {
    tch::manual_seed(2);
    let tensors = [noise(&[4, 20, 3, 3]), noise(&[20]), noise(&[20])];
    let twice = |leaves: &[Tensor]| {
        let map = normalized(leaves, &running(&leaves[1]), Statistics::OfBatch);
        let activated = map.shallow_clone().relu().resolve();
        activated * map.resolve()
    };
    let plainly = |leaves: &[Tensor]| {
        let none = None::<&Tensor>;
        let (scale, shift) = (Some(&leaves[1]), Some(&leaves[2]));
        let xs = leaves[0].batch_norm(scale, shift, none, none, true, 0.1, 1e-3, false);
        xs.relu() * xs
    };
    let (got, expected) =
        (run(Kind::Double, &tensors, twice), run(Kind::Double, &tensors, plainly));
    for (got, expected) in got.iter().zip(&expected) {
        assert!((got - expected).abs().max().double_value(&[]) < 1e-10);
    }
}
