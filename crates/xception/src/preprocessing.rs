//! The preprocessing that weights were trained with: without it a network answers, but wrongly.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::vision::image;
use tch::{Kind, Tensor};

/// The curve under which pixels are averaged when an image is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// A triangle. Pillow: `BILINEAR`.
    #[default]
    Bilinear,
    /// Cubic pieces. Pillow: `BICUBIC`.
    Bicubic,
    /// A window of a sine curve, three pixels to each side. Pillow: `LANCZOS`.
    Lanczos,
    /// Each pixel is that of the old ones which lies nearest. Pillow: `NEAREST`, and Keras's `load_img`.
    Nearest,
}

/// The way in which an image of any shape becomes a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Keeps the image's proportions and cuts the square out of its middle. torchvision: `Resize` and `CenterCrop`.
    #[default]
    Crop,
    /// Resizes both sides to the square's, whatever the image's proportions. Keras: `target_size`.
    Squash,
}

/// The way from an image to the input of a network. timm: `pretrained_cfg`.
///
/// An image is resized by [`interpolation`](Self::interpolation) until its shorter side, or with [`Fit::Squash`] each side, is
/// [`resized_side`](Self::resized_side), the central square of [`side`](Self::side) is cut out of it, and the square is
/// [normalised](Self::normalize).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Preprocessing {
    /// Rows and columns of the network's input, in pixels.
    pub side: i64,
    /// The part of the shorter side that is kept, above 0 and at most 1. timm: `crop_pct`.
    pub crop_fraction: f64,
    /// The interpolation of the resize.
    pub interpolation: Interpolation,
    /// The way to a square.
    pub fit: Fit,
    /// The mean of red, green and blue, on the scale 0 to 1; it is subtracted.
    pub mean: [f64; 3],
    /// The standard deviation of red, green and blue, on the scale 0 to 1; it is divided by.
    pub std: [f64; 3],
}

impl Preprocessing {
    /// Preprocessing to squares of `side` pixels: of whole images, bilinear, normalised with `mean` and `std`.
    #[must_use]
    pub fn new(side: i64, mean: [f64; 3], std: [f64; 3]) -> Self {
        Self {
            side,
            crop_fraction: 1.0,
            interpolation: Interpolation::Bilinear,
            fit: Fit::Crop,
            mean,
            std,
        }
    }

    /// The length, in pixels, of the shorter side of a resized image, out of which [`Self::side`] is cut:
    /// `side / crop_fraction`, rounded down as timm does.
    #[must_use]
    pub fn resized_side(&self) -> i64 {
        (self.side as f64 / self.crop_fraction) as i64
    }

    /// The image in a file, such as a JPEG or a PNG, as what a network takes: `[1, 3, side, side]`, resized, cut and
    /// [normalised](Self::normalize).
    ///
    /// tch's reader and its linear resize, whatever [`Self::interpolation`] is; it does not turn images as a camera's
    /// note in them says. Crate `xception-datasets` does, and resizes to the byte as Pillow: pixels differ by a few levels.
    ///
    /// # Errors
    /// A file that cannot be read, or is no image.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Tensor, ImageError> {
        let path = path.as_ref();
        let read = || {
            let pixels = image::load(path)?;
            let resized = self.resized_side();
            let square = match self.fit {
                Fit::Crop => image::resize_preserve_aspect_ratio(&pixels, resized, resized)?,
                Fit::Squash => image::resize(&pixels, resized, resized)?,
            };
            let border = (resized - self.side) / 2;
            Ok(square.narrow(1, border, self.side).narrow(2, border, self.side))
        };
        let square = read().map_err(|reason| ImageError { path: path.to_path_buf(), reason })?;
        Ok(self.normalize(&square).unsqueeze(0))
    }

    /// Images `[N, 3, H, W]`, or one `[3, H, W]`, to what a network takes: `(x - mean) / std` in fp32, colour by colour.
    /// Bytes are divided by 255 first; floating-point images are taken to lie between 0 and 1 already. torchvision:
    /// `ToTensor` and `Normalize`.
    ///
    /// # Panics
    /// Images of other shapes, or of another kind than `Uint8` and the floating-point ones.
    pub fn normalize(&self, images: &Tensor) -> Tensor {
        let (size, kind) = (images.size(), images.kind());
        assert!(
            matches!(size[..], [.., 3, _, _]) && size.len() <= 4,
            "expected images [N, 3, H, W] or [3, H, W], got {size:?}"
        );
        let unit = match kind {
            Kind::Uint8 => images.to_kind(Kind::Float) / 255.0,
            Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double => images.to_kind(Kind::Float),
            _ => panic!("expected images in Uint8 or floating-point numbers, got {kind:?}"),
        };
        let channels = |values: [f64; 3]| {
            Tensor::from_slice(&values.map(|value| value as f32))
                .to_device(images.device())
                .view([3, 1, 1])
        };
        (unit - channels(self.mean)) / channels(self.std)
    }
}

