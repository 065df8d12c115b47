//! Brightness, contrast, saturation and sharpness: each blends the image with one that lacks the quality. Pillow:
//! `ImageEnhance`, to the byte.

use super::canvas::Canvas;

impl Canvas {
    /// Blends with black. torchvision: `adjust_brightness`.
    pub(super) fn brightness(&mut self, factor: f64) {
        self.blend_each(factor, |_| [0; 3]);
    }

    /// Blends with the image's mean grey. torchvision: `adjust_contrast`.
    pub(super) fn contrast(&mut self, factor: f64) {
        let pixels = self.pixels.len() as u64;
        let sum: u64 = self.pixels.iter().map(|&pixel| u64::from(grey(pixel))).sum();
        let mean = ((2 * sum + pixels) / (2 * pixels)) as u8;
        self.blend_each(factor, |_| [mean; 3]);
    }

    /// Blends with the image in greys. torchvision: `adjust_saturation`.
    pub(super) fn saturation(&mut self, factor: f64) {
        self.blend_each(factor, |pixel| [grey(pixel); 3]);
    }

    /// Blends with the smoothed image: a pixel weighs 5 and each neighbour 1; pixels at an edge stay. torchvision:
    /// `adjust_sharpness`.
    pub(super) fn sharpness(&mut self, factor: f64) {
        let (height, width) = (self.height, self.width);
        let inner = |at: usize, size: usize| at > 0 && at + 1 < size;
        self.redraw(|pixels, row, column| {
            let pixel = pixels[row * width + column];
            if !(inner(row, height) && inner(column, width)) {
                return pixel;
            }
            std::array::from_fn(|channel| {
                let around = (row - 1..=row + 1)
                    .flat_map(|row| &pixels[row * width + column - 1..=row * width + column + 1]);
                let sum: u32 = around.map(|pixel| u32::from(pixel[channel])).sum();
                let weighted = sum + 4 * u32::from(pixel[channel]);
                // Rounded; thirteen is odd, so nothing lies halfway.
                let smooth = ((2 * weighted + 13) / 26) as u8;
                blend(smooth, pixel[channel], factor)
            })
        });
    }

    fn blend_each(&mut self, factor: f64, without: impl Fn([u8; 3]) -> [u8; 3]) {
        for pixel in &mut self.pixels {
            let without = without(*pixel);
            for (byte, without) in pixel.iter_mut().zip(without) {
                *byte = blend(without, *byte, factor);
            }
        }
    }
}

/// `without` at factor 0, `byte` at factor 1, and linear between and beyond, cast to a byte. Pillow: `Image.blend`,
/// whose numbers have 32 bits.
fn blend(without: u8, byte: u8, factor: f64) -> u8 {
    let difference = (i16::from(byte) - i16::from(without)) as f32;
    (f32::from(without) + factor as f32 * difference) as u8
}

/// ITU-R 601-2 luma. Pillow: `convert("L")`.
fn grey([red, green, blue]: [u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}
