//! How image files become what a network is given: the table `[input]`.

use datasets::{Broken, Fit, Order};
use serde::{Deserialize, Serialize};
use xception::weights::{Description, Interpolation};

use crate::invalid_value::InvalidValue;

/// From images of any size to squares of one, and who makes them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputRecipe {
    /// Rows and columns that the network is given.
    pub side: usize,
    /// What part of an image's shorter side that is; the rest around it is cut off. timm: `crop_pct`.
    pub crop_fraction: f64,
    /// How pixels become others.
    pub interpolation: Interpolation,
    /// What becomes of an image that cannot be read.
    pub broken: BrokenRecipe,
    /// Threads that decode and change images while the network is busy.
    pub workers: usize,
    /// Which image may follow which.
    #[serde(default)]
    pub shuffle: ShuffleRecipe,
}

/// Which image of a training set may follow which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShuffleRecipe {
    /// Any other, whatever file it lies in. Recipes from before there was a choice mean this.
    #[default]
    Everywhere,
    /// Each place of a batch goes through archives one by one, so that a rank reads its part of them.
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

/// What becomes of an image that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokenRecipe {
    /// The run ends and names it.
    Refuse,
    /// It is named and left out.
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
    /// What a recipe that says nothing of files means by them: images as the weights know them.
    pub(crate) fn of(weights: &Description) -> Self {
        Self {
            side: weights.input as usize,
            crop_fraction: weights.crop_fraction,
            interpolation: weights.interpolation,
            broken: BrokenRecipe::Refuse,
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

    /// How images are fitted.
    pub(crate) fn fit(self) -> Fit {
        crate::data::fit::fit(self.side, self.crop_fraction, self.interpolation)
    }
}
