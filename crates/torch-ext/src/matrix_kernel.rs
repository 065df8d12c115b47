//! One block of a matrix product, by the micro-kernel that libtorch brings for AMX, AVX-512 and AVX2.

use std::sync::OnceLock;

use crate::packed_conv::Factors;
use crate::simd::Bf16;
use crate::{Error, ffi};

/// The sizes of a block: `c[m, n] = a[m, k] * b[k, n]`; rows of `a` lie `ld_a` numbers apart, those of the others `n`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) ld_a: usize,
}

impl Block {
    /// # Safety
    /// The pointers cover matrices of these sizes.
    pub(crate) unsafe fn multiply_fp32(
        self,
        a: *const f32,
        b: *const f32,
        c: *mut f32,
    ) -> Result<(), Error> {
        let Self { m, n, k, ld_a } = self;
        let [m, n, k, ld_a] = [m, n, k, ld_a].map(|size| size as i64);
        // SAFETY: the caller's.
        ffi::check("a matrix product", unsafe {
            ffi::torch_ext_multiply_f32(m, n, k, ld_a, n, n, a, b, c)
        })
    }

    /// `b` is `[k / 2, n, 2]`.
    ///
    /// # Safety
    /// The pointers cover matrices of these sizes.
    pub(crate) unsafe fn multiply_bf16(
        self,
        a: *const Bf16,
        b: *const Bf16,
        c: *mut f32,
    ) -> Result<(), Error> {
        let Self { m, n, k, ld_a } = self;
        let [m, n, k, ld_a] = [m, n, k, ld_a].map(|size| size as i64);
        // SAFETY: the caller's.
        ffi::check("a matrix product", unsafe {
            ffi::torch_ext_multiply_bf16(m, n, k, ld_a, n, n, a.cast(), b.cast(), c)
        })
    }
}

/// Gives the matrix unit of this thread back to the system.
pub(crate) fn release() {
    // SAFETY: no arguments, and it catches what libtorch throws.
    unsafe { ffi::torch_ext_release_matrix_unit() }
}

/// Whether this CPU has the kernel: libtorch has it for x86 from AVX2 on, and for bf16 from AVX-512 on.
pub(crate) fn available(factors: Factors) -> bool {
    static FP32: OnceLock<bool> = OnceLock::new();
    static BF16: OnceLock<bool> = OnceLock::new();
    let block = Block { m: 1, n: 16, k: 2, ld_a: 2 };
    let mut c = [0.0_f32; 16];
    let answer = match factors {
        // SAFETY: arrays of the block's sizes.
        Factors::Fp32 => FP32.get_or_init(|| unsafe {
            block.multiply_fp32([1.0; 2].as_ptr(), [1.0; 32].as_ptr(), c.as_mut_ptr()).is_ok()
        }),
        // SAFETY: arrays of the block's sizes.
        Factors::Bf16 => BF16.get_or_init(|| unsafe {
            let ones = [Bf16(0x3f80); 32];
            block.multiply_bf16(ones.as_ptr(), ones.as_ptr(), c.as_mut_ptr()).is_ok()
        }),
    };
    release();
    *answer
}
