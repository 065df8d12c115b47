//! The memory that a run of output pixels is written to: a part of a map, or the rows of a tile.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::simd::{Element, Simd};

/// Memory for output pixels, the next of which starts `ld` numbers after the last.
#[derive(Debug)]
pub(crate) struct Outputs<'a, E: Element> {
    /// The first pixel: of elements, or of the numbers that they were computed in.
    to: *mut u8,
    widen: bool,
    /// Numbers from there to the end of the memory.
    room: usize,
    ld: usize,
    relu: bool,
    memory: PhantomData<&'a mut [E]>,
}

impl<'a, E: Element> Outputs<'a, E> {
    /// Pixels are stored as elements.
    pub(crate) fn elements(to: &'a mut [MaybeUninit<E>], ld: usize) -> Self {
        let (room, to) = (to.len(), to.as_mut_ptr().cast());
        Self { to, widen: false, room, ld, relu: false, memory: PhantomData }
    }

    /// Pixels are stored as the numbers that they were computed in.
    pub(crate) fn numbers(to: &'a mut [MaybeUninit<E::Number>], ld: usize) -> Self {
        let (room, to) = (to.len(), to.as_mut_ptr().cast());
        Self { to, widen: true, room, ld, relu: false, memory: PhantomData }
    }

    /// The same memory; where `relu` says so, a ReLU comes before the store.
    pub(crate) fn with_relu(self, relu: bool) -> Self {
        Self { relu, ..self }
    }

    /// Whether there is room for `pixels` pixels of `channels` channels each.
    pub(super) fn fit(&self, pixels: usize, channels: usize) -> bool {
        let ends = pixels
            .checked_sub(1)
            .map(|last| last.checked_mul(self.ld).and_then(|start| start.checked_add(channels)));
        ends.is_none_or(|end| end.is_some_and(|end| end <= self.room))
    }

    /// The first pixel, where pixels are stored as elements.
    pub(super) fn start(&self) -> Option<*mut E> {
        (!self.widen).then(|| self.to.cast())
    }

    /// Numbers between the starts of two pixels.
    pub(super) fn ld(&self) -> usize {
        self.ld
    }

    /// Whether a ReLU comes before the store.
    pub(super) fn relu(&self) -> bool {
        self.relu
    }

    /// Stores the channels of the span at `c` of the `index`-th pixel.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`, and the memory [fits](Self::fit) the pixel and the span's channels.
    #[inline(always)]
    pub(super) unsafe fn put<S: Simd<E>>(
        &self,
        index: usize,
        c: usize,
        span: S::Span,
        sum: S::Vector,
    ) {
        // SAFETY: the caller has the instructions, and the memory fits the pixel.
        unsafe {
            let sum = if self.relu { S::relu(sum) } else { sum };
            let at = index * self.ld + c;
            if self.widen {
                S::store_numbers(self.to.cast::<E::Number>().add(at), span, sum);
            } else {
                S::store(self.to.cast::<E>().add(at), span, sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_fits_the_pixels_up_to_its_end() {
        let mut memory = [MaybeUninit::<f32>::uninit(); 10];
        let outputs = Outputs::elements(&mut memory, 4);
        assert!(outputs.fit(0, 4) && outputs.fit(3, 2));
        assert!(!outputs.fit(3, 3) && !outputs.fit(4, 1) && !outputs.fit(usize::MAX, 1));
        assert!(
            outputs.start().is_some() && Outputs::<f32>::numbers(&mut memory, 4).start().is_none()
        );
    }
}
