//! The table `[input]`: how image files are read, resized and cropped.

use datasets::{Broken, Fit, Order};
use serde::{Deserialize, Serialize};
use xception::Preprocessing;
use xception::weights::{self, Interpolation};

use crate::data::resize::fit;
use crate::invalid_value::InvalidValue;

/// Reading, resizing and cropping of image files.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputRecipe {
    /// Rows and columns of the images that the network is given.
    pub side: usize,
    /// The part of the shorter side of an image that is kept; the border around it is cut off. timm: `crop_pct`.
    pub crop_fraction: f64,
    /// The interpolation of resizing.
    pub interpolation: Interpolation,
    /// The way to a square. Recipes without the key crop.
    #[serde(default)]
    pub fit: weights::Fit,
    /// Handling of images that cannot be read.
    pub broken: BrokenRecipe,
    /// Threads that decode and augment images while the network computes.
    pub workers: usize,
    /// The order of the training images.
    #[serde(default)]
    pub shuffle: ShuffleRecipe,
}

/// The order of the training images in an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShuffleRecipe {
    /// A random order of all images. Recipes without the key mean this.
    #[default]
    Everywhere,
    /// Each position in a batch reads archives one by one, so that a rank reads its part of them.
    ByFile,
}

impl From<ShuffleRecipe> for Order {
    fn from(recipe: ShuffleRecipe) -> Self {
        match recipe {
            ShuffleRecipe::Everywhere => Order::Shuffled,
            ShuffleRecipe::ByFile => Order::ShuffledByFile,
        }
    }
}

/// Handling of images that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokenRecipe {
    /// The run ends with an error that names the image.
    Refuse,
    /// The run warns and leaves the image out.
    LeaveOut,
}

impl From<BrokenRecipe> for Broken {
    fn from(recipe: BrokenRecipe) -> Self {
        match recipe {
            BrokenRecipe::Refuse => Broken::Refuse,
            BrokenRecipe::LeaveOut => Broken::LeaveOut,
        }
    }
}

impl InputRecipe {
    /// The table for a recipe that has none: images as `preprocessing` says.
    pub(crate) fn of(preprocessing: &Preprocessing) -> Self {
        Self {
            side: preprocessing.side as usize,
            crop_fraction: preprocessing.crop_fraction,
            interpolation: preprocessing.interpolation,
            fit: preprocessing.fit,
            broken: BrokenRecipe::LeaveOut,
            workers: 1,
            shuffle: ShuffleRecipe::Everywhere,
        }
    }

    /// Refuses numbers that are out of range.
    pub(super) fn check(self) -> Result<(), InvalidValue> {
        let Self { side, crop_fraction, workers, .. } = self;
        InvalidValue::unless((1..=4096).contains(&side), "input.side", "1 to 4096", side)?;
        let fits = crop_fraction > 0.1 && crop_fraction <= 1.0;
        let accepted = "above 0.1 and at most 1";
        InvalidValue::unless(fits, "input.crop_fraction", accepted, crop_fraction)?;
        InvalidValue::unless((1..=256).contains(&workers), "input.workers", "1 to 256", workers)
    }

    /// The resize and crop.
    pub(crate) fn resize(self) -> Fit {
        fit(self.side, self.crop_fraction, self.interpolation, self.fit)
    }
}
