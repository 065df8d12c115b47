//! The table `[augmentation]`: keys that every recipe has, and tables that only some have. An absent table means that its
//! change is not made; a table that is there has every number.

use std::fmt;

use datasets::{
    Augmentation, Crop, Erasing, ErasingValue, FlipSchedule, Jitter, Mix, PaddingMode, Policy,
    ResizedCrop,
};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::Problem;
use crate::invalid_value::InvalidValue;

/// The images that are augmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppliesTo {
    /// The training images.
    Training,
    /// The test images, too, as in the notebook of seeds/000. This lowers the accuracy.
    TrainingAndTest,
}

/// The padding of a random crop.
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
    /// The images that are augmented.
    pub applies_to: AppliesTo,
    /// Pixels of padding on each side before a random window of the old size is cropped; 0 for no crop.
    pub crop_padding: usize,
    /// The padding.
    pub crop_mode: CropMode,
    /// Probability, or `"alternating"`.
    pub horizontal_flip: HorizontalFlip,
    /// Probability.
    pub vertical_flip: f64,
    /// Side of a square that is blanked; 0 for none.
    pub cutout: usize,
    /// A window of random size, in place of the crop with padding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resized_crop: Option<ResizedCropRecipe>,
    /// Random operations from a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRecipe>,
    /// Changes of colour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<JitterRecipe>,
    /// A rectangle that is blanked or made noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasing: Option<ErasingRecipe>,
    /// Mixing of the images of a batch; never in the test set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mix: Option<MixRecipe>,
}

/// Horizontal flips.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HorizontalFlip {
    /// Each time with this probability.
    Probability(f64),
    /// In every second epoch: some images in odd ones, the others in even ones.
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

/// A window of random area and aspect ratio, resized to the size of the image.
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
    /// Several operations of one magnitude. torchvision: `RandAugment`.
    RandAugment {
        /// Number of operations.
        operations: usize,
        /// Magnitude, 0 to 30.
        magnitude: usize,
    },
    /// One operation of random magnitude. torchvision: `TrivialAugmentWide`.
    TrivialAugment {},
}

/// Changes of colour, with the largest of each; 0 for none. torchvision: `ColorJitter`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JitterRecipe {
    /// Largest distance of the factor from 1.
    pub brightness: f64,
    /// Largest distance of the factor from 1.
    pub contrast: f64,
    /// Largest distance of the factor from 1.
    pub saturation: f64,
    /// Largest turn of the colour circle, 0.5 at most.
    pub hue: f64,
}

/// Random erasing of a rectangle. torchvision: `RandomErasing`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasingRecipe {
    /// Probability.
    pub probability: f64,
    /// Least and largest area, as shares of the image's.
    pub scale: [f64; 2],
    /// Least and largest ratio of height to width.
    pub ratio: [f64; 2],
    /// The fill of the rectangle.
    pub value: ErasingValueRecipe,
}

/// The fill of an erased rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErasingValueRecipe {
    /// The mean colour.
    Mean,
    /// Normal noise, pixel by pixel.
    Noise,
}

/// Mixing of the images of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum MixRecipe {
    /// Weighted means of two images.
    Mixup {
        /// The weight is drawn from Beta(alpha, alpha).
        alpha: f64,
    },
    /// A box of one image pasted into the other.
    CutMix {
        /// The area outside the box is drawn from Beta(alpha, alpha).
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

    /// The augmentation of training images.
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

    /// The augmentation of test images. They are never mixed: a mixed image has no single class to be counted for.
    pub(super) fn for_test(&self) -> Augmentation {
        match self.applies_to {
            AppliesTo::Training => Augmentation::default(),
            AppliesTo::TrainingAndTest => Augmentation { mix: None, ..self.for_training() },
        }
    }
}

#[cfg(test)]
mod tests;
