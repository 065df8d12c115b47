//! A feature map with a normalisation and a ReLU that are still pending.
//!
//! Batch norm and ReLU are two multiplications and a comparison for each element, but as operators of their own each
//! reads and writes the whole map. A [`FeatureMap`] remembers them instead, and the next operator that reads the map
//! (a depthwise convolution, a pool, a sum) applies them on the way in. The backward pass does the same in reverse.

mod batch_norm;
mod moments;
mod normalize;
mod on_gpu;
mod on_gradient;
mod pending;
mod prologue;
mod reduce;
mod resolve;
mod sum_over_processes;
mod sums;
mod synchronised;

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use batch_norm::Normalization;

use crate::autograd::{Incoming, record};
use crate::cuda_kernels;
use crate::dense::expect_floating;
use crate::nhwc::{covers, laid_out, with_element};
use crate::simd::Element;

pub use batch_norm::{BatchNorm, Statistics};
pub(crate) use pending::{Pending, PendingMap};
pub(crate) use prologue::{Prologue, with_prologue};
pub(crate) use reduce::{IntoMap, gradients_by_row};
pub use resolve::add;
pub use sum_over_processes::SumOverProcesses;
pub(crate) use sums::{add_to, sums_by_row};
pub use synchronised::synchronised_batch_norm;

/// Values `[N, C, H, W]` and the operations that are pending on them, in this order: normalisation, ReLU.
///
/// [`Self::resolve`] applies them. Gradients flow through every operation on a map; there is no second derivative.
#[derive(Debug)]
pub struct FeatureMap {
    values: Tensor,
    /// Weight and bias of the pending normalisation, if there is one.
    affine: Option<[Tensor; 2]>,
    pending: Pending,
}

impl From<&Tensor> for FeatureMap {
    fn from(values: &Tensor) -> Self {
        values.shallow_clone().into()
    }
}

impl From<Tensor> for FeatureMap {
    fn from(values: Tensor) -> Self {
        Self { values, affine: None, pending: Pending::default() }
    }
}

impl FeatureMap {
    /// `values: [N, C, H, W]`, batch-normalised; `None` where our kernels do not compute on such a tensor, such as one of
    /// fp32 on a GPU.
    ///
    /// With [`Statistics::OfBatch`] statistics are measured in one pass and enter the running ones. An empty batch has no
    /// statistics and leaves the running ones alone.
    /// PyTorch: `F.batch_norm`.
    ///
    /// # Panics
    /// Where `values` does not hold floating-point numbers or has other dimensions, and where a tensor of `norm` is not
    /// `[C]` on the CPU.
    pub fn batch_normalized(
        values: Tensor,
        norm: &BatchNorm,
        statistics: Statistics,
    ) -> Option<Self> {
        expect_floating(&values);
        if statistics == Statistics::OfBatch
            && cuda_kernels::covers(&values)
            && SumOverProcesses::current().is_none()
        {
            return on_gpu::batch_norm(&values, norm).map(Self::from);
        }
        covers(&values).then(|| {
            let normalization = Normalization::new(&values, norm, statistics);
            let affine = [norm.weight, norm.bias].map(Tensor::shallow_clone);
            let pending = Pending { norm: Some(Arc::new(normalization)), relu: false };
            Self { values, affine: Some(affine), pending }
        })
    }

    /// The same map with a ReLU at its end. It stays pending for our kernels; for libtorch's it is applied here, once for
    /// all readers.
    pub fn relu(mut self) -> Self {
        let ours = || covers(&self.values) || cuda_kernels::covers(&self.values);
        if self.pending.norm.is_none() && self.values.defined() && !ours() {
            self.values = self.values.relu();
        } else {
            self.pending.relu = true;
        }
        self
    }

    /// The same map once more; nothing is copied.
    pub fn shallow_clone(&self) -> Self {
        let affine =
            self.affine.as_ref().map(|affine| affine.each_ref().map(Tensor::shallow_clone));
        Self { values: self.values.shallow_clone(), affine, pending: self.pending.clone() }
    }

    /// The shape `[N, C, H, W]`.
    ///
    /// # Panics
    /// Where the map was made from an undefined tensor.
    pub fn size(&self) -> Vec<i64> {
        self.expect_defined();
        self.values.size()
    }

