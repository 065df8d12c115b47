//! The convolution to be packed, and the checks that the kernels rely on.

use tch::{Device, Kind, Tensor};

use super::{Factors, multiplies_pairs};
use crate::dense::{described, is_dense, is_floating};
use crate::{Error, channel_values, matrix_kernel};

/// A depthwise convolution before a pointwise one, `[C, 1, kh, kw]` and `[C]`.
#[derive(Debug)]
pub struct DepthwiseHalf {
    /// Its kernels, with a normalisation folded in.
    pub weight: Tensor,
    /// Its bias, with a normalisation folded in.
    pub bias: Option<Tensor>,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// A convolution to be packed. All tensors are on the CPU and of floating-point numbers.
#[derive(Debug)]
pub struct PackedConvConfig {
    /// Comes before the matrix product, with `stride`, `padding` and `dilation`; `weight` must then be 1×1.
    pub depthwise: Option<DepthwiseHalf>,
    /// `[c_out, c_in, kh, kw]`, with a normalisation folded in.
    pub weight: Tensor,
    /// `[c_out]`, with a normalisation folded in.
    pub bias: Tensor,
    /// Rows and columns between two outputs, at least 1.
    pub stride: [i64; 2],
    /// Rows and columns of zeros on each side, at least 0.
    pub padding: [i64; 2],
    /// Rows and columns between two taps, at least 1.
    pub dilation: [i64; 2],
}

/// Kernels, strides, paddings and dilations lie below it: two of them multiplied, and a side of an image added, fit 64
/// bits.
const LIMIT: i64 = 1 << 31;

impl PackedConvConfig {
    /// Refuses a convolution that the kernels cannot compute.
    pub(super) fn check(&self, factors: Factors) -> Result<(), Error> {
        let Self { depthwise, weight, bias, stride, padding, dilation } = self;
        let shape = floats(weight).filter(|shape| shape.iter().all(in_range));
        let Some(&[c_out, c_in, kh, kw]) = shape.as_deref() else {
            return refuse("weights [c_out, c_in, kh, kw]", weight);
        };
        if floats(bias) != Some(vec![c_out]) {
            return refuse(&format!("a bias [{c_out}]"), bias);
        }
        if let Some(half) = depthwise {
            if [kh, kw] != [1, 1] {
                return refuse("weights [c_out, c_in, 1, 1] after a depthwise half", weight);
            }
            let kernels = floats(&half.weight);
            if !kernels.is_some_and(|kernels| {
                kernels.len() == 4 && kernels[..2] == [c_in, 1] && kernels.iter().all(in_range)
            }) {
                return refuse(&format!("depthwise kernels [{c_in}, 1, kh, kw]"), &half.weight);
            }
            if let Some(bias) = &half.bias
                && floats(bias) != Some(vec![c_in])
            {
                return refuse(&format!("a depthwise bias [{c_in}]"), bias);
            }
        }
        let fits = stride.iter().chain(dilation).all(in_range)
            && padding.iter().all(|padding| (0..LIMIT).contains(padding));
        if !fits {
            return Err(error(format!(
                "expected a stride and a dilation of at least 1 and a padding of at least 0, all below 2^31, got stride \
                 {stride:?}, dilation {dilation:?} and padding {padding:?}"
            )));
        }
        if factors == Factors::Bf16 && !multiplies_pairs() && !matrix_kernel::available() {
            return Err(error("expected a CPU that multiplies bf16, got one without".to_string()));
        }
        Ok(())
    }
}

fn in_range(size: &i64) -> bool {
    (1..LIMIT).contains(size)
}

/// The shape of a tensor of floating-point numbers on the CPU.
fn floats(tensor: &Tensor) -> Option<Vec<i64>> {
    let holds = tensor.defined()
        && tensor.device() == Device::Cpu
        && tensor.f_kind().is_ok_and(is_floating)
        && (is_dense(tensor) || tensor.is_neg());
    holds.then(|| tensor.size())
}

/// The numbers of a tensor that was checked, in its logical order.
pub(super) fn list(tensor: &Tensor) -> Vec<f32> {
    channel_values::read(&tensor.detach().to_kind(Kind::Float))
}

fn refuse(expected: &str, got: &Tensor) -> Result<(), Error> {
    let got = described(got);
    Err(error(format!("expected {expected} of floating-point numbers on the CPU, got {got}")))
}

fn error(message: String) -> Error {
    Error { operation: "a packed convolution", message }
}