/// A file that is no image, or cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the image {}: {reason}", path.display())]
#[non_exhaustive]
pub struct ImageError {
    /// The file.
    pub path: PathBuf,
    /// The reason that tch gives. No source: the message has it.
    pub reason: tch::TchError,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The middle of an image that is wider than high: black, white, black.
    #[test]
    fn an_image_is_cut_to_its_middle_or_squashed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.png");
        let wide = Tensor::zeros([3, 8, 24], (Kind::Uint8, tch::Device::Cpu));
        drop(wide.narrow(2, 8, 8).fill_(255));
        image::save(&wide, &path).unwrap();
        let mut preprocessing = Preprocessing::new(4, [0.0; 3], [1.0; 3]);
        let middle = preprocessing.load(&path).unwrap();
        assert_eq!(middle.size(), [1, 3, 4, 4]);
        // The resize averages over the border of black and white.
        assert!(middle.min().double_value(&[]) > 0.8, "{middle}");
        preprocessing.fit = Fit::Squash;
        let squashed = preprocessing.load(&path).unwrap();
        assert_eq!(squashed.size(), [1, 3, 4, 4]);
        assert!(squashed.double_value(&[0, 0, 0, 0]) < 0.2, "{squashed}");
        preprocessing.crop_fraction = 0.5;
        assert_eq!(preprocessing.load(&path).unwrap().size(), [1, 3, 4, 4]);
    }

    #[test]
    fn a_file_that_is_no_image_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text.jpg");
        std::fs::write(&text, "no image").unwrap();
        std::fs::write(folder.path().join("empty.png"), "").unwrap();
        let preprocessing = Preprocessing::new(4, [0.0; 3], [1.0; 3]);
        for path in
            ["no/such.jpg".into(), text, folder.path().join("empty.png"), folder.path().into()]
        {
            let error = preprocessing.load(&path).unwrap_err().to_string();
            let named = format!("cannot read the image {}: ", path.display());
            assert!(error.starts_with(&named), "{error}");
        }
    }

    #[test]
    fn bytes_are_normalised_as_torchvision_does() {
        let bytes = Tensor::from_slice(&[0_u8, 128, 255]).view([1, 3, 1, 1]);
        let preprocessing = Preprocessing::new(32, [0.4914, 0.4822, 0.4465], [0.247, 0.243, 0.261]);
        let got: Vec<f32> = preprocessing.normalize(&bytes).view([3]).try_into().unwrap();
        // Computed in NumPy's float32.
        assert_eq!(got, [-1.9894737, 0.08132023, 2.1206896]);
        let one = preprocessing.normalize(&bytes.squeeze_dim(0));
        assert_eq!(one.size(), [3, 1, 1]);
        let unit = preprocessing.normalize(&(bytes.to_kind(Kind::Float) / 255.0));
        assert!(unit.view([3]).equal(&one.view([3])));
    }

    #[test]
    #[should_panic(expected = "expected images [N, 3, H, W] or [3, H, W], got [1, 1, 4, 4]")]
    fn grey_images_are_refused() {
        let grey = Tensor::zeros([1, 1, 4, 4], (Kind::Uint8, tch::Device::Cpu));
        drop(Preprocessing::new(32, [0.5; 3], [0.5; 3]).normalize(&grey));
    }

    #[test]
    #[should_panic(expected = "expected images in Uint8 or floating-point numbers, got Int64")]
    fn other_integers_are_refused() {
        let images = Tensor::zeros([1, 3, 4, 4], (Kind::Int64, tch::Device::Cpu));
        drop(Preprocessing::new(32, [0.5; 3], [0.5; 3]).normalize(&images));
    }
}
