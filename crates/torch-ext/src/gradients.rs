//! Gradients, each heard of while the rest of the backward pass still runs.

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::{Error, ffi};

/// The gradient of `loss` in each of `parameters`, in their order. PyTorch: `torch.autograd.grad` with hooks.
///
/// `ready` hears of each gradient as soon as it is whole, with its place among `parameters`: what it begins with it,
/// such as sending it to other machines, runs beside the rest of the pass. It is called by libtorch's thread for the
/// device, which for a CPU is the calling one, from the last parameters to the first as a rule. The graph is freed.
///
/// # Errors
///
/// libtorch's, such as for a parameter that the loss does not depend on; and a panic of `ready`.
pub fn gradients<F: FnMut(usize, &Tensor) + Send>(
    loss: &Tensor,
    parameters: &[&Tensor],
    mut ready: F,
) -> Result<Vec<Tensor>, Error> {
    let list = ffi::pointers(parameters.iter().copied());
    let mut results: Vec<*mut C_tensor> = vec![std::ptr::null_mut(); list.len()];
    // SAFETY: lists of valid tensors of the length given, a place for each result, and a context that outlives the call,
    // after which libtorch has no hook left that points to it.
    ffi::check("the gradients", unsafe {
        ffi::torch_ext_gradients(
            loss.as_ptr(),
            list.as_ptr(),
            list.len(),
            hear::<F>,
            std::ptr::from_mut(&mut ready).cast(),
            results.as_mut_ptr(),
        )
    })?;
    // SAFETY: on success each is a new tensor that is now ours.
    Ok(results.into_iter().map(|tensor| unsafe { Tensor::from_ptr(tensor) }).collect())
}

/// Called by libtorch's engine. Returns an error text from malloc, or null.
unsafe extern "C" fn hear<F: FnMut(usize, &Tensor)>(
    context: *mut c_void,
    index: usize,
    gradient: *mut C_tensor,
) -> *mut c_char {
    // SAFETY: the closure that `gradients` passed, which nobody else uses during the pass; a valid tensor.
    let (ready, gradient) =
        unsafe { (&mut *context.cast::<F>(), Tensor::clone_from_ptr(gradient)) };
    match catch_unwind(AssertUnwindSafe(|| ready(index, &gradient))) {
        Ok(()) => std::ptr::null_mut(),
        Err(panic) => ffi::text(&ffi::panic_message(panic.as_ref(), "a hook panicked")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn leaf(value: f64) -> Tensor {
        Tensor::full([2], value, (Kind::Double, Device::Cpu)).set_requires_grad(true)
    }

    #[test]
    fn gradients_are_heard_of_on_their_way_and_are_those_of_libtorch() {
        let (first, second) = (leaf(2.0), leaf(3.0));
        let loss = || ((&first * &first) * &second + &second).sum(Kind::Double);
        let mut heard = Vec::new();
        let ours = gradients(&loss(), &[&first, &second], |index, gradient| {
            heard.push((index, gradient.double_value(&[0])));
        })
        .unwrap();
        let theirs = Tensor::run_backward(&[loss()], &[&first, &second], false, false);
        assert_eq!(ours, theirs);
        heard.sort_by_key(|(index, _)| *index);
        assert_eq!(heard, [(0, 12.0), (1, 5.0)]);
    }

    #[test]
    fn no_hook_stays_behind() {
        let first = leaf(2.0);
        let mut count = 0;
        drop(gradients(&first.sum(Kind::Double), &[&first], |_, _| count += 1).unwrap());
        drop(Tensor::run_backward(&[first.sum(Kind::Double)], &[&first], false, false));
        assert_eq!(count, 1);
    }

    fn places(parameter: &Tensor) -> usize {
        let mut count = 0;
        // SAFETY: a live tensor, and a place for the result.
        ffi::check("a look at the hooks", unsafe {
            ffi::torch_ext_hook_places(parameter.as_ptr(), &mut count)
        })
        .unwrap();
        count
    }

    /// A run has hundreds of thousands of passes: nothing of one may stay, also where it fails or lists one twice.
    #[test]
    fn no_place_for_a_hook_stays_behind_either() {
        let first = leaf(2.0);
        for _ in 0..50 {
            drop(gradients(&first.sum(Kind::Double), &[&first], |_, _| {}).unwrap());
            gradients(&first.sum(Kind::Double), &[&first], |_, _| panic!("no")).unwrap_err();
            drop(gradients(&first.sum(Kind::Double), &[&first, &first], |_, _| {}).unwrap());
        }
        assert_eq!(places(&first), 0);
    }

    #[test]
    fn a_panic_and_an_unused_parameter_are_errors() {
        let (first, second) = (leaf(2.0), leaf(3.0));
        let loss = || first.sum(Kind::Double);
        let panicked = gradients(&loss(), &[&first], |_, _| panic!("no such bucket")).unwrap_err();
        assert!(panicked.message.contains("no such bucket"), "{panicked}");
        let unused = gradients(&loss(), &[&first, &second], |_, _| {}).unwrap_err();
        assert!(unused.message.contains("not have been used"), "{unused}");
        assert_eq!(gradients(&loss(), &[&first], |_, _| {}).unwrap().len(), 1);
    }
}
