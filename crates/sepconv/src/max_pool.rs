//! Max-pooling with TensorFlow's `SAME` beside PyTorch's padding.

use tch::Tensor;
use torch_ext::{FeatureMap, PoolGeometry};

use crate::Padding;

/// The largest value under a square window: `[N, C, H, W]` to `[N, C, H', W']`, on a CPU channels-last.
///
/// `kernel` is the side of the window and `stride` the distance of two windows, in pixels. Padding never wins: it
/// counts as minus infinity. On a CPU there is no second derivative. PyTorch: `F.max_pool2d(xs, kernel, stride,
/// padding)`.
///
/// # Panics
/// A map that is not `[N, C, H, W]`, a kernel or stride below 1, or a window that covers no pixel of the image.
pub fn max_pool2d(xs: &FeatureMap, kernel: i64, stride: i64, padding: Padding) -> Tensor {
    let size = xs.size();
    assert!(size.len() == 4, "expected images [N, C, H, W], got {size:?}");
    assert!(
        kernel > 0 && stride > 0,
        "expected a kernel and a stride of at least 1, got {kernel} and {stride}"
    );
    let of_axis = |axis: usize| {
        let (before, _) = padding.along(axis, size[axis + 2], kernel, stride, 1);
        (before, padding.outputs(axis, size[axis + 2], kernel, stride, 1))
    };
    let ((top, height), (left, width)) = (of_axis(0), of_axis(1));
    let (before, output) = ([top, left], [height, width]);
    let geometry = PoolGeometry { kernel, stride, before, output };
    torch_ext::max_pool2d(xs, geometry).unwrap_or_else(|| {
        // An odd row of SAME padding lies below: a last window that hangs over the edge, which is what ceil mode
        // gives. Where the padding is even, rounding up and down agree.
        let (kernel, stride, ceil_mode) = ([kernel; 2], [stride; 2], padding == Padding::Same);
        xs.resolve().max_pool2d(kernel, stride, before, [1, 1], ceil_mode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[track_caller]
    fn check(height: i64, width: i64, padding: Padding, expected: &[f32]) {
        let xs =
            Tensor::arange(height * width, (Kind::Float, Device::Cpu)).view([1, 1, height, width]);
        let ys: Vec<f32> =
            max_pool2d(&FeatureMap::from(xs), 3, 2, padding).flatten(0, 3).try_into().unwrap();
        assert_eq!(ys, expected);
    }

    #[test]
    fn same_starts_at_the_first_pixel_of_an_even_side() {
        // Rows 0-2 and 2-3, columns likewise.
        check(4, 4, Padding::Same, &[10., 11., 14., 15.]);
    }

    #[test]
    fn same_is_symmetric_on_an_odd_side() {
        check(3, 3, Padding::Same, &[4., 5., 7., 8.]);
        check(3, 3, Padding::Explicit([1, 1]), &[4., 5., 7., 8.]);
    }

    #[test]
    fn sides_are_treated_apart() {
        check(4, 3, Padding::Same, &[7., 8., 10., 11.]);
    }

    #[test]
    fn pytorch_starts_one_pixel_outside() {
        check(4, 4, Padding::Explicit([1, 1]), &[5., 7., 13., 15.]);
    }
}
