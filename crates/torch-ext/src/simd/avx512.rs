//! Sixteen fp32 at a time. Spans are masks: a masked load is as fast as a whole one.

use std::arch::x86_64::*;

use super::pairs::{PairKernel, Pairs};
use super::{Bf16, Element, Kernel, Simd};

/// With AVX512-BF16 or without.
pub(super) struct Avx512<const BF16: bool>;

/// Runs `kernel` on this set.
///
/// # Safety
/// The CPU has these features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn enter<E: Element, K: Kernel<E>>(kernel: K)
where
    Avx512<false>: Simd<E>,
{
    // SAFETY: the caller has the features; the kernel's memory is the promise of its trait.
    unsafe { kernel.run::<Avx512<false>>() }
}

/// Runs `kernel` on this set.
///
/// # Safety
/// The CPU has these features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn enter_bf16<E: Element, K: Kernel<E>>(kernel: K)
where
    Avx512<true>: Simd<E>,
{
    // SAFETY: the caller has the features; the kernel's memory is the promise of its trait.
    unsafe { kernel.run::<Avx512<true>>() }
}

/// Runs `kernel` on this set.
///
/// # Safety
/// The CPU has these features.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn enter_pairs<E: Element, K: PairKernel<E>>(kernel: K)
where
    Avx512<true>: Pairs<E>,
{
    // SAFETY: the caller has the features; the kernel's memory is the promise of its trait.
    unsafe { kernel.run::<Avx512<true>>() }
}

macro_rules! arithmetic {
    () => {
        type Vector = __m512;
        type Span = __mmask16;
        const LANES: usize = 16;

        #[inline(always)]
        fn span(lanes: usize) -> __mmask16 {
            if lanes >= 16 { 0xffff } else { (1 << lanes) - 1 }
        }
        #[inline(always)]
        unsafe fn load_numbers(at: *const f32, span: __mmask16) -> __m512 {
            // SAFETY: the caller has the instructions, and the span can be read.
            unsafe { _mm512_maskz_loadu_ps(span, at) }
        }
        #[inline(always)]
        unsafe fn store_numbers(at: *mut f32, span: __mmask16, vector: __m512) {
            // SAFETY: the caller has the instructions, and the span can be written.
            unsafe { _mm512_mask_storeu_ps(at, span, vector) }
        }
        #[inline(always)]
        unsafe fn zero() -> __m512 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn splat(number: f64) -> __m512 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm512_set1_ps(number as f32) }
        }
        #[inline(always)]
        unsafe fn broadcast(at: *const f32) -> __m512 {
            // SAFETY: the caller has the instructions, and the number can be read.
            unsafe { _mm512_set1_ps(*at) }
        }
        #[inline(always)]
        unsafe fn transpose(square: [__m512; 16]) -> [__m512; 16] {
            // SAFETY: the caller has the instructions.
            unsafe { transposed(square) }
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
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: __m512, b: __m512) -> __m512 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn relu(a: __m512) -> __m512 {
            // Where either operand is NaN, the result is the second.
            // SAFETY: the caller has the instructions.
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), a) }
        }
        #[inline(always)]
        unsafe fn where_positive(test: __m512, a: __m512) -> __m512 {
            // SAFETY: the caller has the instructions.
            unsafe {
                let mask = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(test, _mm512_setzero_ps());
                _mm512_maskz_mov_ps(mask, a)
            }
        }
        #[inline(always)]
        unsafe fn where_greater(test: __m512, best: __m512, a: __m512, b: __m512) -> __m512 {
            // SAFETY: the caller has the instructions.
            unsafe {
                let greater = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(test, best);
                let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(test, test);
                _mm512_mask_blend_ps(greater | nan, b, a)
            }
        }
        #[inline(always)]
        unsafe fn where_equal(x: __m512, y: __m512, a: __m512) -> __m512 {
            // SAFETY: the caller has the instructions.
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(x, y), a) }
        }
    };
}

impl<const BF16: bool> Simd<f32> for Avx512<BF16> {
    arithmetic!();

    #[inline(always)]
    unsafe fn load(at: *const f32, span: __mmask16) -> __m512 {
        // SAFETY: the caller has the instructions, and the span can be read.
        unsafe { _mm512_maskz_loadu_ps(span, at) }
    }
    #[inline(always)]
    unsafe fn store(at: *mut f32, span: __mmask16, vector: __m512) {
        // SAFETY: the caller has the instructions, and the span can be written.
        unsafe { _mm512_mask_storeu_ps(at, span, vector) }
    }
}

impl<const BF16: bool> Simd<Bf16> for Avx512<BF16> {
    arithmetic!();

    #[inline(always)]
    unsafe fn load(at: *const Bf16, span: __mmask16) -> __m512 {
        // SAFETY: the caller has the instructions, and the span can be read.
        unsafe {
            let halves = _mm256_maskz_loadu_epi16(span, at.cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
        }
    }
    #[inline(always)]
    unsafe fn store(at: *mut Bf16, span: __mmask16, vector: __m512) {
        // SAFETY: the caller has the instructions, and the span can be written.
        unsafe {
            if BF16 {
                let halves = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(vector));
                return _mm256_mask_storeu_epi16(at.cast(), span, halves);
            }
            // To nearest, ties to even, as Bf16::narrow does it.
            let bits = _mm512_castps_si512(vector);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(vector, vector);
            let upper = _mm512_mask_mov_epi32(rounded, nan, _mm512_set1_epi32(0x7fc0_0000));
            let halves = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(upper));
            _mm256_mask_storeu_epi16(at.cast(), span, halves);
        }
    }
}

