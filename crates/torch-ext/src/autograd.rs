//! Our operators in libtorch's graph: the forward pass is plain Rust, the backward pass a closure.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::ffi::{self, ErrorText};

/// The arguments of a backward pass.
pub(crate) struct Incoming<'a> {
    /// The tensors that [`record`] saved, with the shape, strides, kind, device and memory that they had then.
    pub(crate) saved: &'a [Tensor],
    /// The gradient in each output, strided and of the output's shape, kind and device; `None` where the loss does not
    /// depend on it.
    pub(crate) gradients: &'a [Option<Tensor>],
    /// For each input, whether its gradient is asked for.
    pub(crate) needed: &'a [bool],
}

/// A backward pass may run on any thread, and on two at once: a graph is shared by all tensors that were computed in it.
type Backward = Box<dyn Fn(Incoming) -> Vec<Option<Tensor>> + Send + Sync>;

/// Enters `outputs`, computed from `inputs` under `no_grad`, into the graph.
///
/// `saved` are inputs or tensors of our own, never outputs (libtorch keeps those in another way). They are measured here
/// and once more in the backward pass, which is an error if `set_data` or `resize_` changed one in between. `backward`
/// returns one gradient for each input. Nothing happens where no input asks for gradients or they are switched off.
pub(crate) fn record(
    inputs: &[&Tensor],
    outputs: &[&Tensor],
    saved: &[&Tensor],
    backward: impl Fn(Incoming) -> Vec<Option<Tensor>> + Send + Sync + 'static,
) {
    let context: Box<Backward> = Box::new(Box::new(backward));
    let [inputs, outputs, saved] =
        [inputs, outputs, saved].map(|list| ffi::pointers(list.iter().copied()));
    // SAFETY: the lists point to live tensors and are passed with their lengths; whatever happens, C++ takes the context
    // over and frees it with `forget`, once.
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

/// Called by libtorch's engine.
///
/// # Safety
/// `context` comes from [`record`] and is alive; each list has the length that is passed with it, `needed` that of the
/// results; tensors are live or null.
unsafe extern "C" fn run_backward(
    context: *mut c_void,
    saved: *const *mut C_tensor,
    saved_count: usize,
    gradients: *const *mut C_tensor,
    gradient_count: usize,
    needed: *const bool,
    results: *mut *mut C_tensor,
    result_count: usize,
) -> ErrorText {
    let body = || {
        // SAFETY: `context` is the box that `record` gave to the node, which lives while the engine runs it, and
        // `Backward` is `Sync`; the node passes lists of the lengths it says, alive through this call.
        let (backward, saved, gradients, needed) = unsafe {
            (
                &*context.cast::<Backward>(),
                list(saved, saved_count),
                list(gradients, gradient_count),
                list(needed, result_count),
            )
        };
        // SAFETY: each is a live tensor of the node or null, which stands for an undefined one; the clone is shallow, ours,
        // and only made of a tensor.
        let cloned = |&tensor: &*mut C_tensor| {
            (!tensor.is_null()).then(|| unsafe { Tensor::clone_from_ptr(tensor) })
        };
        let saved: Option<Vec<Tensor>> = saved.iter().map(cloned).collect();
        let saved = saved.expect("saved tensors are defined");
        let gradients: Vec<Option<Tensor>> = gradients.iter().map(cloned).collect();
        let incoming = Incoming { saved: &saved, gradients: &gradients, needed };
        let computed = tch::no_grad(|| backward(incoming));
        assert_eq!(computed.len(), result_count, "one gradient for each input");
        for (index, tensor) in computed.into_iter().enumerate() {
            if let Some(tensor) = tensor {
                // SAFETY: `index` is below `result_count`, of which the node has places; it takes the tensor over, so
                // this side forgets it.
                unsafe { *results.add(index) = tensor.as_ptr().cast_mut() };
                std::mem::forget(tensor);
            }
        }
    };
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(()) => ErrorText::NONE,
        Err(panic) => {
            ErrorText::new(&ffi::panic_message(panic.as_ref(), "a backward pass panicked"))
        }
    }
}

/// A list from C++, which may pass a null pointer for an empty one.
///
/// # Safety
/// `items` points to `count` items that nobody changes during `'a`, unless `count` is 0.
unsafe fn list<'a, T>(items: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    // SAFETY: `count` is not 0, so the caller vouches for as many items behind a pointer that is not null.
    unsafe { std::slice::from_raw_parts(items, count) }
}

/// Called when the node goes.
///
/// # Safety
/// `context` comes from [`record`], and nobody uses it afterwards.
unsafe extern "C" fn forget(context: *mut c_void) {
    // SAFETY: the box that `record` gave away comes back once, when its node is destroyed.
    drop(unsafe { Box::from_raw(context.cast::<Backward>()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Three times the input, with a gradient that claims four.
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

    #[track_caller]
    fn check_replaced(replace: impl FnOnce(&mut Tensor)) {
        let mut xs = leaf();
        let ys = tripled(&xs).sum(Kind::Float);
        replace(&mut xs);
        let error = ys.f_backward().unwrap_err().to_string();
        assert!(error.contains("expected the tensor that the forward pass kept"), "{error}");
    }

    #[test]
    fn a_saved_tensor_that_was_replaced_is_refused() {
        let options = (Kind::Float, Device::Cpu);
        check_replaced(|xs| xs.set_data(&Tensor::ones([1], options)));
        check_replaced(|xs| xs.set_data(&Tensor::ones([3], options)));
        // The shape is the same, the memory is not.
        check_replaced(|xs| xs.set_data(&Tensor::ones([2], options)));
        check_replaced(|xs| xs.set_data(&Tensor::ones([4], options).slice(0, 0, None, 2)));
        check_replaced(|xs| xs.set_data(&Tensor::ones([2], (Kind::Double, Device::Cpu))));
    }

    /// The gradient of `gather` may be sparse, and that of a complex number a view that is negated when it is read.
    #[test]
    fn a_gradient_comes_as_plain_memory() {
        let xs = leaf();
        let index = Tensor::from_slice(&[1_i64, 1, 1]);
        tripled(&xs).gather(0, &index, true).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(xs.grad()).unwrap(), [0.0, 12.0]);
        let xs = leaf();
        let zero = xs.detach().zeros_like();
        let imaginary = Tensor::complex(&zero, &tripled(&xs)).conj().imag();
        imaginary.sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(xs.grad()).unwrap(), [-4.0, -4.0]);
    }

    #[test]
    fn threads_may_run_one_graph_at_once() {
        let xs = leaf();
        let ys = tripled(&xs);
        let losses: Vec<Tensor> = (0..4).map(|_| ys.sum(Kind::Float)).collect();
        std::thread::scope(|scope| {
            for loss in losses {
                let xs = xs.shallow_clone();
                scope.spawn(move || {
                    for _ in 0..50 {
                        let gradients = Tensor::run_backward(&[&loss], &[&xs], true, false);
                        assert_eq!(Vec::<f32>::try_from(&gradients[0]).unwrap(), [4.0, 4.0]);
                    }
                });
            }
        });
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
