//! Convolution for inference: normalisation folded into the weights, the weights packed once, one kernel a layer.
//!
//! Output pixels are computed in tiles that fit the second-level cache. A tile is filled with the factors of the matrix
//! product (the depthwise convolution of the image, or its windows laid out in rows), multiplied block of columns by
//! block of columns, and stored with bias, residual and ReLU applied. No intermediate result reaches memory, where a
//! separable convolution would spend its time.

mod config;
mod lanes;
mod pack;
mod tile;
mod windows;

use tch::{Kind, Tensor};

use crate::dense::described;
use crate::depthwise::{PairedTaps, Plan};
use crate::nhwc::{Nhwc, covers, laid_out};
use crate::simd::{Bf16, pairs};
use crate::{DepthwiseGeometry, Error, matrix_kernel};

use config::list;
pub use config::{DepthwiseHalf, PackedConvConfig};
use pack::Columns;

/// The kind of the numbers that the matrix product multiplies. Sums are fp32 in any case.
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

/// Whether our own kernel multiplies bf16 in pairs; libtorch's is faster on a CPU with a matrix unit.
fn multiplies_pairs() -> bool {
    pairs::available() && !crate::has_bf16_matrix_unit()
}

/// The elementwise operations that are fused into a packed convolution, in this order: a ReLU on the input, the
/// convolution, an addition, a ReLU on the output.
#[derive(Debug, Clone, Copy, Default)]
pub struct FusedOps<'a> {
    /// Whether a ReLU applies to the input.
    pub opens_with_relu: bool,
    /// A map that is added, of the shape, kind and device of the output.
    pub residual: Option<&'a Tensor>,
    /// Whether a ReLU applies to the residual before it is added.
    pub residual_relu: bool,
    /// Whether a ReLU applies to the output.
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

/// The computation of a tile's factors.
#[derive(Debug)]
enum FirstHalf {
    /// The depthwise convolution: kernels `[kh * kw, C]` fp32, bias `[C]` fp32; both once more in pairs, where the CPU
    /// multiplies those.
    Depthwise {
        taps: Vec<f32>,
        size: [i64; 2],
        bias: Option<Vec<f32>>,
        paired: Option<PairedTaps>,
        relu: bool,
    },
    /// The windows of the image, one in a row.
    Windows { size: [i64; 2] },
}

impl PackedConv {
    /// Packs `config`, whose tensors are copied.
    ///
    /// # Errors
    /// A tensor that is undefined, not on the CPU, not of floating-point numbers, empty, or of another shape than
    /// [`PackedConvConfig`] says; a stride, padding or dilation out of its range; [`Factors::Bf16`] on a CPU that does not
    /// multiply bf16.
    pub fn new(config: &PackedConvConfig, factors: Factors) -> Result<Self, Error> {
        config.check(factors)?;
        let PackedConvConfig { depthwise, weight, bias, stride, padding, dilation } = config;
        let (shape, c_in) = (weight.size(), weight.size()[1]);
        let first = match depthwise {
            Some(half) => {
                let kernels = half.weight.size();
                let taps = list(&half.weight.flatten(1, 3).transpose(0, 1));
                let (size, bias) = ([kernels[2], kernels[3]], half.bias.as_ref().map(list));
                let in_pairs = factors == Factors::Bf16 && pairs::available() && size == [3, 3];
                let paired = in_pairs.then(|| PairedTaps::new(&taps, bias.as_deref()));
                FirstHalf::Depthwise { taps, size, bias, paired, relu: half.relu }
            }
            None => FirstHalf::Windows { size: [shape[2], shape[3]] },
        };
        let (stride, padding, dilation) = (*stride, *padding, *dilation);
        let geometry = DepthwiseGeometry { stride, padding, dilation, groups: c_in };
        // A window's row holds tap by tap the channels of a pixel, as the image does.
        let matrix = list(&weight.permute([2, 3, 1, 0]));
        let columns = Columns::pack(&matrix, list(bias), factors);
        Ok(Self { first, columns, geometry, c_in })
    }

    /// The size `[N, c_out, H', W']` of the output for maps of the size `[N, c_in, H, W]`.
    ///
    /// # Panics
    /// Where `input` is no such size, the kernel does not fit the padded image, or the output does not fit in memory.
    pub fn output_size(&self, input: &[i64]) -> [i64; 4] {
        let c_in = self.c_in;
        let sizes: Option<Vec<usize>> =
            input.iter().map(|&size| usize::try_from(size).ok()).collect();
        let Some(&[n, c, h, w]) =
            sizes.as_deref().filter(|sizes| sizes.get(1) == Some(&(c_in as usize)))
        else {
            panic!("expected a size [N, {c_in}, H, W], got {input:?}");
        };
        let output = self.output(&self.plan(Nhwc { n, c, h, w }.addressable()));
        [output.n, output.c, output.h, output.w].map(|size| size as i64)
    }

    fn output(&self, plan: &Plan) -> Nhwc {
        Nhwc { c: self.columns.c_out, ..plan.output }.addressable()
    }

    fn plan(&self, input: Nhwc) -> Plan {
        let [kh, kw] = match &self.first {
            FirstHalf::Depthwise { size, .. } | FirstHalf::Windows { size } => *size,
        };
        Plan::new(input, &[self.c_in, 1, kh, kw], self.geometry)
    }

    /// The convolution of `xs: [N, c_in, H, W]`, fp32 or bf16 on a CPU, with `ops` applied: `[N, c_out, H', W']` of the
    /// same kind, channels-last.
    ///
    /// # Panics
    /// Where `xs` or the residual is no such map, where maps of fp32 meet weights packed in bf16, and as
    /// [`Self::output_size`].
    pub fn run(&self, xs: &Tensor, ops: FusedOps) -> Tensor {
        let c_in = self.c_in;
        // The view of an imaginary part is negated when it is read.
        let resolved = (xs.defined() && xs.is_neg()).then(|| xs.resolve_neg());
        let xs = resolved.as_ref().unwrap_or(xs);
        assert!(
            covers(xs)
                && xs.kind() != Kind::Double
                && matches!(xs.size()[..], [_, c, _, _] if c == c_in),
            "expected fp32 or bf16 maps [N, {c_in}, H, W] on a CPU, got {}",
            described(xs)
        );
        assert!(
            xs.kind() == Kind::BFloat16 || self.columns.factors() == Factors::Fp32,
            "expected bf16 maps for weights packed in bf16, got {}",
            described(xs)
        );
        let plan = self.plan(Nhwc::of(xs));
        let output = self.output(&plan);
        tch::no_grad(|| {
            let xs = laid_out(&xs.detach());
            let residual = ops.residual.map(|residual| {
                let shape = [output.n, output.c, output.h, output.w].map(|size| size as i64);
                assert!(
                    covers(residual) && residual.size() == shape && residual.kind() == xs.kind(),
                    "expected a residual {shape:?} of {:?} on a CPU, got {}",
                    xs.kind(),
                    described(residual)
                );
                laid_out(&residual.detach())
            });
            let ops = FusedOps { residual: residual.as_ref(), ..ops };
            match xs.kind() {
                Kind::Float => tile::run::<f32>(self, &plan, &xs, output, ops),
                _ => tile::run::<Bf16>(self, &plan, &xs, output, ops),
            }
        })
    }
}

#[cfg(test)]
mod tests;
