//! Preprocessing as ONNX operations: from images in bytes, of any size, to the input of a network, as `predict` does it.
//!
//! The resize is two products of matrices. ONNX's own `Resize` repeats the pixels at an image's edge, where Pillow gives
//! those beyond it no weight, and has no Lanczos.

mod taps;

use tch::Tensor;
use xception::weights::{Description, Fit};

use self::taps::Taps;
use super::{FLOAT, INPUT, INT64, Parts, integer, integers};
use crate::network::export::resize::BLOCK;

/// An axis of the images while they are prepared; names of whole numbers.
struct Axis {
    /// The pixels that an image has.
    pixels: String,
    /// The pixels that it is resized to.
    resized: String,
    /// The first of these that the network sees.
    origin: String,
}

/// Adds the operations that turn `images`, `[N, H, W, 3]` in bytes, into the value with the name that is returned,
/// `[N, 3, side, side]`.
pub(super) fn add(parts: &mut Parts, description: &Description) -> String {
    let side = description.input;
    let [rows, columns] = axes(parts, description);
    let planes = parts.value_of("Transpose", &[INPUT], [integers("perm", &[0, 3, 1, 2])]);
    let narrow = across(parts, &planes, &columns, description);
    let taps = taps::taps(parts, &rows, 0..side, description.interpolation);
    let window = window(parts, &narrow, &taps, 2);
    let sums = parts.value_of("MatMul", &[&taps.shares, &window], []);
    let small = taps::bytes(parts, &sums, 2, side);

    let colours =
        |values: [f64; 3]| Tensor::from_slice(&values.map(|value| value as f32)).view([3, 1, 1]);
    let (mean, std) = (description.mean, description.std);
    let scale = parts.weights("scale", &colours(std.map(|std| 1.0 / (255.0 * std))));
    let shift = parts.weights("shift", &colours([0, 1, 2].map(|c: usize| mean[c] / std[c])));
    let scaled = parts.value_of("Mul", &[&small, &scale], []);
    parts.value_of("Sub", &[&scaled, &shift], [])
}

/// The images `planes` with fewer columns. Pillow keeps bytes between its two passes, of which this is the first.
///
/// Most shares of a whole row are zero, so some new columns at a time are made of the old ones that count for them.
fn across(parts: &mut Parts, planes: &str, columns: &Axis, description: &Description) -> String {
    let side = description.input;
    let blocks: Vec<String> = (0..side)
        .step_by(BLOCK as usize)
        .map(|start| {
            let outputs = start..side.min(start + BLOCK);
            let count = outputs.end - outputs.start;
            let taps = taps::taps(parts, columns, outputs, description.interpolation);
            let window = window(parts, planes, &taps, 3);
            let window = parts.value_of("Cast", &[&window], [integer("to", FLOAT as i64)]);
            let turned = [integers("perm", &[1, 0])];
            let shares = parts.value_of("Transpose", &[&taps.shares], turned);
            let sums = parts.value_of("MatMul", &[&window, &shares], []);
            taps::bytes(parts, &sums, 3, count)
        })
        .collect();
    let blocks: Vec<&str> = blocks.iter().map(String::as_str).collect();
    parts.value_of("Concat", &blocks, [integer("axis", 3)])
}

/// The old pixels of `taps` along `axis` of 4.
fn window(parts: &mut Parts, images: &str, taps: &Taps, axis: i64) -> String {
    let axis = parts.integers("axis", &[axis]);
    parts.value_of("Slice", &[images, &taps.first, &taps.end, &axis], [])
}

/// Rows and columns.
fn axes(parts: &mut Parts, description: &Description) -> [Axis; 2] {
    let side = description.input;
    let resized = description.preprocessing().resized_side().max(side);
    let resized = parts.integers("resized", &[resized]);
    let shape = parts.value_of("Shape", &[INPUT], []);
    let pixels = [1, 2].map(|axis| {
        let (first, end) = (parts.integers("axis", &[axis]), parts.integers("end", &[axis + 1]));
        parts.value_of("Slice", &[&shape, &first, &end], [])
    });
    let shorter = parts.value_of("Min", &[&pixels[0], &pixels[1]], []);
    pixels.map(|pixels| {
        let resized = match description.fit {
            Fit::Squash => resized.clone(),
            // The shorter side becomes `resized`, the longer one is rounded down.
            Fit::Crop => {
                let longer = parts.value_of("Mul", &[&pixels, &resized], []);
                parts.value_of("Div", &[&longer, &shorter], [])
            }
        };
        let origin = origin(parts, &resized, side);
        Axis { pixels, resized, origin }
    })
}

/// The first pixel of the middle `side` of `resized`.
fn origin(parts: &mut Parts, resized: &str, side: i64) -> String {
    let side = parts.integers("side", &[side]);
    let half = parts.float("half", 0.5);
    let border = parts.value_of("Sub", &[resized, &side], []);
    let border = parts.value_of("Cast", &[&border], [integer("to", FLOAT as i64)]);
    let border = parts.value_of("Mul", &[&border, &half], []);
    // To the even neighbour, as Python rounds.
    let border = parts.value_of("Round", &[&border], []);
    parts.value_of("Cast", &[&border], [integer("to", INT64 as i64)])
}
