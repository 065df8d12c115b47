//! Vectors of channels: one kernel source, compiled for AVX-512 with BF16 and without, for AVX2 with FMA, for NEON, and
//! for anything else.
//!
//! A kernel is a [`Kernel`], generic over the instruction set. [`Element::run`] picks the best set that the CPU has
//! at run time and enters the kernel's copy for it. Numbers are stored as fp32, bf16 or fp64 and computed in fp32
//! (fp64 for fp64).
//!
//! Two promises make it sound. [`Element::run`] enters only a set that the CPU has, so that a kernel may use its
//! vectors. Implementing [`Kernel`] is `unsafe`: the kernel's constructor checks that the memory it holds covers
//! everything that its loop reads and writes.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "only AVX512-BF16 multiplies pairs")
)]
pub(crate) mod pairs;
mod part;
mod portable;
mod set;

use tch::Kind;

use pairs::PairKernel;
use portable::Portable;

pub use set::InstructionSet;

/// Brain floating point: the upper half of an fp32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Bf16(pub(crate) u16);

impl Bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// Rounds to nearest, ties to even; NaN stays NaN.
    #[inline(always)]
    pub(crate) fn narrow(number: f32) -> Self {
        if number.is_nan() {
            return Self(0x7fc0);
        }
        let bits = number.to_bits();
        Self(((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16)
    }
}

/// The type that kernels compute in, and that they keep for each channel.
pub(crate) trait Number: Copy + Default + Send + Sync + 'static {
    /// Its kind in libtorch.
    const KIND: Kind;
    fn to_f64(self) -> f64;
    fn from_f64(number: f64) -> Self;
    /// The list itself, where this type is fp32.
    fn floats(list: &[f32]) -> Option<&[Self]>;
    /// The list itself, where this type is fp64.
    fn doubles(list: &[f64]) -> Option<&[Self]>;
}

impl Number for f32 {
    const KIND: Kind = Kind::Float;

    fn from_f64(number: f64) -> Self {
        number as f32
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
    fn floats(list: &[f32]) -> Option<&[Self]> {
        Some(list)
    }
    fn doubles(_list: &[f64]) -> Option<&[Self]> {
        None
    }
}

impl Number for f64 {
    const KIND: Kind = Kind::Double;

    fn from_f64(number: f64) -> Self {
        number
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn floats(_list: &[f32]) -> Option<&[Self]> {
        None
    }
    fn doubles(list: &[f64]) -> Option<&[Self]> {
        Some(list)
    }
}

/// The type that tensors hold. Each implementation has a kind of its own.
pub(crate) trait Element: Copy + Send + Sync + 'static {
    /// Its kind in libtorch.
    const KIND: Kind;

    /// The type that it is computed in.
    type Number: Number;

    /// Runs `kernel` on the best instruction set of this CPU.
    fn run<K: Kernel<Self>>(kernel: K);

    /// Runs `kernel` on a CPU that multiplies pairs.
    ///
    /// # Panics
    /// Where pairs are not [`pairs::available`].
    fn run_pairs<K: PairKernel<Self>>(kernel: K);
}

/// A loop over elements, compiled once for each instruction set.
///
/// # Safety
/// The memory that a value of the type holds covers everything that its loop reads and writes: its constructor has
/// compared views, lists and sizes, or is `unsafe` and has its caller promise it.
pub(crate) unsafe trait Kernel<E: Element> {
    /// The loop. Must be `#[inline(always)]`, or the set's instructions do not reach it.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`.
    unsafe fn run<S: Simd<E>>(self);
}

/// A vector of [`Element::Number`]s on one instruction set.
///
/// # Safety
/// Every `unsafe` method may be called only where the CPU has the instructions of the set, so that nothing but a
/// [`Kernel`] calls them. Methods that take an address say what must lie there, aligned for its type.
pub(crate) trait Simd<E: Element> {
    /// The vector.
    type Vector: Copy;
    /// The lanes of a vector that count: the last vector of a row of channels is rarely full.
    type Span: Copy;
    /// Numbers in a vector.
    const LANES: usize;

    /// The first `lanes` lanes, or all of them where `lanes` is larger.
    fn span(lanes: usize) -> Self::Span;

    /// The elements at `at`, and zeros beyond the span.
    ///
    /// # Safety
    /// The CPU has the set, and the elements of the span can be read at `at`.
    unsafe fn load(at: *const E, span: Self::Span) -> Self::Vector;

    /// Writes the lanes of the span to `at`, rounded to elements.
    ///
    /// # Safety
    /// The CPU has the set, and the elements of the span can be written at `at`.
    unsafe fn store(at: *mut E, span: Self::Span, vector: Self::Vector);

