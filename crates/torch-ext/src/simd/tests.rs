//! Every instruction set that this CPU has agrees with plain Rust.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use super::*;

/// Makes every kernel run on one instruction set. The sets agree but for the last digits: tests that compare bits
/// run [`on_one_set`].
pub(crate) struct Forced(AtomicU8);

pub(crate) static FORCED: Forced = Forced(AtomicU8::new(0));

const SETS: [InstructionSet; 3] =
    [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512];

impl Forced {
    pub(super) fn get(&self) -> Option<InstructionSet> {
        let index = self.0.load(Ordering::Relaxed);
        (index > 0).then(|| SETS[index as usize - 1])
    }
}

/// Held while a test depends on which set is in use.
static CHOICE: Mutex<()> = Mutex::new(());

/// Calls `body` while no other test changes the instruction set.
pub(crate) fn on_one_set<T>(body: impl FnOnce() -> T) -> T {
    let _choice = CHOICE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    body()
}

/// Calls `body` once on each instruction set of this CPU.
pub(crate) fn on_every_set(mut body: impl FnMut(InstructionSet)) {
    let _choice = CHOICE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for (index, set) in (1..).zip(SETS) {
        if set <= InstructionSet::detected() {
            FORCED.0.store(index, Ordering::Relaxed);
            body(set);
        }
    }
    FORCED.0.store(0, Ordering::Relaxed);
}

/// `relu(x)`, `x` where positive, and `x` stored once more, over an odd number of lanes.
struct Exercise<E> {
    from: *const E,
    to: *mut E,
    count: usize,
}

impl<E: Element> Kernel<E> for Exercise<E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        for at in (0..self.count).step_by(S::LANES) {
            let span = S::span(self.count - at);
            // SAFETY: the test's own arrays.
            unsafe {
                let x = S::load(self.from.add(at), span);
                let y = S::add(S::relu(x), S::where_positive(S::splat(-1.0), x));
                S::store(self.to.add(at), span, S::sub(y, S::zero()));
            }
        }
    }
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
        Bf16::run(Exercise { from: narrow.as_ptr(), to: got.as_mut_ptr(), count: got.len() });
        let got: Vec<u16> = got.iter().map(|x| if x.0 == 0x8000 { 0 } else { x.0 }).collect();
        let expected: Vec<u16> =
            expected.iter().map(|&x| if x == 0x8000 { 0 } else { x }).collect();
        assert_eq!(got, expected, "{set:?}");
    });
}
