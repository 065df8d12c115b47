//! The options of augmentation, and the draw of crop, flips and cutout for one image. Every other family of changes has
//! its own file.

mod affine;
mod canvas;
mod colour;
mod erasing;
mod flip;
#[cfg(test)]
pub(crate) mod golden;
mod hue;
mod jitter;
mod mix;
mod policy;
mod rectangle;
mod resample;
mod resized_crop;
#[cfg(test)]
mod tests;
mod tone;

use rand_chacha::ChaCha8Rng;

use crate::Error;
use crate::random::{below, unit};

pub(crate) use canvas::Canvas;
pub use erasing::{Erasing, ErasingValue};
pub use flip::FlipSchedule;
pub use jitter::Jitter;
pub use mix::{Mix, Mixed};
pub use policy::Policy;
pub(crate) use rectangle::Rectangle;
pub use resample::Interpolation;
pub(crate) use resample::Resize;
pub use resized_crop::ResizedCrop;

/// Random changes of every image, in this order: one of the crops, vertical flip, horizontal flip, policy, jitter,
/// normalisation, cutout, erasing. Then those of a batch: its size, if the epoch has its own, and the mixing of its
/// images. The default changes nothing.
///
/// Each decision has its own draws, whether it is enabled or not, so enabling one does not change the others.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Augmentation {
    /// A crop of the image's own size out of the padded image.
    pub crop: Option<Crop>,
    /// Probability of swapping top and bottom.
    pub vertical_flip: f64,
    /// Probability of swapping left and right.
    pub horizontal_flip: f64,
    /// Side, in pixels, of a square that is set to 0 after normalisation, the mean colour. Its centre is uniform over
    /// the image, and the part beyond an edge is cut off (DeVries and Taylor 2017).
    pub cutout: Option<usize>,
    /// The relation of horizontal flips between epochs.
    pub flip_schedule: FlipSchedule,
    /// A window of random size, instead of `crop`.
    pub resized_crop: Option<ResizedCrop>,
    /// Operations drawn from a table.
    pub policy: Option<Policy>,
    /// Changes of colour.
    pub jitter: Option<Jitter>,
    /// A rectangle that is blanked or filled with noise.
    pub erasing: Option<Erasing>,
    /// The mixing of the images of a batch.
    pub mix: Option<Mix>,
}

/// A random crop with padding: every offset from 0 to twice the padding is equally likely, along each axis.
/// torchvision: `RandomCrop(size, padding)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Pixels added on each side.
    pub padding: usize,
    /// The contents of these pixels.
    pub mode: PaddingMode,
}

/// The contents of padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaddingMode {
    /// Black: bytes of 0 before normalisation.
    Zero,
    /// The image mirrored at its edges, which are not repeated.
    Reflect,
}

impl Augmentation {
    /// The notebook's augmentation (seeds/000): a crop with zero padding of 4, and each flip with probability 0.5.
    pub const NOTEBOOK: Self = Self {
        crop: Some(Crop { padding: 4, mode: PaddingMode::Zero }),
        vertical_flip: 0.5,
        horizontal_flip: 0.5,
        cutout: None,
        flip_schedule: FlipSchedule::Independent,
        resized_crop: None,
        policy: None,
        jitter: None,
        erasing: None,
        mix: None,
    };

    /// Checks everything that does not depend on the images. A [`Loader`](crate::Loader) checks it, too.
    ///
    /// # Errors
    /// An option out of range, or both crops.
    pub fn check_options(&self) -> Result<(), Error> {
        probability("vertical_flip", self.vertical_flip)?;
        probability("horizontal_flip", self.horizontal_flip)?;
        if let (Some(Crop { padding, .. }), Some(_)) = (self.crop, self.resized_crop) {
            return Err(Error::TwoCrops { padding });
        }
        self.resized_crop.map_or(Ok(()), |crop| crop.check())?;
        self.policy.map_or(Ok(()), |policy| policy.check())?;
        self.jitter.map_or(Ok(()), |jitter| jitter.check())?;
        self.erasing.map_or(Ok(()), |erasing| erasing.check())?;
        self.mix.map_or(Ok(()), |mix| mix.check())
    }

    pub(crate) fn check(&self, height: usize, width: usize) -> Result<(), Error> {
        self.check_options()?;
        let shorter = height.min(width);
        if let Some(Crop { padding, .. }) = self.crop
            && padding >= shorter
        {
            return Err(Error::Padding { padding, height, width });
        }
        if let Some(size) = self.cutout
            && !(1..=shorter).contains(&size)
        {
            return Err(Error::Cutout { size, height, width });
        }
        Ok(())
    }

    /// Draws crop, flips and cutout of one image.
    pub(crate) fn draw(&self, rng: &mut ChaCha8Rng, height: usize, width: usize) -> Draw {
        let padding = self.crop.map_or(0, |crop| crop.padding);
        let offsets = [(); 2].map(|()| below(rng, 2 * padding as u64 + 1) as usize);
        let flips = [self.vertical_flip, self.horizontal_flip].map(|p| unit(rng) < p);
        let centre = [height, width].map(|size| below(rng, size as u64) as usize);
        Draw { offsets, flips, centre }
    }
}

/// One image's augmentation; each pair is vertical, horizontal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Draw {
    /// The start of the crop in the padded image.
    pub(crate) offsets: [usize; 2],
    /// Whether the crop is flipped.
    pub(crate) flips: [bool; 2],
    /// Centre of the cutout.
    pub(crate) centre: [usize; 2],
}

fn probability(option: &'static str, value: f64) -> Result<(), Error> {
    if (0. ..=1.).contains(&value) {
        return Ok(());
    }
    Err(Error::Probability { option, value })
}

/// Refuses bounds in the wrong order, at or below `least`, or above `most`.
fn interval(
    option: &'static str,
    [low, high]: [f64; 2],
    least: f64,
    most: f64,
) -> Result<(), Error> {
    if least < low && low <= high && high <= most && high.is_finite() {
        return Ok(());
    }
    Err(Error::Interval { option, low, high, least, most })
}
