//! A tile's rows are lanes of 32 bits, each of which holds an fp32 number or two of bf16.

use std::mem::MaybeUninit;

use crate::simd::{Bf16, Element};

/// Bytes of a lane.
const LANE: usize = size_of::<f32>();

/// The numbers of bf16 in `lanes`.
pub(super) fn as_numbers(lanes: &[f32]) -> &[Bf16] {
    // SAFETY: a lane has the size and more than the alignment of two numbers, and any 16 bits are a number.
    unsafe { std::slice::from_raw_parts(lanes.as_ptr().cast(), lanes.len() * 2) }
}

/// As [`as_numbers`], to be written.
pub(super) fn as_numbers_mut(lanes: &mut [f32]) -> &mut [Bf16] {
    // SAFETY: as in `as_numbers`; any two numbers are 32 bits that a lane may hold.
    unsafe { std::slice::from_raw_parts_mut(lanes.as_mut_ptr().cast(), lanes.len() * 2) }
}

/// Room for as many elements as `lanes` hold.
///
/// # Safety
/// The caller only writes initialised elements to it, because the lanes are read as numbers later.
pub(super) unsafe fn as_elements<E: Element>(lanes: &mut [f32]) -> &mut [MaybeUninit<E>] {
    const { assert!(size_of::<E>() <= LANE && align_of::<E>() <= align_of::<f32>()) };
    let count = lanes.len() * LANE / size_of::<E>();
    // SAFETY: so many elements fill the lanes and are aligned in them, and the caller leaves no uninitialised one there.
    unsafe { std::slice::from_raw_parts_mut(lanes.as_mut_ptr().cast(), count) }
}

/// Packed columns of bf16 as lanes.
///
/// # Panics
/// Where they are not whole, aligned lanes. Blocks of columns start at multiples of 64 bytes and hold whole pairs.
pub(super) fn as_pairs(numbers: &[Bf16]) -> &[f32] {
    // SAFETY: any two numbers are 32 bits that a lane may hold.
    let (before, pairs, after) = unsafe { numbers.align_to::<f32>() };
    assert!(before.is_empty() && after.is_empty(), "expected whole lanes of packed columns");
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_holds_two_numbers() {
        let mut lanes = [0.0_f32, 1.0];
        as_numbers_mut(&mut lanes)[1] = Bf16::narrow(2.0);
        let numbers: Vec<u16> = as_numbers(&lanes).iter().map(|number| number.0).collect();
        assert_eq!(numbers, [0, 0x4000, 0, 0x3f80]);
        // SAFETY: nothing is written.
        unsafe {
            assert_eq!(as_elements::<Bf16>(&mut lanes).len(), 4);
            assert_eq!(as_elements::<f32>(&mut lanes).len(), 2);
        }
    }

    #[test]
    #[should_panic(expected = "expected whole lanes of packed columns")]
    fn half_a_lane_is_refused() {
        let numbers = as_numbers(&[0.0; 2]);
        let _ = as_pairs(&numbers[..3]);
    }
}
