//! How a kernel is fitted to the borders of an image.

use torch_ext::FeatureMap;

use crate::Error;

/// Zeros (for a pool: nothing) around the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding {
    /// This many rows above and below, and columns left and right, as PyTorch counts.
    Explicit([i64; 2]),
    /// TensorFlow's `SAME`: `ceil(size / stride)` outputs, and where the padding is odd the extra row or column
    /// goes below or right. On even inputs with stride 2 this shifts the grid by one pixel against PyTorch's
    /// `padding=1`, so no network trained with one is the same network under the other.
    Same,
}

impl Padding {
    /// No padding: TensorFlow's `VALID`, PyTorch's default.
    pub const VALID: Padding = Padding::Explicit([0, 0]);

    /// Padding before and after along one axis of `size` pixels.
    pub fn along(
        self,
        axis: usize,
        size: i64,
        kernel: i64,
        stride: i64,
        dilation: i64,
    ) -> (i64, i64) {
        match self {
            Padding::Explicit(padding) => (padding[axis], padding[axis]),
            Padding::Same => {
                let outputs = (size + stride - 1) / stride;
                let total = ((outputs - 1) * stride + dilation * (kernel - 1) + 1 - size).max(0);
                (total / 2, total - total / 2)
            }
        }
    }

    /// Outputs along one axis of `size` pixels.
    pub fn outputs(self, axis: usize, size: i64, kernel: i64, stride: i64, dilation: i64) -> i64 {
        let (before, after) = self.along(axis, size, kernel, stride, dilation);
        (size + before + after - dilation * (kernel - 1) - 1).div_euclid(stride) + 1
    }

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

    pub(crate) fn validate(self) -> Result<(), Error> {
        match self {
            Padding::Explicit(padding) => padding
                .into_iter()
                .find(|&p| p < 0)
                .map_or(Ok(()), |p| Err(Error::NegativePadding(p))),
            Padding::Same => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Padding;

    #[track_caller]
    fn check(
        size: i64,
        kernel: i64,
        stride: i64,
        dilation: i64,
        expected: (i64, i64),
        outputs: i64,
    ) {
        assert_eq!(Padding::Same.along(0, size, kernel, stride, dilation), expected, "padding");
        assert_eq!(Padding::Same.outputs(0, size, kernel, stride, dilation), outputs, "outputs");
    }

    #[test]
    fn same_is_tensorflows() {
        check(147, 3, 2, 1, (1, 1), 74); // odd: as padding=1
        check(74, 3, 2, 1, (0, 1), 37); // even: one below only
        check(8, 3, 1, 1, (1, 1), 8);
        check(8, 2, 1, 1, (0, 1), 8);
        check(8, 1, 2, 1, (0, 0), 4);
        check(9, 3, 1, 2, (2, 2), 9);
        check(1, 3, 2, 1, (1, 1), 1);
    }
}
