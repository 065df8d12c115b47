//! A map as the kernels read it: values laid out channels-last, and the operations that are pending on them.
//!
//! The pending part holds no tensor, so that a backward pass can keep it and run on any thread.

use std::sync::Arc;

use tch::{Kind, Tensor};

use super::Prologue;
use super::batch_norm::Normalization;
use crate::nhwc::{Nhwc, laid_out};
use crate::simd::{Element, Number};
use crate::view::View;

/// The operations that are pending on a map, in the order in which they apply.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pending {
    pub(super) norm: Option<Arc<Normalization>>,
    pub(super) relu: bool,
}

/// Values in the layout that the kernels read, and what is pending on them.
#[derive(Debug)]
pub(crate) struct PendingMap {
    values: Tensor,
    sizes: Nhwc,
    pending: Pending,
}

impl PendingMap {
    /// `values: [N, C, H, W]`, without gradients and laid out.
    ///
    /// # Panics
    /// Where `values` cannot be laid out, and where a pending normalisation has another number of channels.
    pub(super) fn new(values: &Tensor, pending: Pending) -> Self {
        let sizes = Nhwc::of(values);
        if let Some(norm) = &pending.norm {
            let (c, expected) = (sizes.c, norm.channels());
            assert!(c == expected, "expected a map of {expected} channels to normalise, got {c}");
        }
        // Detached, so that whoever holds `values` cannot give this tensor other sizes.
        Self { values: laid_out(&values.detach()), sizes, pending }
    }

    /// The values as stored.
    pub(crate) fn values(&self) -> &Tensor {
        &self.values
    }

    /// The sizes of the map.
    pub(crate) fn sizes(&self) -> Nhwc {
        self.sizes
    }

    /// The kind of the values.
    pub(crate) fn kind(&self) -> Kind {
        self.values.kind()
    }

    /// The pending normalisation.
    pub(super) fn norm(&self) -> Option<&Normalization> {
        self.pending.norm.as_deref()
    }

    /// Whether a ReLU is pending.
    pub(super) fn relu(&self) -> bool {
        self.pending.relu
    }

    /// The memory of the values.
    ///
    /// # Panics
    /// Where they hold another kind than `E`.
    pub(crate) fn view<E: Element>(&self) -> View<'_, E> {
        View::of(&self.values)
    }

    /// The operations that a kernel applies to each element.
    pub(crate) fn prologue<N: Number>(&self) -> Prologue<'_, N> {
        let affine = self.norm().map(|norm| [norm.scale(), norm.shift()]);
        Prologue::new(affine, self.pending.relu)
    }

    /// For each channel, the mean that the values are centred on, if they are normalised.
    pub(crate) fn mean<N: Number>(&self) -> Option<&[N]> {
        self.norm().map(Normalization::mean)
    }
}
