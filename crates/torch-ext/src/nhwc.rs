//! Feature maps as the kernels see them: bytes lie as `N H W C`, so a pixel's channels are neighbours.

use tch::{Kind, Tensor};

use crate::memory_format::channels_last;
use crate::parallel::Shared;
use crate::simd::Element;

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
    pub(crate) fn of(xs: &Tensor) -> Self {
        let (n, c, h, w) = xs.size4().unwrap_or_else(|_| {
            panic!("expected feature maps [N, C, H, W], got {:?}", xs.size());
        });
        Self { n: n as usize, h: h as usize, w: w as usize, c: c as usize }
    }

    /// Pixels of all images together.
    pub(crate) fn pixels(self) -> usize {
        self.n * self.h * self.w
    }

    /// Rows of all images together.
    pub(crate) fn rows(self) -> usize {
        self.n * self.h
    }

    /// Feature maps of these sizes with nothing in them yet, kind and device as `like`'s.
    pub(crate) fn empty(self, like: &Tensor) -> Tensor {
        let Self { n, h, w, c } = self;
        let [n, h, w, c] = [n, h, w, c].map(|size| size as i64);
        Tensor::empty_strided([n, c, h, w], [h * w * c, 1, w * c, c], (like.kind(), like.device()))
    }
}

/// Whether our kernels compute on such a tensor; libtorch's do on all others.
pub(crate) fn covers(xs: &Tensor) -> bool {
    xs.device() == tch::Device::Cpu
        && matches!(xs.kind(), Kind::Float | Kind::BFloat16 | Kind::Double)
}

/// `xs`, or a copy of it, in the layout that the kernels read.
pub(crate) fn laid_out(xs: &Tensor) -> Tensor {
    channels_last(xs).unwrap_or_else(|error| panic!("{error}"))
}

/// The elements of a tensor that [`laid_out`] or [`Nhwc::empty`] returned, or of a contiguous one.
pub(crate) fn elements<E: Element>(xs: &Tensor) -> Shared<E> {
    Shared(xs.data_ptr().cast())
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
