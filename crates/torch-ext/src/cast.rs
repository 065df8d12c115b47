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
use crate::dense::is_floating;
use crate::ffi::{self, ErrorText};

/// The operation that an error names.
const OPERATION: &str = "a cast of weights";

/// A weight and its cast.
struct Ready {
    cast: Tensor,
    /// The place of the weight's numbers, which `set_data` changes.
    address: usize,
    /// Kept, so that no other tensor gets the identity of the weight.
    _weight: Tensor,
    /// Kept, so that no other numbers get their place.
    _numbers: Tensor,
}

/// Weights and their casts.
struct Casts {
    kind: Kind,
    /// By what all handles of one tensor share.
    by_identity: HashMap<usize, Ready>,
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
/// A kind that is not of floating-point numbers; weights that are not dense floating-point numbers, of several kinds or on
/// several devices; and libtorch's own.
pub fn with_casts<T>(
    weights: &[&Tensor],
    kind: Kind,
    work: impl FnOnce() -> T,
) -> Result<T, Error> {
    if !is_floating(kind) {
        let message = format!("expected a kind of floating-point numbers, got {kind:?}");
        return Err(Error { operation: OPERATION, message });
    }
    let mut by_identity = HashMap::new();
    if !weights.is_empty() {
        for (weight, cast) in weights.iter().zip(cast_together(weights, kind)?) {
            let address = weight.data_ptr() as usize;
            let (_weight, _numbers) = (weight.shallow_clone(), weight.detach());
            by_identity.insert(identity(weight), Ready { cast, address, _weight, _numbers });
        }
    }
    CASTS.with_borrow_mut(|stack| stack.push(Casts { kind, by_identity }));
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
        let Ready { cast, address, .. } = casts.by_identity.get(&identity(weight))?;
        if weight.data_ptr() as usize != *address {
            return None;
        }
        // SAFETY: no arguments.
        let differentiable = weight.requires_grad() && unsafe { ffi::torch_ext_grad_enabled() };
        (cast.requires_grad() == differentiable).then(|| cast.shallow_clone())
    });
    ready.unwrap_or_else(|| weight.to_kind(kind))
}

/// The address of what all handles of `tensor` share.
fn identity(tensor: &Tensor) -> usize {
    // SAFETY: a live tensor.
    unsafe { ffi::torch_ext_identity(tensor.as_ptr()) as usize }
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
        .map_err(|error| Error::of_libtorch(OPERATION, &error))?;
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

    /// Tensors that share the numbers of a weight are other tensors.
    #[test]
    fn a_cast_belongs_to_its_weight_alone() {
        let [one, ..] = weights();
        let detached = one.detach().set_requires_grad(true);
        with_casts(&[&one], Kind::BFloat16, || {
            let cast = in_kind(&detached, Kind::BFloat16);
            cast.sum(Kind::Float).backward();
            assert!(detached.grad().defined() && !one.grad().defined());
            let negative = tch::no_grad(|| one.internal_neg_view());
            let cast = in_kind(&negative, Kind::BFloat16);
            assert!(cast.equal(&(-one.detach()).to_kind(Kind::BFloat16)));
            let sparse = one.detach().view([5, -1]).to_sparse_sparse_dim(2);
            assert!(in_kind(&sparse, Kind::BFloat16).is_sparse());
        })
        .unwrap();
    }

    #[test]
    fn a_weight_with_new_numbers_is_cast_anew() {
        let [one, ..] = weights();
        let mut alias = one.shallow_clone();
        with_casts(&[&one], Kind::BFloat16, || {
            for value in [7.0, 8.0, 9.0] {
                alias.set_data(&one.detach().full_like(value));
                let cast = in_kind(&one, Kind::BFloat16);
                assert_eq!(cast.detach().mean(Kind::Float).double_value(&[]), value);
            }
        })
        .unwrap();
    }

    #[test]
    fn casts_are_differentiable_where_the_reader_is() {
        let [one, ..] = weights();
        let inside = tch::no_grad(|| {
            with_casts(&[&one], Kind::BFloat16, || tch::with_grad(|| in_kind(&one, Kind::BFloat16)))
        });
        assert!(inside.unwrap().requires_grad());
        let inside =
            with_casts(&[&one], Kind::BFloat16, || tch::no_grad(|| in_kind(&one, Kind::BFloat16)));
        assert!(!inside.unwrap().requires_grad());
    }

    #[test]
    fn kinds_without_a_gradient_are_refused() {
        let [one, ..] = weights();
        for kind in [Kind::Int64, Kind::Bool, Kind::ComplexFloat] {
            let error = with_casts(&[&one], kind, || ()).unwrap_err().to_string();
            assert!(error.contains("expected a kind of floating-point numbers"), "{error}");
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
