//! The matrix product of a pointwise convolution: ours or libtorch's, whichever is faster on this CPU.

use tch::{Kind, Tensor};

use crate::matrix_product::{self, Sizes, with_trained};
use crate::nhwc::Nhwc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Multiplier {
    Ours,
    Libtorchs,
}

impl Multiplier {
    /// The faster one for maps of `kind`.
    pub(super) fn fastest(kind: Kind, sizes: Sizes) -> Self {
        if matrix_product::is_faster() && matrix_product::covers(kind, sizes) {
            Self::Ours
        } else {
            Self::Libtorchs
        }
    }

    /// Kernels `[c_out, c_in, 1, 1]` as the matrix that both passes read: our product rounds it on the way in, libtorch's
    /// reads the kind of the map.
    pub(super) fn matrix(self, kernels: &Tensor, kind: Kind) -> Tensor {
        let kind = if self == Self::Ours { Kind::Float } else { kind };
        kernels.detach().to_kind(kind).contiguous().flatten(1, 3)
    }

    /// `xs * matrixᵀ + bs`, pixel by pixel: a map of the size `output`.
    pub(super) fn forward(
        self,
        sizes: Sizes,
        xs: &Tensor,
        matrix: &Tensor,
        bs: Option<&Tensor>,
        output: Nhwc,
    ) -> Tensor {
        let kind = xs.kind();
        if self == Self::Ours {
            return with_trained!(kind, E => matrix_product::forward::<E>(sizes, xs, matrix, bs, output));
        }
        let ys = output.empty(xs);
        let (rows, result) =
            (pixels(xs, sizes.rows, sizes.k), pixels(&ys, sizes.rows, sizes.columns));
        drop(match bs {
            Some(bs) => bs.to_kind(kind).addmm_out(&result, &rows, &matrix.tr()),
            None => rows.mm_out(&result, &matrix.tr()),
        });
        ys
    }

    /// `ys * matrix`, pixel by pixel, a map of the size `input`: the gradient in the input, given that in the output.
    pub(super) fn input_gradient(
        self,
        sizes: Sizes,
        ys: &Tensor,
        matrix: &Tensor,
        input: Nhwc,
    ) -> Tensor {
        if self == Self::Ours {
            return with_trained!(ys.kind(), E => {
                matrix_product::input_gradient::<E>(sizes, ys, matrix, input)
            });
        }
        let xs = input.empty(ys);
        drop(
            pixels(ys, sizes.rows, sizes.columns).mm_out(&pixels(&xs, sizes.rows, sizes.k), matrix),
        );
        xs
    }

    /// `ysᵀ * xs`, summed over the pixels: the gradient in the matrix.
    pub(super) fn weight_gradient(self, sizes: Sizes, ys: &Tensor, xs: &Tensor) -> Tensor {
        if self == Self::Ours {
            return with_trained!(xs.kind(), E => matrix_product::weight_gradient::<E>(sizes, ys, xs));
        }
        pixels(ys, sizes.rows, sizes.columns).tr().mm(&pixels(xs, sizes.rows, sizes.k))
    }
}

/// A map of `count` pixels that is [`laid_out`](crate::nhwc::laid_out), as a matrix `[count, c]`.
pub(super) fn pixels(map: &Tensor, count: usize, c: usize) -> Tensor {
    let [count, c] = [count, c].map(|size| size as i64);
    map.as_strided([count, c], [c, 1], None)
}
