//! The arithmetic of libtorch on GPUs: the numbers inside of fp32 products, and the order of sums.
//!
//! libtorch keeps these settings for the whole process. They change no result on a CPU.

use crate::Error;
use crate::ffi::{self, check};

/// The operation that an error names.
const OPERATION: &str = "a setting of CUDA's arithmetic";

/// The factors of fp32 products and convolutions on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Float32Products {
    /// fp32, as on a CPU. PyTorch: `torch.backends.cuda.matmul.fp32_precision = "ieee"`.
    #[default]
    Exact,
    /// TF32: 10 bits of mantissa where fp32 has 23, on the matrix units. PyTorch: `… = "tf32"`.
    Tf32,
}

/// Computes fp32 products and convolutions on GPUs with such factors from now on. libtorch itself begins with TF32 for
/// convolutions, and with fp32 for products.
///
/// # Errors
/// Those of libtorch.
pub fn set_float32_products(products: Float32Products) -> Result<(), Error> {
    // SAFETY: a number, and settings that libtorch guards itself.
    check(OPERATION, unsafe { ffi::torch_ext_set_tf32(products == Float32Products::Tf32) })
}

/// The order in which kernels on GPUs add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SumOrder {
    /// Whichever is fastest: the same work may give other last bits each time.
    #[default]
    Any,
    /// Always the same. A kernel that has no such order is an error of libtorch that names it, and so is a cuBLAS without
    /// `CUBLAS_WORKSPACE_CONFIG`. PyTorch: `torch.use_deterministic_algorithms(True)`.
    Fixed,
}

/// Adds in such an order on GPUs from now on. Kernels of this crate always have a fixed one.
///
/// # Errors
/// Those of libtorch.
pub fn set_sum_order(order: SumOrder) -> Result<(), Error> {
    // SAFETY: a number, and settings that libtorch guards itself.
    check(OPERATION, unsafe { ffi::torch_ext_set_deterministic(order == SumOrder::Fixed) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_taken_without_a_gpu() {
        for products in [Float32Products::Tf32, Float32Products::Exact] {
            set_float32_products(products).unwrap();
        }
        for order in [SumOrder::Fixed, SumOrder::Any] {
            set_sum_order(order).unwrap();
        }
    }
}
