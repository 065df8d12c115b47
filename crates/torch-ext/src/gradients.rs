//! Gradients, each announced while the rest of the backward pass still runs.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::Error;
use crate::ffi::{self, ErrorText};

/// The gradient of `loss`, a scalar, in each of `parameters`, in their order. PyTorch: `torch.autograd.grad` with hooks.
///
/// `ready` is called with each gradient as soon as it is complete, and with its index among `parameters`. Work that it
/// starts, such as sending the gradient to other machines, runs beside the rest of the pass. libtorch's thread for the
/// device calls it, which for a CPU is the calling one, as a rule from the last parameter to the first. The graph is
/// freed. There is no second derivative.
///
/// # Errors
///
/// - An undefined loss or parameter, no parameter at all, one that requires no gradient, or one that was computed from
///   others and is no leaf.
/// - libtorch's own, such as for a parameter that the loss does not depend on.
/// - A panic of `ready`.
/// - A second backward pass through these parameters: one that `ready` starts, or another call of this function. No other
///   thread may go back through them meanwhile, because libtorch reads the hooks of a tensor without a lock.
///
/// The closure may be called from another thread:
///
/// ```compile_fail,E0277
/// let calls = std::rc::Rc::new(std::cell::Cell::new(0));
/// let parameter = tch::Tensor::from(1.0).set_requires_grad(true);
/// torch_ext::gradients(&(&parameter * 2.0), &[&parameter], |_, _| calls.set(calls.get() + 1)).unwrap();
/// ```
///
/// ```no_run
/// let calls = std::sync::atomic::AtomicUsize::new(0);
/// let parameter = tch::Tensor::from(1.0).set_requires_grad(true);
/// torch_ext::gradients(&(&parameter * 2.0), &[&parameter], |_, _| {
///     calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
/// })
/// .unwrap();
/// ```
pub fn gradients<F: FnMut(usize, &Tensor) + Send>(
    loss: &Tensor,
    parameters: &[&Tensor],
    ready: F,
) -> Result<Vec<Tensor>, Error> {
    let list = ffi::pointers(parameters.iter().copied());
    let mut results: Vec<*mut C_tensor> = vec![std::ptr::null_mut(); list.len()];
    let listener = Arc::new(Listener(Mutex::new(Some(ready))));
    // SAFETY: the lists point to live tensors and are passed with their length, which is that of the results as well.
    // Whatever happens, C++ takes one reference of the listener over and gives it back to `forget`, once.
    let text = unsafe {
        ffi::torch_ext_gradients(
            loss.as_ptr(),
            list.as_ptr(),
            list.len(),
            announce::<F>,
            forget::<F>,
            Arc::into_raw(Arc::clone(&listener)).cast_mut().cast(),
            results.as_mut_ptr(),
        )
    };
    // A hook that another thread runs at this moment is waited for. Later ones find no closure, which may borrow what
    // does not live longer than this call.
    let ready = listener.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(ready);
    ffi::check("a backward pass", text)?;
    // SAFETY: on success each is a new tensor that is now ours.
    Ok(results.into_iter().map(|tensor| unsafe { Tensor::from_ptr(tensor) }).collect())
}

/// The closure of one call, until that call returns.
struct Listener<F>(Mutex<Option<F>>);

impl<F: FnMut(usize, &Tensor)> Listener<F> {
    /// Calls the closure, unless it is running already.
    fn announce(&self, index: usize, gradient: &Tensor) -> Result<(), String> {
        let mut ready = match self.0.try_lock() {
            Ok(ready) => ready,
            // It panicked before, which has failed its pass and does not fail others.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "expected one backward pass at a time through these parameters, got a second one at parameter {index} \
                     while the closure of the first was running"
                ));
            }
        };
        let Some(ready) = ready.as_mut() else { return Ok(()) };
        catch_unwind(AssertUnwindSafe(|| ready(index, gradient)))
            .map_err(|panic| ffi::panic_message(panic.as_ref(), "a hook panicked"))
    }
}

