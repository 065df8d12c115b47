//! The names of the variables. They are the file format, so they are those of the checkpoint that was published for the
//! network.

use sepconv::{Activation, HalfNames};
use tch::nn;

use crate::vocabulary::{Norm, NormPlace, Projection};

/// The path of a variable or module under `path`; `name` may have dots.
pub(crate) fn at<'a>(path: &nn::Path<'a>, name: &str) -> nn::Path<'a> {
    match name.split_once('.') {
        None => path / name,
        Some((first, rest)) => at(&(path / first), rest),
    }
}

/// The published checkpoints that name the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Cadene's, which timm's `legacy_xception` kept: `conv1`, `block2.rep.1.conv1`, `block2.skip`, `fc`.
    Cadene,
    /// timm's aligned networks': `stem.0.conv`, `blocks.1.stack.conv1.conv_dw`, `blocks.1.shortcut.conv`, `head.fc`.
    Timm,
}

impl Names {
    /// The stem's `index`-th convolution, from 0; `norm` follows it.
    pub(crate) fn stem_conv(self, index: usize, norm: Norm) -> String {
        match (self, norm) {
            (Names::Cadene, _) => format!("conv{}", index + 1),
            (Names::Timm, Norm::Batch) => format!("stem.{index}.conv"),
            (Names::Timm, Norm::None) => format!("stem.{index}"),
        }
    }

    /// The normalisation after the stem's `index`-th convolution.
    pub(crate) fn stem_norm(self, index: usize) -> String {
        match self {
            Names::Cadene => format!("bn{}", index + 1),
            Names::Timm => format!("stem.{index}.bn"),
        }
    }

    /// The module of the `number`-th stored row, from 1.
    pub(crate) fn module(self, number: usize) -> String {
        match self {
            Names::Cadene => format!("block{number}"),
            Names::Timm => format!("blocks.{}", number - 1),
        }
    }

    /// The `index`-th separable convolution, from 0, of a module that opens with `opening`.
    pub(crate) fn separable(self, module: &str, opening: Activation, index: usize) -> String {
        match self {
            Names::Cadene => format!("{module}.rep.{}", rep_place(opening, index)),
            Names::Timm => format!("{module}.stack.conv{}", index + 1),
        }
    }

    /// The normalisation of that separable convolution.
    pub(crate) fn separable_norm(
        self,
        module: &str,
        opening: Activation,
        index: usize,
        place: NormPlace,
    ) -> String {
        match (self, place) {
            (Names::Cadene, NormPlace::After) => {
                format!("{module}.rep.{}", rep_place(opening, index) + 1)
            }
            (Names::Timm, NormPlace::Before) if index == 0 => format!("{module}.norm"),
            _ => format!("{}.norm", self.separable(module, opening, index)),
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

    /// The normalisation after the convolution of a module's shortcut.
    pub(crate) fn shortcut_norm(self, module: &str) -> String {
        match self {
            Names::Cadene => format!("{module}.skipbn"),
            Names::Timm => format!("{module}.shortcut.bn"),
        }
    }

    /// The `index`-th separable convolution of the exit flow, from 0. They are counted on from the two of the stem, in
    /// both families: timm's networks have none.
    pub(crate) fn exit_separable(self, index: usize) -> String {
        format!("conv{}", index + 3)
    }

    /// The normalisation after that separable convolution.
    pub(crate) fn exit_norm(self, index: usize) -> String {
        format!("bn{}", index + 3)
    }

    /// The `index`-th fully connected layer before the head, which no published checkpoint has.
    pub(crate) fn fully_connected(self, index: usize) -> String {
        format!("fully_connected.{index}")
    }

    /// The head's linear layer: `fc` or `head.fc`.
    #[must_use]
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
fn rep_place(opening: Activation, index: usize) -> usize {
    3 * index + if opening == Activation::None { 0 } else { 1 }
}

/// The residual module that a layer belongs to, such as `block4` or `blocks.3`, by the layer's name. The name of a layer
/// in no module is cut at its first dot.
#[must_use]
pub fn module_of(name: &str) -> &str {
    let dots = if name.starts_with("blocks.") { 1 } else { 0 };
    let end = name.match_indices('.').nth(dots).map_or(name.len(), |(place, _)| place);
    &name[..end]
}

/// Whether this is the name of a shortcut's convolution.
#[must_use]
pub fn is_shortcut(name: &str) -> bool {
    [".skip", ".shortcut", ".shortcut.conv"].iter().any(|end| name.ends_with(end))
}

/// Whether this is the name of a half of a separable convolution, under the name of the whole.
#[must_use]
pub fn is_half(name: &str) -> bool {
    [HalfNames::Cadene, HalfNames::Timm].iter().any(|names| names.names().contains(&name))
}
