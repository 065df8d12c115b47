//! A feature map whose normalisation and ReLU are still to come.
//!
//! Batch norm and ReLU are two multiplications and a comparison an element, but as operators of their own each
//! reads and writes the whole map. A [`FeatureMap`] remembers them instead, and whoever reads the map next
//! (a depthwise convolution, a pool, a sum) applies them on the way in. The backward pass does the same in reverse.

mod batch_norm;
mod normalize;
mod reduce;
mod resolve;
mod synchronised;
mod watch;

use tch::{Device, Kind, Tensor};

use batch_norm::Normalization;

use crate::autograd::{Incoming, record};
use crate::nhwc::{Nhwc, covers, laid_out, with_element};
use crate::parallel::Shared;
use crate::simd::{Element, Number, Simd};

pub use batch_norm::{BatchNorm, Statistics};
pub(crate) use reduce::{IntoMap, add_to, gradients_by_row, sums_by_row};
pub use resolve::add;
pub use synchronised::{SumOverProcesses, synchronised_batch_norm};

/// Values `[N, C, H, W]` and what is still to be applied to them, in this order: normalisation, ReLU.
#[derive(Debug)]
pub struct FeatureMap {
    values: Tensor,
    norm: Option<Normalization>,
    relu: bool,
}

impl From<&Tensor> for FeatureMap {
    fn from(values: &Tensor) -> Self {
        Self { values: values.shallow_clone(), norm: None, relu: false }
    }
}

impl From<Tensor> for FeatureMap {
    fn from(values: Tensor) -> Self {
        Self { values, norm: None, relu: false }
    }
}

impl FeatureMap {
    /// `values`, batch-normalised; `None` where our kernels do not compute on such a tensor.
    ///
    /// Statistics are measured in one pass, and enter the running ones, where `statistics` says so.
    /// PyTorch: `F.batch_norm`.
    pub fn batch_normalized(
        values: Tensor,
        norm: &BatchNorm,
        statistics: Statistics,
    ) -> Option<Self> {
        covers(&values).then(|| {
            let norm = Normalization::new(&values, norm, statistics);
            Self { values, norm: Some(norm), relu: false }
        })
    }

    /// The same map with a ReLU at its end.
    pub fn relu(self) -> Self {
        Self { relu: true, ..self }
    }

    /// The same map once more; nothing is copied.
    pub fn shallow_clone(&self) -> Self {
        let norm = self.norm.as_ref().map(Normalization::shallow_clone);
        Self { values: self.values.shallow_clone(), norm, relu: self.relu }
    }

    /// Shape `[N, C, H, W]`.
    pub fn size(&self) -> Vec<i64> {
        self.values.size()
    }

    /// The kind of the values, which is that of what the map resolves to.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.values.kind()
    }

    /// The device of the values.
    #[must_use]
    pub fn device(&self) -> Device {
        self.values.device()
    }

    /// The map as a tensor, everything applied; the values themselves where nothing was to be.
    pub fn resolve(&self) -> Tensor {
        match self {
            Self { values, norm: None, relu: false } => values.shallow_clone(),
            Self { values, norm: None, relu: true } if !covers(values) => values.relu(),
            _ => resolve::resolve(self),
        }
    }

    /// The values as stored, for those who apply the rest themselves.
    pub(crate) fn values(&self) -> &Tensor {
        &self.values
    }

    /// The tensors that a gradient flows to: the values, then weight and bias of the normalisation.
    pub(crate) fn inputs(&self) -> Vec<&Tensor> {
        let mut inputs = vec![&self.values];
        inputs.extend(self.norm.iter().flat_map(|norm| [&norm.weight, &norm.bias]));
        inputs
    }

    /// What a kernel applies to each element.
    pub(crate) fn prologue<E: Element>(&self) -> Prologue<E::Number> {
        let affine = self.norm.as_ref().map(|norm| (norm.scale(), norm.shift()));
        Prologue { affine, relu: self.relu }
    }

    /// The mean that the values are centred on, if they are normalised.
    pub(crate) fn mean<N: Number>(&self) -> Option<Shared<N>> {
        self.norm.as_ref().map(Normalization::mean)
    }

    /// The plan of the way back; keep it beside the values, which the graph keeps.
    pub(crate) fn tail(&self) -> Tail {
        Tail { norm: self.norm.as_ref().map(Normalization::shallow_clone), relu: self.relu }
    }
}

/// What is pending on a map, without the map: the backward pass has the values from the graph.
#[derive(Debug)]
pub(crate) struct Tail {
    norm: Option<Normalization>,
    relu: bool,
}

// SAFETY: two threads that share a tail only make shallow clones of its tensors, which counts references atomically and
// writes nothing else.
unsafe impl Sync for Tail {}

impl Tail {
    /// The map that this is the tail of.
    pub(crate) fn of(&self, values: &Tensor) -> FeatureMap {
        let norm = self.norm.as_ref().map(Normalization::shallow_clone);
        FeatureMap { values: values.shallow_clone(), norm, relu: self.relu }
    }
}

