//! Eight fp32 at a time on 64-bit Arm, which has thirty-two vectors of four: a vector here is two of them.
//!
//! Every CPU of that architecture has NEON, so its instructions need no check.

use std::arch::aarch64::*;

use super::part::{padded, put};
use super::{Bf16, Simd};

pub(super) struct Neon;

/// Lanes 0 to 3, and 4 to 7.
type Pair = [float32x4_t; 2];

/// The eight numbers at `at`.
///
/// # Safety
/// They can be read.
#[inline(always)]
unsafe fn whole(at: *const f32) -> Pair {
    // SAFETY: the caller has eight numbers there.
    unsafe { [vld1q_f32(at), vld1q_f32(at.add(4))] }
}

/// `of` the lower halves and of the upper halves.
#[inline(always)]
fn both<const N: usize>(of: impl Fn([float32x4_t; N]) -> float32x4_t, pairs: [Pair; N]) -> Pair {
    [of(pairs.map(|pair| pair[0])), of(pairs.map(|pair| pair[1]))]
}

/// The bits of `a` where `mask` is set, else zeros.
#[inline(always)]
fn masked(mask: uint32x4_t, a: float32x4_t) -> float32x4_t {
    // SAFETY: every CPU of this architecture has the instructions.
    unsafe { vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(a))) }
}

macro_rules! arithmetic {
    () => {
        type Vector = Pair;
        type Span = usize;
        const LANES: usize = 8;

        #[inline(always)]
        fn span(lanes: usize) -> usize {
            lanes.min(8)
        }
        #[inline(always)]
        unsafe fn load_numbers(at: *const f32, span: usize) -> Pair {
            // SAFETY: the span can be read.
            unsafe { if span == 8 { whole(at) } else { whole(padded(at, span, 0.0).as_ptr()) } }
        }
        #[inline(always)]
        unsafe fn store_numbers(at: *mut f32, span: usize, vector: Pair) {
            // SAFETY: the span can be written.
            unsafe {
                if span == 8 {
                    vst1q_f32(at, vector[0]);
                    vst1q_f32(at.add(4), vector[1]);
                } else {
                    put(numbers(vector), at, span);
                }
            }
        }
        #[inline(always)]
        unsafe fn zero() -> Pair {
            // SAFETY: every CPU of this architecture has the instructions.
            unsafe { [vdupq_n_f32(0.0); 2] }
        }
        #[inline(always)]
        unsafe fn splat(number: f64) -> Pair {
            // SAFETY: every CPU of this architecture has the instructions.
            unsafe { [vdupq_n_f32(number as f32); 2] }
        }
        #[inline(always)]
        unsafe fn broadcast(at: *const f32) -> Pair {
            // SAFETY: the caller has the number, and every CPU of this architecture the instructions.
            unsafe { [vdupq_n_f32(*at); 2] }
        }
        #[inline(always)]
        unsafe fn transpose(square: [Pair; 16]) -> [Pair; 16] {
            let rows = square.map(numbers);
            std::array::from_fn(|row| {
                let column: [f32; 8] = std::array::from_fn(|lane| rows[lane][row % 8]);
                // SAFETY: the column has eight numbers.
                unsafe { whole(column.as_ptr()) }
            })
        }
        // Whether asking for cache lines helps here was not measured: there was no such machine.
        #[inline(always)]
        fn prefetch(_at: *const u8) {}
        #[inline(always)]
        fn prefetch_near(_at: *const u8) {}
        #[inline(always)]
        fn prefetch_to_write(_at: *const u8) {}
        #[inline(always)]
        unsafe fn add(a: Pair, b: Pair) -> Pair {
            // SAFETY: every CPU of this architecture has the instructions.
            unsafe { both(|[a, b]| vaddq_f32(a, b), [a, b]) }
        }
        #[inline(always)]
        unsafe fn sub(a: Pair, b: Pair) -> Pair {
            // SAFETY: every CPU of this architecture has the instructions.
            unsafe { both(|[a, b]| vsubq_f32(a, b), [a, b]) }
        }
        #[inline(always)]
        unsafe fn mul(a: Pair, b: Pair) -> Pair {
            // SAFETY: every CPU of this architecture has the instructions.
            unsafe { both(|[a, b]| vmulq_f32(a, b), [a, b]) }
        }
        #[inline(always)]
        unsafe fn fma(a: Pair, b: Pair, c: Pair) -> Pair {
            // SAFETY: every CPU of this architecture has the instructions.
            unsafe { both(|[a, b, c]| vfmaq_f32(c, a, b), [a, b, c]) }
        }
        #[inline(always)]
        unsafe fn relu(a: Pair) -> Pair {
            // Where an operand is NaN, so is the result.
            // SAFETY: every CPU of this architecture has the instructions.
            unsafe { both(|[a]| vmaxq_f32(a, vdupq_n_f32(0.0)), [a]) }
        }
        #[inline(always)]
        unsafe fn where_positive(test: Pair, a: Pair) -> Pair {
            // SAFETY: every CPU of this architecture has the instructions.
            unsafe { both(|[test, a]| masked(vcgtq_f32(test, vdupq_n_f32(0.0)), a), [test, a]) }
        }
        #[inline(always)]
        unsafe fn where_greater(test: Pair, best: Pair, a: Pair, b: Pair) -> Pair {
            // SAFETY: every CPU of this architecture has the instructions.
            let chosen = |[test, best, a, b]: [float32x4_t; 4]| unsafe {
                let is_number = vceqq_f32(test, test);
                vbslq_f32(vornq_u32(vcgtq_f32(test, best), is_number), a, b)
            };
            both(chosen, [test, best, a, b])
        }
        #[inline(always)]
        unsafe fn where_equal(x: Pair, y: Pair, a: Pair) -> Pair {
            // SAFETY: every CPU of this architecture has the instructions.
            unsafe { both(|[x, y, a]| masked(vceqq_f32(x, y), a), [x, y, a]) }
        }
    };
}

