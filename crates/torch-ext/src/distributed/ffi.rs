//! The declarations of `cpp/distributed.cpp`.

use std::ffi::{CString, c_char, c_int};

use torch_sys::C_tensor;

use super::DistributedError;
use crate::ffi::ErrorText;

/// A store, behind a pointer.
#[repr(C)]
pub(super) struct RawStore([u8; 0]);
/// A process group, behind a pointer.
#[repr(C)]
pub(super) struct RawGroup([u8; 0]);
/// A collective that is running, behind a pointer.
#[repr(C)]
pub(super) struct RawWork([u8; 0]);

unsafe extern "C" {
    pub(super) fn torch_ext_say_less();
    pub(super) fn torch_ext_leave(code: c_int) -> !;
    pub(super) fn torch_ext_tcp_store(
        host: *const c_char,
        port: u16,
        hosts: bool,
        timeout: i64,
        out: *mut *mut RawStore,
        bound: *mut u16,
    ) -> ErrorText;
    pub(super) fn torch_ext_prefix_store(
        prefix: *const c_char,
        store: *const RawStore,
        out: *mut *mut RawStore,
    ) -> ErrorText;
    pub(super) fn torch_ext_store_set(
        store: *const RawStore,
        key: *const c_char,
        value: *const u8,
        length: usize,
    ) -> ErrorText;
    pub(super) fn torch_ext_store_get(
        store: *const RawStore,
        key: *const c_char,
        value: *mut *mut c_char,
        length: *mut usize,
    ) -> ErrorText;
    pub(super) fn torch_ext_store_check(
        store: *const RawStore,
        key: *const c_char,
        there: *mut bool,
    ) -> ErrorText;
    pub(super) fn torch_ext_store_wait(
        store: *const RawStore,
        key: *const c_char,
        timeout: i64,
    ) -> ErrorText;
    pub(super) fn torch_ext_store_add(
        store: *const RawStore,
        key: *const c_char,
        amount: i64,
        sum: *mut i64,
    ) -> ErrorText;
    pub(super) fn torch_ext_store_free(store: *mut RawStore) -> ErrorText;
    pub(super) fn torch_ext_gloo(
        store: *const RawStore,
        rank: c_int,
        world_size: c_int,
        timeout: i64,
        interface: *const c_char,
        address: *const c_char,
        out: *mut *mut RawGroup,
    ) -> ErrorText;
    #[cfg(feature = "cuda")]
    pub(super) fn torch_ext_nccl(
        store: *const RawStore,
        rank: c_int,
        world_size: c_int,
        timeout: i64,
        out: *mut *mut RawGroup,
    ) -> ErrorText;
    pub(super) fn torch_ext_all_reduce(
        group: *const RawGroup,
        tensor: *const C_tensor,
        operation: c_int,
        out: *mut *mut RawWork,
    ) -> ErrorText;
    pub(super) fn torch_ext_broadcast(
        group: *const RawGroup,
        tensor: *const C_tensor,
        root: i64,
        out: *mut *mut RawWork,
    ) -> ErrorText;
    pub(super) fn torch_ext_all_gather(
        group: *const RawGroup,
        tensor: *const C_tensor,
        gathered: *const *mut C_tensor,
        count: usize,
        out: *mut *mut RawWork,
    ) -> ErrorText;
    pub(super) fn torch_ext_barrier(group: *const RawGroup, out: *mut *mut RawWork) -> ErrorText;
    pub(super) fn torch_ext_group_abort(group: *const RawGroup) -> ErrorText;
    pub(super) fn torch_ext_group_free(group: *mut RawGroup) -> ErrorText;
    pub(super) fn torch_ext_work_wait(work: *const RawWork) -> ErrorText;
    pub(super) fn torch_ext_work_done(work: *const RawWork, done: *mut bool) -> ErrorText;
    pub(super) fn torch_ext_work_free(work: *mut RawWork) -> ErrorText;
}

/// The return value of an entry point as a `Result`.
pub(super) fn check(operation: &str, text: ErrorText) -> Result<(), DistributedError> {
    match text.message() {
        None => Ok(()),
        Some(message) => Err(DistributedError::new(operation, &message)),
    }
}

/// `text` for C++.
pub(super) fn text(operation: &str, text: &str) -> Result<CString, DistributedError> {
    CString::new(text)
        .map_err(|_| DistributedError::new(operation, "expected a text without zero bytes"))
}
