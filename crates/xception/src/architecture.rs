//! The network as a table, in the paper's words: stem, entry flow, middle flow, exit flow (figure 5).
//!
//! Everything in which the published and the handwritten Xceptions differ is a value here, so that one model
//! definition (`model.rs`) serves them all.

mod rows;
mod validate;

use sepconv::{Activation, BatchNormConfig, Init, NormAct, Padding, SeparableConv2dConfig};

use crate::names::Names;
use crate::out_of_range::OutOfRange;
use crate::vocabulary::{
    Downsampling, FullyConnected, GlobalPool, MiddleWeights, Norm, NormPlace, Projection, SkipFrom,
};

pub use rows::{ExitSeparables, MiddleFlow, ResidualRow, StemConv};

/// A whole network but for its number of classes.
///
/// Everything that is built from a table validates it first; see [`Architecture::validate`].
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Channels of an image: 3 for red, green and blue.
    pub c_in: i64,
    /// Two 3×3 convolutions.
    pub stem: [StemConv; 2],
    /// The modules that downsample the image and widen the channels.
    pub entry_flow: Vec<ResidualRow>,
    /// The modules at one resolution.
    pub middle_flow: MiddleFlow,
    /// The modules that downsample once more.
    pub exit_flow: Vec<ResidualRow>,
    /// The convolutions that widen the channels for the head.
    pub exit_separables: ExitSeparables,
    /// The layers of every shortcut that projects.
    pub projection: Projection,
    /// The value that every shortcut reads.
    pub skip_from: SkipFrom,
    /// The place of the normalisations in every module.
    pub norm_place: NormPlace,
    /// The layer that applies the stride of a module.
    pub downsampling: Downsampling,
    /// The options of every separable convolution.
    pub separable: SeparableConv2dConfig,
    /// The options of every batch normalisation.
    pub batch_norm: BatchNormConfig,
    /// The padding of every 3×3 max-pool.
    pub pool_padding: Padding,
    /// The pooling before the head.
    pub global_pool: GlobalPool,
    /// Layers between the global pool and the head.
    pub fully_connected: Option<FullyConnected>,
    /// The names of the variables.
    pub names: Names,
    /// The initial weights of the stem and the shortcuts; separable convolutions have theirs in [`Self::separable`].
    pub init: Init,
    /// The initial weights of the head and of the fully connected layers.
    pub head_init: Init,
}

impl Architecture {
    /// The paper's network as Cadene and timm trained and published it. timm: `legacy_xception`.
    #[must_use]
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

    /// Every residual row with weights of its own, in order, with the number that the published checkpoint gives it,
    /// from 1.
    pub fn stored_rows(&self) -> impl Iterator<Item = (usize, &ResidualRow)> {
        let middle = std::iter::repeat_n(&self.middle_flow.row, self.middle_flow.stored());
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

    /// The same network with larger feature maps: rows after the point where the image has become `output_stride` times
    /// smaller are dilated instead of strided. timm: `output_stride` of the aligned networks.
    ///
    /// # Errors
    /// A table that [`Self::validate`] refuses, an output stride other than 8, 16 and 32, or one below 32 for a network
    /// that downsamples by max-pools, which cannot be dilated.
    pub fn with_output_stride(mut self, output_stride: i64) -> Result<Self, OutOfRange> {
        self.validate()?;
        let refuse = |accepted| Err(OutOfRange::new("output_stride", accepted, output_stride));
        if ![8, 16, 32].contains(&output_stride) {
            return refuse("8, 16 or 32");
        }
        if self.downsampling == Downsampling::MaxPool && output_stride != 32 {
            return refuse("32 for a network that downsamples by max-pools");
        }
        let mut reached: i64 = self.stem.iter().map(|conv| conv.stride).product();
        let mut dilation = 1;
        for row in self.rows_mut() {
            row.dilation = dilation;
            if reached.saturating_mul(row.stride) > output_stride {
                dilation = row.stride.saturating_mul(dilation);
                row.stride = 1;
            } else {
                reached *= row.stride;
            }
        }
        self.validate()?;
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
