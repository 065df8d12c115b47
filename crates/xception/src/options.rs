//! The options of any preset: those that timm has, and those that the paper compares.

use sepconv::{Activation, Groups};
use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::out_of_range::OutOfRange;
use crate::vocabulary::{FullyConnected, GlobalPool, Shortcut};

/// Overrides of a preset's table. An absent one leaves the table as the original has it.
///
/// All fields are public and may grow in number: end a literal with `..Default::default()`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelOptions {
    /// Channels of an image. timm: `in_chans`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub c_in: Option<i64>,
    /// The pooling before the head. timm: `global_pool`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_pool: Option<GlobalPool>,
    /// The factor by which the features are smaller than the image, at most: 8, 16 or 32. timm: `output_stride` of the
    /// aligned networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_stride: Option<i64>,
    /// The shortcut around every module (the paper's figure 9).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortcuts: Option<Shortcut>,
    /// The activation between the halves of every separable convolution (the paper's figure 10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Activation>,
    /// Channel groups of every spatial half: 1 is a regular convolution, and one for each channel, the extreme, is the
    /// default (the spectrum of the paper's section 1.2). It must divide the channels of every layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segments: Option<i64>,
    /// Fully connected layers before the logistic regression (the paper's section 4.2 and table 2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fully_connected: Option<FullyConnected>,
}

impl ModelOptions {
    /// `table` with the options applied.
    pub(crate) fn applied_to(self, mut table: Architecture) -> Result<Architecture, OutOfRange> {
        for (name, value) in [("c_in", self.c_in), ("segments", self.segments)] {
            value.map_or(Ok(()), |value| OutOfRange::unless_positive(name, value))?;
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
        table.validate()?;
        Ok(table)
    }
}
