//! The networks that have a name, each a variation of the published table.

mod scale;
mod spec;
mod tables;

use std::fmt;
use std::str::FromStr;

use crate::preprocessing::{Interpolation, Preprocessing};

pub use scale::CifarScale;
pub use spec::ModelSpec;

/// A network by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// The paper's, in PyTorch's conventions: Cadene's weights. timm: `legacy_xception`.
    Xception,
    /// The paper's, in Keras's conventions: epsilon 1e-3, momentum 0.99, `SAME` padding. Keras:
    /// `applications.Xception`.
    XceptionKeras,
    /// A notebook's CIFAR-10 network (seeds/000).
    NotebookCifar10,
    /// A post's CIFAR-100 network (seeds/001, last listing), whose depthwise half forgot its `groups`.
    DenseCifar100,
    /// The same with the post's first separable convolution: normalised but not activated between the halves.
    DenseCifar100First,
    /// The same with the `groups` that the post meant.
    DenseCifar100Depthwise,
    /// A post's network without normalisation, whose middle modules are one module (seeds/003).
    PlainShared,
    /// timm's aligned Xception of 41 layers, after DeepLab: no pools, norms between the halves. timm: `xception41`.
    Xception41,
    /// The same of 65 layers. timm: `xception65`.
    Xception65,
    /// The same of 71 layers. timm: `xception71`.
    Xception71,
    /// [`Preset::Xception41`] with its norms before the convolutions. timm: `xception41p`.
    Xception41p,
    /// [`Preset::Xception65`] with its norms before the convolutions. timm: `xception65p`.
    Xception65p,
    /// Ours for 32×32 images: keeps its resolution longer, and scales; see [`CifarScale`].
    Cifar,
}

/// A name that no preset has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown preset '{name}'; known are {known}")]
#[non_exhaustive]
pub struct UnknownPreset {
    /// The name that was asked for.
    pub name: String,
    /// The names that there are.
    pub known: String,
}

/// The presets, in the order in which they are listed.
const NAMES: [(Preset, &str); 13] = [
    (Preset::Xception, "xception"),
    (Preset::XceptionKeras, "xception-keras"),
    (Preset::Xception41, "xception41"),
    (Preset::Xception65, "xception65"),
    (Preset::Xception71, "xception71"),
    (Preset::Xception41p, "xception41p"),
    (Preset::Xception65p, "xception65p"),
    (Preset::NotebookCifar10, "notebook-cifar10"),
    (Preset::DenseCifar100, "dense-cifar100"),
    (Preset::DenseCifar100First, "dense-cifar100-first"),
    (Preset::DenseCifar100Depthwise, "dense-cifar100-depthwise"),
    (Preset::PlainShared, "plain-shared"),
    (Preset::Cifar, "cifar"),
];

impl Preset {
    /// Every preset.
    pub fn all() -> impl Iterator<Item = Preset> {
        NAMES.into_iter().map(|(preset, _)| preset)
    }

    /// Number of classes of the original.
    #[must_use]
    pub fn classes(self) -> i64 {
        match self {
            Preset::NotebookCifar10 | Preset::PlainShared | Preset::Cifar => 10,
            Preset::DenseCifar100 | Preset::DenseCifar100First | Preset::DenseCifar100Depthwise => {
                100
            }
            _ => 1000,
        }
    }

    /// Rows and columns, in pixels, of the images that the original was made for: the side of [`Self::preprocessing`].
    #[must_use]
    pub fn input(self) -> i64 {
        if self.classes() == 1000 { 299 } else { 32 }
    }

    /// The preprocessing of the original, which its published weights were measured with: timm's configurations, Keras's
    /// documentation, and the notebook's and the posts' own code.
    ///
    /// Weights that say what they were trained with, as a [`Description`](crate::weights::Description) does, know
    /// better.
    #[must_use]
    pub fn preprocessing(self) -> Preprocessing {
        let (mean, std) = match self.classes() {
            10 => ([0.4914, 0.4822, 0.4465], [0.247, 0.243, 0.261]),
            100 => ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
            // Bytes to -1 to 1. timm: IMAGENET_INCEPTION_MEAN and _STD.
            _ => ([0.5; 3], [0.5; 3]),
        };
        let mut preprocessing = Preprocessing::new(self.input(), mean, std);
        let crop_fraction = match self {
            Preset::Xception => 0.8975,
            Preset::Xception41 | Preset::Xception65 | Preset::Xception71 => 0.903,
            Preset::Xception41p | Preset::Xception65p => 0.94,
            _ => return preprocessing,
        };
        preprocessing.crop_fraction = crop_fraction;
        preprocessing.interpolation = Interpolation::Bicubic;
        preprocessing
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) =
            NAMES.iter().find(|(preset, _)| preset == self).expect("every preset has a name");
        f.write_str(name)
    }
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        let found = NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(preset, _)| *preset).ok_or_else(|| UnknownPreset {
            name: name.to_string(),
            known: NAMES.map(|(_, known)| known).join(", "),
        })
    }
}
