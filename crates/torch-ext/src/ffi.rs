//! The declarations of `cpp/` and the one way to call them.

use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::Error;

unsafe extern "C" {
    fn torch_ext_free(text: *mut c_char);
    fn torch_ext_duplicate(text: *const c_char) -> ErrorText;
    pub(crate) fn torch_ext_version() -> *const c_char;
    pub(crate) fn torch_ext_init_amx() -> bool;
    pub(crate) fn torch_ext_cast_weights(
        weights: *const *mut C_tensor,
        count: usize,
        model: *const C_tensor,
        copies: *mut *mut C_tensor,
    ) -> ErrorText;
    pub(crate) fn torch_ext_cast_gradients(
        gradients: *const *mut C_tensor,
        count: usize,
        model: *const C_tensor,
        copies: *mut *mut C_tensor,
    ) -> ErrorText;
    pub(crate) fn torch_ext_set_tf32(allowed: bool) -> ErrorText;
    pub(crate) fn torch_ext_set_deterministic(wanted: bool) -> ErrorText;
    pub(crate) fn torch_ext_count_begin(handle: *mut u64) -> ErrorText;
    pub(crate) fn torch_ext_count_end(
        handle: u64,
        each: extern "C" fn(*mut c_void, *const c_char, u64),
        context: *mut c_void,
    ) -> ErrorText;
    pub(crate) fn torch_ext_free_memory(index: i32, bytes: *mut u64) -> ErrorText;
    /// The C library's: ends the process at once.
    pub(crate) fn _exit(code: std::ffi::c_int) -> !;
    pub(crate) fn torch_ext_keep_memory();
    pub(crate) fn torch_ext_wrap_torchscript(
        path: *const c_char,
        program: *const c_char,
    ) -> ErrorText;
    pub(crate) fn torch_ext_use_large_pages(start: *mut c_void, bytes: usize);
    pub(crate) fn torch_ext_is_dense(tensor: *const C_tensor) -> bool;
    pub(crate) fn torch_ext_bump_version(tensor: *const C_tensor);
    pub(crate) fn torch_ext_identity(tensor: *const C_tensor) -> *const c_void;
    pub(crate) fn torch_ext_grad_enabled() -> bool;
    pub(crate) fn torch_ext_channels_last(
        input: *const *mut C_tensor,
        output: *mut *mut C_tensor,
    ) -> ErrorText;
    pub(crate) fn torch_ext_is_channels_last(
        input: *const *mut C_tensor,
        answer: *mut bool,
    ) -> ErrorText;
    pub(crate) fn torch_ext_fused_adam(
        parameters: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        means: *const *mut C_tensor,
        variances: *const *mut C_tensor,
        count: usize,
        steps: *mut C_tensor,
        learning_rate: f64,
        learning_rate_tensor: *const C_tensor,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        decoupled: bool,
    ) -> ErrorText;
    pub(crate) fn torch_ext_fused_sgd(
        parameters: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        velocities: *const *mut C_tensor,
        count: usize,
        learning_rate: f64,
        learning_rate_tensor: *const C_tensor,
        momentum: f64,
        weight_decay: f64,
        nesterov: bool,
    ) -> ErrorText;
    pub(crate) fn torch_ext_rms_prop(
        parameters: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        mean_squares: *const *mut C_tensor,
        velocities: *const *mut C_tensor,
        count: usize,
        learning_rate: f64,
        learning_rate_tensor: *const C_tensor,
        rho: f64,
        momentum: f64,
        weight_decay: f64,
        eps: f64,
    ) -> ErrorText;
    pub(crate) fn torch_ext_clip_gradients(
        gradients: *const *mut C_tensor,
        count: usize,
        max_norm: f64,
        norm: *mut *mut C_tensor,
    ) -> ErrorText;
    pub(crate) fn torch_ext_lerp(
        starts: *const *mut C_tensor,
        ends: *const *mut C_tensor,
        count: usize,
        weight: f64,
    ) -> ErrorText;
    pub(crate) fn torch_ext_multiply_bf16(
        m: i64,
        n: i64,
        k: i64,
        ld_a: i64,
        ld_b: i64,
        ld_c: i64,
        a: *const c_void,
        b: *const c_void,
        c: *mut f32,
    ) -> ErrorText;
    pub(crate) fn torch_ext_release_matrix_unit();
    pub(crate) fn torch_ext_record(
        inputs: *const *mut C_tensor,
        input_count: usize,
        outputs: *const *mut C_tensor,
        output_count: usize,
        saved: *const *mut C_tensor,
        saved_count: usize,
        backward: Backward,
        forget: unsafe extern "C" fn(*mut c_void),
        context: *mut c_void,
    ) -> ErrorText;
    #[cfg(test)]
    pub(crate) fn torch_ext_hook_places(parameter: *const C_tensor, count: *mut usize)
    -> ErrorText;
    pub(crate) fn torch_ext_gradients(
        loss: *const C_tensor,
        parameters: *const *mut C_tensor,
        count: usize,
        ready: Ready,
        forget: unsafe extern "C" fn(*mut c_void),
        context: *mut c_void,
        results: *mut *mut C_tensor,
    ) -> ErrorText;
    pub(crate) fn torch_ext_parallel_for(
        count: i64,
        body: unsafe extern "C" fn(*mut c_void, i64, i64),
        context: *mut c_void,
    ) -> ErrorText;
}

