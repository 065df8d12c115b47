//! Weights in the kind that a network computes in, cast by one kernel for all of them.
//!
//! A network computes in bf16 and keeps its weights in fp32. Cast layer by layer, they are a kernel each, and their
//! gradients another: 148 in a step of the CIFAR-10 notebook's network, which on a GPU is bound by such launches.

use std::cell::RefCell;
use std::collections::HashMap;

use tch::{Kind, Tensor};
use torch_sys::C_tensor;

use crate::Error;
use crate::autograd::{Incoming, record};
use crate::ffi::{self, ErrorText};

/// The operation that an error names.
const OPERATION: &str = "a cast of weights";

/// The place of a tensor's numbers in memory, and their order.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Place {
    address: usize,
    size: Vec<i64>,
    stride: Vec<i64>,
}

impl Place {
    fn of(tensor: &Tensor) -> Self {
        Self { address: tensor.data_ptr() as usize, size: tensor.size(), stride: tensor.stride() }
    }
}

/// Weights and their casts.
struct Casts {
    kind: Kind,
    /// The weights are kept, so that no other tensor gets their memory.
    by_place: HashMap<Place, [Tensor; 2]>,
}

thread_local! {
    /// Those of every [`with_casts`] under way on this thread, the innermost last.
    static CASTS: RefCell<Vec<Casts>> = const { RefCell::new(Vec::new()) };
}

/// Does `work`, in which [`in_kind`] has casts of `weights` to `kind` ready, on this thread. One kernel or a few cast all
/// of them, and in the backward pass as many cast their gradients back, after the last of them is computed.
///
/// The casts are of the weights as they are now. PyTorch's counterpart is the cache of casts of `torch.autocast`, which
/// casts each weight by itself.
///
/// # Errors
/// Weights that are not dense floating-point numbers, of several kinds or on several devices; and libtorch's own.
pub fn with_casts<T>(
    weights: &[&Tensor],
    kind: Kind,
    work: impl FnOnce() -> T,
) -> Result<T, Error> {
    let by_place = if weights.is_empty() {
        HashMap::new()
    } else {
        let casts = cast_together(weights, kind)?;
        let pair = |(weight, cast): (&&Tensor, Tensor)| {
            (Place::of(weight), [weight.shallow_clone(), cast])
        };
        weights.iter().zip(casts).map(pair).collect()
    };
    CASTS.with_borrow_mut(|stack| stack.push(Casts { kind, by_place }));
    let _leave = Leave;
    Ok(work())
}

/// Removes the innermost casts, also when the work panics.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        // Dropped outside the borrow.
        drop(CASTS.with_borrow_mut(Vec::pop));
    }
}

/// `weight` in `kind`, differentiably: the cast that [`with_casts`] has ready, `weight` itself where the kinds agree, or
/// else a cast. PyTorch: `weight.to(kind)`.
///
/// # Panics
/// An undefined tensor.
pub fn in_kind(weight: &Tensor, kind: Kind) -> Tensor {
    if weight.kind() == kind {
        return weight.shallow_clone();
    }
    let ready = CASTS.with_borrow(|stack| {
        let casts = stack.last().filter(|casts| casts.kind == kind)?;
        let [own, cast] = casts.by_place.get(&Place::of(weight))?;
        // Another tensor at that place would be a view of the weight, with a graph of its own.
        (own.requires_grad() == weight.requires_grad()).then(|| cast.shallow_clone())
    });
    ready.unwrap_or_else(|| weight.to_kind(kind))
}

/// `weights` in `kind`, in one node of the graph.
fn cast_together(weights: &[&Tensor], kind: Kind) -> Result<Vec<Tensor>, Error> {
    let casts = tch::no_grad(|| copies(ffi::torch_ext_cast_weights, weights, kind))?;
    let from = weights[0].kind();
    let outputs: Vec<&Tensor> = casts.iter().collect();
    record(weights, &outputs, &[], move |Incoming { gradients, .. }| {
        let given: Vec<&Tensor> = gradients.iter().flatten().collect();
        if given.is_empty() {
            return gradients.iter().map(|_| None).collect();
        }
        let casts = copies(ffi::torch_ext_cast_gradients, &given, from);
        let mut cast = casts.unwrap_or_else(|error| panic!("{error}")).into_iter();
        let next = |gradient: &Option<Tensor>| gradient.as_ref().and_then(|_| cast.next());
        gradients.iter().map(next).collect()
    });
    Ok(casts)
}

/// A function of `cpp/foreach.cpp` that casts a list of tensors.
type Cast = unsafe extern "C" fn(
    *const *mut C_tensor,
    usize,
    *const C_tensor,
    *mut *mut C_tensor,
) -> ErrorText;