/// The transpose of 16 rows: within the quarters of the vectors first, then of the quarters.
///
/// # Safety
/// The CPU has AVX-512 F.
#[inline(always)]
unsafe fn transposed(rows: [__m512; 16]) -> [__m512; 16] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let mut quarters = rows;
        for four in 0..4 {
            let [a, b, c, d] = [0, 1, 2, 3].map(|row| rows[4 * four + row]);
            let ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
            let cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
            let ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
            let cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
            let squares = [
                _mm512_unpacklo_pd(ab, cd),
                _mm512_unpackhi_pd(ab, cd),
                _mm512_unpacklo_pd(ab_high, cd_high),
                _mm512_unpackhi_pd(ab_high, cd_high),
            ];
            for (row, square) in squares.into_iter().enumerate() {
                quarters[4 * four + row] = _mm512_castpd_ps(square);
            }
        }
        let mut columns = rows;
        for row in 0..4 {
            let [a, b, c, d] = [0, 4, 8, 12].map(|four| quarters[four + row]);
            let even = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d)];
            let odd = [_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d)];
            columns[row] = _mm512_shuffle_f32x4::<0x88>(even[0], even[1]);
            columns[4 + row] = _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]);
            columns[8 + row] = _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]);
            columns[12 + row] = _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]);
        }
        columns
    }
}

/// The same lanes, each read as two numbers.
///
/// # Safety
/// The CPU has AVX512-BF16.
#[inline(always)]
unsafe fn bf16(lanes: __m512) -> __m512bh {
    // SAFETY: both are 512 bits without a meaning of their own.
    unsafe { std::mem::transmute::<__m512, __m512bh>(lanes) }
}

/// Numbers rounded to bf16, each in the lower half of its lane.
///
/// # Safety
/// The CPU has AVX512-BF16.
#[inline(always)]
unsafe fn halves(numbers: __m512) -> __m512i {
    // SAFETY: the caller has the instructions.
    unsafe {
        _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(numbers)))
    }
}

impl<E> Pairs<E> for Avx512<true>
where
    E: Element<Number = f32>,
    Self: Simd<E, Vector = __m512, Span = __mmask16>,
{
    #[inline(always)]
    unsafe fn dot(a: __m512, b: __m512, sums: __m512) -> __m512 {
        // SAFETY: the caller has the instructions; all three are 512 bits, and a pair is any 32 of them.
        unsafe { _mm512_dpbf16_ps(sums, bf16(a), bf16(b)) }
    }

    #[inline(always)]
    unsafe fn interleave(first: __m512, second: __m512) -> __m512 {
        // SAFETY: the caller has the instructions.
        unsafe {
            let (first, second) = (halves(first), halves(second));
            _mm512_castsi512_ps(_mm512_or_si512(first, _mm512_slli_epi32::<16>(second)))
        }
    }

    #[inline(always)]
    unsafe fn load_pairs(at: *const f32, span: __mmask16) -> __m512 {
        // SAFETY: the caller has the instructions; the masks cover two numbers for each lane of the span.
        unsafe {
            // Twice as many numbers as lanes.
            let lanes = span.count_ones();
            let numbers = (1_u64 << (2 * lanes)) - 1;
            let low = _mm512_maskz_loadu_ps(numbers as u16, at);
            let high = _mm512_maskz_loadu_ps((numbers >> 16) as u16, at.wrapping_add(16));
            std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low))
        }
    }

    #[inline(always)]
    unsafe fn load_row(at: *const Bf16, count: usize) -> __m512 {
        // SAFETY: the caller has the instructions; the mask covers the numbers that can be read.
        unsafe { _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(first(count), at.cast())) }
    }

    #[inline(always)]
    unsafe fn relu_row(row: __m512) -> __m512 {
        // SAFETY: the caller has the instructions.
        unsafe {
            let row = _mm512_castps_si512(row);
            // As an integer the negative infinity is -128; NaN of either sign lies above it.
            let kept = _mm512_cmpgt_epi16_mask(row, _mm512_set1_epi16(-128));
            _mm512_castsi512_ps(_mm512_maskz_mov_epi16(kept, row))
        }
    }

    #[inline(always)]
    unsafe fn zip_rows(above: __m512, below: __m512) -> [__m512; 2] {
        // SAFETY: the caller has the instructions.
        unsafe {
            let (above, below) = (_mm512_castps_si512(above), _mm512_castps_si512(below));
            [_mm512_unpacklo_epi16(above, below), _mm512_unpackhi_epi16(above, below)]
                .map(|pairs| _mm512_castsi512_ps(pairs))
        }
    }

    #[inline(always)]
    unsafe fn store_row(at: *mut Bf16, count: usize, [low, high]: [__m512; 2]) {
        // SAFETY: the caller has the instructions; the mask covers the numbers that can be written.
        unsafe {
            // Four numbers of one half, four of the other, and so on: the order of zip_rows.
            let order = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
            let halves = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            let row = _mm512_permutexvar_epi64(order, halves);
            _mm512_mask_storeu_epi16(at.cast(), first(count), row);
        }
    }
}

/// The mask of the first `count` of 32 numbers.
#[inline(always)]
fn first(count: usize) -> __mmask32 {
    if count >= 32 { u32::MAX } else { (1 << count) - 1 }
}
