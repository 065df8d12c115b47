//! The place of one of our variables in a foreign state dict.

use tch::Tensor;

/// Names, shape and order of axes of a variable in the original.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// Its name there; several where the original lists one shared tensor several times.
    pub names: Vec<String>,
    /// Its shape there.
    pub shape: Vec<i64>,
    /// The original's axes in our order.
    axes: Vec<i64>,
}

impl Source {
    /// A tensor with our order of axes.
    pub(super) fn same(names: Vec<String>, shape: Vec<i64>) -> Self {
        let axes = (0..shape.len() as i64).collect();
        Self { names, shape, axes }
    }

    /// A tensor whose axis `axes[i]` is our axis `i`.
    pub(super) fn transposed(name: String, ours: &[i64], axes: &[i64]) -> Self {
        let mut shape = vec![0; ours.len()];
        for (&axis, &size) in axes.iter().zip(ours) {
            shape[axis as usize] = size;
        }
        Self { names: vec![name], shape, axes: axes.to_vec() }
    }

    /// The original's tensor, with the two axes of length 1 of a pointwise kernel, which early PyTorch left out of files.
    pub(super) fn unsqueezed(&self, name: &str, tensor: &Tensor) -> Tensor {
        let short =
            tensor.dim() == 2 && self.shape.len() == 4 && name.ends_with(".pointwise.weight");
        if short { tensor.unsqueeze(-1).unsqueeze(-1) } else { tensor.shallow_clone() }
    }

    /// The original's tensor, with our order of axes.
    ///
    /// # Panics
    /// A tensor with another number of axes than [`Self::shape`].
    pub fn permuted(&self, tensor: &Tensor) -> Tensor {
        tensor.permute(&self.axes).contiguous()
    }

    /// Our tensor, with the original's order of axes: the inverse of [`Source::permuted`].
    ///
    /// # Panics
    /// A tensor with another number of axes than [`Self::shape`].
    pub fn restored(&self, tensor: &Tensor) -> Tensor {
        let mut axes = vec![0; self.axes.len()];
        for (ours, &theirs) in (0..).zip(&self.axes) {
            axes[theirs as usize] = ours;
        }
        tensor.permute(axes).contiguous()
    }
}
