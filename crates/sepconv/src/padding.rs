//! Padding: the zeros around an image that a kernel reads.

use torch_ext::FeatureMap;

use crate::{Error, Pair};

/// Zeros around the image; for a pool minus infinity, so that padding never wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Padding<N = [i64; 2]> {
    /// This many rows above and below, and columns left and right. PyTorch: `padding=…`.
    Explicit(N),
    /// Half of the dilated kernel on each side, rounded down: 1 for a kernel of 3, 2 for one of 5. An odd kernel of
    /// stride 1 keeps the size of the image. PyTorch: `padding=dilation * (kernel_size - 1) // 2`.
    #[default]
    Half,
    /// TensorFlow's `SAME`: `ceil(size / stride)` outputs, and where the padding is odd the extra row or column
    /// goes below or right. On even inputs with stride 2 this shifts the grid by one pixel against PyTorch's
    /// `padding=1`, so no network trained with one is the same network under the other.
    Same,
}

impl Padding {
    /// No padding. TensorFlow: `VALID`; PyTorch: `padding=0`.
    pub const VALID: Padding = Padding::Explicit([0, 0]);
}

impl<N: Pair> Padding<N> {
    /// The padding before and after the image along one axis, in pixels.
    ///
    /// `axis` is 0 for rows and 1 for columns, `size` the image's along it, and `kernel`, `stride` and `dilation` are
    /// the kernel's.
    ///
    /// # Panics
    /// An axis other than 0 and 1; [`Padding::Same`] with a stride of 0.
    #[must_use]
    pub fn along(
        self,
        axis: usize,
        size: i64,
        kernel: i64,
        stride: i64,
        dilation: i64,
    ) -> (i64, i64) {
        match self {
            Padding::Explicit(padding) => (padding.pair()[axis], padding.pair()[axis]),
            Padding::Half => {
                let half = dilation * (kernel - 1) / 2;
                (half, half)
            }
            Padding::Same => {
                let outputs = (size + stride - 1) / stride;
                let total = ((outputs - 1) * stride + dilation * (kernel - 1) + 1 - size).max(0);
                (total / 2, total - total / 2)
            }
        }
    }

    /// The outputs along one axis; below 1 where the kernel does not fit into the padded image. Arguments as for
    /// [`Padding::along`].
    ///
    /// # Panics
    /// An axis other than 0 and 1; a stride of 0.
    #[must_use]
    pub fn outputs(self, axis: usize, size: i64, kernel: i64, stride: i64, dilation: i64) -> i64 {
        let (before, after) = self.along(axis, size, kernel, stride, dilation);
        (size + before + after - dilation * (kernel - 1) - 1).div_euclid(stride) + 1
    }

    /// The same padding, with rows and columns apart.
    #[must_use]
    pub fn pairs(self) -> Padding {
        match self {
            Padding::Explicit(padding) => Padding::Explicit(padding.pair()),
            Padding::Half => Padding::Half,
            Padding::Same => Padding::Same,
        }
    }

    pub(crate) fn validate(self) -> Result<(), Error> {
        match self {
            Padding::Explicit(padding) => padding
                .pair()
                .into_iter()
                .find(|&p| p < 0)
                .map_or(Ok(()), |p| Err(Error::NegativePadding(p))),
            Padding::Half | Padding::Same => Ok(()),
        }
    }
}

impl Padding {
    /// Makes the padding symmetric for libtorch: returns the image, padded by hand on the side that has more,
    /// and the symmetric rest.
    pub(crate) fn symmetric(
        self,
        xs: FeatureMap,
        kernel: [i64; 2],
        stride: [i64; 2],
        dilation: [i64; 2],
    ) -> (FeatureMap, [i64; 2]) {
        let size = xs.size();
        let (top, bottom) = self.along(0, size[size.len() - 2], kernel[0], stride[0], dilation[0]);
        let (left, right) = self.along(1, size[size.len() - 1], kernel[1], stride[1], dilation[1]);
        let padded = match (bottom - top, right - left) {
            (0, 0) => xs,
            (below, beside) => xs.resolve().constant_pad_nd([0, beside, 0, below]).into(),
        };
        (padded, [top, left])
    }

    /// The same padding on all sides, whatever the size of the image; `None` where it depends on that.
    pub(crate) fn at_every_size(
        self,
        kernel: [i64; 2],
        stride: [i64; 2],
        dilation: [i64; 2],
    ) -> Option<[i64; 2]> {
        let half = [0, 1].map(|axis| dilation[axis] * (kernel[axis] - 1) / 2);
        match self {
            Padding::Explicit(padding) => Some(padding),
            Padding::Half => Some(half),
            Padding::Same if kernel == [1, 1] => Some([0, 0]),
            Padding::Same if stride == [1, 1] && kernel.iter().all(|size| size % 2 == 1) => {
                Some(half)
            }
            Padding::Same => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Padding;

    #[track_caller]
    fn check(
        padding: Padding,
        (size, kernel, stride, dilation): (i64, i64, i64, i64),
        expected: (i64, i64),
        outputs: i64,
    ) {
        assert_eq!(padding.along(0, size, kernel, stride, dilation), expected, "padding");
        assert_eq!(padding.outputs(0, size, kernel, stride, dilation), outputs, "outputs");
    }

    #[test]
    fn same_is_tensorflows() {
        check(Padding::Same, (147, 3, 2, 1), (1, 1), 74); // odd: as padding=1
        check(Padding::Same, (74, 3, 2, 1), (0, 1), 37); // even: one below only
        check(Padding::Same, (8, 3, 1, 1), (1, 1), 8);
        check(Padding::Same, (8, 2, 1, 1), (0, 1), 8);
        check(Padding::Same, (8, 1, 2, 1), (0, 0), 4);
        check(Padding::Same, (9, 3, 1, 2), (2, 2), 9);
        check(Padding::Same, (1, 3, 2, 1), (1, 1), 1);
    }

    #[test]
    fn half_is_the_same_on_both_sides() {
        check(Padding::Half, (8, 3, 1, 1), (1, 1), 8);
        check(Padding::Half, (8, 3, 2, 1), (1, 1), 4);
        check(Padding::Half, (9, 5, 1, 2), (4, 4), 9);
        check(Padding::Half, (8, 1, 2, 1), (0, 0), 4);
        check(Padding::Half, (8, 4, 1, 1), (1, 1), 7); // an even kernel loses a pixel
    }

    #[test]
    fn one_number_pads_rows_and_columns() {
        assert_eq!(Padding::Explicit(2).pairs(), Padding::Explicit([2, 2]));
        assert_eq!(Padding::Explicit([1, 2]).along(1, 8, 3, 1, 1), (2, 2));
    }
}
