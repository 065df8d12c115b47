//! Eight fp32 at a time, for CPUs without AVX-512.

use std::arch::x86_64::*;

use super::part::{padded, put};
use super::{Bf16, Element, Kernel, Simd};

pub(super) struct Avx2;

/// Runs `kernel` on this set.
///
/// # Safety
/// The CPU has these features.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn enter<E: Element, K: Kernel<E>>(kernel: K)
where
    Avx2: Simd<E>,
{
    // SAFETY: the caller has the features; the kernel's memory is the promise of its trait.
    unsafe { kernel.run::<Avx2>() }
}

macro_rules! arithmetic {
    () => {
        type Vector = __m256;
        type Span = usize;
        const LANES: usize = 8;

        #[inline(always)]
        fn span(lanes: usize) -> usize {
            lanes.min(8)
        }
        #[inline(always)]
        unsafe fn load_numbers(at: *const f32, span: usize) -> __m256 {
            // SAFETY: the caller has the instructions, and the span can be read.
            unsafe {
                if span == 8 {
                    _mm256_loadu_ps(at)
                } else {
                    _mm256_loadu_ps(padded(at, span, 0.0).as_ptr())
                }
            }
        }
        #[inline(always)]
        unsafe fn store_numbers(at: *mut f32, span: usize, vector: __m256) {
            // SAFETY: the caller has the instructions, and the span can be written.
            unsafe {
                if span == 8 {
                    _mm256_storeu_ps(at, vector);
                } else {
                    let mut whole = [0.0_f32; 8];
                    _mm256_storeu_ps(whole.as_mut_ptr(), vector);
                    put(whole, at, span);
                }
            }
        }
        #[inline(always)]
        unsafe fn zero() -> __m256 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm256_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(number: f64) -> __m256 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm256_set1_ps(number as f32) }
        }
        #[inline(always)]
        unsafe fn broadcast(at: *const f32) -> __m256 {
            // SAFETY: the caller has the instructions, and the number can be read.
            unsafe { _mm256_set1_ps(*at) }
        }
        #[inline(always)]
        unsafe fn transpose(square: [__m256; 16]) -> [__m256; 16] {
            let mut numbers = [[0.0_f32; 8]; 8];
            // SAFETY: the caller has the instructions.
            unsafe {
                for (row, vector) in numbers.iter_mut().zip(square) {
                    _mm256_storeu_ps(row.as_mut_ptr(), vector);
                }
                std::array::from_fn(|row| {
                    let column: [f32; 8] = std::array::from_fn(|lane| numbers[lane][row % 8]);
                    _mm256_loadu_ps(column.as_ptr())
                })
            }
        }
        #[inline(always)]
        fn prefetch(at: *const u8) {
            // SAFETY: a hint; the address is not read.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
        }
        #[inline(always)]
        fn prefetch_near(at: *const u8) {
            // SAFETY: a hint; the address is not read.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        }
        #[inline(always)]
        fn prefetch_to_write(at: *const u8) {
            // SAFETY: a hint; the address is not read.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(at.cast()) }
        }
        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m256, b: __m256) -> __m256 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: __m256, b: __m256) -> __m256 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm256_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn relu(a: __m256) -> __m256 {
            // Where either operand is NaN, the result is the second.
            // SAFETY: the caller has the instructions.
            unsafe { _mm256_max_ps(_mm256_setzero_ps(), a) }
        }
        #[inline(always)]
        unsafe fn where_positive(test: __m256, a: __m256) -> __m256 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(test, _mm256_setzero_ps()), a) }
        }
        #[inline(always)]
        unsafe fn where_greater(test: __m256, best: __m256, a: __m256, b: __m256) -> __m256 {
            // SAFETY: the caller has the instructions.
            unsafe {
                let greater = _mm256_cmp_ps::<_CMP_GT_OQ>(test, best);
                let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(test, test);
                _mm256_blendv_ps(b, a, _mm256_or_ps(greater, nan))
            }
        }
        #[inline(always)]
        unsafe fn where_equal(x: __m256, y: __m256, a: __m256) -> __m256 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(x, y), a) }
        }
    };
}

impl Simd<f32> for Avx2 {
    arithmetic!();

    #[inline(always)]
    unsafe fn load(at: *const f32, span: usize) -> __m256 {
        // SAFETY: the caller has the instructions, and the span can be read.
        unsafe { <Self as Simd<f32>>::load_numbers(at, span) }
    }
    #[inline(always)]
    unsafe fn store(at: *mut f32, span: usize, vector: __m256) {
        // SAFETY: the caller has the instructions, and the span can be written.
        unsafe { <Self as Simd<f32>>::store_numbers(at, span, vector) }
    }
}

impl Simd<Bf16> for Avx2 {
    arithmetic!();

    #[inline(always)]
    unsafe fn load(at: *const Bf16, span: usize) -> __m256 {
        // SAFETY: the caller has the instructions, and the span can be read.
        unsafe {
            let halves = if span == 8 {
                _mm_loadu_si128(at.cast())
            } else {
                _mm_loadu_si128(padded(at, span, Bf16(0)).as_ptr().cast())
            };
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves)))
        }
    }
    #[inline(always)]
    unsafe fn store(at: *mut Bf16, span: usize, vector: __m256) {
        // SAFETY: the caller has the instructions, and the span can be written.
        unsafe {
            // To nearest, ties to even, as Bf16::narrow does it.
            let bits = _mm256_castps_si256(vector);
            let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
            let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(vector, vector));
            let upper = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0_0000), nan);
            let words = _mm256_srli_epi32::<16>(upper);
            let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(words, words));
            let halves = _mm256_castsi256_si128(packed);
            if span == 8 {
                _mm_storeu_si128(at.cast(), halves);
            } else {
                let mut whole = [Bf16(0); 8];
                _mm_storeu_si128(whole.as_mut_ptr().cast(), halves);
                put(whole, at, span);
            }
        }
    }
}
