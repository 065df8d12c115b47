//! The network as a table, in the paper's words: stem, entry flow, middle flow, exit flow (figure 5).
//!
//! Everything in which the published and the handwritten Xceptions differ is a value here, so that one model
//! definition (`model.rs`) serves them all.

use sepconv::{Activation, BatchNormConfig, Init, NormAct, Padding, SeparableConv2dConfig};
use tch::{Kind, Tensor};

use crate::{Error, FullyConnected, Names};

/// Whether batch normalisation follows a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// It does.
    Batch,
    /// It does not.
    None,
}

/// Where a residual module normalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlace {
    /// After each separable convolution: the paper.
    After,
    /// Ahead of each, and of the ReLU there; what comes out of a module is not normalised ("pre-activation").
    Ahead,
}

/// One 3×3 convolution of the stem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StemConv {
    /// Output channels.
    pub c_out: i64,
    /// Pixels between two outputs.
    pub stride: i64,
    /// Zeros on each side.
    pub padding: i64,
    /// Whether a bias is added.
    pub bias: bool,
    /// What follows ahead of the activation.
    pub norm: Norm,
    /// What follows.
    pub activation: Activation,
}

/// A residual module: separable convolutions with ReLU between them, and a shortcut around them.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualRow {
    /// Output channels of each separable convolution.
    pub widths: Vec<i64>,
    /// How much smaller the image leaves the module; how it becomes so says [`Downsampling`].
    pub stride: i64,
    /// Whether a level of the feature pyramid ends here: the row is strided, or was ahead of
    /// [`Architecture::with_output_stride`].
    pub ends_level: bool,
    /// Pixels between two taps of every depthwise kernel.
    pub dilation: i64,
    /// Ahead of the first separable convolution.
    pub opens_with: Activation,
    /// Of each separable convolution.
    pub norm: Norm,
    /// Between the halves of each separable convolution, in place of what [`Architecture::separable`] has there.
    pub within: Activation,
    /// What leads around them.
    pub shortcut: Shortcut,
}

/// What leads around the separable convolutions of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shortcut {
    /// Its input is added to what they compute, projected where the shapes differ.
    Sum,
    /// Nothing.
    None,
}

impl ResidualRow {
    /// The usual row: opens with ReLU, normalises each convolution, adds its input.
    pub fn new(widths: &[i64], stride: i64) -> Self {
        Self {
            widths: widths.to_vec(),
            stride,
            ends_level: stride != 1,
            dilation: 1,
            opens_with: Activation::Relu,
            norm: Norm::Batch,
            within: Activation::None,
            shortcut: Shortcut::Sum,
        }
    }

    /// Channels that come out.
    pub fn c_out(&self) -> i64 {
        *self.widths.last().expect("a residual row has a width")
    }

    /// Whether there is a shortcut that must project: the sum needs equal shapes.
    pub fn projects(&self, c_in: i64) -> bool {
        self.shortcut == Shortcut::Sum && (self.stride != 1 || c_in != self.c_out())
    }

    /// What the `index`-th separable convolution of the row is built with.
    pub(crate) fn separable(&self, index: usize, table: &Architecture) -> SeparableConv2dConfig {
        let last = index + 1 == self.widths.len();
        let shrinks = last && table.downsampling == Downsampling::LastSeparable;
        let mut config = table.separable;
        if shrinks {
            config.stride = self.stride;
        }
        if self.dilation != 1 {
            config.dilation = self.dilation;
            config.padding = Padding::Explicit(self.dilation);
        }
        if self.within != Activation::None {
            config.between.activation = self.within;
        }
        config
    }
}

/// What makes the image smaller in a strided module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downsampling {
    /// A 3×3 max-pool behind the separable convolutions: the paper.
    MaxPool,
    /// The last separable convolution ("aligned Xception", Dai et al. 2017).
    LastSeparable,
}

/// What becomes of the feature map ahead of the head's linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GlobalPool {
    /// The mean of each channel: the paper.
    #[default]
    Avg,
    /// The largest of each channel.
    Max,
    /// The mean of those two.
    AvgMax,
}

