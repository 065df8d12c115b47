//! Images of any size brought to the input size of a network.

use crate::Error;
use crate::augment::{Canvas, Interpolation, Resize};
use crate::source::ImageRef;

/// The way in which an image of any shape becomes a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Keeps the image's proportions and cuts the square out of its middle. torchvision: `Resize` and `CenterCrop`.
    #[default]
    Crop,
    /// Resizes both sides to the square's, whatever the image's proportions. timm: `crop_mode` `squash`.
    Squash,
}

/// Brings images of any size to squares of one size: the shorter side, or each, is resized, then the middle is cut out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Rows and columns of the network's input, in pixels.
    pub side: usize,
    /// The part of the image's shorter side that is kept: it becomes `side / crop_fraction` pixels, rounded down, and
    /// the square is cut from the middle. timm: `crop_pct`.
    pub crop_fraction: f64,
    /// The interpolation between pixels.
    pub interpolation: Interpolation,
    /// The way to a square.
    pub shape: Shape,
}

impl Fit {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Fit { side, crop_fraction, .. } = *self;
        if side == 0 || side > LARGEST_SIDE {
            return Err(Error::Side { side, most: LARGEST_SIDE });
        }
        if !(crop_fraction > 0.1 && crop_fraction <= 1.) {
            return Err(Error::CropFraction(crop_fraction));
        }
        Ok(())
    }

    /// Writes the middle of `image` to `output`, `[side, side]`. `between` is a buffer that may be reused.
    ///
    /// torchvision, on a PIL image: `Resize` of the shorter side, then `CenterCrop`.
    ///
    /// # Panics
    /// An image without pixels, or an `output` of another length.
    pub fn apply(&self, image: ImageRef, between: &mut Vec<[u8; 3]>, output: &mut [[u8; 3]]) {
        let shorter = (self.side as f64 / self.crop_fraction) as usize;
        let shorter = shorter.max(self.side);
        let own = [image.height, image.width];
        let least = own[0].min(own[1]);
        // As torchvision, the longer side is rounded down to whole pixels.
        let whole = own.map(|size| match self.shape {
            Shape::Crop if size > least => shorter * size / least,
            Shape::Crop | Shape::Squash => shorter,
        });
        let origin = whole.map(|size| half_to_even(size - self.side));
        let size = [self.side; 2];
        let resize = Resize::window(own, whole, origin, size, self.interpolation);
        resize.apply(image.pixels, image.width, between, output);
    }

    /// The middle of `image`, `[side, side]`, as [`Fit::apply`] writes it.
    ///
    /// # Panics
    /// An image without pixels.
    #[must_use]
    pub fn square(&self, image: ImageRef) -> Vec<[u8; 3]> {
        let mut output = vec![[0; 3]; self.side * self.side];
        self.apply(image, &mut Vec::new(), &mut output);
        output
    }

    pub(crate) fn onto(&self, image: ImageRef, between: &mut Vec<[u8; 3]>, canvas: &mut Canvas) {
        canvas.resize(self.side, self.side);
        self.apply(image, between, &mut canvas.pixels);
    }
}

/// The largest input side, in pixels.
const LARGEST_SIDE: usize = 4096;

/// Half of `number`, rounded as in Python.
fn half_to_even(number: usize) -> usize {
    (number as f64 / 2.).round_ties_even() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::golden::fitted;

    /// To the byte, by way of Pillow.
    #[test]
    fn images_are_fitted_as_torchvision_does() {
        let cases = fitted();
        assert!(cases.len() >= 160);
        for case in cases {
            let (side, crop_fraction, interpolation) =
                (case.side, case.crop_fraction, case.interpolation);
            let fit = Fit { side, crop_fraction, interpolation, shape: case.shape };
            let [height, width] = case.size;
            let image = ImageRef { pixels: &case.pixels, height, width };
            let what = format!(
                "{:?} to {side} of {crop_fraction}, {interpolation:?}, {:?}",
                case.size, case.shape
            );
            assert!(case.is(fit.square(image)), "{what}");
        }
    }

    #[test]
    fn numbers_that_fit_nothing_are_refused() {
        let interpolation = Interpolation::Bilinear;
        let fit = Fit { side: 4, crop_fraction: 0.9, interpolation, shape: Shape::Crop };
        fit.check().unwrap();
        let refused = |fit: Fit| fit.check().unwrap_err().to_string();
        assert!(refused(Fit { side: 0, ..fit }).contains("side is 0, expected 1 to 4096"));
        for crop_fraction in [0.05, 1.1, f64::NAN] {
            assert!(refused(Fit { crop_fraction, ..fit }).contains("expected above 0.1"));
        }
    }
}
