//! Eight numbers at a time in plain Rust, which the compiler turns into the vectors that the target has.

use std::array;

use super::{Bf16, Simd};

pub(super) struct Portable;

macro_rules! plain {
    ($element:ty, $number:ty, $widen:expr, $narrow:expr) => {
        impl Simd<$element> for Portable {
            type Vector = [$number; 8];
            type Span = usize;
            const LANES: usize = 8;

            #[inline(always)]
            fn span(lanes: usize) -> usize {
                lanes.min(8)
            }
            #[inline(always)]
            unsafe fn load(at: *const $element, span: usize) -> [$number; 8] {
                let widen: fn($element) -> $number = $widen;
                // SAFETY: the caller has the elements of the span.
                let element = |lane| unsafe { *at.add(lane) };
                array::from_fn(|lane| if lane < span { widen(element(lane)) } else { 0.0 })
            }
            #[inline(always)]
            unsafe fn store(at: *mut $element, span: usize, vector: [$number; 8]) {
                let narrow: fn($number) -> $element = $narrow;
                for (lane, number) in vector.into_iter().enumerate().take(span) {
                    // SAFETY: the caller has the elements of the span.
                    unsafe { *at.add(lane) = narrow(number) };
                }
            }
            #[inline(always)]
            unsafe fn load_numbers(at: *const $number, span: usize) -> [$number; 8] {
                // SAFETY: the caller has the numbers of the span.
                let number = |lane| unsafe { *at.add(lane) };
                array::from_fn(|lane| if lane < span { number(lane) } else { 0.0 })
            }
            #[inline(always)]
            unsafe fn store_numbers(at: *mut $number, span: usize, vector: [$number; 8]) {
                for (lane, number) in vector.into_iter().enumerate().take(span) {
                    // SAFETY: the caller has the numbers of the span.
                    unsafe { *at.add(lane) = number };
                }
            }
            #[inline(always)]
            unsafe fn zero() -> [$number; 8] {
                [0.0; 8]
            }
            #[inline(always)]
            unsafe fn splat(number: f64) -> [$number; 8] {
                [number as $number; 8]
            }
            #[inline(always)]
            unsafe fn broadcast(at: *const $number) -> [$number; 8] {
                // SAFETY: the caller has the number.
                unsafe { [*at; 8] }
            }
            #[inline(always)]
            unsafe fn transpose(square: [[$number; 8]; 16]) -> [[$number; 8]; 16] {
                array::from_fn(|row| array::from_fn(|lane| square[lane][row % 8]))
            }
            #[inline(always)]
            fn prefetch(_at: *const u8) {}
            #[inline(always)]
            fn prefetch_near(_at: *const u8) {}
            #[inline(always)]
            fn prefetch_to_write(_at: *const u8) {}
            #[inline(always)]
            unsafe fn add(a: [$number; 8], b: [$number; 8]) -> [$number; 8] {
                array::from_fn(|lane| a[lane] + b[lane])
            }
            #[inline(always)]
            unsafe fn sub(a: [$number; 8], b: [$number; 8]) -> [$number; 8] {
                array::from_fn(|lane| a[lane] - b[lane])
            }
            #[inline(always)]
            unsafe fn mul(a: [$number; 8], b: [$number; 8]) -> [$number; 8] {
                array::from_fn(|lane| a[lane] * b[lane])
            }
            #[inline(always)]
            unsafe fn fma(a: [$number; 8], b: [$number; 8], c: [$number; 8]) -> [$number; 8] {
                // mul_add would be a library call where the target has no such instruction.
                array::from_fn(|lane| a[lane] * b[lane] + c[lane])
            }
            #[inline(always)]
            unsafe fn relu(a: [$number; 8]) -> [$number; 8] {
                array::from_fn(|lane| if a[lane] < 0.0 { 0.0 } else { a[lane] })
            }
            #[inline(always)]
            unsafe fn where_positive(test: [$number; 8], a: [$number; 8]) -> [$number; 8] {
                array::from_fn(|lane| if test[lane] > 0.0 { a[lane] } else { 0.0 })
            }
            #[inline(always)]
            unsafe fn where_greater(
                test: [$number; 8],
                best: [$number; 8],
                a: [$number; 8],
                b: [$number; 8],
            ) -> [$number; 8] {
                let wins = |lane: usize| test[lane] > best[lane] || test[lane].is_nan();
                array::from_fn(|lane| if wins(lane) { a[lane] } else { b[lane] })
            }
            #[inline(always)]
            unsafe fn where_equal(
                x: [$number; 8],
                y: [$number; 8],
                a: [$number; 8],
            ) -> [$number; 8] {
                array::from_fn(|lane| if x[lane] == y[lane] { a[lane] } else { 0.0 })
            }
        }
    };
}

plain!(f32, f32, |element| element, |number| number);
plain!(Bf16, f32, Bf16::widen, Bf16::narrow);
plain!(f64, f64, |element| element, |number| number);
