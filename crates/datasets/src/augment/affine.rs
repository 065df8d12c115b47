//! Shears, translations and rotations of an image's bytes: the nearest pixel, or black outside the image.
//!
//! As in Pillow, coordinates have 16 fractional bits, so pixels that lie halfway are rounded to the same side.

use super::canvas::Canvas;

/// `[a, b, c, d, e, f]`: the pixel in column `x` and row `y` comes from column `a x + b y + c` and row `d x + e y + f`.
/// Pillow: `Image.transform(size, AFFINE, …)`.
type Inverse = [f64; 6];

/// Fractional bits of a coordinate.
const FRACTION: u32 = 16;

impl Canvas {
    /// Moves each row to the left by `slope` times its number.
    pub(super) fn shear_x(&mut self, slope: f64) {
        self.affine([1., slope, 0., 0., 1., 0.]);
    }

    /// Moves each column up by `slope` times its number.
    pub(super) fn shear_y(&mut self, slope: f64) {
        self.affine([1., 0., 0., slope, 1., 0.]);
    }

    /// Moves the image down and to the right by whole pixels.
    pub(super) fn translate(&mut self, down: i64, right: i64) {
        self.affine([1., 0., -right as f64, 0., 1., -down as f64]);
    }

    /// Rotates the image about its centre, counter-clockwise.
    pub(super) fn rotate(&mut self, degrees: f64) {
        // Math libraries differ in the last bit of a sine, but only 16 fractional bits are kept.
        let (sine, cosine) = (-degrees.to_radians()).sin_cos();
        let (x, y) = (self.width as f64 / 2., self.height as f64 / 2.);
        let across = x - cosine * x - sine * y;
        let down = y + sine * x - cosine * y;
        self.affine([cosine, sine, across, -sine, cosine, down]);
    }

    fn affine(&mut self, [a, b, c, d, e, f]: Inverse) {
        let fixed = |value: f64| (value * f64::from(1 << FRACTION) + 0.5).floor() as i64;
        // The source of the first pixel's centre.
        let (x0, y0) = (fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5));
        let [a, b, d, e] = [a, b, d, e].map(fixed);
        let (height, width) = (self.height, self.width);
        self.redraw(|pixels, row, column| {
            let (row, column) = (row as i64, column as i64);
            let source = |start: i64, per_column: i64, per_row: i64, size: usize| {
                let at = (start + per_column * column + per_row * row) >> FRACTION;
                usize::try_from(at).ok().filter(|&at| at < size)
            };
            match (source(y0, d, e, height), source(x0, a, b, width)) {
                (Some(row), Some(column)) => pixels[row * width + column],
                _ => [0; 3],
            }
        });
    }
}
