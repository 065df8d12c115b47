//! The kernels against libtorch's pool in fp64, values and gradients.

use tch::{Device, Kind};

use super::*;
use crate::shapes::{Pool, pool_shapes};
use crate::simd::tests::on_every_set;
use crate::{BatchNorm, Statistics};

/// Result and gradients (map, scale, shift) of the pool that `pool` computes.
fn run(xs: &Tensor, kind: Kind, pool: impl Fn(&Tensor, &[Tensor; 2]) -> Tensor) -> Vec<Tensor> {
    let xs = xs.to_kind(kind).detach().copy().set_requires_grad(true);
    let ramp = Tensor::arange(xs.size()[1], (kind, Device::Cpu)) * 0.1;
    // Both signs: under a negative scale the smallest value wins.
    let affine = [&ramp - 0.65, ramp * 0.3].map(|tensor| tensor.set_requires_grad(true));
    let ys = pool(&xs, &affine);
    let pull = Tensor::arange(ys.numel() as i64, (kind, Device::Cpu)).sin();
    (&ys * pull.view(ys.size().as_slice())).sum(kind).backward();
    let gradients = [&xs, &affine[0], &affine[1]].map(Tensor::grad);
    std::iter::once(ys.detach()).chain(gradients).filter(Tensor::defined).collect()
}

#[track_caller]
fn check(Pool { shape, kernel, stride, padding }: Pool, normalise: bool) {
    tch::manual_seed(0);
    // Numbers of fp32, so that the same ones win in fp64.
    let xs = Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(Kind::Double);
    let expected = run(&xs, Kind::Double, |xs, [scale, shift]| {
        let none = None::<&Tensor>;
        let xs = if normalise {
            xs.batch_norm(Some(scale), Some(shift), none, none, true, 0.1, 1e-5, false).relu()
        } else {
            xs.shallow_clone()
        };
        xs.max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1, 1], false)
    });
    let output = [2, 3].map(|axis| (shape[axis] + 2 * padding - kernel) / stride + 1);
    let geometry = PoolGeometry { kernel, stride, before: [padding; 2], output };
    let ours = |kind| {
        run(&xs, kind, |xs, [scale, shift]| {
            let map = if normalise {
                let running = [scale.zeros_like(), scale.ones_like()].map(|t| t.detach());
                let norm = BatchNorm {
                    weight: scale,
                    bias: shift,
                    running_mean: &running[0],
                    running_var: &running[1],
                    momentum: 0.1,
                    eps: 1e-5,
                    correction: 1.0,
                };
                let (xs, statistics) = (xs.shallow_clone(), Statistics::OfBatch);
                FeatureMap::batch_normalized(xs, &norm, statistics).unwrap().relu()
            } else {
                FeatureMap::from(xs)
            };
            max_pool2d(&map, geometry).unwrap()
        })
    };
    let agree = |got: Vec<Tensor>, bound: f64, what: &str| {
        assert_eq!(got.len(), expected.len());
        for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let scale = expected.abs().max().double_value(&[]).max(1.0);
            let distance = (got - expected).abs().max().double_value(&[]) / scale;
            assert!(
                distance < bound,
                "{what}, result {index}: off by {distance:e} at {shape:?} {geometry:?}"
            );
        }
    };
    agree(ours(Kind::Double), 1e-10, "fp64");
    // A norm rounds: among the values of a large map some lie so near each other that in fp32 another one wins.
    if normalise && shape.iter().product::<i64>() > 1 << 16 {
        return;
    }
    on_every_set(|set| agree(ours(Kind::Float), 1e-4, &format!("{set:?}")));
}

macro_rules! plain {
    ($($name:ident: $case:expr,)*) => {
        mod windows_of_a_plain_map_agree_with_libtorch {
            use super::*;
            $(#[test]
            fn $name() {
                check($case, false);
            })*
        }
    };
}
pool_shapes!(plain);

macro_rules! normalised {
    ($($name:ident: $case:expr,)*) => {
        mod windows_of_a_normalised_map_agree_with_libtorch {
            use super::*;
            $(#[test]
            fn $name() {
                check($case, true);
            })*
        }
    };
}
pool_shapes!(normalised);

const WINDOWS: PoolGeometry = PoolGeometry { kernel: 3, stride: 2, before: [1, 1], output: [2, 2] };

#[test]
fn nan_wins() {
    let xs = Tensor::from_slice(&[1_f32, 1., 1., 1., f32::NAN, 1., 1., 1., 1.]).view([1, 1, 3, 3]);
    let ours = max_pool2d(&FeatureMap::from(&xs), WINDOWS).unwrap();
    assert!(ours.isnan().all().int64_value(&[]) == 1, "{ours}");
}

#[test]
fn the_first_of_equal_values_wins() {
    let flat = Tensor::ones([1, 1, 4, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let gradient = |pool: &dyn Fn(&Tensor) -> Tensor| {
        Tensor::run_backward(&[pool(&flat).sum(Kind::Float)], &[&flat], false, false).remove(0)
    };
    let ours = gradient(&|xs| max_pool2d(&FeatureMap::from(xs), WINDOWS).unwrap());
    assert!(ours.equal(&gradient(&|xs| xs.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false))));
}
