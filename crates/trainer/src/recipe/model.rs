//! The table `[model]`: the network.

use serde::{Deserialize, Serialize};
use xception::{CifarScale, ModelOptions, ModelSpec, Preset};

use super::Problem;
use crate::invalid_value::InvalidValue;

/// The network of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecipe {
    /// The name of the preset.
    pub preset: String,
    /// Dropout probability before the head; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// Drop-path probability of the last module; that of earlier ones is in proportion. Absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_path: Option<f64>,
    /// Width, depth and strides: needed for preset `cifar`, absent for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<CifarScale>,
    /// Overrides relative to the original network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<ModelOptions>,
}

impl ModelRecipe {
    /// Whether a training step of the network draws random numbers.
    pub(crate) fn draws(&self) -> bool {
        self.dropout.is_some() || self.drop_path.is_some()
    }

    /// Refuses a network that cannot be built; returns it as its preset has it.
    pub(super) fn check(&self) -> Result<ModelSpec, Problem> {
        if let Some(dropout) = self.dropout {
            let fits = (0.0..1.0).contains(&dropout);
            InvalidValue::unless(fits, "model.dropout", "at least 0 and below 1", dropout)?;
        }
        let preset: Preset = self.preset.parse().map_err(Problem::Preset)?;
        match (preset, &self.scale) {
            (Preset::Cifar, None) => return Err(Problem::ScaleMissing),
            (Preset::Cifar, Some(_)) | (_, None) => {}
            (_, Some(_)) => return Err(Problem::ScaleUnused(preset)),
        }
        let spec = self.spec(preset, preset.classes());
        spec.architecture().map_err(Problem::Model)?;
        Ok(spec)
    }

    pub(super) fn spec(&self, preset: Preset, classes: i64) -> ModelSpec {
        let (scale, options) = (self.scale.unwrap_or_default(), self.options.unwrap_or_default());
        ModelSpec { preset, classes, scale, options }
    }
}