/// The lanes one by one.
#[inline(always)]
fn numbers(vector: Pair) -> [f32; 8] {
    let mut list = [0.0; 8];
    // SAFETY: there is room for eight.
    unsafe {
        vst1q_f32(list.as_mut_ptr(), vector[0]);
        vst1q_f32(list.as_mut_ptr().add(4), vector[1]);
    }
    list
}

impl Simd<f32> for Neon {
    arithmetic!();

    #[inline(always)]
    unsafe fn load(at: *const f32, span: usize) -> Pair {
        // SAFETY: the span can be read.
        unsafe { <Self as Simd<f32>>::load_numbers(at, span) }
    }
    #[inline(always)]
    unsafe fn store(at: *mut f32, span: usize, vector: Pair) {
        // SAFETY: the span can be written.
        unsafe { <Self as Simd<f32>>::store_numbers(at, span, vector) }
    }
}

impl Simd<Bf16> for Neon {
    arithmetic!();

    #[inline(always)]
    unsafe fn load(at: *const Bf16, span: usize) -> Pair {
        // SAFETY: the span can be read, and a padded one has eight.
        unsafe {
            let halves = if span == 8 {
                vld1q_u16(at.cast())
            } else {
                vld1q_u16(padded(at, span, Bf16(0)).as_ptr().cast())
            };
            [vget_low_u16(halves), vget_high_u16(halves)]
                .map(|half| vreinterpretq_f32_u32(vshlq_n_u32::<16>(vmovl_u16(half))))
        }
    }
    #[inline(always)]
    unsafe fn store(at: *mut Bf16, span: usize, vector: Pair) {
        let [low, high] = vector.map(rounded);
        // SAFETY: the span can be written, and the list has room for eight.
        unsafe {
            let halves = vcombine_u16(low, high);
            if span == 8 {
                vst1q_u16(at.cast(), halves);
            } else {
                let mut list = [Bf16(0); 8];
                vst1q_u16(list.as_mut_ptr().cast(), halves);
                put(list, at, span);
            }
        }
    }
}

/// To nearest, ties to even, as [`Bf16::narrow`] does it.
#[inline(always)]
fn rounded(vector: float32x4_t) -> uint16x4_t {
    // SAFETY: every CPU of this architecture has the instructions.
    unsafe {
        let bits = vreinterpretq_u32_f32(vector);
        let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
        let nearest = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
        let is_number = vceqq_f32(vector, vector);
        vshrn_n_u32::<16>(vbslq_u32(is_number, nearest, vdupq_n_u32(0x7fc0_0000)))
    }
}