impl GlobalPool {
    /// `[N, C, h, w]` to `[N, C]` of `kind`.
    pub(crate) fn of(self, features: &Tensor, kind: Kind) -> Tensor {
        let axes = [2_i64, 3];
        let mean = || features.mean_dim(axes.as_slice(), false, kind);
        let largest = || features.amax(axes.as_slice(), false).to_kind(kind);
        match self {
            GlobalPool::Avg => mean(),
            GlobalPool::Max => largest(),
            GlobalPool::AvgMax => (mean() + largest()) * 0.5,
        }
    }
}

/// Whether repeated modules have weights of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MiddleWeights {
    /// Each its own.
    Separate,
    /// One module, applied again and again.
    Shared,
}

/// The middle flow: one row, many times.
#[derive(Debug, Clone, PartialEq)]
pub struct MiddleFlow {
    /// The module.
    pub row: ResidualRow,
    /// How often it is applied.
    pub repeats: i64,
    /// With which weights.
    pub weights: MiddleWeights,
}

impl MiddleFlow {
    /// Modules with weights of their own.
    pub fn stored(&self) -> i64 {
        match self.weights {
            MiddleWeights::Separate => self.repeats,
            MiddleWeights::Shared => self.repeats.min(1),
        }
    }
}

/// The last separable convolutions, in no module; ReLU stands between them.
#[derive(Debug, Clone, PartialEq)]
pub struct ExitSeparables {
    /// Ahead of the first.
    pub opens_with: Activation,
    /// Output channels of each.
    pub widths: Vec<i64>,
    /// After the last; where there are none, after the last module.
    pub closes_with: Activation,
    /// After each.
    pub norm: Norm,
}

/// What a shortcut that changes shape is made of, besides its 1×1 convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// Batch normalisation, no bias: the paper.
    Normalized,
    /// A bias, no normalisation.
    Biased,
    /// Neither.
    Bare,
}

impl Projection {
    /// Whether the convolution has a bias.
    pub fn bias(self) -> bool {
        self == Projection::Biased
    }
}

/// Where the shortcut branches off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipFrom {
    /// At the module's input: the paper.
    Input,
    /// After the opening normalisation and activation: where a module has its norms ahead, and what an in-place ReLU at
    /// the head of a module does to the input that the shortcut reads afterwards.
    Activated,
}

/// A whole network but for its number of classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Colours of an image.
    pub c_in: i64,
    /// Two 3×3 convolutions.
    pub stem: [StemConv; 2],
    /// Shrinks the image and widens the channels.
    pub entry_flow: Vec<ResidualRow>,
    /// Deepens at one size.
    pub middle_flow: MiddleFlow,
    /// Shrinks once more.
    pub exit_flow: Vec<ResidualRow>,
    /// Widens for the head.
    pub exit_separables: ExitSeparables,
    /// What every shortcut that projects is made of.
    pub projection: Projection,
    /// Where every shortcut branches off.
    pub skip_from: SkipFrom,
    /// Where every module normalises.
    pub norm_place: NormPlace,
    /// What every strided module is strided by.
    pub downsampling: Downsampling,
    /// Every separable convolution.
    pub separable: SeparableConv2dConfig,
    /// Every batch normalisation.
    pub batch_norm: BatchNormConfig,
    /// Of every max-pool.
    pub pool_padding: Padding,
    /// Ahead of the head.
    pub global_pool: GlobalPool,
    /// Between the global pool and the head, if anything.
    pub fully_connected: Option<FullyConnected>,
    /// What the variables are called.
    pub names: Names,
    /// Where training starts, but for the head and the separable convolutions, which carry theirs.
    pub init: Init,
    /// Where training of the head starts.
    pub head_init: Init,
}

