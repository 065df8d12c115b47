//! The operations that a kernel applies to each element that it reads.

use crate::simd::Element;
use crate::simd::{Number, Simd};

/// `x * scale + shift` and a ReLU, or one of them, or neither, applied to each element on its way into a kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prologue<'a, N> {
    /// Scale and shift, a number for each channel.
    affine: Option<[&'a [N]; 2]>,
    relu: bool,
}

/// Runs a block with a prologue's two questions answered as constants of the given names, so that the compiler removes
/// both from a loop in it.
macro_rules! with_prologue {
    ($prologue:expr, $affine:ident, $relu:ident => $body:expr) => {
        match ($prologue.affine().is_some(), $prologue.relu()) {
            (false, false) => {
                const $affine: bool = false;
                const $relu: bool = false;
                $body
            }
            (false, true) => {
                const $affine: bool = false;
                const $relu: bool = true;
                $body
            }
            (true, false) => {
                const $affine: bool = true;
                const $relu: bool = false;
                $body
            }
            (true, true) => {
                const $affine: bool = true;
                const $relu: bool = true;
                $body
            }
        }
    };
}
pub(crate) use with_prologue;

impl<'a, N: Number> Prologue<'a, N> {
    /// `affine` is scale and shift, a number for each channel of the map.
    ///
    /// # Panics
    /// Where they have unequal lengths.
    pub(crate) fn new(affine: Option<[&'a [N]; 2]>, relu: bool) -> Self {
        if let Some([scale, shift]) = affine {
            assert_eq!(scale.len(), shift.len(), "expected a scale and a shift for each channel");
        }
        Self { affine, relu }
    }

    /// Whether it applies to maps of `c` channels.
    pub(crate) fn fits(self, c: usize) -> bool {
        self.affine.is_none_or(|[scale, _]| scale.len() == c)
    }

    /// The first scale and the first shift. As many follow as the channels that [`Self::fits`] accepts.
    #[inline(always)]
    pub(crate) fn affine(self) -> Option<(*const N, *const N)> {
        self.affine.map(|[scale, shift]| (scale.as_ptr(), shift.as_ptr()))
    }

    /// Whether a ReLU applies.
    #[inline(always)]
    pub(crate) fn relu(self) -> bool {
        self.relu
    }

    /// Applies it to the channels from `c` on.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`, and the span at channel `c` lies within the channels that [`Self::fits`]
    /// accepts.
    #[inline(always)]
    pub(crate) unsafe fn apply<E: Element<Number = N>, S: Simd<E>>(
        self,
        x: S::Vector,
        c: usize,
        span: S::Span,
    ) -> S::Vector {
        // SAFETY: the caller has the instructions, and scale and shift have a number for each channel of the span.
        unsafe {
            let x = match self.affine() {
                Some((scale, shift)) => {
                    let scale = S::load_numbers(scale.add(c), span);
                    S::fma(x, scale, S::load_numbers(shift.add(c), span))
                }
                None => x,
            };
            if self.relu { S::relu(x) } else { x }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prologue_fits_its_own_channels() {
        assert!(Prologue::new(Some([&[1_f32; 3], &[0.0; 3]]), true).fits(3));
        assert!(!Prologue::new(Some([&[1_f32; 3], &[0.0; 3]]), true).fits(4));
        assert!(Prologue::<f32>::new(None, true).fits(4));
    }

    #[test]
    #[should_panic(expected = "expected a scale and a shift for each channel")]
    fn unequal_lists_are_refused() {
        Prologue::new(Some([&[1_f32; 3], &[0.0; 2]]), false);
    }
}
