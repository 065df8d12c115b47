//! The shapes that the kernels are tested on and timed with, once for both.
//!
//! Each list is a macro that calls another macro with `name: shape` for every entry: the tests make a function of each
//! entry, `examples/time_kernels.rs` a row of its table. Sizes are those of Xception on 299×299 images, and after them
//! those that leave a rest somewhere: odd channels, single pixels, windows that hang over the edge.

/// A convolution with one kernel or more for each channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depthwise {
    /// `[N, C, H, W]` of the map.
    pub(crate) shape: [i64; 4],
    /// Rows and columns of a kernel.
    pub(crate) kernel: [i64; 2],
    /// Rows and columns between two outputs.
    pub(crate) stride: [i64; 2],
    /// Rows and columns of zeros on each side.
    pub(crate) padding: [i64; 2],
    /// Rows and columns between two taps.
    pub(crate) dilation: [i64; 2],
    /// Kernels for each channel.
    pub(crate) multiplier: i64,
    /// Whether a bias is added.
    pub(crate) bias: bool,
}

impl Depthwise {
    /// A 3×3 kernel that keeps the size of a map `[N, C, H, W]`.
    pub(crate) const fn same(shape: [i64; 4]) -> Self {
        Self {
            shape,
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            dilation: [1, 1],
            multiplier: 1,
            bias: false,
        }
    }
}

/// A max-pool with a square window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool {
    /// `[N, C, H, W]` of the map.
    pub(crate) shape: [i64; 4],
    /// Rows and columns of the window.
    pub(crate) kernel: i64,
    /// Pixels between two windows.
    pub(crate) stride: i64,
    /// Pixels on each side of the image that windows cover, too.
    pub(crate) padding: i64,
}

/// A 1×1 convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pointwise {
    /// `[N, C, H, W]` of the map.
    pub(crate) shape: [i64; 4],
    /// Channels of the result.
    pub(crate) c_out: i64,
    /// Rows and columns between two pixels that are read.
    pub(crate) stride: [i64; 2],
}

/// Depthwise convolutions.
macro_rules! depthwise_shapes {
    ($each:ident) => {
        $each! {
            entry_flow_147x147x64: Depthwise::same([1, 64, 147, 147]),
            entry_flow_74x74x128: Depthwise::same([1, 128, 74, 74]),
            entry_flow_37x37x256: Depthwise::same([1, 256, 37, 37]),
            middle_flow_19x19x728: Depthwise::same([1, 728, 19, 19]),
            exit_flow_10x10x1024: Depthwise::same([1, 1024, 10, 10]),
            exit_flow_10x10x1536: Depthwise::same([1, 1536, 10, 10]),
            small_images_32x32x64: Depthwise::same([4, 64, 32, 32]),
            bias_5x5x728: Depthwise { bias: true, ..Depthwise::same([3, 728, 5, 5]) },
            odd_channels_9x8x37: Depthwise::same([2, 37, 9, 8]),
            one_pixel_1x1x33: Depthwise::same([2, 33, 1, 1]),
            one_row_1x9x20: Depthwise::same([2, 20, 1, 9]),
            one_column_9x1x20: Depthwise::same([2, 20, 9, 1]),
            stride_2_12x11x40: Depthwise { stride: [2, 2], ..Depthwise::same([2, 40, 12, 11]) },
            no_padding_7x6x19: Depthwise { padding: [0, 0], ..Depthwise::same([2, 19, 7, 6]) },
            wide_padding_2x5x19: Depthwise { padding: [2, 2], ..Depthwise::same([2, 19, 2, 5]) },
            padding_beyond_the_kernel_3x4x9: Depthwise {
                padding: [4, 5],
                ..Depthwise::same([1, 9, 3, 4])
            },
            kernel_1_6x5x17: Depthwise {
                kernel: [1, 1],
                padding: [0, 0],
                ..Depthwise::same([2, 17, 6, 5])
            },
            kernel_2_stride_3_9x8x16: Depthwise {
                kernel: [2, 2],
                stride: [3, 3],
                ..Depthwise::same([2, 16, 9, 8])
            },
            kernel_5_dilation_2_12x11x16: Depthwise {
                kernel: [5, 5],
                padding: [4, 4],
                dilation: [2, 2],
                ..Depthwise::same([2, 16, 12, 11])
            },
            kernel_7_33x2x16: Depthwise {
                kernel: [7, 7],
                padding: [3, 3],
                ..Depthwise::same([1, 16, 33, 2])
            },
            kernel_1x4_stride_1x2_5x9x21: Depthwise {
                kernel: [1, 4],
                stride: [1, 2],
                padding: [0, 2],
                ..Depthwise::same([2, 21, 5, 9])
            },
            multiplier_3_6x6x10: Depthwise {
                multiplier: 3,
                bias: true,
                ..Depthwise::same([2, 10, 6, 6])
            },
        }
    };
}
pub(crate) use depthwise_shapes;

