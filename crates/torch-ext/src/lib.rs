//! What libtorch has and tch does not bind: memory formats, fused optimizer steps, the CPU's abilities.
//!
//! This is the only crate of the workspace with `unsafe` code and the only one with C++.
//! The C++ side (`cpp/torch_ext.cpp`) catches every exception and hands it over as a text, which becomes an [`Error`].
#![allow(unsafe_code, reason = "this crate exists to talk to libtorch's C++")]

mod autograd;
mod cpu;
mod depthwise;
mod error;
mod feature_map;
mod ffi;
mod fused_adam;
mod max_pool;
mod memory_format;
mod nhwc;
mod parallel;
mod pointwise;
mod simd;

pub use cpu::{has_bf16_matrix_unit, version};
pub use depthwise::{DepthwiseGeometry, depthwise_conv2d};
pub use error::Error;
pub use feature_map::{BatchNorm, FeatureMap, Statistics, add};
pub use fused_adam::{AdamState, AdamStep, WeightDecay, fused_adam};
pub use max_pool::{PoolGeometry, max_pool2d};
pub use memory_format::{channels_last, is_channels_last};
pub use pointwise::pointwise_conv2d;
pub use simd::InstructionSet;
