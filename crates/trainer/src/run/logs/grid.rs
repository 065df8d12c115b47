//! A batch as one image, which shows the effect of augmentation.

use datasets::Normalization;
use image::{Rgb, RgbImage};
use tch::{Device, Kind, Tensor};

/// Most images in a row, and most rows.
const SIDE: u32 = 8;

/// Largest side in pixels, about that of a screen.
const WIDEST: u32 = 1024;

/// Pixels between images.
const GAP: u32 = 2;

/// The first of `images`, `[N, 3, H, W]` and normalised, in rows; as many as fit, and one at least.
pub(super) fn grid(images: &Tensor, normalization: &Normalization) -> RgbImage {
    let (count, _, height, width) = images.size4().expect("images are [N, 3, H, W]");
    let (count, height, width) = (count as u32, height as u32, width as u32);
    let fit = |side: u32| (WIDEST / (side + GAP)).clamp(1, SIDE);
    let columns = fit(width).min(count).max(1);
    let rows = fit(height).min(count.div_ceil(columns));
    let shown = count.min(columns * rows);
    let pixels = images
        .narrow(0, 0, i64::from(shown))
        .to_device(Device::Cpu)
        .to_kind(Kind::Float)
        .permute([0, 2, 3, 1])
        .contiguous();
    let pixels: Vec<f32> = Vec::try_from(pixels.view(-1)).expect("a vector of float32");
    let (pixels, _) = pixels.as_chunks::<3>();
    let mut grid =
        RgbImage::new(columns * (width + GAP) - GAP, (rows * (height + GAP)).saturating_sub(GAP));
    for (index, image) in (0..).zip(pixels.chunks_exact((width * height) as usize)) {
        let (left, top) = (index % columns * (width + GAP), index / columns * (height + GAP));
        for (at, pixel) in (0..).zip(image) {
            grid.put_pixel(left + at % width, top + at / width, byte(*pixel, normalization));
        }
    }
    grid
}

/// The byte that [`Normalization::apply`] was given, or the nearest where augmentation left the range.
fn byte(pixel: [f32; 3], normalization: &Normalization) -> Rgb<u8> {
    Rgb(std::array::from_fn(|channel| {
        let value =
            f64::from(pixel[channel]) * normalization.std[channel] + normalization.mean[channel];
        (value * 255.0).round() as u8
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` images, whose pixels name their image, row and column.
    fn images(count: i64, height: i64, width: i64, normalization: &Normalization) -> Tensor {
        let mut values = Vec::new();
        for image in 0..count {
            for row in 0..height {
                for column in 0..width {
                    let byte = |number: i64| (number % 256) as u8;
                    let pixel = [byte(image), byte(row), byte(column)];
                    values.extend(normalization.apply(pixel));
                }
            }
        }
        Tensor::from_slice(&values).view([count, height, width, 3]).permute([0, 3, 1, 2])
    }

    #[test]
    fn images_stand_in_rows_as_they_were() {
        let normalization = Normalization::CIFAR10_NOTEBOOK;
        let grid = grid(&images(11, 3, 4, &normalization), &normalization);
        assert_eq!(grid.dimensions(), (8 * 6 - 2, 2 * 5 - 2));
        for (image, column, row) in [(0, 0, 0), (7, 3, 2), (8, 0, 0), (10, 1, 2)] {
            let (x, y) = (image % 8 * 6 + column, image / 8 * 5 + row);
            assert_eq!(grid[(x, y)], Rgb([image as u8, row as u8, column as u8]));
        }
        assert_eq!(grid[(4, 0)], Rgb([0, 0, 0]), "the gap");
        assert_eq!(grid[(3 * 6, 5)], Rgb([0, 0, 0]), "the second row has three");
    }

    #[test]
    fn every_byte_comes_back() {
        for normalization in [Normalization::CIFAR10_NOTEBOOK, Normalization::HALF] {
            for value in 0..=u8::MAX {
                let back = byte(normalization.apply([value; 3]), &normalization);
                assert_eq!(back, Rgb([value; 3]));
            }
        }
        assert_eq!(byte([-9.0, 9.0, f32::NAN], &Normalization::HALF), Rgb([0, 255, 0]));
    }

    #[test]
    fn a_batch_of_any_size_fits() {
        let size = |count, side| {
            let images = images(count, side, side, &Normalization::HALF);
            grid(&images, &Normalization::HALF).dimensions()
        };
        assert_eq!(size(1, 32), (32, 32));
        assert_eq!(size(128, 32), (270, 270));
        assert_eq!(size(10, 299), (3 * 301 - 2, 3 * 301 - 2));
        assert_eq!(size(2, 1100), (1100, 1100));
    }
}
