//! The reasons for which a layer is not folded or packed.

use crate::{Activation, Padding};

/// A layer that cannot be folded or packed for inference, and the reason. The layer itself can still run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// Only a depthwise half in front folds into the pointwise one.
    #[error("a separable convolution that starts with its pointwise half is not folded")]
    PointwiseFirst,
    /// A normalisation after an activation does not fold into the convolution before it.
    #[error("a separable convolution that ends in {0:?} is not folded; use Activation::None")]
    Closing(Activation),
    /// The packed kernel knows no activation but ReLU between the halves.
    #[error("{0:?} between the halves is not packed; use Activation::None or Activation::Relu")]
    Between(Activation),
    /// The packed kernel knows no groups but those of a depthwise half.
    #[error("a convolution in {0} groups is not packed; use 1 group, or a separable convolution")]
    Groups(i64),
    /// The spatial half of a separable convolution mixes channels.
    #[error(
        "a spatial half in {0} groups mixes channels and is not packed; use Groups::PerChannel"
    )]
    Mixing(i64),
    /// The packed kernel pads all sides alike, whatever the size of the image.
    #[error(
        "{padding:?} padding of a {}x{} kernel with stride {}x{} depends on the size of the image \
         and is not packed; use explicit padding", .kernel_size[0], .kernel_size[1], .stride[0], .stride[1]
    )]
    Padding {
        /// The padding.
        padding: Padding,
        /// Rows and columns of the kernel.
        kernel_size: [i64; 2],
        /// Rows and columns between two outputs.
        stride: [i64; 2],
    },
    /// The spatial half of a separable convolution makes several channels of each.
    #[error(
        "a spatial half with {0} outputs for each channel is not packed; use a depth_multiplier of 1"
    )]
    Multiplier(i64),
    /// Weights or numbers that the packed kernel refuses.
    #[error(transparent)]
    Refused(#[from] torch_ext::Error),
}