    /// The kind of the values, which is also that of the resolved map.
    ///
    /// # Panics
    /// Where the map was made from an undefined tensor.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.expect_defined();
        self.values.kind()
    }

    /// The device of the values.
    ///
    /// # Panics
    /// Where the map was made from an undefined tensor.
    #[must_use]
    pub fn device(&self) -> Device {
        self.expect_defined();
        self.values.device()
    }

    /// The map as a tensor `[N, C, H, W]` with everything applied: channels-last in memory, or the values themselves
    /// where nothing is pending.
    ///
    /// # Panics
    /// Where the map was made from an undefined tensor and a ReLU is pending, and where the values were replaced by others
    /// that the pending normalisation does not fit.
    pub fn resolve(&self) -> Tensor {
        match &self.pending {
            Pending { norm: None, relu: false } => self.values.shallow_clone(),
            Pending { norm: None, relu: true } if !covers(&self.values) => {
                self.expect_defined();
                self.values.relu()
            }
            _ => resolve::resolve(self),
        }
    }

    fn expect_defined(&self) {
        let defined = self.values.defined();
        assert!(defined, "expected feature maps [N, C, H, W], got an undefined tensor");
    }

    /// The values as stored, for operators that apply the rest themselves.
    pub(crate) fn values(&self) -> &Tensor {
        &self.values
    }

    /// The values and whether a ReLU is pending, where nothing else is.
    pub(crate) fn values_and_relu(&self) -> Option<(&Tensor, bool)> {
        self.pending.norm.is_none().then_some((&self.values, self.pending.relu))
    }

    /// The tensors that a gradient flows to: the values, then weight and bias of the normalisation.
    pub(crate) fn inputs(&self) -> Vec<&Tensor> {
        std::iter::once(&self.values).chain(self.affine.iter().flatten()).collect()
    }

    /// The map as the kernels read it, without gradients.
    pub(crate) fn laid_out(&self) -> PendingMap {
        PendingMap::new(&self.values, self.pending.clone())
    }
}

/// Records an operator on `maps` and `weights`. Its backward pass receives both again, and the `kept` tensors besides.
///
/// The closure receives the maps, then weights and kept tensors, the gradient laid out as the kernels read it, and for
/// each input whether its gradient is asked for; see [`record`].
pub(crate) fn record_on(
    maps: &[&FeatureMap],
    weights: &[&Tensor],
    kept: &[&Tensor],
    output: &Tensor,
    backward: impl Fn(&[PendingMap], &[Tensor], &Tensor, &[bool]) -> Vec<Option<Tensor>>
    + Send
    + Sync
    + 'static,
) {
    let mut inputs: Vec<&Tensor> = maps.iter().flat_map(|map| map.inputs()).collect();
    inputs.extend(weights);
    let mut saved: Vec<&Tensor> = maps.iter().map(|map| map.values()).collect();
    saved.extend(weights);
    saved.extend(kept);
    let pending: Vec<Pending> = maps.iter().map(|map| map.pending.clone()).collect();
    let count = inputs.len();
    record(&inputs, &[output], &saved, move |Incoming { saved, gradients, needed }| {
        let Some(gradient) = &gradients[0] else { return (0..count).map(|_| None).collect() };
        let maps = pending.iter().zip(saved);
        let maps: Vec<PendingMap> =
            maps.map(|(pending, values)| PendingMap::new(values, pending.clone())).collect();
        backward(&maps, &saved[pending.len()..], &laid_out(gradient), needed)
    });
}

/// The gradients in a map's [`FeatureMap::inputs`], given the gradient in the tensor that it resolves to.
///
/// Two passes over values and gradient where there is a normalisation, one where there is only a ReLU, none where there
/// is neither.
pub(crate) fn backward(map: &PendingMap, gradient: &Tensor) -> Vec<Option<Tensor>> {
    with_element!(map.kind(), E => match map.norm() {
        None if !map.relu() => vec![Some(gradient.shallow_clone())],
        None => vec![Some(normalize::passed_through::<E>(map, gradient))],
        Some(norm) => {
            let sums = reduce::gradient_sums::<E>(map, gradient);
            finish::<E>(map, norm, gradient, &sums)
        }
    })
}

/// As [`backward`], where the caller has already cut `gradient` off at the ReLU and added up its sums.
pub(crate) fn backward_of_masked<E: Element>(
    map: &PendingMap,
    gradient: Tensor,
    sums: Option<&GradientSums>,
) -> Vec<Option<Tensor>> {
    match (map.norm(), sums) {
        (Some(norm), Some(sums)) => finish::<E>(map, norm, &gradient, sums),
        _ => vec![Some(gradient)],
    }
}

/// For each channel, the sums over all pixels that make up the gradient of a normalisation.
#[derive(Debug)]
pub(crate) struct GradientSums {
    /// Of the gradient.
    pub(crate) gradient: Vec<f64>,
    /// Of the gradient times the centred value.
    pub(crate) product: Vec<f64>,
}

impl GradientSums {
    /// Of the two rows that [`IntoMap`] adds to.
    pub(crate) fn of(totals: Vec<Vec<f64>>) -> Self {
        let [gradient, product] = totals.try_into().expect("two rows of sums");
        Self { gradient, product }
    }
}

/// `weight * inverse deviation * (g - mean(g) - normalised value * mean(g * normalised value))`.
fn finish<E: Element>(
    map: &PendingMap,
    norm: &Normalization,
    gradient: &Tensor,
    sums: &GradientSums,
) -> Vec<Option<Tensor>> {
    let values_gradient = match norm.statistics {
        Statistics::Fixed => normalize::passed_through::<E>(map, gradient),
        Statistics::OfBatch => {
            let centre = norm.centre(sums, map.sizes().pixels());
            normalize::centred::<E>(map, gradient, &centre)
        }
    };
    let [weight_gradient, bias_gradient] = norm.gradients(sums);
    vec![Some(values_gradient), Some(weight_gradient), Some(bias_gradient)]
}

#[cfg(test)]
mod tests;
