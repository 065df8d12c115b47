//! A trained network as a list of plain operations with their numbers: the one lowering, from which packed inference and
//! exports to other programs are made.

mod compute;
mod lower;

pub use sepconv::{BatchNorm2d, Folded, Padding};
use tch::Tensor;

use crate::images::Images;
pub use crate::outline::Value;
use crate::vocabulary::GlobalPool;

/// A network in evaluation mode, its normalisations folded into its convolutions where that is possible.
///
/// It holds copies: training the network afterwards does not change it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Graph {
    /// In an order in which they can be computed; the output of the last one is the logits.
    pub nodes: Vec<Node>,
    /// Channels of an image.
    pub c_in: i64,
    images: Images,
}

/// An operation.
#[derive(Debug)]
#[non_exhaustive]
pub struct Node {
    /// The name of the layer in the checkpoint, and the part of the layer where it has several: `block2.rep.1.depthwise`.
    /// A module that is applied several times gives nodes of equal names and equal numbers.
    pub name: String,
    /// The name of the layer in the checkpoint: `block2.rep.1`.
    pub layer: String,
    /// The operation.
    pub op: Op,
    /// The values that it reads.
    pub inputs: Vec<Value>,
}

/// The operation of a [`Node`]. Exhaustive on purpose: an exporter should not compile where it misses one.
#[derive(Debug)]
pub enum Op {
    /// A convolution with a bias. ONNX: `Conv`.
    Conv(Box<Folded>),
    /// A batch normalisation that follows no convolution of its module, so that it could not be folded.
    Norm {
        /// Its numbers.
        norm: Box<BatchNorm2d>,
        /// The same as a convolution of each channel with a kernel of one pixel.
        folded: Box<Folded>,
    },
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, else `exp(x) - 1`.
    Elu,
    /// The maximum under a square window; padding never wins.
    MaxPool {
        /// Rows and columns of the window.
        kernel: i64,
        /// Pixels between two windows, along both axes.
        stride: i64,
        /// The padding, in pixels that never win.
        padding: Padding,
    },
    /// The sum of two maps.
    Add,
    /// One number for each channel: `[N, C, H, W]` to `[N, C]`.
    GlobalPool(GlobalPool),
    /// `[N, c_in]` to `[N, c_out]`. ONNX: `Gemm` with `transB`.
    Linear {
        /// `[c_out, c_in]`.
        weight: Tensor,
        /// `[c_out]`.
        bias: Tensor,
    },
}

#[cfg(test)]
mod tests;
