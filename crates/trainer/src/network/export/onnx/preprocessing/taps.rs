//! The share that each old pixel has in each new one along an axis, to the bit as Pillow rounds it: a matrix.

use std::ops::Range;

use xception::weights::Interpolation;

use super::Axis;
use crate::network::export::onnx::{DOUBLE, FLOAT, INT64, Parts, integer};
use crate::network::export::resize::{PART, SHARES, reach};

/// Old pixels along an axis that new ones are made of, and their shares.
pub(super) struct Taps {
    /// The first old pixel.
    pub(super) first: String,
    /// The one after the last.
    pub(super) end: String,
    /// The matrix `[2 outputs, end - first]` in fp32: the upper parts of the shares, then the lower ones. In two parts, their
    /// sums over the bytes of an image are whole numbers that fp32 holds without rounding.
    pub(super) shares: String,
}

/// The taps of these new pixels of `axis`.
///
/// New pixel `i` is centred on place `(i + 1/2) pixels / resized`, old pixel `j` on `j + 1/2`. Their difference times twice
/// `resized` is whole, so no rounding decides which pixels count.
pub(super) fn taps(
    parts: &mut Parts,
    axis: &Axis,
    outputs: Range<i64>,
    interpolation: Interpolation,
) -> Taps {
    let Axis { pixels, resized, origin } = axis;
    let two = parts.integers("two", &[2]);
    let odd: Vec<i64> = outputs.clone().map(|output| 2 * output + 1).collect();
    let odd = parts.integers("odd", &odd);
    let twice = parts.value_of("Mul", &[origin, &two], []);
    let centres = parts.value_of("Add", &[&odd, &twice], []);
    let centres = parts.value_of("Mul", &[&centres, pixels], []);
    // The coarser of the two grids.
    let coarser = parts.value_of("Max", &[pixels, resized], []);
    let [first, end] = window(parts, axis, &centres, &coarser, interpolation);
    if interpolation == Interpolation::Nearest {
        let weights = nearest(parts, axis, outputs, [&first, &end]);
        let shares = shares(parts, &weights);
        return Taps { first, end, shares };
    }
    let second = parts.integers("second", &[1]);
    let centres = parts.value_of("Unsqueeze", &[&centres, &second], []);

    let [from, to] = [&first, &end].map(|pixel| parts.value_of("Mul", &[pixel, &two], []));
    let from = parts.value_of("Add", &[&from, &second], []);
    let [from, to] = [from, to].map(|limit| parts.value_of("Squeeze", &[&limit], []));
    let step = parts.whole_number("step", 2);
    let inputs = parts.value_of("Range", &[&from, &to, &step], []);
    let inputs = parts.value_of("Mul", &[&inputs, resized], []);

    let away = parts.value_of("Sub", &[&inputs, &centres], []);
    let unit = parts.value_of("Mul", &[&coarser, &two], []);
    let [away, unit] = [away, unit].map(|value| to_double(parts, &value));
    let away = parts.value_of("Abs", &[&away], []);
    let distance = parts.value_of("Div", &[&away, &unit], []);
    let weights = kernel(parts, &distance, interpolation);
    let sum = parts.value_of("ReduceSum", &[&weights, &second], []);
    let weights = parts.value_of("Div", &[&weights, &sum], []);
    let shares = shares(parts, &weights);
    Taps { first, end, shares }
}

/// Both parts of the shares that `weights` become.
fn shares(parts: &mut Parts, weights: &str) -> String {
    let number = parts.double("shares", SHARES);
    let shares = parts.value_of("Mul", &[weights, &number], []);
    let shares = rounded(parts, &shares);
    let part = parts.double("part", PART);
    let upper = parts.value_of("Div", &[&shares, &part], []);
    let upper = rounded(parts, &upper);
    let above = parts.value_of("Mul", &[&upper, &part], []);
    let lower = parts.value_of("Sub", &[&shares, &above], []);
    let both = parts.value_of("Concat", &[&upper, &lower], [integer("axis", 0)]);
    parts.value_of("Cast", &[&both], [integer("to", FLOAT as i64)])
}

/// The first of the old pixels that may count for the new ones centred on `centres`, and the one after the last.
fn window(
    parts: &mut Parts,
    axis: &Axis,
    centres: &str,
    coarser: &str,
    interpolation: Interpolation,
) -> [String; 2] {
    let [reach, two] =
        [2 * reach(interpolation), 2].map(|factor| parts.integers("factor", &[factor]));
    let reach = parts.value_of("Mul", &[coarser, &reach], []);
    let pixel = parts.value_of("Mul", &[&axis.resized, &two], []);
    let margin = parts.integers("margin", &[1]);
    let zero = parts.integers("zero", &[0]);
    let [least, most] = ["ReduceMin", "ReduceMax"]
        .map(|reduce| parts.value_of(reduce, &[centres], [integer("keepdims", 1)]));
    let first = parts.value_of("Sub", &[&least, &reach], []);
    let first = parts.value_of("Div", &[&first, &pixel], []);
    let first = parts.value_of("Sub", &[&first, &margin], []);
    let first = parts.value_of("Max", &[&first, &zero], []);
    let end = parts.value_of("Add", &[&most, &reach], []);
    let end = parts.value_of("Div", &[&end, &pixel], []);
    let end = parts.value_of("Add", &[&end, &two], []);
    let end = parts.value_of("Min", &[&end, &axis.pixels], []);
    [first, end]
}

