//! A random window of the image, resized to the input size.

use rand_chacha::ChaCha8Rng;

use super::canvas::Canvas;
use super::interval;
use super::rectangle::{Rectangle, sides};
use super::resample::{Interpolation, Resize};
use crate::Error;
use crate::source::ImageRef;

/// Crops a window of random area and aspect ratio and resizes it to the input size, antialiased (Szegedy et al. 2015).
/// torchvision: `RandomResizedCrop(size, scale, ratio)` on a PIL image.
///
/// After ten draws that do not fit into the image, the window is the largest one in its centre with a ratio within
/// bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResizedCrop {
    /// Least and largest area of the window, as shares of the image's.
    pub scale: [f64; 2],
    /// Least and largest ratio of its width to its height.
    pub ratio: [f64; 2],
}

impl ResizedCrop {
    pub(super) fn check(&self) -> Result<(), Error> {
        interval("resized_crop.scale", self.scale, 0., 1.)?;
        interval("resized_crop.ratio", self.ratio, 0., f64::INFINITY)
    }

    fn draw(&self, rng: &mut ChaCha8Rng, height: usize, width: usize) -> Rectangle {
        let fits = |[w, h]: [usize; 2]| (1..=width).contains(&w) && (1..=height).contains(&h);
        if let Some([w, h]) = sides(rng, height * width, self.scale, self.ratio, fits) {
            return Rectangle::placed(rng, [h, w], [height, width]);
        }
        let [narrowest, widest] = self.ratio;
        let own = width as f64 / height as f64;
        let (mut h, mut w) = (height, width);
        if own < narrowest {
            h = (width as f64 / narrowest).round_ties_even().max(1.) as usize;
        } else if own > widest {
            w = (height as f64 * widest).round_ties_even().max(1.) as usize;
        }
        Rectangle { top: (height - h) / 2, left: (width - w) / 2, height: h, width: w }
    }

    /// Draws a window of `image` onto `canvas`. `between` is a buffer that may be reused.
    pub(crate) fn apply(
        &self,
        rng: &mut ChaCha8Rng,
        image: ImageRef,
        interpolation: Interpolation,
        between: &mut Vec<[u8; 3]>,
        canvas: &mut Canvas,
    ) {
        let window = self.draw(rng, image.height, image.width);
        resize_window(image, window, interpolation, between, canvas);
    }
}

fn resize_window(
    image: ImageRef,
    window: Rectangle,
    interpolation: Interpolation,
    between: &mut Vec<[u8; 3]>,
    canvas: &mut Canvas,
) {
    let Rectangle { top, left, height, width } = window;
    let stride = image.width;
    let resize = Resize::new([height, width], [canvas.height, canvas.width], interpolation);
    resize.apply(&image.pixels[top * stride + left..], stride, between, &mut canvas.pixels);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    fn windows(crop: ResizedCrop, height: usize, width: usize) -> Vec<Rectangle> {
        let stream = |index| stream(0, Purpose::ResizedCrop, 0, index);
        (0..5000).map(|index| crop.draw(&mut stream(index), height, width)).collect()
    }

    #[test]
    fn windows_keep_to_scale_and_ratio_and_reach_every_edge() {
        let crop = ResizedCrop { scale: [0.25, 1.], ratio: [0.75, 4. / 3.] };
        let windows = windows(crop, 32, 32);
        for Rectangle { top, left, height, width } in &windows {
            assert!(top + height <= 32 && left + width <= 32);
            // Half a pixel of rounding, each way.
            let (h, w) = (*height as f64, *width as f64);
            assert!((h + 0.5) * (w + 0.5) >= 256. && (w + 0.5) / (h - 0.5) >= 0.75);
            assert!((w - 0.5) / (h + 0.5) <= 4. / 3.);
        }
        let mean = windows.iter().map(|w| (w.height * w.width) as f64).sum::<f64>() / 5000. / 1024.;
        // Of the uniform scale 0.625; the largest windows are refused more often.
        assert!((0.55..0.625).contains(&mean), "{mean}");
        assert!(windows.iter().any(|w| w.top == 0 && w.height < 32));
        assert!(windows.iter().any(|w| w.top > 0 && w.top + w.height == 32));
        assert!(windows.iter().any(|w| w.left == 0 && w.width < 32));
        assert!(windows.iter().any(|w| w.left > 0 && w.left + w.width == 32));
    }

    /// torchvision's fallback, for a window of the whole area in an image that is too wide or too high.
    #[test]
    fn windows_that_never_fit_are_cut_from_the_centre() {
        let crop = ResizedCrop { scale: [1., 1.], ratio: [1., 1.] };
        let all = |expected, height, width| {
            assert!(windows(crop, height, width).iter().all(|window| *window == expected));
        };
        all(Rectangle { top: 0, left: 12, height: 8, width: 8 }, 8, 32);
        all(Rectangle { top: 12, left: 0, height: 8, width: 8 }, 32, 8);
        all(Rectangle { top: 0, left: 0, height: 8, width: 8 }, 8, 8);
    }

    #[test]
    fn windows_are_resized_as_torchvision_does() {
        for case in super::super::golden::resized() {
            let [top, left, height, width] = case.window;
            let mut canvas = Canvas::default();
            let resize = Resize::new([height, width], case.size, Interpolation::Bilinear);
            canvas.resize(case.size[0], case.size[1]);
            let window = &case.image.pixels[top * case.image.width + left..];
            resize.apply(window, case.image.width, &mut Vec::new(), &mut canvas.pixels);
            assert_eq!(super::super::golden::hash(&canvas), case.hash, "{:?}", case.window);
        }
    }

    #[test]
    fn a_window_of_one_pixel_fills_the_image() {
        let image: Vec<_> = (0..20).map(|n| [n, n + 50, n + 100]).collect();
        let mut canvas = Canvas::default();
        canvas.resize(4, 5);
        let window = Rectangle { top: 2, left: 3, height: 1, width: 1 };
        let image = ImageRef { pixels: &image, height: 4, width: 5 };
        resize_window(image, window, Interpolation::Bilinear, &mut Vec::new(), &mut canvas);
        assert!(canvas.pixels.iter().all(|&pixel| pixel == image.pixels[13]));
    }
}
