//! The network as a table, in the paper's words: stem, entry flow, middle flow, exit flow (figure 5).
//!
//! Everything in which the published and the handwritten Xceptions differ is a value here, so that one model
//! definition (`model.rs`) serves them all.

use sepconv::{Activation, BatchNormConfig, Init, NormAct, Padding, SeparableConv2dConfig};

/// Whether batch normalisation follows a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// It does.
    Batch,
    /// It does not.
    None,
}

/// One 3×3 convolution of the stem; ReLU follows.
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
    /// What follows ahead of the ReLU.
    pub norm: Norm,
}

/// A residual module: separable convolutions with ReLU between them, a max-pool where it is strided, and a shortcut.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualRow {
    /// Output channels of each separable convolution.
    pub widths: Vec<i64>,
    /// Of the closing 3×3 max-pool and of the shortcut; 1 means no pool.
    pub stride: i64,
    /// Ahead of the first separable convolution.
    pub opens_with: Activation,
    /// After each separable convolution.
    pub norm: Norm,
}

impl ResidualRow {
    /// The usual row: opens with ReLU, normalises after each convolution.
    pub fn new(widths: &[i64], stride: i64) -> Self {
        Self { widths: widths.to_vec(), stride, opens_with: Activation::Relu, norm: Norm::Batch }
    }

    /// Channels that come out.
    pub fn c_out(&self) -> i64 {
        *self.widths.last().expect("a residual row has a width")
    }

    /// Whether the shortcut must project: the sum needs equal shapes.
    pub fn projects(&self, c_in: i64) -> bool {
        self.stride != 1 || c_in != self.c_out()
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

/// The last two separable convolutions, outside any residual connection; ReLU stands between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitSeparables {
    /// Ahead of the first.
    pub opens_with: Activation,
    /// Output channels of each.
    pub widths: [i64; 2],
    /// After the second.
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
    /// After the opening activation, which is what an in-place ReLU at the head of the module does to the input
    /// that the shortcut reads afterwards.
    Activated,
}

/// A whole network but for its number of classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Two 3×3 convolutions.
    pub stem: [StemConv; 2],
    /// Shrinks the picture and widens the channels.
    pub entry_flow: Vec<ResidualRow>,
    /// Deepens at one size.
    pub middle_flow: MiddleFlow,
    /// Shrinks once more.
    pub exit_flow: ResidualRow,
    /// Widens for the head.
    pub exit_separables: ExitSeparables,
    /// What every shortcut that projects is made of.
    pub projection: Projection,
    /// Where every shortcut branches off.
    pub skip_from: SkipFrom,
    /// Every separable convolution.
    pub separable: SeparableConv2dConfig,
    /// Every batch normalisation.
    pub batch_norm: BatchNormConfig,
    /// Of every max-pool.
    pub pool_padding: Padding,
    /// Where training starts, but for the head and the separable convolutions, which carry theirs.
    pub init: Init,
    /// Where training of the head starts.
    pub head_init: Init,
}

impl Architecture {
    /// The paper's network as Cadene and timm trained and published it.
    pub fn published() -> Self {
        let stem = StemConv { c_out: 32, stride: 2, padding: 0, bias: false, norm: Norm::Batch };
        let init = Init::KaimingNormalFanOut;
        Self {
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
            exit_flow: ResidualRow::new(&[728, 1024], 2),
            exit_separables: ExitSeparables {
                opens_with: Activation::None,
                widths: [1536, 2048],
                closes_with: Activation::Relu,
                norm: Norm::Batch,
            },
            projection: Projection::Normalized,
            skip_from: SkipFrom::Input,
            separable: SeparableConv2dConfig {
                padding: Padding::Explicit([1, 1]),
                init,
                ..Default::default()
            },
            batch_norm: BatchNormConfig::default(),
            pool_padding: Padding::Explicit([1, 1]),
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
            .chain([&self.exit_flow])
            .enumerate()
            .map(|(index, row)| (index + 1, row))
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