/// The backward pass of a node: context, saved tensors, gradients (null where there is none), which results are
/// needed, results.
pub(crate) type Backward = unsafe extern "C" fn(
    *mut c_void,
    *const *mut C_tensor,
    usize,
    *const *mut C_tensor,
    usize,
    *const bool,
    *mut *mut C_tensor,
    usize,
) -> ErrorText;

/// Called with each gradient: context, index of its parameter, the gradient.
pub(crate) type Ready = unsafe extern "C" fn(*mut c_void, usize, *mut C_tensor) -> ErrorText;

/// The way in which functions return on either side: null on success, or a NUL-terminated text from malloc that belongs
/// to the caller. C++ sees a plain `char*`.
#[repr(transparent)]
#[derive(Debug)]
#[must_use]
pub(crate) struct ErrorText(*mut c_char);

impl ErrorText {
    /// Success.
    pub(crate) const NONE: Self = Self(std::ptr::null_mut());

    /// `message` for C++.
    pub(crate) fn new(message: &str) -> Self {
        let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
        // SAFETY: a NUL-terminated text that lives through the call.
        unsafe { torch_ext_duplicate(message.as_ptr()) }
    }

    /// The text, `None` on success.
    pub(crate) fn message(&self) -> Option<String> {
        // SAFETY: a text that is not null is NUL-terminated and belongs to `self`.
        (!self.0.is_null())
            .then(|| unsafe { CStr::from_ptr(self.0) }.to_string_lossy().into_owned())
    }
}

impl Drop for ErrorText {
    fn drop(&mut self) {
        // SAFETY: null or from malloc, and freed once, because nothing copies it.
        unsafe { torch_ext_free(self.0) }
    }
}

/// The return value of an entry point as a `Result`.
pub(crate) fn check(operation: &'static str, text: ErrorText) -> Result<(), Error> {
    match text.message() {
        None => Ok(()),
        Some(message) => {
            // Complaints about TorchScript begin with an empty line.
            let line = message.lines().find(|line| !line.trim().is_empty());
            let message = line.unwrap_or_default().to_string();
            Err(Error { operation, message })
        }
    }
}

/// Copies `length` bytes that C++ gave away, and frees them.
///
/// # Safety
///
/// `bytes` points to `length` bytes from malloc, and this function takes ownership of them.
pub(crate) unsafe fn taken_bytes(bytes: *mut c_char, length: usize) -> Vec<u8> {
    // SAFETY: as many bytes can be read there, and nobody else frees them.
    unsafe {
        let copy = std::slice::from_raw_parts(bytes.cast::<u8>(), length).to_vec();
        torch_ext_free(bytes);
        copy
    }
}

/// The text of a panic that must not reach C++, or `otherwise` where it has none.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send), otherwise: &str) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or(otherwise).to_string()
}

/// The `at::Tensor*` of each tensor of a list that is borrowed as long.
pub(crate) struct Pointers<'a> {
    list: Vec<*mut C_tensor>,
    tensors: PhantomData<&'a Tensor>,
}

impl<'a> Pointers<'a> {
    /// The list as C++ takes it.
    pub(crate) fn as_ptr(&self) -> *const *mut C_tensor {
        self.list.as_ptr()
    }

    /// The number of tensors.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}

/// The addresses of `tensors` for C++.
pub(crate) fn pointers<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Pointers<'a> {
    let list = tensors.into_iter().map(|tensor| tensor.as_ptr().cast_mut()).collect();
    Pointers { list, tensors: PhantomData }
}
