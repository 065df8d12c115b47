//! Operators of ours in libtorch's graph: the forward pass is plain Rust, the backward pass a closure.

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::ffi;

/// What a backward pass is given.
pub(crate) struct Incoming<'a> {
    /// The tensors that were kept.
    pub(crate) saved: &'a [Tensor],
    /// The gradient in each output; `None` where the loss does not depend on it.
    pub(crate) gradients: &'a [Option<Tensor>],
    /// For each input, whether its gradient is asked for.
    pub(crate) needed: &'a [bool],
}

type Backward = Box<dyn Fn(Incoming) -> Vec<Option<Tensor>>>;

/// Enters `outputs`, computed from `inputs` under `no_grad`, into the graph.
///
/// `saved` are inputs or tensors of our own, never outputs (libtorch keeps those otherwise). `backward` returns one
/// gradient for each input. Nothing happens where no input asks for gradients or they are switched off.
pub(crate) fn record(
    inputs: &[&Tensor],
    outputs: &[&Tensor],
    saved: &[&Tensor],
    backward: impl Fn(Incoming) -> Vec<Option<Tensor>> + 'static,
) {
    let context: Box<Backward> = Box::new(Box::new(backward));
    let [inputs, outputs, saved] =
        [inputs, outputs, saved].map(|list| ffi::pointers(list.iter().copied()));
    // SAFETY: lists of valid tensors; the node owns the context from here on and frees it with `forget`.
    let text = unsafe {
        ffi::torch_ext_record(
            inputs.as_ptr(),
            inputs.len(),
            outputs.as_ptr(),
            outputs.len(),
            saved.as_ptr(),
            saved.len(),
            run_backward,
            forget,
            Box::into_raw(context).cast(),
        )
    };
    ffi::check("an operator in the graph", text).expect("libtorch's graph takes the operator");
}

/// Called by libtorch's engine. Returns an error text from malloc, or null.
unsafe extern "C" fn run_backward(
    context: *mut c_void,
    saved: *const *mut C_tensor,
    saved_count: usize,
    gradients: *const *mut C_tensor,
    gradient_count: usize,
    needed: *const bool,
    results: *mut *mut C_tensor,
    result_count: usize,
) -> *mut c_char {
    let body = || {
        // SAFETY: the engine passes what `record` stored, and lists of the lengths it says.
        let (backward, saved, gradients, needed) = unsafe {
            (
                &*context.cast::<Backward>(),
                list(saved, saved_count),
                list(gradients, gradient_count),
                list(needed, result_count),
            )
        };
        // SAFETY: valid tensors or null; the clones are shallow and ours.
        let saved: Vec<Tensor> =
            saved.iter().map(|&tensor| unsafe { Tensor::clone_from_ptr(tensor) }).collect();
        let gradients: Vec<Option<Tensor>> = gradients
            .iter()
            .map(|&tensor| (!tensor.is_null()).then(|| unsafe { Tensor::clone_from_ptr(tensor) }))
            .collect();
        let incoming = Incoming { saved: &saved, gradients: &gradients, needed };
        let computed = tch::no_grad(|| backward(incoming));
        assert_eq!(computed.len(), result_count, "one gradient for each input");
        for (index, tensor) in computed.into_iter().enumerate() {
            if let Some(tensor) = tensor {
                // SAFETY: there is a place for each result, and the node takes the tensor over.
                unsafe { *results.add(index) = tensor.as_ptr().cast_mut() };
                std::mem::forget(tensor);
            }
        }
    };
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(()) => std::ptr::null_mut(),
        Err(panic) => ffi::text(&ffi::panic_message(panic.as_ref(), "a backward pass panicked")),
    }
}

/// A list from C++, which may say "nothing" with a null pointer.
///
/// # Safety
/// `count` valid items, or none.
unsafe fn list<'a, T>(items: *const T, count: usize) -> &'a [T] {
    // SAFETY: the caller's.
    if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(items, count) } }
}

/// Called when the node goes.
unsafe extern "C" fn forget(context: *mut c_void) {
    // SAFETY: the box that `record` gave away, given back once.
    drop(unsafe { Box::from_raw(context.cast::<Backward>()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Three times the input, with a gradient that says four.
    fn tripled(xs: &Tensor) -> Tensor {
        let ys = tch::no_grad(|| xs * 3);
        record(&[xs], &[&ys], &[xs], |Incoming { saved, gradients, needed }| {
            assert_eq!((saved.len(), needed), (1, [true].as_slice()));
            vec![gradients[0].as_ref().map(|gradient| gradient * 4)]
        });
        ys
    }

    fn leaf() -> Tensor {
        Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true)
    }

    #[test]
    fn the_closure_is_the_gradient() {
        let xs = leaf();
        (tripled(&xs) * 2).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(xs.grad()).unwrap(), [8.0, 8.0]);
        assert!(!tch::no_grad(|| tripled(&xs)).requires_grad());
    }

    #[test]
    fn a_saved_tensor_that_was_written_to_is_refused() {
        let xs = leaf();
        let ys = tripled(&xs).sum(Kind::Float);
        drop(tch::no_grad(|| xs.shallow_clone().fill_(2.0)));
        let error = Tensor::f_run_backward(&[ys], &[&xs], false, false).unwrap_err().to_string();
        assert!(error.contains("modified by an inplace operation"), "{error}");
    }

    #[test]
    fn a_panic_in_the_backward_pass_is_an_error() {
        let xs = leaf();
        let ys = tch::no_grad(|| &xs * 3);
        record(&[&xs], &[&ys], &[], |_| panic!("no way back"));
        let sum = ys.sum(Kind::Float);
        let error = Tensor::f_run_backward(&[sum], &[&xs], false, false).unwrap_err().to_string();
        assert!(error.contains("no way back"), "{error}");
    }

    #[test]
    fn there_is_no_second_derivative() {
        let xs = leaf();
        let ys = tripled(&xs).sum(Kind::Float);
        let error = Tensor::f_run_backward(&[ys], &[&xs], true, true).unwrap_err().to_string();
        assert!(error.contains("no second derivative"), "{error}");
    }
}
