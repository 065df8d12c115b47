//! What variables are called: names are the file format, so they are those of the checkpoint that was published for
//! the network.

use sepconv::{Activation, HalfNames};
use tch::nn;

use crate::{Norm, NormPlace, Projection, ResidualRow};

/// Where a variable or module of this name lies, dots and all, under `path`.
pub(crate) fn at<'a>(path: &nn::Path<'a>, name: &str) -> nn::Path<'a> {
    match name.split_once('.') {
        None => path / name,
        Some((first, rest)) => at(&(path / first), rest),
    }
}

/// Which published checkpoints name the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Cadene's, which timm's `legacy_xception` kept: `conv1`, `block2.rep.1.conv1`, `block2.skip`, `fc`.
    Cadene,
    /// timm's aligned networks': `stem.0.conv`, `blocks.1.stack.conv1.conv_dw`, `blocks.1.shortcut.conv`, `head.fc`.
    Timm,
}

impl Names {
    /// The stem's `number`-th convolution, from 1, with what follows it.
    pub(crate) fn stem_conv(self, number: usize, norm: Norm) -> String {
        match (self, norm) {
            (Names::Cadene, _) => format!("conv{number}"),
            (Names::Timm, Norm::Batch) => format!("stem.{}.conv", number - 1),
            (Names::Timm, Norm::None) => format!("stem.{}", number - 1),
        }
    }

    /// The normalisation after it.
    pub(crate) fn stem_norm(self, number: usize) -> String {
        match self {
            Names::Cadene => format!("bn{number}"),
            Names::Timm => format!("stem.{}.bn", number - 1),
        }
    }

    /// The module of the `number`-th stored row, from 1.
    pub(crate) fn module(self, number: usize) -> String {
        match self {
            Names::Cadene => format!("block{number}"),
            Names::Timm => format!("blocks.{}", number - 1),
        }
    }

    /// The `index`-th separable convolution of a module, from 0.
    pub(crate) fn separable(self, module: &str, row: &ResidualRow, index: usize) -> String {
        match self {
            Names::Cadene => format!("{module}.rep.{}", rep_place(row.opens_with, index)),
            Names::Timm => format!("{module}.stack.conv{}", index + 1),
        }
    }

    /// The normalisation that belongs to it.
    pub(crate) fn separable_norm(
        self,
        module: &str,
        row: &ResidualRow,
        index: usize,
        place: NormPlace,
    ) -> String {
        match (self, place) {
            (Names::Cadene, NormPlace::After) => {
                format!("{module}.rep.{}", rep_place(row.opens_with, index) + 1)
            }
            (Names::Timm, NormPlace::Ahead) if index == 0 => format!("{module}.norm"),
            _ => format!("{}.norm", self.separable(module, row, index)),
        }
    }

    /// The convolution of a module's shortcut.
    pub(crate) fn shortcut(self, module: &str, projection: Projection) -> String {
        match (self, projection) {
            (Names::Cadene, _) => format!("{module}.skip"),
            (Names::Timm, Projection::Normalized) => format!("{module}.shortcut.conv"),
            (Names::Timm, Projection::Biased | Projection::Bare) => format!("{module}.shortcut"),
        }
    }

    /// The normalisation after it.
    pub(crate) fn shortcut_norm(self, module: &str) -> String {
        match self {
            Names::Cadene => format!("{module}.skipbn"),
            Names::Timm => format!("{module}.shortcut.bn"),
        }
    }

    /// The `index`-th fully connected layer ahead of the head, which no published checkpoint has.
    pub(crate) fn fully_connected(self, index: i64) -> String {
        format!("fully_connected.{index}")
    }

    /// The head's linear layer.
    pub fn head(self) -> &'static str {
        match self {
            Names::Cadene => "fc",
            Names::Timm => "head.fc",
        }
    }
}

/// The place of the `index`-th separable convolution in a module's `rep` list; its norm has the place after.
///
/// The published class lays ReLU, convolution and norm out in threes and cuts the first ReLU off where a module
/// does not open with one.
fn rep_place(opens_with: Activation, index: usize) -> usize {
    3 * index + if opens_with == Activation::None { 0 } else { 1 }
}

/// The residual module that a layer or a module of this name belongs to, `block4` or `blocks.3`; the name itself, up
/// to its first dot, where it is in none.
pub fn module_of(name: &str) -> &str {
    let dots = if name.starts_with("blocks.") { 1 } else { 0 };
    let end = name.match_indices('.').nth(dots).map_or(name.len(), |(place, _)| place);
    &name[..end]
}

/// Whether this is the name of a shortcut's convolution.
pub fn is_shortcut(name: &str) -> bool {
    [".skip", ".shortcut", ".shortcut.conv"].iter().any(|end| name.ends_with(end))
}

/// Whether this is what half of a separable convolution is called, under the name of the whole.
pub fn is_half(name: &str) -> bool {
    [HalfNames::Cadene, HalfNames::Timm].iter().any(|names| names.names().contains(&name))
}
