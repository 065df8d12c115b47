//! torchvision's results for generated images, for the tests; `golden/make_golden.py` wrote them.

use serde_json::Value;

use super::canvas::Canvas;
use super::resample::Interpolation;
use crate::fit::Shape;

fn section(name: &str) -> Vec<Value> {
    let values: Value = serde_json::from_str(include_str!("golden/golden.json")).unwrap();
    values[name].as_array().unwrap().clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_string()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn hash_in(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A generated image.
pub(super) fn image(name: &str) -> Canvas {
    let images = section("images");
    let row = images.iter().find(|row| row[0] == name).unwrap();
    let mut canvas = Canvas::default();
    canvas.resize(number(&row[1]), number(&row[2]));
    canvas.pixels.as_flattened_mut().copy_from_slice(&bytes(&row[3]));
    canvas
}

/// FNV-1a of bytes.
pub(super) struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    pub(super) fn add(&mut self, canvas: &Canvas) {
        for &byte in canvas.pixels.as_flattened() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(super) fn value(&self) -> u64 {
        self.0
    }
}

pub(super) fn hash(canvas: &Canvas) -> u64 {
    let mut hash = Hash::default();
    hash.add(canvas);
    hash.value()
}

/// An operation's outcomes: all strengths, and in each plus before minus.
pub(super) struct OfOperation {
    pub(super) policy: String,
    pub(super) image: String,
    pub(super) operation: String,
    pub(super) hash: u64,
}

pub(super) fn policies() -> Vec<OfOperation> {
    let case = |row: &Value| OfOperation {
        policy: text(&row[0]),
        image: text(&row[1]),
        operation: text(&row[2]),
        hash: hash_in(&row[3]),
    };
    section("policies").iter().map(case).collect()
}

/// One outcome in full.
pub(super) struct Shown {
    pub(super) policy: String,
    pub(super) image: Canvas,
    pub(super) operation: String,
    pub(super) bin: usize,
    pub(super) sign: f64,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn shown() -> Vec<Shown> {
    let case = |row: &Value| Shown {
        policy: text(&row[0]),
        image: image(row[1].as_str().unwrap()),
        operation: text(&row[2]),
        bin: number(&row[3]),
        sign: row[4].as_f64().unwrap(),
        bytes: bytes(&row[5]),
    };
    section("shown").iter().map(case).collect()
}

/// A window (top, left, height, width) of an image, resized.
pub(super) struct Resized {
    pub(super) image: Canvas,
    pub(super) window: [usize; 4],
    pub(super) size: [usize; 2],
    pub(super) hash: u64,
}

pub(super) fn resized() -> Vec<Resized> {
    let case = |row: &Value| Resized {
        image: image(row[0].as_str().unwrap()),
        window: std::array::from_fn(|at| number(&row[1][at])),
        size: std::array::from_fn(|at| number(&row[2][at])),
        hash: hash_in(&row[3]),
    };
    section("resized").iter().map(case).collect()
}

/// The middle of an image.
pub(crate) struct Fitted {
    pub(crate) pixels: Vec<[u8; 3]>,
    pub(crate) size: [usize; 2],
    pub(crate) side: usize,
    pub(crate) crop_fraction: f64,
    pub(crate) interpolation: Interpolation,
    pub(crate) shape: Shape,
    hash: u64,
}

impl Fitted {
    /// Whether these are torchvision's pixels.
    pub(crate) fn is(&self, pixels: Vec<[u8; 3]>) -> bool {
        let mut canvas = Canvas::default();
        canvas.resize(self.side, self.side);
        canvas.pixels = pixels;
        hash(&canvas) == self.hash
    }
}

pub(crate) fn fitted() -> Vec<Fitted> {
    let case = |row: &Value| {
        let Canvas { height, width, pixels, .. } = image(row[0].as_str().unwrap());
        Fitted {
            pixels,
            size: [height, width],
            side: number(&row[1]),
            crop_fraction: row[2].as_f64().unwrap(),
            interpolation: match row[3].as_str().unwrap() {
                "bicubic" => Interpolation::Bicubic,
                "lanczos" => Interpolation::Lanczos,
                "nearest" => Interpolation::Nearest,
                _ => Interpolation::Bilinear,
            },
            shape: if row[4] == "squash" { Shape::Squash } else { Shape::Crop },
            hash: hash_in(&row[5]),
        }
    };
    section("fitted").iter().map(case).collect()
}

/// Every colour whose bytes are multiples of 5, under every turn of the hues that was made.
#[test]
fn hues_are_torchvisions() {
    for row in section("hues") {
        let mut lattice = Canvas::default();
        lattice.resize(52 * 52, 52);
        for (n, pixel) in lattice.pixels.iter_mut().enumerate() {
            *pixel = [n / (52 * 52), n / 52 % 52, n % 52].map(|value| 5 * value as u8);
        }
        lattice.hue(row[0].as_f64().unwrap());
        assert_eq!(hash(&lattice), hash_in(&row[1]), "{}", row[0]);
    }
}
