//! One block of a matrix product of bf16 numbers, by libtorch's micro-kernel for AMX and AVX-512.

use std::sync::OnceLock;

use crate::simd::Bf16;
use crate::{Error, ffi};

/// The sizes of a block: `c[m, n] = a[m, k] * b[k, n]`; rows of `a` lie `ld_a` numbers apart, those of `c` `n`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) ld_a: usize,
}

impl Block {
    /// Computes `c`; `b` is `[k / 2, n, 2]`.
    ///
    /// # Errors
    /// A CPU that libtorch has no kernel for.
    ///
    /// # Panics
    /// Where a list is shorter than the block, or `k` is odd.
    pub(crate) fn multiply_bf16(self, a: &[Bf16], b: &[Bf16], c: &mut [f32]) -> Result<(), Error> {
        let Self { m, n, k, ld_a } = self;
        assert!(
            k.is_multiple_of(2)
                && k <= ld_a
                && m * ld_a <= a.len() + ld_a - k
                && k * n <= b.len()
                && m * n <= c.len(),
            "expected factors and sums of {self:?}, got {}, {} and {}",
            a.len(),
            b.len(),
            c.len()
        );
        let [m, n, k, ld_a] = [m, n, k, ld_a].map(|size| size as i64);
        // SAFETY: the lists hold matrices of these sizes, as was just compared.
        ffi::check("a matrix product", unsafe {
            ffi::torch_ext_multiply_bf16(
                m,
                n,
                k,
                ld_a,
                n,
                n,
                a.as_ptr().cast(),
                b.as_ptr().cast(),
                c.as_mut_ptr(),
            )
        })
    }
}

/// Gives the matrix unit of this thread back to the system.
pub(crate) fn release() {
    // SAFETY: no arguments, and it catches every exception.
    unsafe { ffi::torch_ext_release_matrix_unit() }
}

/// Whether libtorch has the kernel for this CPU: an x86 from AVX-512 on.
pub(crate) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        let (block, ones) = (Block { m: 1, n: 16, k: 2, ld_a: 2 }, [Bf16(0x3f80); 32]);
        let mut c = [0.0_f32; 16];
        let done = block.multiply_bf16(&ones, &ones, &mut c);
        release();
        done.is_ok() && c == [2.0; 16]
    })
}
