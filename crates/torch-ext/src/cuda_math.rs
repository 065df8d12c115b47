//! The arithmetic of libtorch on GPUs: the numbers inside of fp32 products, and repeatable kernels.
//!
//! libtorch keeps these settings for the whole process. They change nothing on a CPU.

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

/// Whether kernels on GPUs must give the same bits each time. PyTorch: `torch.use_deterministic_algorithms`.
///
/// cuBLAS needs the environment variable `CUBLAS_WORKSPACE_CONFIG=:4096:8` for it, from before its first product.
///
/// # Errors
/// Those of libtorch. Afterwards, an operator that has no such kernel returns an error.
pub fn set_deterministic(wanted: bool) -> Result<(), Error> {
    // SAFETY: as above.
    check(OPERATION, unsafe { ffi::torch_ext_set_deterministic(wanted) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_taken_without_a_gpu() {
        for products in [Float32Products::Tf32, Float32Products::Exact] {
            set_float32_products(products).unwrap();
        }
    }
}