/// Max-pools.
macro_rules! pool_shapes {
    ($each:ident) => {
        $each! {
            entry_flow_147x147x128: Pool { shape: [1, 128, 147, 147], kernel: 3, stride: 2, padding: 1 },
            entry_flow_74x74x256: Pool { shape: [1, 256, 74, 74], kernel: 3, stride: 2, padding: 1 },
            entry_flow_37x37x728: Pool { shape: [1, 728, 37, 37], kernel: 3, stride: 2, padding: 1 },
            exit_flow_19x19x1024: Pool { shape: [1, 1024, 19, 19], kernel: 3, stride: 2, padding: 1 },
            odd_channels_13x12x19: Pool { shape: [2, 19, 13, 12], kernel: 3, stride: 2, padding: 1 },
            stride_1_7x9x16: Pool { shape: [3, 16, 7, 9], kernel: 3, stride: 1, padding: 1 },
            no_padding_8x8x5: Pool { shape: [2, 5, 8, 8], kernel: 2, stride: 2, padding: 0 },
            window_5_stride_3_11x10x3: Pool { shape: [2, 3, 11, 10], kernel: 5, stride: 3, padding: 2 },
            gaps_between_windows_9x9x7: Pool { shape: [2, 7, 9, 9], kernel: 2, stride: 4, padding: 0 },
            one_window_4x4x33: Pool { shape: [2, 33, 4, 4], kernel: 4, stride: 1, padding: 0 },
        }
    };
}
pub(crate) use pool_shapes;

/// 1×1 convolutions.
macro_rules! pointwise_shapes {
    ($each:ident) => {
        $each! {
            entry_flow_147x147x64_to_128: Pointwise { shape: [1, 64, 147, 147], c_out: 128, stride: [1, 1] },
            middle_flow_19x19x728: Pointwise { shape: [1, 728, 19, 19], c_out: 728, stride: [1, 1] },
            exit_flow_10x10x1536_to_2048: Pointwise { shape: [1, 1536, 10, 10], c_out: 2048, stride: [1, 1] },
            shortcut_147x147x64_to_128: Pointwise { shape: [1, 64, 147, 147], c_out: 128, stride: [2, 2] },
            shortcut_37x37x256_to_728: Pointwise { shape: [1, 256, 37, 37], c_out: 728, stride: [2, 2] },
            odd_channels_5x4x19_to_23: Pointwise { shape: [3, 19, 5, 4], c_out: 23, stride: [1, 1] },
            even_channels_5x4x18_to_24: Pointwise { shape: [3, 18, 5, 4], c_out: 24, stride: [1, 1] },
            stride_2_5x4x19_to_23: Pointwise { shape: [3, 19, 5, 4], c_out: 23, stride: [2, 2] },
            stride_2_7x7x18_to_24: Pointwise { shape: [3, 18, 7, 7], c_out: 24, stride: [2, 2] },
            stride_3_8x2x18_to_24: Pointwise { shape: [3, 18, 8, 2], c_out: 24, stride: [3, 3] },
            stride_3x1_4x9x5_to_6: Pointwise { shape: [3, 5, 4, 9], c_out: 6, stride: [3, 1] },
            stride_beyond_the_image_1x5x33_to_4: Pointwise { shape: [1, 33, 1, 5], c_out: 4, stride: [2, 8] },
            one_pixel_1x1x19_to_23: Pointwise { shape: [3, 19, 1, 1], c_out: 23, stride: [1, 1] },
        }
    };
}
pub(crate) use pointwise_shapes;
