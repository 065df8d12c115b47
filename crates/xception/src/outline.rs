//! A network as a list of layers without their weights, read off its table: names, shapes, and what reads what.
//!
//! This is the one walk from a table to layers besides the model itself. It needs no libtorch, so a summary can count a
//! network that nobody has built. A [`Graph`](crate::graph::Graph) is the same list with the weights filled in by
//! name, which works because names are the file format: one table gives one set of names, whoever walks it.

mod walk;

use std::collections::BTreeMap;

use sepconv::{Activation, BatchNormConfig, Conv2dConfigND, Padding};

use crate::architecture::Architecture;
use crate::out_of_range::OutOfRange;
use crate::vocabulary::GlobalPool;

/// Rows or columns of the largest image.
pub(crate) const LARGEST_SIDE: i64 = 1 << 16;

/// A network for a number of classes.
#[derive(Debug)]
pub(crate) struct Outline {
    /// In the order of the forward pass; a module that is applied several times stands there as often.
    pub(crate) layers: Vec<Layer>,
    /// Channels of an image.
    pub(crate) c_in: i64,
}

/// One layer.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The name, in the checkpoint, of the module or convolution that it belongs to.
    pub(crate) of: String,
    /// The part of that, as a suffix of the name: `.depthwise`, `.sum`, or nothing for the whole.
    pub(crate) part: &'static str,
    pub(crate) op: LayerOp,
    pub(crate) inputs: Vec<Value>,
}

/// The input of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// The images, `[N, c_in, H, W]`, normalised.
    Images,
    /// The output of the operation with this number, from 0.
    Node(usize),
}

/// Options of a convolution, rows and columns apart.
pub(crate) type ConvConfig = Conv2dConfigND<[i64; 2]>;

/// The operation of a layer. `variables` is the path of its weights.
#[derive(Debug)]
pub(crate) enum LayerOp {
    Conv { variables: String, role: ConvRole, c_in: i64, c_out: i64, config: ConvConfig },
    BatchNorm { variables: String, role: NormRole, channels: i64, config: BatchNormConfig },
    Activation(Activation),
    MaxPool { kernel: i64, stride: i64, padding: Padding },
    Add,
    GlobalPool(GlobalPool),
    Linear { variables: String, c_in: i64, c_out: i64 },
}

/// The part that a convolution plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConvRole {
    /// A regular convolution of the stem.
    Regular,
    /// The spatial half of a separable convolution.
    Depthwise,
    /// The channel half of one, or a projecting shortcut.
    Pointwise,
}

/// The place of a batch normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NormRole {
    /// Before the first convolution of a module.
    OpensModule,
    /// Somewhere after a convolution of the same module.
    AfterConv,
}

impl Outline {
    /// The layers of `table` with `classes` logits.
    pub(crate) fn new(table: &Architecture, classes: i64) -> Result<Self, OutOfRange> {
        table.validate()?;
        OutOfRange::unless_positive("classes", classes)?;
        Ok(Self { layers: walk::layers(table, classes), c_in: table.c_in })
    }

    /// Every variable by its name, with its shape.
    pub(crate) fn variables(&self) -> BTreeMap<String, Vec<i64>> {
        self.layers.iter().flat_map(|layer| layer.op.variables()).collect()
    }

    /// Channels, rows and columns of each layer's output for an image of `rows` by `columns` pixels; `None` where a map
    /// vanishes before the head.
    pub(crate) fn shapes(&self, rows: i64, columns: i64) -> Option<Vec<[i64; 3]>> {
        let mut shapes: Vec<[i64; 3]> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let input = match layer.inputs[0] {
                Value::Images => [self.c_in, rows, columns],
                Value::Node(number) => shapes[number],
            };
            let shape = layer.op.output(input);
            if shape.iter().any(|&size| size < 1) {
                return None;
            }
            shapes.push(shape);
        }
        Some(shapes)
    }

    /// Rows, and columns, of the smallest image that leaves a map for the head.
    pub(crate) fn smallest_side(&self) -> i64 {
        let fits = |side: i64| self.shapes(side, side).is_some();
        // A larger image never has smaller maps, so halving finds the border.
        let mut above = 1;
        while above < LARGEST_SIDE && !fits(above) {
            above *= 2;
        }
        let mut below = above / 2;
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            if fits(middle) { above = middle } else { below = middle }
        }
        above
    }
}

impl Layer {
    /// Its place, in words: the layer's name in the checkpoint where it has weights of its own.
    pub(crate) fn name(&self) -> String {
        let activation = match self.op {
            LayerOp::Activation(Activation::Relu) => ".relu",
            LayerOp::Activation(Activation::Elu) => ".elu",
            _ => "",
        };
        format!("{}{}{activation}", self.of, self.part)
    }
}

impl LayerOp {
    fn variables(&self) -> Vec<(String, Vec<i64>)> {
        let of = |variables: &str, shapes: &[(&str, Vec<i64>)]| {
            let named =
                |(name, shape): &(&str, Vec<i64>)| (format!("{variables}.{name}"), shape.clone());
            shapes.iter().map(named).collect()
        };
        match self {
            LayerOp::Conv { variables, c_in, c_out, config, .. } => {
                let [kh, kw] = config.kernel_size;
                let weight = ("weight", vec![*c_out, c_in / config.groups, kh, kw]);
                let bias = config.bias.then(|| ("bias", vec![*c_out]));
                of(variables, &[Some(weight), bias].into_iter().flatten().collect::<Vec<_>>())
            }
            LayerOp::BatchNorm { variables, channels, .. } => {
                let names = ["weight", "bias", "running_mean", "running_var"];
                of(variables, &names.map(|name| (name, vec![*channels])))
            }
            LayerOp::Linear { variables, c_in, c_out } => {
                of(variables, &[("weight", vec![*c_out, *c_in]), ("bias", vec![*c_out])])
            }
            LayerOp::Activation(_)
            | LayerOp::MaxPool { .. }
            | LayerOp::Add
            | LayerOp::GlobalPool(_) => Vec::new(),
        }
    }

    /// Channels, rows and columns that come of an input of `[channels, rows, columns]`.
    fn output(&self, [channels, rows, columns]: [i64; 3]) -> [i64; 3] {
        match self {
            LayerOp::Conv { c_out, config, .. } => {
                let ConvConfig { kernel_size, stride, padding, dilation, .. } = config;
                let along = |axis: usize, size| {
                    padding.outputs(axis, size, kernel_size[axis], stride[axis], dilation[axis])
                };
                [*c_out, along(0, rows), along(1, columns)]
            }
            LayerOp::MaxPool { kernel, stride, padding } => {
                let along = |axis, size| padding.outputs(axis, size, *kernel, *stride, 1);
                [channels, along(0, rows), along(1, columns)]
            }
            LayerOp::GlobalPool(_) => [channels, 1, 1],
            LayerOp::Linear { c_out, .. } => [*c_out, 1, 1],
            LayerOp::BatchNorm { .. } | LayerOp::Activation(_) | LayerOp::Add => {
                [channels, rows, columns]
            }
        }
    }
}
