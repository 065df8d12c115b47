//! Convolution for inference: normalisation folded into the weights, the weights packed once, one kernel a layer.
//!
//! Output pixels are computed in tiles that fit the second-level cache. A tile is filled with what the matrix
//! product reads (the depthwise convolution of the image, or its windows laid out in rows), multiplied block of
//! columns by block of columns, and leaves with shift, residual and ReLU applied. Nothing in between is ever
//! written to memory, which is where the time of a separable convolution goes.

mod pack;
mod tile;

use tch::{Kind, Tensor};

use crate::depthwise::{PairedTaps, Plan};
use crate::nhwc::{Nhwc, covers, laid_out};
use crate::simd::{Bf16, pairs};
use crate::{DepthwiseGeometry, matrix_kernel};

use pack::Columns;

/// What the matrix product computes in. Sums are fp32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factors {
    /// fp32, which every CPU multiplies quickly.
    Fp32,
    /// bf16, for CPUs with instructions or a matrix unit for it.
    Bf16,
}

impl Factors {
    /// The best factors for maps of `kind` on this CPU; `None` for kinds that are not packed.
    pub fn suited_to(kind: Kind) -> Option<Self> {
        match kind {
            Kind::BFloat16 if multiplies_pairs() => Some(Self::Bf16),
            Kind::BFloat16 if crate::has_bf16_matrix_unit() && matrix_kernel::available() => {
                Some(Self::Bf16)
            }
            Kind::BFloat16 | Kind::Float => Some(Self::Fp32),
            _ => None,
        }
    }
}

/// Whether bf16 is multiplied in pairs by our own kernel; libtorch's is the faster one where there is a matrix unit.
fn multiplies_pairs() -> bool {
    pairs::available() && !crate::has_bf16_matrix_unit()
}

/// A depthwise convolution ahead of a pointwise one, `[C, 1, kh, kw]` and `[C]`.
#[derive(Debug)]
pub struct DepthwiseHalf {
    /// Its kernels, a normalisation folded in.
    pub weight: Tensor,
    /// What is added, a normalisation folded in.
    pub bias: Option<Tensor>,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// A convolution to be packed.
#[derive(Debug)]
pub struct PackedConvConfig {
    /// Ahead of the matrix product, with `stride`, `padding` and `dilation`; `weight` must then be 1×1.
    pub depthwise: Option<DepthwiseHalf>,
    /// `[c_out, c_in, kh, kw]`, a normalisation folded in.
    pub weight: Tensor,
    /// `[c_out]`, a normalisation folded in.
    pub bias: Tensor,
    /// Rows and columns between two outputs.
    pub stride: [i64; 2],
    /// Rows and columns of zeros on each side.
    pub padding: [i64; 2],
    /// Rows and columns between two taps.
    pub dilation: [i64; 2],
}

/// What happens around the convolution while its numbers are at hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// A ReLU on the way in.
    pub opens_with_relu: bool,
    /// A map of the output's shape that is added.
    pub residual: Option<&'a Tensor>,
    /// A ReLU on that map before it is added.
    pub residual_relu: bool,
    /// A ReLU on the way out.
    pub closes_with_relu: bool,
}

/// A convolution ready to run, without gradients.
#[derive(Debug)]
pub struct PackedConv {
    first: FirstHalf,
    columns: Columns,
    geometry: DepthwiseGeometry,
    c_in: i64,
}

/// How a tile is filled.
#[derive(Debug)]
enum FirstHalf {
    /// With the depthwise convolution: kernels `[kh * kw, C]` fp32, bias `[C]` fp32; both once more in pairs, where
    /// the CPU multiplies those.
    Depthwise {
        taps: Vec<f32>,
        size: [i64; 2],
        bias: Option<Vec<f32>>,
        paired: Option<PairedTaps>,
        relu: bool,
    },
    /// With the windows of the image, one in a row.
    Windows { size: [i64; 2] },
}

