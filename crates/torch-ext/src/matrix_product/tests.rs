//! The three products of training against libtorch's in fp64, over sizes that leave a rest in every direction.

use tch::{Device, Kind, Tensor};

use super::*;
use crate::nhwc::Nhwc;
use crate::simd::tests::on_every_set;

/// The distance of `got` from `expected`, in units of the largest number there.
fn off(got: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(got.size(), expected.size());
    let scale = expected.abs().max().double_value(&[]).max(1.0);
    (got.to_kind(Kind::Double) - expected).abs().max().double_value(&[]) / scale
}

/// A laid-out map of one row of pixels, with the rows of `matrix` as its pixels.
fn map(matrix: &Tensor) -> Tensor {
    let [rows, columns]: [i64; 2] = matrix.size().try_into().unwrap();
    matrix.view([1, 1, rows, columns]).permute([0, 3, 1, 2])
}

/// The inverse of [`map`].
fn matrix(map: &Tensor) -> Tensor {
    map.permute([0, 2, 3, 1]).flatten(0, 2)
}

fn of_size(pixels: usize, channels: usize) -> Nhwc {
    Nhwc { n: 1, h: 1, w: pixels, c: channels }
}

#[track_caller]
fn check_as<E: Trained>(kind: Kind, [rows, k, columns]: [usize; 3], bound: f64) {
    let sizes = Sizes { rows, k, columns };
    if !covers(kind, sizes) {
        return;
    }
    let (input, output) = (of_size(rows, k), of_size(rows, columns));
    let [rows, k, columns] = [rows, k, columns].map(|size| size as i64);
    let noise = |shape: [i64; 2], kind| {
        let numbers = Tensor::arange(shape[0] * shape[1], (Kind::Double, Device::Cpu));
        (numbers * 0.7).sin().view(shape).to_kind(kind)
    };
    let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
    let (xs, ys) = (noise([rows, k], kind), noise([rows, columns], kind));
    // Weights as the product reads them: rounded to the map's kind, if it is bf16.
    let ws = noise([columns, k], Kind::Float) / k as f64;
    let (rounded, bs) = (ws.to_kind(kind), noise([1, columns], Kind::Float).flatten(0, 1));

    let got = matrix(&forward::<E>(sizes, &map(&xs), &ws, Some(&bs), output));
    let expected = double(&xs).mm(&double(&rounded).tr()) + double(&bs);
    assert!(off(&got, &expected) < bound, "forward of {sizes:?}: {:e}", off(&got, &expected));

    let got = matrix(&input_gradient::<E>(sizes, &map(&ys), &ws, input));
    let expected = double(&ys).mm(&double(&rounded));
    assert!(off(&got, &expected) < bound, "input of {sizes:?}: {:e}", off(&got, &expected));

    let got = weight_gradient::<E>(sizes, &map(&ys), &map(&xs));
    let expected = double(&ys).tr().mm(&double(&xs));
    // Sums of the very numbers that were given: nothing is rounded to bf16 here.
    assert!(off(&got, &expected) < 1e-5, "weights of {sizes:?}: {:e}", off(&got, &expected));
}

/// Rows, factors and columns of a product on every set.
#[track_caller]
fn check(sizes: [usize; 3]) {
    on_every_set(|_| {
        check_as::<f32>(Kind::Float, sizes, 1e-5);
        check_as::<Bf16>(Kind::BFloat16, sizes, 0.01);
    });
}

macro_rules! named {
    ($($name:ident: $sizes:expr,)*) => {
        mod products_agree_with_libtorchs {
            use super::*;
            $(#[test]
            fn $name() {
                check($sizes);
            })*
        }
    };
}
named! {
    of_one_number: [1, 1, 1],
    of_one_row: [1, 2, 2],
    of_less_than_a_block_of_rows: [5, 4, 10],
    of_a_tile: [64, 90, 70],
    of_two_panels: [67, 130, 128],
    of_a_rest_in_every_direction: [300, 24, 66],
    of_several_depths: [531, 64, 18],
    of_odd_factors_which_do_not_pair: [13, 7, 65],
    of_one_column: [601, 33, 1],
}

#[test]
fn no_rows_give_no_rows_and_a_gradient_of_zeros() {
    let ws = Tensor::ones([3, 2], (Kind::Float, Device::Cpu));
    let empty = |columns| map(&Tensor::empty([0, columns], (Kind::Float, Device::Cpu)));
    let sizes = Sizes { rows: 0, k: 2, columns: 3 };
    let ys = forward::<f32>(sizes, &empty(2), &ws, None, of_size(0, 3));
    assert_eq!(ys.size(), [1, 3, 1, 0]);
    let xs = input_gradient::<f32>(sizes, &empty(3), &ws, of_size(0, 2));
    assert_eq!(xs.size(), [1, 2, 1, 0]);
    let gradient = weight_gradient::<f32>(sizes, &empty(3), &empty(2));
    assert_eq!(Vec::<f32>::try_from(gradient.flatten(0, 1)).unwrap(), [0.0; 6]);
}

/// A view may begin at an odd number of bf16, which is no place for a pair.
#[test]
fn a_map_that_begins_at_an_odd_number_is_aligned() {
    let numbers = Tensor::arange(9, (Kind::BFloat16, Device::Cpu));
    let odd = map(&numbers.slice(0, 1, None, 1).view([2, 4]));
    assert!(!odd.data_ptr().cast::<f32>().is_aligned());
    let copy = aligned(&odd);
    assert!(copy.equal(&odd) && copy.data_ptr().cast::<f32>().is_aligned());
    assert_eq!(aligned(&copy).data_ptr(), copy.data_ptr());
}

#[test]
#[should_panic(
    expected = "expected a map of 3 pixels and 4 channels, got Nhwc { n: 1, h: 1, w: 2, c: 4 }"
)]
fn a_map_of_other_sizes_is_refused() {
    let xs = map(&Tensor::ones([2, 4], (Kind::Float, Device::Cpu)));
    let ws = Tensor::ones([5, 4], (Kind::Float, Device::Cpu));
    let sizes = Sizes { rows: 3, k: 4, columns: 5 };
    drop(forward::<f32>(sizes, &xs, &ws, None, of_size(3, 5)));
}

#[test]
#[should_panic(
    expected = "expected a contiguous matrix [5, 4] of Float, got [4, 5] of Float on Cpu"
)]
fn a_matrix_of_other_sizes_is_refused() {
    let xs = map(&Tensor::ones([2, 4], (Kind::Float, Device::Cpu)));
    let ws = Tensor::ones([4, 5], (Kind::Float, Device::Cpu));
    let sizes = Sizes { rows: 2, k: 4, columns: 5 };
    drop(forward::<f32>(sizes, &xs, &ws, None, of_size(2, 5)));
}
