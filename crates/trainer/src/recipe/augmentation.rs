//! The random changes to images as a recipe writes them: what every recipe says, and a table for each family that only
//! some have. A table that is absent is a change that is not made; one that is there says every number.

use std::fmt;

use datasets::{
    Augmentation, Crop, Erasing, ErasingValue, FlipSchedule, Jitter, Mix, PaddingMode, Policy,
    ResizedCrop,
};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::Problem;
use crate::invalid_value::InvalidValue;

/// Which images are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppliesTo {
    /// Those that are trained on.
    Training,
    /// The test set too, as the notebook of seeds/000 did. It lowers what is measured.
    TrainingAndTest,
}

/// What fills the border that a crop cuts into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CropMode {
    /// Black.
    Zero,
    /// The image, mirrored.
    Reflect,
}

/// Random changes to the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentationRecipe {
    /// Which images.
    pub applies_to: AppliesTo,
    /// Pixels by which an image is widened before a window of the old size is cut out; 0 is no crop.
    pub crop_padding: usize,
    /// What fills them.
    pub crop_mode: CropMode,
    /// Probability, or `"alternating"`.
    pub horizontal_flip: HorizontalFlip,
    /// Probability.
    pub vertical_flip: f64,
    /// Side of a square that is blanked; 0 is none.
    pub cutout: usize,
    /// A window of random size, in place of the crop with padding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resized_crop: Option<ResizedCropRecipe>,
    /// Operations drawn from a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRecipe>,
    /// Changes of colour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<JitterRecipe>,
    /// A rectangle that is blanked or made noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasing: Option<ErasingRecipe>,
    /// Images of a batch in each other; never in the test set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mix: Option<MixRecipe>,
}

/// When an image is flipped left to right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HorizontalFlip {
    /// With this probability, each time.
    Probability(f64),
    /// In every second epoch, from the first or from the second on.
    Alternating,
}

const ALTERNATING: &str = "alternating";

impl Serialize for HorizontalFlip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Probability(probability) => serializer.serialize_f64(*probability),
            Self::Alternating => serializer.serialize_str(ALTERNATING),
        }
    }
}

impl<'de> Deserialize<'de> for HorizontalFlip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = HorizontalFlip;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "a probability or \"{ALTERNATING}\"")
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<HorizontalFlip, E> {
                Ok(HorizontalFlip::Probability(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<HorizontalFlip, E> {
                Ok(HorizontalFlip::Probability(value as f64))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<HorizontalFlip, E> {
                match value {
                    ALTERNATING => Ok(HorizontalFlip::Alternating),
                    _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
                }
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// A window of random area and aspect ratio, brought to the image's size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResizedCropRecipe {
    /// Least and largest area, as shares of the image's.
    pub scale: [f64; 2],
    /// Least and largest ratio of width to height.
    pub ratio: [f64; 2],
}

/// Operations drawn from a table.
// Variants are tables even where nothing is in them: serde refuses unknown keys only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PolicyRecipe {
    /// Some in a row, of one strength. torchvision: `RandAugment`.
    RandAugment {
        /// How many.
        operations: usize,
        /// How strong, 0 to 30.
        magnitude: usize,
    },
    /// One of any strength. torchvision: `TrivialAugmentWide`.
    TrivialAugment {},
}

/// Changes of colour, each up to so much; 0 is none. torchvision: `ColorJitter`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JitterRecipe {
    /// Farthest that the factor lies from 1.
    pub brightness: f64,
    /// Farthest that the factor lies from 1.
    pub contrast: f64,
    /// Farthest that the factor lies from 1.
    pub saturation: f64,
    /// Farthest turn of the colour circle, 0.5 at most.
    pub hue: f64,
}

/// A rectangle that is taken away. torchvision: `RandomErasing`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasingRecipe {
    /// Probability.
    pub probability: f64,
    /// Least and largest area, as shares of the image's.
    pub scale: [f64; 2],
    /// Least and largest ratio of height to width.
    pub ratio: [f64; 2],
    /// What is left there.
    pub value: ErasingValueRecipe,
}

/// What is left where an image was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErasingValueRecipe {
    /// The mean colour.
    Mean,
    /// Normal noise, pixel by pixel.
    Noise,
}

/// Images of a batch in each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum MixRecipe {
    /// Weighted means of two images.
    Mixup {
        /// Of Beta(alpha, alpha), which the weight is drawn from.
        alpha: f64,
    },
    /// A box of one image in the other.
    CutMix {
        /// Of Beta(alpha, alpha), which the area outside the box is drawn from.
        alpha: f64,
    },
}

impl AugmentationRecipe {
    /// Refuses numbers that are out of range for images of any size.
    pub(super) fn check(&self) -> Result<(), Problem> {
        InvalidValue::unless(
            self.crop_padding == 0 || self.resized_crop.is_none(),
            "augmentation.crop_padding",
            "0 beside augmentation.resized_crop",
            self.crop_padding,
        )?;
        self.for_training().check_options().map_err(Problem::Augmentation)
    }

    /// The changes to the images that are trained on.
    pub(super) fn for_training(&self) -> Augmentation {
        let mode = match self.crop_mode {
            CropMode::Zero => PaddingMode::Zero,
            CropMode::Reflect => PaddingMode::Reflect,
        };
        let (horizontal_flip, flip_schedule) = match self.horizontal_flip {
            HorizontalFlip::Probability(probability) => (probability, FlipSchedule::Independent),
            HorizontalFlip::Alternating => (0.5, FlipSchedule::Alternating),
        };
        Augmentation {
            crop: (self.crop_padding > 0).then_some(Crop { padding: self.crop_padding, mode }),
            vertical_flip: self.vertical_flip,
            horizontal_flip,
            flip_schedule,
            cutout: (self.cutout > 0).then_some(self.cutout),
            resized_crop: self
                .resized_crop
                .map(|ResizedCropRecipe { scale, ratio }| ResizedCrop { scale, ratio }),
            policy: self.policy.map(|policy| match policy {
                PolicyRecipe::RandAugment { operations, magnitude } => {
                    Policy::RandAugment { operations, magnitude }
                }
                PolicyRecipe::TrivialAugment {} => Policy::TrivialAugmentWide,
            }),
            jitter: self.jitter.map(|JitterRecipe { brightness, contrast, saturation, hue }| {
                Jitter { brightness, contrast, saturation, hue }
            }),
            erasing: self.erasing.map(|ErasingRecipe { probability, scale, ratio, value }| {
                let value = match value {
                    ErasingValueRecipe::Mean => ErasingValue::Mean,
                    ErasingValueRecipe::Noise => ErasingValue::Noise,
                };
                Erasing { probability, scale, ratio, value }
            }),
            mix: self.mix.map(|mix| match mix {
                MixRecipe::Mixup { alpha } => Mix::Mixup { alpha },
                MixRecipe::CutMix { alpha } => Mix::CutMix { alpha },
            }),
        }
    }

    /// The changes to the images that are measured on. Those of a batch are never made there: what is in it would not
    /// be of the class that it is counted for.
    pub(super) fn for_test(&self) -> Augmentation {
        match self.applies_to {
            AppliesTo::Training => Augmentation::default(),
            AppliesTo::TrainingAndTest => Augmentation { mix: None, ..self.for_training() },
        }
    }
}

#[cfg(test)]
mod tests;
