//! The networks that can be asked for by name, each a variation of the published table.

use std::{fmt, str::FromStr};

use sepconv::{Activation, BatchNormConfig, Groups, Init, NormAct, Padding, RunningVariance};

use crate::{
    Architecture, Error, ExitSeparables, MiddleFlow, MiddleWeights, Norm, Projection, ResidualRow,
    SkipFrom, StemConv,
};

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
    /// Ours for 32×32 pictures: keeps its resolution longer, and scales.
    Cifar,
}

const NAMES: [(Preset, &str); 8] = [
    (Preset::Xception, "xception"),
    (Preset::XceptionKeras, "xception-keras"),
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
            Preset::Xception | Preset::XceptionKeras => 1000,
            Preset::NotebookCifar10 | Preset::PlainShared | Preset::Cifar => 10,
            Preset::DenseCifar100 | Preset::DenseCifar100First | Preset::DenseCifar100Depthwise => {
                100
            }
        }
    }

    /// Rows and columns of the pictures that the original was made for.
    pub fn input(self) -> i64 {
        match self {
            Preset::Xception | Preset::XceptionKeras => 299,
            _ => 32,
        }
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

/// What the preset `cifar` lets one choose. The default has a 4×4 middle flow for 32×32 pictures.
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

/// A preset, its number of classes and, for `cifar`, its scale: all that it takes to build a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelSpec {
    /// The network.
    pub preset: Preset,
    /// Length of the logits.
    pub classes: i64,
    /// For [`Preset::Cifar`] only.
    pub scale: CifarScale,
}

impl ModelSpec {
    /// The preset as its original was.
    pub fn new(preset: Preset) -> Self {
        Self { preset, classes: preset.classes(), scale: CifarScale::default() }
    }

    /// The network's table.
    pub fn architecture(&self) -> Result<Architecture, Error> {
        let half = |activation| NormAct { norm: Some(BatchNormConfig::default()), activation };
        Ok(match self.preset {
            Preset::Xception => Architecture::published(),
            Preset::XceptionKeras => keras(),
            Preset::NotebookCifar10 => notebook(),
            Preset::DenseCifar100 => dense(Groups::Count(1)).with_halves(half(Activation::Relu)),
            Preset::DenseCifar100First => {
                dense(Groups::Count(1)).with_halves(half(Activation::None))
            }
            Preset::DenseCifar100Depthwise => {
                dense(Groups::PerChannel).with_halves(half(Activation::Relu))
            }
            Preset::PlainShared => plain(),
            Preset::Cifar => cifar(self.scale)?,
        })
    }
}

fn keras() -> Architecture {
    Architecture {
        batch_norm: BatchNormConfig {
            eps: 1e-3,
            momentum: 0.01,
            running_variance: RunningVariance::Biased,
        },
        pool_padding: Padding::Same,
        head_init: Init::GlorotUniform,
        ..Architecture::published()
    }
    .with_init(Init::GlorotUniform)
}

fn notebook() -> Architecture {
    let published = Architecture::published();
    let [first, second] = published.stem;
    let mut entry_flow = published.entry_flow;
    entry_flow.iter_mut().for_each(|row| row.opens_with = Activation::None);
    Architecture {
        stem: [StemConv { padding: 1, ..first }, StemConv { padding: 1, bias: true, ..second }],
        entry_flow,
        projection: Projection::Biased,
        skip_from: SkipFrom::Activated,
        ..Architecture::published()
    }
    .with_init(Init::PyTorch)
}

fn dense(groups: Groups) -> Architecture {
    let published = Architecture::published();
    let stem = StemConv { stride: 1, padding: 1, bias: true, ..published.stem[0] };
    let mut entry_flow = published.entry_flow;
    entry_flow[0].norm = Norm::None;
    Architecture {
        stem: [stem, StemConv { c_out: 64, ..stem }],
        entry_flow,
        middle_flow: MiddleFlow { weights: MiddleWeights::Shared, ..published.middle_flow },
        exit_separables: ExitSeparables {
            opens_with: Activation::Relu,
            closes_with: Activation::None,
            ..published.exit_separables
        },
        projection: Projection::Biased,
        separable: sepconv::SeparableConv2dConfig { groups, bias: true, ..published.separable },
        head_init: Init::Normal { std: 0.01 },
        ..Architecture::published()
    }
}

fn plain() -> Architecture {
    let published = Architecture::published();
    let bare = |row: ResidualRow| ResidualRow { norm: Norm::None, ..row };
    let mut entry_flow: Vec<_> = published.entry_flow.into_iter().map(bare).collect();
    entry_flow.iter_mut().for_each(|row| row.opens_with = Activation::None);
    let middle_row = bare(published.middle_flow.row);
    Architecture {
        stem: published.stem.map(|conv| StemConv { bias: true, norm: Norm::None, ..conv }),
        entry_flow,
        middle_flow: MiddleFlow { row: middle_row, repeats: 7, weights: MiddleWeights::Shared },
        exit_flow: bare(published.exit_flow),
        exit_separables: ExitSeparables { norm: Norm::None, ..published.exit_separables },
        projection: Projection::Biased,
        ..Architecture::published()
    }
    .with_init(Init::PyTorch)
}

fn cifar(scale: CifarScale) -> Result<Architecture, Error> {
    let CifarScale { width, middle_modules, stem_stride, entry_strides } = scale;
    let refuse = |option, accepted, value: String| Err(Error::Option { option, accepted, value });
    if !(0.05..=4.0).contains(&width) {
        return refuse("width", "between 0.05 and 4", width.to_string());
    }
    if !(0..=64).contains(&middle_modules) {
        return refuse("middle_modules", "between 0 and 64", middle_modules.to_string());
    }
    if let Some(stride) =
        [stem_stride].iter().chain(&entry_strides).find(|stride| !(1..=2).contains(*stride))
    {
        return refuse("stem_stride and entry_strides", "1 or 2", stride.to_string());
    }
    let wide = |channels: i64| ((channels as f64 * width / 8.0).round() as i64 * 8).max(8);
    let rows = |widths: &[i64], stride| {
        ResidualRow::new(&widths.iter().map(|&c| wide(c)).collect::<Vec<_>>(), stride)
    };
    let published = Architecture::published();
    let stem =
        |conv: StemConv, stride| StemConv { c_out: wide(conv.c_out), stride, padding: 1, ..conv };
    let mut entry_flow: Vec<_> = [128, 256, 728]
        .into_iter()
        .zip(entry_strides)
        .map(|(c_out, stride)| rows(&[c_out, c_out], stride))
        .collect();
    entry_flow[0].opens_with = Activation::None;
    Ok(Architecture {
        stem: [stem(published.stem[0], 1), stem(published.stem[1], stem_stride)],
        entry_flow,
        middle_flow: MiddleFlow {
            row: rows(&[728, 728, 728], 1),
            repeats: middle_modules,
            weights: MiddleWeights::Separate,
        },
        exit_flow: rows(&[728, 1024], 2),
        exit_separables: ExitSeparables {
            widths: [wide(1536), wide(2048)],
            ..published.exit_separables
        },
        ..Architecture::published()
    })
}
