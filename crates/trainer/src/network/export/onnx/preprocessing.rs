//! Preprocessing as ONNX operations: from images in bytes, of any size, to the input of a network, as `predict` does it.
//!
//! The resize is ONNX's own with antialiasing, which is Pillow's, on bytes.

use tch::Tensor;
use xception::weights::{Description, Fit, Interpolation};

use super::{INPUT, Parts, float, integer, text};
use crate::network::Error;

/// The input of the network after these operations.
pub(super) const PREPARED: &str = "prepared";

/// Adds the operations that turn `images`, `[N, H, W, 3]` in bytes, into [`PREPARED`], `[N, 3, side, side]`.
///
/// # Errors
/// A resize that ONNX does not have.
pub(super) fn add(parts: &mut Parts, description: &Description) -> Result<(), Error> {
    let side = description.input;
    let resized = description.preprocessing().resized_side().max(side);
    let one = |parts: &mut Parts, value| parts.integers("size", &[value]);
    parts.push("Shape", "shape", &names([INPUT]), "shape", []);
    let (first, third) = (one(parts, 1), one(parts, 3));
    parts.push("Slice", "size", &["shape".into(), first, third], "size", []);
    let whole = match description.fit {
        Fit::Squash => parts.integers("whole", &[resized, resized]),
        // The shorter side becomes `resized`, the longer one is rounded down.
        Fit::Crop => {
            let resized = one(parts, resized);
            parts.push("ReduceMin", "shorter", &names(["size"]), "shorter", []);
            parts.push("Mul", "longer", &["size".into(), resized], "longer", []);
            parts.push("Div", "whole", &names(["longer", "shorter"]), "whole", []);
            "whole".to_string()
        }
    };
    let outer = parts.integers("channels", &[3]);
    let (zero, last) = (one(parts, 0), one(parts, 1));
    parts.push("Slice", "count", &["shape".into(), zero, last], "count", []);
    let sizes = ["count".to_string(), outer, whole.clone()];
    parts.push("Concat", "sizes", &sizes, "sizes", [integer("axis", 0)]);
    let to_planes = super::integers("perm", &[0, 3, 1, 2]);
    parts.push("Transpose", "planes", &names([INPUT]), "planes", [to_planes]);
    let inputs = names(["planes", "", "", "sizes"]);
    parts.push("Resize", "resized", &inputs, "resized", resize(description.interpolation)?);
    crop(parts, &whole, side);
    parts.push("Cast", "numbers", &names(["cropped"]), "numbers", [integer("to", 1)]);
    let colours =
        |values: [f64; 3]| Tensor::from_slice(&values.map(|value| value as f32)).view([3, 1, 1]);
    let (mean, std) = (description.mean, description.std);
    let scale = parts.weights("scale", &colours(std.map(|std| 1.0 / (255.0 * std))));
    let shift = parts.weights("shift", &colours([0, 1, 2].map(|c: usize| mean[c] / std[c])));
    parts.push("Mul", "scaled", &["numbers".into(), scale], "scaled", []);
    parts.push("Sub", "prepared", &["scaled".into(), shift], PREPARED, []);
    Ok(())
}

/// Cuts the square out of the middle of `resized`, whose height and width are `whole`.
fn crop(parts: &mut Parts, whole: &str, side: i64) {
    let side = parts.integers("side", &[side, side]);
    let axes = parts.integers("axes", &[2, 3]);
    let half = parts.weights("half", &Tensor::from(0.5_f32));
    parts.push("Sub", "border", &[whole.to_string(), side.clone()], "border", []);
    parts.push("Cast", "border.float", &names(["border"]), "border.float", [integer("to", 1)]);
    parts.push("Mul", "border.half", &["border.float".into(), half], "border.half", []);
    // To the even neighbour, as Python rounds.
    parts.push("Round", "border.whole", &names(["border.half"]), "border.whole", []);
    parts.push("Cast", "origin", &names(["border.whole"]), "origin", [integer("to", 7)]);
    parts.push("Add", "end", &["origin".into(), side], "end", []);
    let inputs = ["resized".to_string(), "origin".to_string(), "end".to_string(), axes];
    parts.push("Slice", "cropped", &inputs, "cropped", []);
}

/// The attributes of the resize.
fn resize(interpolation: Interpolation) -> Result<Vec<super::Message>, Error> {
    let half_pixel = text("coordinate_transformation_mode", "half_pixel");
    Ok(match interpolation {
        Interpolation::Bilinear => {
            vec![half_pixel, text("mode", "linear"), integer("antialias", 1)]
        }
        Interpolation::Bicubic => vec![
            half_pixel,
            text("mode", "cubic"),
            float("cubic_coeff_a", -0.5),
            integer("exclude_outside", 1),
            integer("antialias", 1),
        ],
        Interpolation::Nearest => {
            vec![half_pixel, text("mode", "nearest"), text("nearest_mode", "round_prefer_ceil")]
        }
        Interpolation::Lanczos => return Err(Error::NoLanczos),
    })
}

fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_string).to_vec()
}
