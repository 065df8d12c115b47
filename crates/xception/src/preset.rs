//! The networks that can be asked for by name, each a variation of the published table.

mod tables;

use std::{fmt, str::FromStr};

use sepconv::{Activation, Groups};

use self::tables::{LONG_ENTRY, SHORT_ENTRY, aligned, cifar, dense, keras, notebook, plain};
use crate::{Architecture, Error, ModelOptions, NormPlace};

/// A network by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// The paper's, in PyTorch's conventions: Cadene's weights, timm's `legacy_xception`.
    Xception,
    /// The paper's, in Keras's conventions: epsilon 1e-3, momentum 0.99, `SAME` padding.
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
    /// timm's aligned Xception of 41 layers, after DeepLab: no pools, norms between the halves.
    Xception41,
    /// The same of 65 layers.
    Xception65,
    /// The same of 71 layers.
    Xception71,
    /// The first with its norms ahead of the convolutions.
    Xception41p,
    /// The second with its norms ahead of the convolutions.
    Xception65p,
    /// Ours for 32×32 images: keeps its resolution longer, and scales.
    Cifar,
}

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

    /// Classes that the original tells apart.
    pub fn classes(self) -> i64 {
        match self {
            Preset::NotebookCifar10 | Preset::PlainShared | Preset::Cifar => 10,
            Preset::DenseCifar100 | Preset::DenseCifar100First | Preset::DenseCifar100Depthwise => {
                100
            }
            _ => 1000,
        }
    }

    /// Rows and columns of the images that the original was made for.
    pub fn input(self) -> i64 {
        if self.classes() == 1000 { 299 } else { 32 }
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
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(preset, _)| *preset).ok_or_else(|| {
            Error::UnknownPreset {
                name: name.to_string(),
                known: NAMES.map(|(_, known)| known).join(", "),
            }
        })
    }
}

/// What the preset `cifar` lets one choose. The default has a 4×4 middle flow for 32×32 images.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CifarScale {
    /// Multiplies every width of the published network; each is rounded to a multiple of 8.
    pub width: f64,
    /// Modules of the middle flow.
    pub middle_modules: i64,
    /// Stride of the second stem convolution.
    pub stem_stride: i64,
    /// Strides of the entry modules: `[2, 2, 1]` behind a stem stride of 2 makes a 4×4 middle flow, `[2, 1, 1]` an 8×8 one.
    pub entry_strides: [i64; 3],
}

impl Default for CifarScale {
    fn default() -> Self {
        Self { width: 1.0, middle_modules: 8, stem_stride: 2, entry_strides: [2, 2, 1] }
    }
}

/// A preset, its number of classes and what was chosen: all that it takes to build a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelSpec {
    /// The network.
    pub preset: Preset,
    /// Length of the logits.
    pub classes: i64,
    /// For [`Preset::Cifar`] only.
    pub scale: CifarScale,
    /// In what it is not as its original.
    pub options: ModelOptions,
}

impl ModelSpec {
    /// The preset as its original was.
    pub fn new(preset: Preset) -> Self {
        Self {
            preset,
            classes: preset.classes(),
            scale: CifarScale::default(),
            options: ModelOptions::default(),
        }
    }

    /// The network's table.
    pub fn architecture(&self) -> Result<Architecture, Error> {
        let table = match self.preset {
            Preset::Xception => Architecture::published(),
            Preset::XceptionKeras => keras(),
            Preset::Xception41 => aligned(&SHORT_ENTRY, 8, NormPlace::After, 1e-3),
            Preset::Xception65 => aligned(&SHORT_ENTRY, 16, NormPlace::After, 1e-3),
            Preset::Xception71 => aligned(&LONG_ENTRY, 16, NormPlace::After, 1e-3),
            Preset::Xception41p => aligned(&SHORT_ENTRY, 8, NormPlace::Ahead, 1e-5),
            Preset::Xception65p => aligned(&SHORT_ENTRY, 16, NormPlace::Ahead, 1e-3),
            Preset::NotebookCifar10 => notebook(),
            Preset::DenseCifar100 => dense(Groups::Count(1), Activation::Relu),
            Preset::DenseCifar100First => dense(Groups::Count(1), Activation::None),
            Preset::DenseCifar100Depthwise => dense(Groups::PerChannel, Activation::Relu),
            Preset::PlainShared => plain(),
            Preset::Cifar => cifar(self.scale)?,
        };
        self.options.applied_to(table)
    }
}
