//! Every instruction set that this CPU has agrees with plain Rust.

use std::cell::Cell;

use super::pairs::{PairKernel, Pairs, ROW};
use super::*;

/// The sets of this architecture.
const SETS: &[InstructionSet] = if cfg!(target_arch = "aarch64") {
    &[InstructionSet::Portable, InstructionSet::Neon]
} else {
    &[
        InstructionSet::Portable,
        InstructionSet::Avx2,
        InstructionSet::Avx512,
        InstructionSet::Avx512Bf16,
    ]
};

thread_local! {
    /// The one set that kernels on this thread run on. A loop's threads take over the set of their caller: tests run
    /// beside each other, and none may change another's set between two of its steps.
    pub(crate) static FORCED: Cell<Option<InstructionSet>> = const { Cell::new(None) };
}

/// Calls `body` once on each instruction set of this CPU.
pub(crate) fn on_every_set(mut body: impl FnMut(InstructionSet)) {
    for set in SETS.iter().copied().filter(|&set| set <= InstructionSet::chosen()) {
        FORCED.set(Some(set));
        body(set);
    }
    FORCED.set(None);
}

#[test]
fn the_environment_limits_the_set_and_never_raises_it() {
    use InstructionSet::{Avx2, Avx512, Avx512Bf16, Neon, Portable};
    for (set, limit, expected) in [
        (Avx512Bf16, None, Avx512Bf16),
        (Avx512Bf16, Some("avx512"), Avx512),
        (Avx512Bf16, Some("avx2"), Avx2),
        (Avx512Bf16, Some("default"), Portable),
        (Avx2, Some("avx512"), Avx2),
        (Portable, Some("avx2"), Portable),
        (Neon, Some("default"), Neon),
        (Neon, Some("avx512"), Neon),
        (Avx512, Some("AVX2"), Avx512),
        (Avx512, Some(""), Avx512),
    ] {
        assert_eq!(set.within(limit), expected, "{set:?} within {limit:?}");
    }
}

/// `relu(x)`, `x` where positive, and `x` stored once more, over an odd number of lanes.
struct Exercise<'a, E> {
    from: &'a [E],
    to: &'a mut [E],
}

impl<'a, E> Exercise<'a, E> {
    fn new(from: &'a [E], to: &'a mut [E]) -> Self {
        assert_eq!(from.len(), to.len());
        Self { from, to }
    }
}

// SAFETY: `new` has compared the lists.
unsafe impl<E: Element> Kernel<E> for Exercise<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        let (from, to, count) = (self.from.as_ptr(), self.to.as_mut_ptr(), self.to.len());
        for at in (0..count).step_by(S::LANES) {
            let span = S::span(count - at);
            // SAFETY: the CPU has the instructions; the span ends with the lists.
            unsafe {
                let x = S::load(from.add(at), span);
                let y = S::add(S::relu(x), S::where_positive(S::splat(-1.0), x));
                S::store(to.add(at), span, S::sub(y, S::zero()));
            }
        }
    }
}

/// Numbers of a row with a ReLU, zipped with a row of zeros, taken apart again and stored.
struct ThroughPairs<'a> {
    from: &'a [Bf16],
    to: &'a mut [Bf16],
}

impl<'a> ThroughPairs<'a> {
    fn new(from: &'a [Bf16], to: &'a mut [Bf16]) -> Self {
        assert!(from.len() == to.len() && to.len() <= ROW);
        Self { from, to }
    }
}

// SAFETY: `new` has compared the lists with each other and with a row.
unsafe impl PairKernel<Bf16> for ThroughPairs<'_> {
    #[inline(always)]
    unsafe fn run<S: Pairs<Bf16>>(self) {
        let (from, to, count) = (self.from.as_ptr(), self.to.as_mut_ptr(), self.to.len());
        // SAFETY: the CPU has the instructions; the count is that of the lists.
        unsafe {
            let zipped = S::zip_rows(S::relu_row(S::load_row(from, count)), S::zero());
            // One times the number, and one times the zero beside it.
            let ones = S::interleave(S::splat(1.0), S::splat(1.0));
            let sums = [S::dot(zipped[0], ones, S::zero()), S::dot(zipped[1], ones, S::zero())];
            S::store_row(to, count, sums);
        }
    }
}

#[test]
fn rows_come_back_from_pairs_in_order() {
    let numbers: Vec<Bf16> = (0..ROW)
        .map(|i| match i {
            3 => f32::NAN,
            // As the CPU itself returns it, with a sign.
            4 => -f32::NAN,
            5 => f32::INFINITY,
            6 => f32::NEG_INFINITY,
            7 => -0.0,
            _ => i as f32 - 20.0,
        })
        .map(|number: f32| Bf16((number.to_bits() >> 16) as u16))
        .collect();
    on_every_set(|_| {
        for count in [ROW, 31, 17, 16, 1] {
            if !pairs::available() {
                continue;
            }
            let mut got = [Bf16(7); ROW];
            Bf16::run_pairs(ThroughPairs::new(&numbers[..count], &mut got[..count]));
            for (index, (got, number)) in got.iter().zip(&numbers).enumerate() {
                let (got, number) = (got.widen(), number.widen());
                let expected = if number < 0.0 { 0.0 } else { number };
                let same = got == expected || got.is_nan() && expected.is_nan();
                assert!(
                    if index < count { same } else { got == Bf16(7).widen() },
                    "{index}: {got}"
                );
            }
        }
    });
}

#[test]
fn every_pair_of_a_row_has_a_place_of_its_own() {
    let mut places: Vec<usize> = (0..ROW).map(pairs::place_in_zipped).collect();
    assert_eq!(places[..9], [0, 1, 2, 3, 16, 17, 18, 19, 4]);
    places.sort_unstable();
    assert!(places.into_iter().eq(0..ROW));
}

#[test]
fn bf16_rounds_to_nearest_even_on_every_set() {
    let numbers: Vec<f32> = (0..1003)
        .map(|i| f32::from_bits(0x3f80_0000 + i * 0x4001))
        .chain([f32::NAN, f32::INFINITY, f32::MAX, 1e-40, -0.0, -3.0])
        .collect();
    let expected: Vec<u16> =
        numbers.iter().map(|&x| Bf16::narrow(if x < 0.0 { 0.0 } else { x }).0).collect();
    assert_eq!(Bf16::narrow(f32::from_bits(0x3f80_8000)).0, 0x3f80, "a tie goes to the even one");
    assert_eq!(Bf16::narrow(f32::from_bits(0x3f81_8000)).0, 0x3f82, "a tie goes to the even one");
    let narrow: Vec<Bf16> = numbers.iter().map(|&x| Bf16::narrow(x)).collect();
    on_every_set(|set| {
        let mut got = vec![Bf16(7); numbers.len()];
        Bf16::run(Exercise::new(&narrow, &mut got));
        // A zero is a zero; where the set says so, numbers too small to be normal are, too.
        let flushes = set == InstructionSet::Avx512Bf16;
        let plain = |x: u16| if x == 0x8000 || flushes && x < 0x0080 { 0 } else { x };
        let got: Vec<u16> = got.iter().map(|x| plain(x.0)).collect();
        let expected: Vec<u16> = expected.iter().map(|&x| plain(x)).collect();
        assert_eq!(got, expected, "{set:?}");
    });
}