/// What is applied to an element on the way into a kernel: `x * scale + shift`, then ReLU, or less.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prologue<N> {
    pub(crate) affine: Option<(Shared<N>, Shared<N>)>,
    pub(crate) relu: bool,
}

/// Runs a block with a prologue's two questions answered as constants of the given names, so that a loop in it is
/// compiled without asking.
macro_rules! with_prologue {
    ($prologue:expr, $affine:ident, $relu:ident => $body:expr) => {
        match ($prologue.affine.is_some(), $prologue.relu) {
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

impl<N: Number> Prologue<N> {
    /// Applies it to the channels from `c` on.
    ///
    /// # Safety
    /// The span lies within the map's channels.
    #[inline(always)]
    pub(crate) unsafe fn apply<E: Element<Number = N>, S: Simd<E>>(
        self,
        x: S::Vector,
        c: usize,
        span: S::Span,
    ) -> S::Vector {
        // SAFETY: scale and shift have a number for each channel.
        unsafe {
            let x = match self.affine {
                Some((scale, shift)) => {
                    let scale = S::load_numbers(scale.0.add(c), span);
                    S::fma(x, scale, S::load_numbers(shift.0.add(c), span))
                }
                None => x,
            };
            if self.relu { S::relu(x) } else { x }
        }
    }
}

/// The gradients in a map's [`FeatureMap::inputs`], given the gradient in what it resolves to.
///
/// `gradient` is laid out like the values. Two passes over values and gradient where there is a normalisation,
/// one where there is only a ReLU, none where there is neither.
pub(crate) fn backward(map: &FeatureMap, gradient: &Tensor) -> Vec<Option<Tensor>> {
    let sizes = Nhwc::of(&map.values);
    with_element!(map.values.kind(), E => match &map.norm {
        None if !map.relu => vec![Some(gradient.shallow_clone())],
        None => vec![Some(normalize::passed_through::<E>(map, gradient, sizes))],
        Some(norm) => {
            let sums = reduce::gradient_sums::<E>(map, gradient, sizes);
            finish::<E>(map, norm, gradient, &sums, sizes)
        }
    })
}

/// As [`backward`], where the caller has already cut `gradient` off at the ReLU and added up its sums.
pub(crate) fn backward_of_masked<E: Element>(
    map: &FeatureMap,
    gradient: Tensor,
    sums: Option<&GradientSums>,
) -> Vec<Option<Tensor>> {
    match (&map.norm, sums) {
        (Some(norm), Some(sums)) => finish::<E>(map, norm, &gradient, sums, Nhwc::of(&map.values)),
        _ => vec![Some(gradient)],
    }
}

/// For each channel, the sums over all pixels that the gradient of a normalisation is made of.
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
    map: &FeatureMap,
    norm: &Normalization,
    gradient: &Tensor,
    sums: &GradientSums,
    sizes: Nhwc,
) -> Vec<Option<Tensor>> {
    let values_gradient = match norm.statistics {
        Statistics::Fixed => normalize::passed_through::<E>(map, gradient, sizes),
        Statistics::OfBatch => {
            let centre = norm.centre(sums, sizes.pixels());
            normalize::centred::<E>(map, gradient, &centre, sizes)
        }
    };
    let [weight_gradient, bias_gradient] = norm.gradients(sums);
    vec![Some(values_gradient), Some(weight_gradient), Some(bias_gradient)]
}

/// Records an operator on `maps` and `weights` whose backward pass is given both again, and what it `kept` besides.
///
/// The closure gets the maps, then weights and kept tensors, the gradient laid out as the kernels read it, and
/// which gradients are asked for; see [`record`].
pub(crate) fn record_on(
    maps: &[&FeatureMap],
    weights: &[&Tensor],
    kept: &[&Tensor],
    output: &Tensor,
    backward: impl Fn(&[FeatureMap], &[Tensor], &Tensor, &[bool]) -> Vec<Option<Tensor>>
    + Send
    + Sync
    + 'static,
) {
    let mut inputs: Vec<&Tensor> = maps.iter().flat_map(|map| map.inputs()).collect();
    inputs.extend(weights);
    let mut saved: Vec<&Tensor> = maps.iter().map(|map| map.values()).collect();
    saved.extend(weights);
    saved.extend(kept);
    let tails: Vec<Tail> = maps.iter().map(|map| map.tail()).collect();
    let count = inputs.len();
    record(&inputs, &[output], &saved, move |Incoming { saved, gradients, needed }| {
        let Some(gradient) = &gradients[0] else { return (0..count).map(|_| None).collect() };
        let maps: Vec<FeatureMap> =
            tails.iter().zip(saved).map(|(tail, values)| tail.of(&laid_out(values))).collect();
        backward(&maps, &saved[tails.len()..], &laid_out(gradient), needed)
    });
}

#[cfg(test)]
mod tests;
