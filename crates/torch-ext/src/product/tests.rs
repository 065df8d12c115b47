//! The three products of training against libtorch's in fp64, over sizes that leave a rest on every side.

use tch::{Device, Kind, Tensor};

use super::*;
use crate::simd::tests::on_every_set;

/// How far `got` lies from `expected`, in units of the largest number there.
fn off(got: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(got.size(), expected.size());
    let scale = expected.abs().max().double_value(&[]).max(1.0);
    (got.to_kind(Kind::Double) - expected).abs().max().double_value(&[]) / scale
}

#[track_caller]
fn check<E: Trained>(kind: Kind, [rows, k, columns]: [usize; 3], bound: f64) {
    let sizes = Sizes { rows, k, columns };
    if !covers(kind, sizes) {
        return;
    }
    let [rows, k, columns] = [rows, k, columns].map(|size| size as i64);
    let noise = |shape: [i64; 2], kind| {
        let numbers = Tensor::arange(shape[0] * shape[1], (Kind::Double, Device::Cpu));
        (numbers * 0.7).sin().view(shape).to_kind(kind)
    };
    let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
    let (xs, ys) = (noise([rows, k], kind), noise([rows, columns], kind));
    // What the product reads: rounded to the map's kind, if it is bf16.
    let ws = noise([columns, k], Kind::Float) / k as f64;
    let (rounded, bs) = (ws.to_kind(kind), noise([1, columns], Kind::Float).flatten(0, 1));
    let empty = |rows, columns, kind| Tensor::empty([rows, columns], (kind, Device::Cpu));

    let got = empty(rows, columns, kind);
    forward::<E>(sizes, &xs, &ws, Some(&bs), &got);
    let expected = double(&xs).mm(&double(&rounded).tr()) + double(&bs);
    assert!(off(&got, &expected) < bound, "forward of {sizes:?}: {:e}", off(&got, &expected));

    let got = empty(rows, k, kind);
    input_gradient::<E>(sizes, &ys, &ws, &got);
    let expected = double(&ys).mm(&double(&rounded));
    assert!(off(&got, &expected) < bound, "input of {sizes:?}: {:e}", off(&got, &expected));

    let got = empty(columns, k, Kind::Float);
    weight_gradient::<E>(sizes, &ys, &xs, &got);
    let expected = double(&ys).tr().mm(&double(&xs));
    // Sums of the very numbers that were given: nothing is rounded to bf16 here.
    assert!(off(&got, &expected) < 1e-5, "weights of {sizes:?}: {:e}", off(&got, &expected));
}

#[test]
fn products_agree_with_libtorchs() {
    on_every_set(|_| {
        for sizes in [
            [1, 2, 2],
            [5, 4, 10],
            [64, 90, 70],
            [67, 130, 128],
            [300, 24, 66],
            [531, 64, 18],
            // Odd: no pairs.
            [13, 7, 65],
            [601, 33, 1],
        ] {
            check::<f32>(Kind::Float, sizes, 1e-5);
            check::<Bf16>(Kind::BFloat16, sizes, 0.01);
        }
    });
}

#[test]
fn nothing_is_multiplied_to_nothing() {
    check::<f32>(Kind::Float, [1, 1, 1], 1e-6);
    let ws = Tensor::ones([3, 2], (Kind::Float, Device::Cpu));
    let empty = Tensor::empty([0, 2], (Kind::Float, Device::Cpu));
    let ys = Tensor::empty([0, 3], (Kind::Float, Device::Cpu));
    let sizes = Sizes { rows: 0, k: 2, columns: 3 };
    forward::<f32>(sizes, &empty, &ws, None, &ys);
    input_gradient::<f32>(sizes, &ys, &ws, &empty);
    weight_gradient::<f32>(sizes, &ys, &empty, &ws);
    assert_eq!(Vec::<f32>::try_from(ws.flatten(0, 1)).unwrap(), [0.0; 6]);
}