    /// The numbers at `at`, and zeros beyond the span.
    ///
    /// # Safety
    /// The CPU has the set, and the numbers of the span can be read at `at`.
    unsafe fn load_numbers(at: *const E::Number, span: Self::Span) -> Self::Vector;

    /// Writes the lanes of the span to `at`.
    ///
    /// # Safety
    /// The CPU has the set, and the numbers of the span can be written at `at`.
    unsafe fn store_numbers(at: *mut E::Number, span: Self::Span, vector: Self::Vector);

    /// Zero in every lane.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn zero() -> Self::Vector;

    /// `a + b`
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a - b`
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a * b`
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a * b + c`, rounded once where the set can.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn fma(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// `max(a, 0)`; NaN stays NaN.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn relu(a: Self::Vector) -> Self::Vector;

    /// `a` where `test > 0`, else zero.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn where_positive(test: Self::Vector, a: Self::Vector) -> Self::Vector;

    /// The lanes of `a` where `test > best` or `test` is NaN, else those of `b`.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn where_greater(
        test: Self::Vector,
        best: Self::Vector,
        a: Self::Vector,
        b: Self::Vector,
    ) -> Self::Vector;

    /// `a` where `x == y`, else zero.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn where_equal(x: Self::Vector, y: Self::Vector, a: Self::Vector) -> Self::Vector;

    /// `number` in every lane.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn splat(number: f64) -> Self::Vector;

    /// The number at `at` in every lane.
    ///
    /// # Safety
    /// The CPU has the set, and a number can be read at `at`.
    unsafe fn broadcast(at: *const E::Number) -> Self::Vector;

    /// The transpose of the square that the first `LANES` vectors are.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn transpose(square: [Self::Vector; 16]) -> [Self::Vector; 16];

    /// Asks for the cache line at `at`, which need not be valid, to be fetched into an outer cache.
    fn prefetch(at: *const u8);

    /// As [`Self::prefetch`], into the innermost cache.
    fn prefetch_near(at: *const u8);

    /// As [`Self::prefetch_near`], to be written to.
    fn prefetch_to_write(at: *const u8);
}

/// As [`InstructionSet::chosen`], unless a test asked for a lesser one.
pub(crate) fn chosen() -> InstructionSet {
    #[cfg(test)]
    if let Some(set) = tests::FORCED.get() {
        return set;
    }
    InstructionSet::chosen()
}

macro_rules! run_on_the_best_set {
    ($with_bf16:ident) => {
        fn run<K: Kernel<Self>>(kernel: K) {
            // SAFETY: the CPU was found to have the chosen set; the kernel's memory is the promise of its `Kernel`.
            unsafe {
                match chosen() {
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx512Bf16 => avx512::$with_bf16::<Self, K>(kernel),
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx512 => avx512::enter::<Self, K>(kernel),
                    #[cfg(target_arch = "x86_64")]
                    InstructionSet::Avx2 => avx2::enter::<Self, K>(kernel),
                    #[cfg(target_arch = "aarch64")]
                    InstructionSet::Neon => kernel.run::<neon::Neon>(),
                    _ => kernel.run::<Portable>(),
                }
            }
        }

        fn run_pairs<K: PairKernel<Self>>(kernel: K) {
            assert!(pairs::available(), "expected a CPU with AVX512-BF16");
            // SAFETY: the CPU has the instructions; the kernel's memory is the promise of its `PairKernel`.
            #[cfg(target_arch = "x86_64")]
            unsafe {
                avx512::enter_pairs::<Self, K>(kernel)
            }
            #[cfg(not(target_arch = "x86_64"))]
            drop(kernel);
        }
    };
}

impl Element for f32 {
    const KIND: Kind = Kind::Float;
    type Number = f32;
    // Without bf16 instructions, for there is nothing to round.
    run_on_the_best_set!(enter);
}

impl Element for Bf16 {
    const KIND: Kind = Kind::BFloat16;
    type Number = f32;
    run_on_the_best_set!(enter_bf16);
}

/// fp64 is for checking the others: it has no fast path.
impl Element for f64 {
    const KIND: Kind = Kind::Double;
    type Number = f64;
    fn run<K: Kernel<Self>>(kernel: K) {
        // SAFETY: every CPU has the portable set; the kernel's memory is the promise of its `Kernel`.
        unsafe { kernel.run::<Portable>() }
    }

    fn run_pairs<K: PairKernel<Self>>(_kernel: K) {
        unreachable!("pairs are added up in fp32");
    }
}

#[cfg(test)]
pub(crate) mod tests;
