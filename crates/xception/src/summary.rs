//! The layers of a network, counted from its table without building it: shapes, parameters, multiplications, and what
//! separating the convolutions saves.

use std::collections::HashMap;

use sepconv::cost::{self, ConvShape, Cost};

use crate::architecture::Architecture;
use crate::out_of_range::OutOfRange;
use crate::outline::{ConvRole, LARGEST_SIDE, Layer, LayerOp, Outline};

/// The operation of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LayerKind {
    /// A regular convolution.
    Conv,
    /// The spatial half of a separable convolution.
    Depthwise,
    /// The channel half, or a projecting shortcut.
    Pointwise,
    /// Batch normalisation.
    BatchNorm,
    /// Max-pooling.
    MaxPool,
    /// Global pooling.
    GlobalPool,
    /// A linear layer: the head, or a fully connected one before it.
    Linear,
}

impl LayerKind {
    /// A short name for tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LayerKind::Conv => "conv",
            LayerKind::Depthwise => "depthwise",
            LayerKind::Pointwise => "pointwise",
            LayerKind::BatchNorm => "batch-norm",
            LayerKind::MaxPool => "max-pool",
            LayerKind::GlobalPool => "global-pool",
            LayerKind::Linear => "linear",
        }
    }
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerRow {
    /// The path of its variables; the name of its module where it has none.
    pub name: String,
    /// The operation.
    pub kind: LayerKind,
    /// Channels, rows and columns of the output.
    pub output: [i64; 3],
    /// Multiply-accumulates of convolutions and linear layers for one image, over all repeats.
    pub macs: u64,
    /// Numbers in the output for one image, over all repeats. None of a batch norm, which can overwrite its input.
    pub activations: u64,
    /// Trainable numbers.
    pub params: u64,
    /// Numbers that are kept but not trained: running statistics.
    pub statistics: u64,
    /// [`Self::macs`] if every separable convolution were a regular one: see [`Summary::macs_regular`]. That of a
    /// separable convolution is at the first of its halves, and 0 at the second.
    pub macs_regular: u64,
    /// [`Self::params`] if every separable convolution were a regular one, at the same place.
    pub params_regular: u64,
}

/// A whole network at one input size.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Rows and columns of the input.
    pub input: i64,
    /// Every layer, in the order of the forward pass. A module that is applied several times stands there once.
    pub layers: Vec<LayerRow>,
}

/// A network that cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of the table or an option out of range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// An image that shrinks to nothing on its way through the network.
    #[error("input of {0} pixels is too small: the feature map vanishes before the head")]
    InputTooSmall(i64),
}

impl Summary {
    /// Counts `table` with `classes` logits for images of `input` by `input` pixels.
    ///
    /// # Errors
    /// A table that [`Architecture::validate`] refuses, fewer classes than 1, and images that are too small, or larger
    /// than 65,536 pixels along a side.
    pub fn new(table: &Architecture, classes: i64, input: i64) -> Result<Self, Error> {
        let outline = Outline::new(table, classes)?;
        if input < 1 {
            return Err(Error::InputTooSmall(input));
        }
        if input > LARGEST_SIDE {
            let accepted = format!("at most {LARGEST_SIDE}");
            return Err(OutOfRange::new("input", accepted, input).into());
        }
        let shapes = outline.shapes(input, input).ok_or(Error::InputTooSmall(input))?;
        let regular = regular_costs(&outline.layers, &shapes);
        let mut layers: Vec<LayerRow> = Vec::new();
        let mut places = HashMap::new();
        for (index, (layer, output)) in outline.layers.iter().zip(shapes).enumerate() {
            let Some(mut row) = row(layer, output) else { continue };
            if let Some(cost) = regular.get(&index) {
                (row.macs_regular, row.params_regular) = (cost.macs, cost.params);
            }
            let place = *places.entry((row.name.clone(), row.kind)).or_insert(layers.len());
            match layers.get_mut(place) {
                // A repeat computes again, on the same weights.
                Some(first) => {
                    first.macs += row.macs;
                    first.macs_regular = first.macs_regular.saturating_add(row.macs_regular);
                    first.activations += row.activations;
                }
                None => layers.push(row),
            }
        }
        Ok(Summary { input, layers })
    }

    /// Trainable numbers.
    #[must_use]
    pub fn params_trainable(&self) -> u64 {
        self.layers.iter().map(|layer| layer.params).sum()
    }

    /// Trainable numbers and the running statistics of batch normalisation.
    #[must_use]
    pub fn params_total(&self) -> u64 {
        self.params_trainable() + self.layers.iter().map(|layer| layer.statistics).sum::<u64>()
    }

