//! Views: the memory of a feature map as the kernels walk it.
//!
//! A view has the lifetime of the tensor that it borrows, and its only constructor compares kind, device, layout and
//! sizes with what a kernel expects. Tensors have interior mutability, so a view is made just before a kernel runs and
//! ends with it: no code that could resize the tensor runs in between.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use tch::Tensor;

use crate::dense::{described, is_dense};
use crate::nhwc::Nhwc;
use crate::simd::Element;

/// A channels-last map in the memory of the CPU that is read.
#[derive(Debug)]
pub(crate) struct View<'a, E> {
    start: *const E,
    sizes: Nhwc,
    map: PhantomData<&'a [E]>,
}

impl<'a, E: Element> View<'a, E> {
    /// The memory of `map`.
    ///
    /// # Panics
    /// Where it is not as [`laid_out`](crate::nhwc::laid_out) returns it, or holds another kind than `E`.
    pub(crate) fn of(map: &'a Tensor) -> Self {
        Self { sizes: checked::<E>(map), start: map.data_ptr().cast(), map: PhantomData }
    }

    /// The same memory where `T` is the very type `E`.
    pub(crate) fn cast<T: Element>(self) -> Option<View<'a, T>> {
        let Self { start, sizes, .. } = self;
        (T::KIND == E::KIND).then(|| View { start: start.cast(), sizes, map: PhantomData })
    }

    /// The sizes of the map, all of whose elements lie at [`Self::start`] and after it.
    pub(crate) fn sizes(self) -> Nhwc {
        self.sizes
    }

    /// All elements, pixel by pixel in the order of the images.
    pub(crate) fn elements(self) -> &'a [E] {
        if self.sizes.elements() == 0 {
            return &[];
        }
        // SAFETY: `of` has seen a dense map of `E` with so many elements, which is borrowed for `'a`.
        unsafe { std::slice::from_raw_parts(self.start, self.sizes.elements()) }
    }

    /// The first element.
    pub(crate) fn start(self) -> *const E {
        self.start
    }
}

impl<E> Clone for View<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for View<'_, E> {}

// SAFETY: a view is a shared borrow of a list of `E`.
unsafe impl<E: Sync> Send for View<'_, E> {}
// SAFETY: as for `Send`.
unsafe impl<E: Sync> Sync for View<'_, E> {}

/// A channels-last map that nobody else has seen yet, so that it can be written to.
#[derive(Debug)]
pub(crate) struct NewMap(Tensor);

impl NewMap {
    /// A map of these sizes without values, of the kind and on the device of `like`.
    pub(crate) fn empty(sizes: Nhwc, like: &Tensor) -> Self {
        Self(sizes.addressable().empty(like))
    }

    /// The map, once it is written.
    pub(crate) fn into_tensor(self) -> Tensor {
        self.0
    }
}

/// A channels-last map in the memory of the CPU that is written to.
#[derive(Debug)]
pub(crate) struct ViewMut<'a, E> {
    elements: &'a mut [MaybeUninit<E>],
    sizes: Nhwc,
}

impl<'a, E: Element> ViewMut<'a, E> {
    /// The memory of `map`.
    ///
    /// # Panics
    /// Where it holds another kind than `E`, or is on another device.
    pub(crate) fn of(map: &'a mut NewMap) -> Self {
        let sizes = checked::<E>(&map.0);
        let (start, count) = (map.0.data_ptr().cast(), sizes.elements());
        if count == 0 {
            return Self { elements: &mut [], sizes };
        }
        // SAFETY: the map is dense, so that these elements exist; `map` is the only handle on them and is borrowed
        // exclusively as long as the list lives.
        let elements = unsafe { std::slice::from_raw_parts_mut(start, count) };
        Self { elements, sizes }
    }

    /// The elements, pixel by pixel in the order of the images.
    pub(crate) fn into_elements(self) -> &'a mut [MaybeUninit<E>] {
        self.elements
    }

    /// The sizes of the map.
    pub(crate) fn sizes(&self) -> Nhwc {
        self.sizes
    }
}

/// The sizes of `map`, which is a dense channels-last map of `E`.
fn checked<E: Element>(map: &Tensor) -> Nhwc {
    let expected = || format!("expected channels-last feature maps of {:?} on the CPU", E::KIND);
    assert!(is_dense(map) && map.kind() == E::KIND, "{}, got {}", expected(), described(map));
    let (sizes, strides) = (Nhwc::of(map), map.stride());
    let Nhwc { n, h, w, c } = sizes;
    let lies = [(n, h * w * c), (c, 1), (h, w * c), (w, c)].into_iter().zip(&strides);
    let lies = lies.into_iter().all(|((size, step), &stride)| size < 2 || stride == step as i64)
        && map.data_ptr().cast::<E>().is_aligned();
    assert!(
        lies || sizes.elements() == 0,
        "{}, got {} with strides {strides:?}",
        expected(),
        described(map)
    );
    sizes
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::nhwc::laid_out;
    use crate::simd::Bf16;

    fn zeros(shape: [i64; 4]) -> Tensor {
        Tensor::zeros(shape, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn a_laid_out_map_has_a_view_of_its_sizes() {
        for shape in [[2, 3, 4, 5], [1, 3, 4, 5], [2, 1, 4, 5], [2, 3, 1, 1], [2, 3, 0, 5]] {
            let map = laid_out(&zeros(shape));
            let Nhwc { n, h, w, c } = View::<f32>::of(&map).sizes();
            assert_eq!([n, c, h, w].map(|size| size as i64), shape);
        }
    }

    #[test]
    fn a_view_is_cast_to_its_own_type_only() {
        let map = laid_out(&zeros([1, 2, 3, 4]));
        assert!(View::<f32>::of(&map).cast::<f32>().is_some());
        assert!(View::<f32>::of(&map).cast::<Bf16>().is_none());
    }

    #[test]
    #[should_panic(
        expected = "expected channels-last feature maps of Float on the CPU, got [2, 3, 4, 5] of \
                    Float on Cpu with strides [60, 20, 5, 1]"
    )]
    fn another_layout_is_refused() {
        View::<f32>::of(&zeros([2, 3, 4, 5]));
    }

    #[test]
    #[should_panic(
        expected = "expected channels-last feature maps of BFloat16 on the CPU, got [2, 3, 4, 5] of \
                    Float on Cpu"
    )]
    fn another_kind_is_refused() {
        View::<Bf16>::of(&laid_out(&zeros([2, 3, 4, 5])));
    }

    #[test]
    #[should_panic(expected = "expected feature maps [N, C, H, W], got [2, 3] of Float on Cpu")]
    fn other_dimensions_are_refused() {
        View::<f32>::of(&Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)));
    }

    #[test]
    fn a_new_map_is_written_through_its_view() {
        let sizes = Nhwc { n: 1, h: 2, w: 3, c: 2 };
        let mut map = NewMap::empty(sizes, &zeros([1, 1, 1, 1]));
        for (index, element) in ViewMut::of(&mut map).into_elements().iter_mut().enumerate() {
            element.write(index as f32);
        }
        let written = map.into_tensor().permute([0, 2, 3, 1]).flatten(0, 3);
        assert_eq!(
            Vec::<f32>::try_from(written).unwrap(),
            [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.]
        );
    }

    #[test]
    #[should_panic(
        expected = "feature maps of [1, 2, 4611686018427387904, 4] do not fit in memory"
    )]
    fn sizes_that_overflow_are_refused() {
        drop(NewMap::empty(Nhwc { n: 1, h: 1 << 62, w: 4, c: 2 }, &zeros([1, 1, 1, 1])));
    }
}