impl PackedConv {
    /// Packs `config`; `None` where its shapes are none that the kernels know.
    pub fn new(config: &PackedConvConfig, factors: Factors) -> Option<Self> {
        let PackedConvConfig { depthwise, weight, bias, stride, padding, dilation } = config;
        let shape = weight.size();
        let list = |tensor: &Tensor| -> Vec<f32> {
            let tensor = tensor.detach().to_kind(Kind::Float).contiguous();
            tensor.flatten(0, -1).try_into().expect("a vector of fp32")
        };
        let (first, c_in) = match depthwise {
            Some(half) => {
                let kernels = half.weight.size();
                if shape[2..] != [1, 1] || kernels[0] != shape[1] || kernels[1] != 1 {
                    return None;
                }
                let taps = list(&half.weight.flatten(1, 3).transpose(0, 1));
                let (size, bias) = ([kernels[2], kernels[3]], half.bias.as_ref().map(list));
                let in_pairs = factors == Factors::Bf16 && pairs::available() && size == [3, 3];
                let paired = in_pairs.then(|| PairedTaps::new(&taps, bias.as_deref()));
                let relu = half.relu;
                (FirstHalf::Depthwise { taps, size, bias, paired, relu }, kernels[0])
            }
            None => (FirstHalf::Windows { size: [shape[2], shape[3]] }, shape[1]),
        };
        let (stride, padding, dilation) = (*stride, *padding, *dilation);
        let geometry = DepthwiseGeometry { stride, padding, dilation, groups: c_in };
        // A window's row holds tap by tap the channels of a pixel, as the image does.
        let matrix = list(&weight.permute([2, 3, 1, 0]));
        let columns = Columns::pack(&matrix, list(bias), factors);
        Some(Self { first, columns, geometry, c_in })
    }

    /// What comes of maps of size `[N, c_in, H, W]`: `[N, c_out, H', W']`.
    pub fn output_size(&self, input: &[i64]) -> [i64; 4] {
        let [n, c, h, w] = input else { panic!("expected [N, C, H, W], got {input:?}") };
        let [n, c, h, w] = [n, c, h, w].map(|&size| size as usize);
        let output = self.plan(Nhwc { n, c, h, w }).output;
        [n, self.columns.c_out, output.h, output.w].map(|size| size as i64)
    }

    fn plan(&self, input: Nhwc) -> Plan {
        let [kh, kw] = match &self.first {
            FirstHalf::Depthwise { size, .. } | FirstHalf::Windows { size } => *size,
        };
        Plan::new(input, &[self.c_in, 1, kh, kw], self.geometry)
    }

    /// The convolution of `xs: [N, c_in, H, W]`, fp32 or bf16 on a CPU, with what is around it.
    pub fn run(&self, xs: &Tensor, around: Around) -> Tensor {
        assert!(
            covers(xs) && xs.size().get(1) == Some(&self.c_in) && xs.kind() != Kind::Double,
            "expected fp32 or bf16 maps [N, {}, H, W] on a CPU, got {:?} of {:?}",
            self.c_in,
            xs.size(),
            xs.kind()
        );
        assert!(
            xs.kind() == Kind::BFloat16 || self.columns.factors() == Factors::Fp32,
            "weights packed in bf16 multiply bf16 maps, got {:?}",
            xs.kind()
        );
        let plan = self.plan(Nhwc::of(xs));
        let output = Nhwc { c: self.columns.c_out, ..plan.output };
        tch::no_grad(|| {
            let xs = laid_out(&xs.detach());
            let ys = output.empty(&xs);
            let residual = around.residual.map(|residual| {
                assert!(
                    residual.size() == ys.size() && residual.kind() == ys.kind(),
                    "expected a residual {:?}, got {:?}",
                    ys.size(),
                    residual.size()
                );
                laid_out(&residual.detach())
            });
            let around = Around { residual: residual.as_ref(), ..around };
            match xs.kind() {
                Kind::Float => tile::run::<f32>(self, &plan, &xs, &ys, around),
                _ => tile::run::<Bf16>(self, &plan, &xs, &ys, around),
            }
            ys
        })
    }
}

#[cfg(test)]
mod tests;