    /// Numbers in the outputs of convolutions, pools and linear layers, for one image.
    #[must_use]
    pub fn activations(&self) -> u64 {
        self.layers.iter().map(|layer| layer.activations).sum()
    }

    /// Multiply-accumulates of convolutions and linear layers, for one image.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(|layer| layer.macs).sum()
    }

    /// Multiply-accumulates for one image if every separable convolution were the regular one of the same kernel, stride,
    /// padding, `c_in` and `c_out`: k² · `c_in` · `c_out` for each pixel of the output, where the separable one takes
    /// `c_in` · (k² + `c_out`). All other layers count as they are, normalisations between the halves among them.
    ///
    /// This can be less than [`Self::macs`] where spatial halves have few groups ([`Groups`](sepconv::Groups)): with one,
    /// the half is a regular convolution itself.
    #[must_use]
    pub fn macs_regular(&self) -> u64 {
        self.layers.iter().map(|layer| layer.macs_regular).fold(0, u64::saturating_add)
    }

    /// Trainable numbers if every separable convolution were a regular one, with a bias where the halves have one.
    #[must_use]
    pub fn params_regular(&self) -> u64 {
        self.layers.iter().map(|layer| layer.params_regular).fold(0, u64::saturating_add)
    }
}

/// The costs of the regular convolutions in place of the separable ones, by the number of the layer: the whole at the
/// first half, nothing at the second.
fn regular_costs(layers: &[Layer], shapes: &[[i64; 3]]) -> HashMap<usize, Cost> {
    // Of the convolutions, the halves alone are parts; they follow each other, but for what is between them.
    let halves: Vec<_> = (0..layers.len())
        .filter_map(|index| match &layers[index] {
            Layer { part, op: LayerOp::Conv { c_in, c_out, config, .. }, .. }
                if !part.is_empty() =>
            {
                Some((index, c_in, c_out, config))
            }
            _ => None,
        })
        .collect();
    let mut costs = HashMap::new();
    for pair in halves.chunks_exact(2) {
        let [(first, c_in, _, one), (second, _, c_out, other)] = [pair[0], pair[1]];
        let [_, rows, columns] = shapes[second];
        // One of the two kernels is 1×1.
        let kernel = |axis: usize| one.kernel_size[axis].max(other.kernel_size[axis]) as u64;
        let shape = ConvShape {
            c_in: *c_in as u64,
            c_out: *c_out as u64,
            kernel_size: [kernel(0), kernel(1)],
            output: [rows as u64, columns as u64],
            bias: other.bias,
        };
        costs.insert(first, cost::regular(shape));
        costs.insert(second, Cost::default());
    }
    costs
}

/// The row of a layer; `None` for activations and sums, which are not counted.
fn row(layer: &Layer, output: [i64; 3]) -> Option<LayerRow> {
    let (name, kind, cost, statistics) = match &layer.op {
        LayerOp::Conv { variables, role, c_in, c_out, config } => {
            let shape = ConvShape {
                c_in: *c_in as u64,
                c_out: *c_out as u64,
                kernel_size: config.kernel_size.map(|size| size as u64),
                output: [output[1] as u64, output[2] as u64],
                bias: config.bias,
            };
            let kind = match role {
                ConvRole::Regular => LayerKind::Conv,
                ConvRole::Depthwise => LayerKind::Depthwise,
                ConvRole::Pointwise => LayerKind::Pointwise,
            };
            (variables, kind, cost::grouped(shape, config.groups as u64), 0)
        }
        LayerOp::BatchNorm { variables, channels, .. } => {
            let pair = 2 * *channels as u64;
            (variables, LayerKind::BatchNorm, Cost { macs: 0, params: pair }, pair)
        }
        LayerOp::MaxPool { .. } => (&layer.of, LayerKind::MaxPool, Cost::default(), 0),
        LayerOp::GlobalPool(_) => (&layer.of, LayerKind::GlobalPool, Cost::default(), 0),
        LayerOp::Linear { variables, c_in, c_out } => {
            let macs = (c_in * c_out) as u64;
            let cost = Cost { macs, params: macs + *c_out as u64 };
            (variables, LayerKind::Linear, cost, 0)
        }
        LayerOp::Activation(_) | LayerOp::Add => return None,
    };
    let activations = match kind {
        LayerKind::BatchNorm => 0,
        _ => output.iter().product::<i64>() as u64,
    };
    let (macs, params) = (cost.macs, cost.params);
    Some(LayerRow {
        name: name.clone(),
        kind,
        output,
        macs,
        activations,
        params,
        statistics,
        macs_regular: macs,
        params_regular: params,
    })
}