/// The copies that `cast` makes of `tensors`, at least one, in `kind`.
fn copies(cast: Cast, tensors: &[&Tensor], kind: Kind) -> Result<Vec<Tensor>, Error> {
    let list = ffi::pointers(tensors.iter().copied());
    let defined = tensors.iter().all(|tensor| tensor.defined());
    let device = if defined { tensors[0].device() } else { tch::Device::Cpu };
    let model = Tensor::f_empty([0], (kind, device))
        .map_err(|error| Error { operation: OPERATION, message: error.to_string() })?;
    let mut outputs: Vec<*mut C_tensor> = vec![std::ptr::null_mut(); list.len()];
    // SAFETY: the list points to live tensors, `outputs` has as many places, and `model` is a live tensor.
    ffi::check(OPERATION, unsafe {
        cast(list.as_ptr(), list.len(), model.as_ptr(), outputs.as_mut_ptr())
    })?;
    // SAFETY: on success each place has a new at::Tensor, which `from_ptr` takes over.
    Ok(outputs.into_iter().map(|tensor| unsafe { Tensor::from_ptr(tensor) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn weights() -> [Tensor; 3] {
        let kernel = Tensor::arange(2 * 3 * 5, (Kind::Float, Device::Cpu)) * 0.37;
        let kernel = kernel.view([5, 2, 1, 3]);
        let last = crate::channels_last(&(&kernel + 1)).unwrap();
        [kernel, last, Tensor::from(1.1_f32)].map(|tensor| tensor.detach().set_requires_grad(true))
    }

    #[test]
    fn casts_and_gradients_are_those_of_single_casts() {
        let both = [true, false].map(|together| {
            let weights = weights();
            let list: Vec<&Tensor> = weights.iter().collect();
            let used = || weights.each_ref().map(|weight| in_kind(weight, Kind::BFloat16));
            let casts =
                if together { with_casts(&list, Kind::BFloat16, used).unwrap() } else { used() };
            let loss = casts.iter().map(|cast| (cast * cast).sum(Kind::BFloat16)).sum::<Tensor>();
            let gradients = Tensor::run_backward(&[loss], &list, false, false);
            (casts.map(|cast| (cast.kind(), cast.stride(), cast)), gradients)
        });
        let [(together, summed), (single, alone)] = both;
        for ((kind, stride, cast), (other_kind, other_stride, other)) in
            together.iter().zip(&single)
        {
            assert_eq!((kind, stride), (other_kind, other_stride));
            assert!(cast.equal(other));
        }
        for (gradient, other) in summed.iter().zip(&alone) {
            assert_eq!(gradient.kind(), Kind::Float);
            assert!(gradient.equal(other), "{gradient} {other}");
        }
    }

    /// The gradient of a sum is one number for all places, and that of every second column has gaps.
    #[test]
    fn gradients_need_not_be_dense() {
        let [one, other, _] = weights();
        let list = [&one, &other];
        let cast = || list.map(|weight| in_kind(weight, Kind::BFloat16));
        let [one_cast, other_cast] = with_casts(&list, Kind::BFloat16, cast).unwrap();
        let loss =
            one_cast.sum(Kind::BFloat16) + other_cast.slice(3, 0, None, 2).sum(Kind::BFloat16);
        let gradients = Tensor::run_backward(&[loss], &list, false, false);
        assert!(gradients[0].equal(&one.detach().ones_like()));
        let columns: Vec<f32> = gradients[1].get(0).get(0).get(0).try_into().unwrap();
        assert_eq!(columns, [1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_weight_that_is_not_used_has_no_gradient() {
        let [one, other, _] = weights();
        let cast = with_casts(&[&one, &other], Kind::BFloat16, || in_kind(&one, Kind::BFloat16));
        cast.unwrap().sum(Kind::Float).backward();
        assert!(one.grad().equal(&one.detach().ones_like()) && !other.grad().defined());
    }

    #[test]
    fn others_are_cast_one_by_one() {
        let [one, other, _] = weights();
        let seen = with_casts(&[&one], Kind::BFloat16, || {
            [
                in_kind(&other, Kind::BFloat16),
                in_kind(&one, Kind::Double),
                in_kind(&one, Kind::Float),
            ]
        });
        let expected =
            [other.to_kind(Kind::BFloat16), one.to_kind(Kind::Double), one.shallow_clone()];
        for (got, expected) in seen.unwrap().iter().zip(expected) {
            assert!(got.kind() == expected.kind() && got.equal(&expected));
        }
    }

    #[test]
    fn the_casts_end_with_the_work_however_it_ends() {
        let [one, ..] = weights();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            with_casts(&[&one], Kind::BFloat16, || panic!("enough")).unwrap()
        }));
        assert!(panicked.is_err());
        assert!(CASTS.with_borrow(Vec::is_empty));
    }

    #[test]
    fn what_is_no_weight_is_refused() {
        let whole = Tensor::from_slice(&[1_i64]);
        let wide = Tensor::from(1.0).expand([3], false);
        for (tensor, reason) in [
            (&whole, "of floating-point numbers"),
            (&Tensor::new(), "got an undefined tensor"),
            (&wide, "without gaps or repetition"),
        ] {
            let error = with_casts(&[tensor], Kind::BFloat16, || ()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let [one, ..] = weights();
        let error = with_casts(&[&one, &one.to_kind(Kind::Double)], Kind::BFloat16, || ());
        assert!(error.unwrap_err().to_string().contains("of one kind on one device"));
    }
}