impl Architecture {
    /// The paper's network as Cadene and timm trained and published it.
    pub fn published() -> Self {
        let stem = StemConv {
            c_out: 32,
            stride: 2,
            padding: 0,
            bias: false,
            norm: Norm::Batch,
            activation: Activation::Relu,
        };
        let init = Init::KaimingNormalFanOut;
        Self {
            c_in: 3,
            stem: [stem, StemConv { c_out: 64, stride: 1, ..stem }],
            entry_flow: vec![
                // The stem ends in ReLU: another would change nothing.
                ResidualRow { opens_with: Activation::None, ..ResidualRow::new(&[128, 128], 2) },
                ResidualRow::new(&[256, 256], 2),
                ResidualRow::new(&[728, 728], 2),
            ],
            middle_flow: MiddleFlow {
                row: ResidualRow::new(&[728, 728, 728], 1),
                repeats: 8,
                weights: MiddleWeights::Separate,
            },
            exit_flow: vec![ResidualRow::new(&[728, 1024], 2)],
            exit_separables: ExitSeparables {
                opens_with: Activation::None,
                widths: vec![1536, 2048],
                closes_with: Activation::Relu,
                norm: Norm::Batch,
            },
            projection: Projection::Normalized,
            skip_from: SkipFrom::Input,
            norm_place: NormPlace::After,
            downsampling: Downsampling::MaxPool,
            separable: SeparableConv2dConfig {
                padding: Padding::Explicit(1),
                init,
                ..Default::default()
            },
            batch_norm: BatchNormConfig::default(),
            pool_padding: Padding::Explicit([1, 1]),
            global_pool: GlobalPool::Avg,
            fully_connected: None,
            names: Names::Cadene,
            init,
            head_init: Init::PyTorch,
        }
    }

    /// Every residual row with weights of its own, in order, with the number that the published checkpoint gives it.
    pub fn stored_rows(&self) -> impl Iterator<Item = (usize, &ResidualRow)> {
        let middle = std::iter::repeat_n(&self.middle_flow.row, self.middle_flow.stored() as usize);
        self.entry_flow
            .iter()
            .chain(middle)
            .chain(&self.exit_flow)
            .enumerate()
            .map(|(index, row)| (index + 1, row))
    }

    /// Every row, in order; that of the middle flow once.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut ResidualRow> {
        let middle = std::slice::from_mut(&mut self.middle_flow.row);
        self.entry_flow.iter_mut().chain(middle).chain(&mut self.exit_flow)
    }

    /// The same network on larger feature maps: once the image is `output_stride` times smaller, the rows behind it are
    /// not strided any more, and their kernels reach further instead. timm: `output_stride` of the aligned networks.
    ///
    /// # Errors
    /// An output stride other than 8, 16 and 32, or a table that shrinks by max-pools, which nothing can take the place
    /// of.
    pub fn with_output_stride(mut self, output_stride: i64) -> Result<Self, Error> {
        let refuse = |accepted| {
            Err(Error::Option {
                option: "output_stride",
                accepted,
                value: output_stride.to_string(),
            })
        };
        if ![8, 16, 32].contains(&output_stride) {
            return refuse("8, 16 or 32");
        }
        if self.downsampling == Downsampling::MaxPool && output_stride != 32 {
            return refuse("32 for a network that shrinks by max-pools");
        }
        let mut reached: i64 = self.stem.iter().map(|conv| conv.stride).product();
        let mut dilation = 1;
        for row in self.rows_mut() {
            row.dilation = dilation;
            if reached * row.stride > output_stride {
                dilation *= row.stride;
                row.stride = 1;
            } else {
                reached *= row.stride;
            }
        }
        Ok(self)
    }

    /// Sets the normalisation and activation between and after the halves of every separable convolution.
    pub(crate) fn with_halves(mut self, half: NormAct) -> Self {
        self.separable = SeparableConv2dConfig { between: half, after: half, ..self.separable };
        self
    }

    /// Sets one initialisation for every convolution.
    pub(crate) fn with_init(mut self, init: Init) -> Self {
        self.init = init;
        self.separable.init = init;
        self
    }
}