/// Called by libtorch's engine.
///
/// # Safety
/// `context` is a listener of this `F` from [`gradients`] that [`forget`] has not been called with; `gradient` is a live
/// tensor.
unsafe extern "C" fn announce<F: FnMut(usize, &Tensor) + Send>(
    context: *mut c_void,
    index: usize,
    gradient: *mut C_tensor,
) -> ErrorText {
    // SAFETY: the reference that C++ holds keeps the listener alive. Threads share it, and it is `Sync`, for the closure
    // is `Send` and guarded by a lock. The clone of the tensor is shallow and ours.
    let (listener, gradient) =
        unsafe { (&*context.cast::<Listener<F>>(), Tensor::clone_from_ptr(gradient)) };
    match listener.announce(index, &gradient) {
        Ok(()) => ErrorText::NONE,
        Err(message) => ErrorText::new(&message),
    }
}

/// Called when the last hook is gone.
///
/// # Safety
/// `context` is a listener of this `F` from [`gradients`], and nobody uses it afterwards.
unsafe extern "C" fn forget<F>(context: *mut c_void) {
    // SAFETY: the reference that `gradients` gave away comes back once. Where it is the last one, the closure is gone:
    // `gradients` has taken it out, so that nothing of a shorter lifetime is dropped here.
    drop(unsafe { Arc::from_raw(context.cast::<Listener<F>>()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn leaf(value: f64) -> Tensor {
        Tensor::full([2], value, (Kind::Double, Device::Cpu)).set_requires_grad(true)
    }

    #[test]
    fn gradients_are_announced_on_their_way_and_are_those_of_libtorch() {
        let (first, second) = (leaf(2.0), leaf(3.0));
        let loss = || ((&first * &first) * &second + &second).sum(Kind::Double);
        let mut announced = Vec::new();
        let ours = gradients(&loss(), &[&first, &second], |index, gradient| {
            announced.push((index, gradient.double_value(&[0])));
        })
        .unwrap();
        let theirs = Tensor::run_backward(&[loss()], &[&first, &second], false, false);
        assert_eq!(ours, theirs);
        announced.sort_by_key(|(index, _)| *index);
        assert_eq!(announced, [(0, 12.0), (1, 5.0)]);
    }

    #[test]
    fn no_hook_stays() {
        let first = leaf(2.0);
        let mut count = 0;
        drop(gradients(&first.sum(Kind::Double), &[&first], |_, _| count += 1).unwrap());
        drop(Tensor::run_backward(&[first.sum(Kind::Double)], &[&first], false, false));
        assert_eq!(count, 1);
    }

    fn places(parameter: &Tensor) -> usize {
        let mut count = 0;
        // SAFETY: a live tensor, and room for the result.
        ffi::check("the count of hooks", unsafe {
            ffi::torch_ext_hook_places(parameter.as_ptr(), &mut count)
        })
        .unwrap();
        count
    }

    /// A run has hundreds of thousands of passes: nothing of one may stay, also where it fails or lists one twice.
    #[test]
    fn no_place_for_a_hook_stays() {
        let first = leaf(2.0);
        for _ in 0..50 {
            drop(gradients(&first.sum(Kind::Double), &[&first], |_, _| {}).unwrap());
            gradients(&first.sum(Kind::Double), &[&first], |_, _| panic!("no")).unwrap_err();
            drop(gradients(&first.sum(Kind::Double), &[&first, &first], |_, _| {}).unwrap());
        }
        assert_eq!(places(&first), 0);
    }

    /// A second thread that goes back through the same parameter finds the closure, or finds it gone, and never both.
    #[test]
    fn a_hook_that_outlives_its_call_finds_no_closure() {
        let listener = Listener(Mutex::new(Some(|_: usize, _: &Tensor| panic!("it is gone"))));
        assert_eq!(listener.announce(0, &leaf(1.0)), Err("it is gone".to_string()));
        *listener.0.lock().unwrap() = None;
        assert_eq!(listener.announce(0, &leaf(1.0)), Ok(()));
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
