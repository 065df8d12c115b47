//! The operators of libtorch that some work calls: on a GPU each is a kernel or a few, whose launches can cost more than
//! they compute.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, PoisonError};

use crate::Error;
use crate::ffi::{self, check};

/// The operation that an error names.
const OPERATION: &str = "a count of operators";

/// The names of operators, and how often each was called.
pub type OperatorCalls = BTreeMap<String, u64>;

/// One count at a time: libtorch calls a function, which has one place to write to.
static COUNTING: Mutex<()> = Mutex::new(());

/// Does `work`, and counts the operators of libtorch that this thread calls in it and that its backward passes call, but not
/// those that operators call. Kernels of this crate are no operators. PyTorch: `torch.profiler.profile`.
///
/// One thread counts at a time, and others wait.
///
/// # Errors
/// Those of libtorch.
pub fn count_operators<T>(work: impl FnOnce() -> T) -> Result<(T, OperatorCalls), Error> {
    let _alone = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut handle = 0;
    // SAFETY: a live place for a number.
    check(OPERATION, unsafe { ffi::torch_ext_count_begin(&raw mut handle) })?;
    let counting = Counting { handle: Some(handle) };
    let made = work();
    Ok((made, counting.end()?))
}

/// Ends the count also when the work panics.
struct Counting {
    handle: Option<u64>,
}

impl Counting {
    fn end(mut self) -> Result<OperatorCalls, Error> {
        self.calls()
    }

    fn calls(&mut self) -> Result<OperatorCalls, Error> {
        let mut calls = OperatorCalls::new();
        if let Some(handle) = self.handle.take() {
            // SAFETY: the handle is that of a callback of this thread, which is removed once; `add` gets the context that
            // it expects, which lives until the call returns.
            check(OPERATION, unsafe {
                ffi::torch_ext_count_end(handle, add, (&raw mut calls).cast())
            })?;
        }
        Ok(calls)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        drop(self.calls());
    }
}

extern "C" fn add(context: *mut c_void, name: *const c_char, calls: u64) {
    // SAFETY: `Counting::calls` passes its own map, which nobody else reads meanwhile, and the name is a string of C++
    // that lives until this returns.
    let (map, name) = unsafe { (&mut *context.cast::<OperatorCalls>(), CStr::from_ptr(name)) };
    map.insert(name.to_string_lossy().into_owned(), calls);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn operators_are_counted_forward_and_backward() {
        let xs = Tensor::ones([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let ((), calls) = count_operators(|| xs.sin().sum(Kind::Float).backward()).unwrap();
        // The derivative of a sine.
        assert_eq!((calls["aten::sin"], calls["aten::cos"]), (1, 1), "{calls:?}");
        let ((), calls) = count_operators(|| ()).unwrap();
        assert!(calls.is_empty(), "{calls:?}");
    }

    #[test]
    fn a_count_ends_with_the_work_however_it_ends() {
        let panicked = std::panic::catch_unwind(|| count_operators::<()>(|| panic!("enough")));
        assert!(panicked.is_err());
        let xs = Tensor::ones([3], (Kind::Float, Device::Cpu));
        drop(xs.sin());
        assert!(count_operators(|| ()).unwrap().1.is_empty());
    }
}
