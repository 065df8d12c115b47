//! Kernels that libtorch lacks for this network, and functions of libtorch that tch does not bind.
//!
//! The kernels are for a CPU: [`depthwise_conv2d`], [`pointwise_conv2d`], [`max_pool2d`] and [`add`] on
//! [`FeatureMap`]s, which carry a pending norm and ReLU to the next operator that reads them, and [`PackedConv`] for
//! inference. They are Rust, compiled for each [`InstructionSet`] and for any other CPU, differentiable, and run on
//! libtorch's own threads. On other devices the same functions call libtorch's.
//! The functions of libtorch are memory formats, fused optimizer steps, CUDA graphs, the CPU's abilities, gradients that
//! are announced during the backward pass ([`gradients`]) and the distributed engine ([`distributed`]).
//!
//! This is the only crate of the workspace with `unsafe` code and the only one with C++. Every public function is safe to
//! call with any tensor and any number: it compares kind, device, shape, strides and layout first, and refuses with an
//! error, or panics with one sentence where its signature has no error. What tch leaves to its callers is left to them here,
//! too: the numbers of one tensor must not be written to by one thread while another uses them, as a running
//! [collective](distributed::Work) does, and a [`CudaGraph`] replays on the tensors that it was recorded with, which
//! must be there. The C++ (`cpp/`) is glue: it catches every
//! exception and passes its text on, which becomes an [`Error`].
#![allow(unsafe_code, reason = "kernels read memory by address, and libtorch speaks C++")]

mod allocator;
mod autograd;
mod cast;
mod cpu;
mod cuda_graph;
mod cuda_kernels;
mod cuda_math;
// The build script's, here for its tests.
mod channel_values;
#[cfg(test)]
#[path = "../cuda_headers.rs"]
mod cuda_headers;
mod dense;
mod depthwise;
mod device_memory;
pub mod distributed;
mod error;
mod feature_map;
mod ffi;
mod foreach;
mod fused_optimizers;
mod gradients;
mod matrix_kernel;
mod matrix_product;
mod max_pool;
mod memory;
mod memory_format;
mod nhwc;
mod operator_count;
mod packed_conv;
mod parallel;
mod pointwise;
// The example that times kernels has it, too.
#[cfg(test)]
mod shapes;
mod simd;
mod subsample;
mod torchscript;
mod upload;
mod view;

pub use allocator::EndWithoutMemory;
pub use cast::{in_kind, with_casts};
pub use cpu::{has_bf16_matrix_unit, multiplies_bf16_faster, version};
pub use cuda_graph::{CudaGraph, cuda_graphs_supported};
pub use cuda_kernels::covers as gpu_kernels_cover;
pub use cuda_math::{Float32Products, SumOrder, set_float32_products, set_sum_order};
pub use depthwise::{DepthwiseGeometry, depthwise_conv2d};
pub use device_memory::free_device_memory;
pub use error::Error;
pub use feature_map::{
    BatchNorm, FeatureMap, Statistics, SumOverProcesses, add, synchronised_batch_norm,
};
pub use foreach::{clip_gradients, lerp};
pub use fused_optimizers::{
    AdamMemory, AdamStep, LearningRate, RmsPropMemory, RmsPropStep, SgdMemory, SgdStep,
    WeightDecay, fused_adam, fused_sgd, rms_prop,
};
pub use gradients::gradients;
pub use max_pool::{PoolGeometry, max_pool2d};
pub use memory::keep_memory;
pub use memory_format::{channels_last, is_channels_last};
pub use operator_count::{OperatorCalls, count_operators};
pub use packed_conv::{DepthwiseHalf, Factors, FusedOps, PackedConv, PackedConvConfig};
pub use pointwise::pointwise_conv2d;
pub use simd::InstructionSet;
pub use torchscript::wrap_torchscript;
pub use upload::Upload;
