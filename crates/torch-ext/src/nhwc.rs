//! Feature maps as the kernels see them: bytes lie as `N H W C`, so a pixel's channels are neighbours.

use tch::{Kind, Tensor};

use crate::dense::{densified, described, is_dense};
use crate::memory_format::channels_last;

/// The sizes of a feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nhwc {
    pub(crate) n: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) c: usize,
}

impl Nhwc {
    /// The sizes of `xs: [N, C, H, W]`.
    ///
    /// # Panics
    /// Where `xs` has other dimensions, or sizes that [`Self::addressable`] refuses.
    pub(crate) fn of(xs: &Tensor) -> Self {
        assert!(
            xs.defined() && xs.dim() == 4,
            "expected feature maps [N, C, H, W], got {}",
            described(xs)
        );
        let sizes: Vec<usize> = xs.size().into_iter().map(|size| size as usize).collect();
        Self { n: sizes[0], c: sizes[1], h: sizes[2], w: sizes[3] }.addressable()
    }

    /// These sizes, whose products do not overflow even where one of them is zero.
    ///
    /// # Panics
    /// Where such a map has no place in memory.
    pub(crate) fn addressable(self) -> Self {
        let Self { n, h, w, c } = self;
        let bytes = [n, h, w, c].into_iter().try_fold(size_of::<f64>(), |bytes, size| {
            bytes.checked_mul(size.max(1)).filter(|&bytes| isize::try_from(bytes).is_ok())
        });
        assert!(bytes.is_some(), "feature maps of {:?} do not fit in memory", [n, c, h, w]);
        self
    }

    /// Pixels of all images together.
    pub(crate) fn pixels(self) -> usize {
        self.n * self.h * self.w
    }

    /// Elements of all images together.
    pub(crate) fn elements(self) -> usize {
        self.pixels() * self.c
    }

    /// Rows of all images together.
    pub(crate) fn rows(self) -> usize {
        self.n * self.h
    }

    /// Feature maps of these sizes without values, of the kind and on the device of `like`.
    pub(crate) fn empty(self, like: &Tensor) -> Tensor {
        let Self { n, h, w, c } = self;
        let [n, h, w, c] = [n, h, w, c].map(|size| size as i64);
        Tensor::empty_strided([n, c, h, w], [h * w * c, 1, w * c, c], (like.kind(), like.device()))
    }
}

/// Whether our kernels compute on such a tensor; libtorch's do on all others.
pub(crate) fn covers(xs: &Tensor) -> bool {
    is_dense(xs) && matches!(xs.f_kind(), Ok(Kind::Float | Kind::BFloat16 | Kind::Double))
}

/// `xs`, or a copy of it, in the layout that the kernels read.
pub(crate) fn laid_out(xs: &Tensor) -> Tensor {
    channels_last(&densified(xs)).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a block with a kind's element type under the given name.
macro_rules! with_element {
    ($kind:expr, $element:ident => $body:expr) => {
        match $kind {
            tch::Kind::Float => {
                type $element = f32;
                $body
            }
            tch::Kind::BFloat16 => {
                type $element = crate::simd::Bf16;
                $body
            }
            tch::Kind::Double => {
                type $element = f64;
                $body
            }
            other => panic!("expected fp32, bf16 or fp64 feature maps, got {other:?}"),
        }
    };
}
pub(crate) use with_element;
