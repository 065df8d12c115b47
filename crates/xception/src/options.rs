//! In what a network may be chosen to differ from its original: what timm lets one choose, and what the paper compares.

use sepconv::{Activation, Groups};
use serde::{Deserialize, Serialize};

use crate::{Architecture, Error, GlobalPool, Shortcut};

/// Choices about any preset; one that is absent is as the original has it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelOptions {
    /// Colours of an image. timm: `in_chans`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub c_in: Option<i64>,
    /// What becomes of the feature map ahead of the head. timm: `global_pool`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_pool: Option<GlobalPool>,
    /// How much smaller than the image the features are at most: 8, 16 or 32. timm: `output_stride` of the aligned
    /// networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_stride: Option<i64>,
    /// What leads around every module (the paper's figure 9).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortcuts: Option<Shortcut>,
    /// Between the halves of every separable convolution (the paper's figure 10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Activation>,
    /// Channel groups of every spatial half, from 1, a regular convolution, to one a channel, which is what is there
    /// without this option (the spectrum of the paper's section 1.2). It must divide the channels of every layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segments: Option<i64>,
    /// Fully connected layers ahead of the logistic regression (the paper's section 4.2 and table 2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fully_connected: Option<FullyConnected>,
}

/// Fully connected layers in a row, each with ReLU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullyConnected {
    /// How many; the paper has 2.
    pub layers: i64,
    /// Outputs of each; the paper has 4096.
    pub width: i64,
}

impl ModelOptions {
    /// `table` with the choices made.
    pub(crate) fn applied_to(self, mut table: Architecture) -> Result<Architecture, Error> {
        let at_least_one = |option, value: Option<i64>| match value {
            Some(value) if value < 1 => {
                Err(Error::Option { option, accepted: "at least 1", value: value.to_string() })
            }
            _ => Ok(()),
        };
        at_least_one("c_in", self.c_in)?;
        at_least_one("segments", self.segments)?;
        if let Some(FullyConnected { layers, width }) = self.fully_connected {
            at_least_one("fully_connected.layers", Some(layers))?;
            at_least_one("fully_connected.width", Some(width))?;
        }
        table.c_in = self.c_in.unwrap_or(table.c_in);
        table.global_pool = self.global_pool.unwrap_or(table.global_pool);
        if let Some(output_stride) = self.output_stride {
            table = table.with_output_stride(output_stride)?;
        }
        if let Some(shortcuts) = self.shortcuts {
            table.rows_mut().for_each(|row| row.shortcut = shortcuts);
        }
        if let Some(within) = self.within {
            table.separable.between.activation = within;
        }
        if let Some(segments) = self.segments {
            table.separable.groups = Groups::Count(segments);
        }
        table.fully_connected = self.fully_connected;
        Ok(table)
    }
}