/// The bytes of `outputs` sums along `axis` of 4 with both parts of [`Taps::shares`].
pub(super) fn bytes(parts: &mut Parts, sums: &str, axis: i64, outputs: i64) -> String {
    let sizes = parts.integers("parts", &[outputs, outputs]);
    let [upper, lower] = parts.values_of("Split", &[sums, &sizes], [integer("axis", axis)]);
    let [part, half, least, most] =
        [PART as f32, PART as f32 / 2., 0., 255.].map(|value| parts.float("byte", value));
    let lower = parts.value_of("Div", &[&lower, &part], []);
    let carried = parts.value_of("Floor", &[&lower], []);
    let whole = parts.value_of("Add", &[&upper, &carried], []);
    let whole = parts.value_of("Add", &[&whole, &half], []);
    let whole = parts.value_of("Div", &[&whole, &part], []);
    let whole = parts.value_of("Floor", &[&whole], []);
    parts.value_of("Clip", &[&whole, &least, &most], [])
}

/// 1 for the old pixel that a new one's centre lies in, else 0.
///
/// Centres are added up, as Pillow does: where one falls between two pixels, its rounding decides.
fn nearest(
    parts: &mut Parts,
    axis: &Axis,
    outputs: Range<i64>,
    [first, end]: [&String; 2],
) -> String {
    let [pixels, resized] = [&axis.pixels, &axis.resized].map(|value| to_double(parts, value));
    let scale = parts.value_of("Div", &[&pixels, &resized], []);
    let half = parts.double("half", 0.5);
    let centre = parts.value_of("Mul", &[&scale, &half], []);
    let others = parts.integers("others", &[outputs.end - 1]);
    let others = parts.value_of("Add", &[&axis.origin, &others], []);
    let steps = parts.value_of("Expand", &[&scale, &others], []);
    let steps = parts.value_of("Concat", &[&centre, &steps], [integer("axis", 0)]);
    let [zero, step] = [0, 1].map(|value| parts.whole_number("number", value));
    let centres = parts.value_of("CumSum", &[&steps, &zero], []);
    let from = parts.integers("from", &[outputs.start - outputs.end]);
    let to = parts.integers("to", &[i64::MAX]);
    let centres = parts.value_of("Slice", &[&centres, &from, &to], []);
    let whole = parts.value_of("Cast", &[&centres], [integer("to", INT64 as i64)]);
    let one = parts.integers("one", &[1]);
    let last = parts.value_of("Sub", &[&axis.pixels, &one], []);
    let whole = parts.value_of("Min", &[&whole, &last], []);
    let whole = parts.value_of("Unsqueeze", &[&whole, &one], []);
    let [from, to] = [first, end].map(|limit| parts.value_of("Squeeze", &[limit], []));
    let inputs = parts.value_of("Range", &[&from, &to, &step], []);
    let is_it = parts.value_of("Equal", &[&whole, &inputs], []);
    to_double(parts, &is_it)
}

/// The kernel of `interpolation` at these distances, from 0.
fn kernel(parts: &mut Parts, distance: &str, interpolation: Interpolation) -> String {
    match interpolation {
        Interpolation::Bilinear => {
            let [zero, one] = [0., 1.].map(|value| parts.double("limit", value));
            let near = parts.value_of("Sub", &[&one, distance], []);
            parts.value_of("Max", &[&near, &zero], [])
        }
        Interpolation::Bicubic => {
            let inner = polynomial(parts, distance, [1.5, -2.5, 0., 1.]);
            let outer = polynomial(parts, distance, [-0.5, 2.5, -4., 2.]);
            let outer = within(parts, distance, 2., &outer);
            let one = parts.double("one", 1.);
            let is_inner = parts.value_of("Less", &[distance, &one], []);
            parts.value_of("Where", &[&is_inner, &inner, &outer], [])
        }
        Interpolation::Lanczos => {
            // sin(x) / x of the least number is 1, as of 0.
            let least = parts.double("least", 1e-12);
            let distance = parts.value_of("Max", &[distance, &least], []);
            let [sharp, wide] = [1., 1. / 3.].map(|stretch| sinc(parts, &distance, stretch));
            let product = parts.value_of("Mul", &[&sharp, &wide], []);
            within(parts, &distance, 3., &product)
        }
        Interpolation::Nearest => unreachable!("has no kernel"),
    }
}

/// `values` where the distance is below `limit`, else 0.
fn within(parts: &mut Parts, distance: &str, limit: f64, values: &str) -> String {
    let [limit, zero] = [limit, 0.].map(|value| parts.double("limit", value));
    let is_near = parts.value_of("Less", &[distance, &limit], []);
    parts.value_of("Where", &[&is_near, values, &zero], [])
}

/// A polynomial of these coefficients, that of the highest power first.
fn polynomial(parts: &mut Parts, at: &str, coefficients: [f64; 4]) -> String {
    let [first, others @ ..] = coefficients.map(|value| parts.double("coefficient", value));
    others.iter().fold(first, |sum, coefficient| {
        let product = parts.value_of("Mul", &[&sum, at], []);
        parts.value_of("Add", &[&product, coefficient], [])
    })
}

/// `sin(x) / x` at π times the distance times `stretch`.
fn sinc(parts: &mut Parts, distance: &str, stretch: f64) -> String {
    let turns = parts.double("turns", std::f64::consts::PI * stretch);
    let angle = parts.value_of("Mul", &[distance, &turns], []);
    let sine = parts.value_of("Sin", &[&angle], []);
    parts.value_of("Div", &[&sine, &angle], [])
}

/// The nearest whole numbers.
fn rounded(parts: &mut Parts, values: &str) -> String {
    let half = parts.double("half", 0.5);
    let up = parts.value_of("Add", &[values, &half], []);
    parts.value_of("Floor", &[&up], [])
}

fn to_double(parts: &mut Parts, value: &str) -> String {
    parts.value_of("Cast", &[value], [integer("to", DOUBLE as i64)])
}
