//! A table of keys and values through which processes find each other. PyTorch: `torch.distributed.TCPStore` and `PrefixStore`.

use std::ffi::CStr;
use std::time::Duration;

use super::DistributedError;
use super::ffi::{self, RawStore};
use crate::ffi::ErrorText;

/// The network address of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreAddress {
    /// A name or an address, as the other machines know it.
    pub host: String,
    /// 0 lets a host take any free port; [`Store::port`] returns it.
    pub port: u16,
}

/// The process that holds the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreRole {
    /// This process, for as long as its store lives.
    Host,
    /// Another one, which this process waits for.
    Client,
}

/// A connection to the table. It may be used from several threads, one operation at a time.
#[derive(Debug)]
pub struct Store {
    handle: *mut RawStore,
    address: StoreAddress,
}

// SAFETY: c10d guards a store's connection with a lock, and ties it to no thread.
unsafe impl Send for Store {}
// SAFETY: every operation takes that lock.
unsafe impl Sync for Store {}

impl Store {
    /// The store at `address`. `patience` bounds the connection and each [`Store::get`].
    ///
    /// # Errors
    ///
    /// When the port is taken, the host's name cannot be resolved, or nobody answers in time.
    pub fn tcp(
        address: &StoreAddress,
        role: StoreRole,
        patience: Duration,
    ) -> Result<Self, DistributedError> {
        let StoreAddress { host, port } = address;
        let operation = match role {
            StoreRole::Host => format!("holding the store at {host}:{port}"),
            StoreRole::Client => format!("reaching the store at {host}:{port}"),
        };
        let name = ffi::text(&operation, host)?;
        let (mut handle, mut bound) = (std::ptr::null_mut(), 0);
        let hosts = role == StoreRole::Host;
        // SAFETY: a NUL-terminated text that lives through the call, and room for the results.
        ffi::check(&operation, unsafe {
            ffi::torch_ext_tcp_store(
                name.as_ptr(),
                *port,
                hosts,
                milliseconds(patience),
                &mut handle,
                &mut bound,
            )
        })?;
        Ok(Self { handle, address: StoreAddress { host: host.clone(), port: bound } })
    }

    /// The same table, with `prefix` before every key.
    ///
    /// # Errors
    ///
    /// For a prefix with a zero byte.
    pub fn with_prefix(&self, prefix: &str) -> Result<Self, DistributedError> {
        let operation = "a prefix for the store's keys";
        let prefix = ffi::text(operation, prefix)?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: a NUL-terminated text that lives through the call, the live store of `self`, and room for the result.
        ffi::check(operation, unsafe {
            ffi::torch_ext_prefix_store(prefix.as_ptr(), self.handle, &mut handle)
        })?;
        Ok(Self { handle, address: self.address.clone() })
    }

    /// The port of the host.
    pub fn port(&self) -> u16 {
        self.address.port
    }

    /// Writes `value`.
    ///
    /// # Errors
    ///
    /// When the store is gone.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), DistributedError> {
        // SAFETY: `handle` is live until `self` is dropped; the slice is passed with its length.
        self.ask("set", key, |key| unsafe {
            ffi::torch_ext_store_set(self.handle, key.as_ptr(), value.as_ptr(), value.len())
        })
    }

    /// The value of `key`; waits until it is written.
    ///
    /// # Errors
    ///
    /// When nobody writes it in time, or the store is gone.
    pub fn get(&self, key: &str) -> Result<Vec<u8>, DistributedError> {
        let (mut value, mut length) = (std::ptr::null_mut(), 0);
        // SAFETY: `handle` is live until `self` is dropped; there is room for the results.
        self.ask("get", key, |key| unsafe {
            ffi::torch_ext_store_get(self.handle, key.as_ptr(), &mut value, &mut length)
        })?;
        // SAFETY: on success C++ gives `length` bytes from malloc away.
        Ok(unsafe { crate::ffi::taken_bytes(value, length) })
    }

    /// Whether `key` has been written.
    ///
    /// # Errors
    ///
    /// When the store is gone.
    pub fn has(&self, key: &str) -> Result<bool, DistributedError> {
        let mut there = false;
        // SAFETY: `handle` is live until `self` is dropped; there is room for the answer.
        self.ask("check", key, |key| unsafe {
            ffi::torch_ext_store_check(self.handle, key.as_ptr(), &mut there)
        })?;
        Ok(there)
    }

    /// Waits for `key` to be written.
    ///
    /// # Errors
    ///
    /// When it is not within `patience`, or the store is gone.
    pub fn wait(&self, key: &str, patience: Duration) -> Result<(), DistributedError> {
        // SAFETY: `handle` is live until `self` is dropped.
        self.ask("wait", key, |key| unsafe {
            ffi::torch_ext_store_wait(self.handle, key.as_ptr(), milliseconds(patience))
        })
    }

    /// Adds `amount` to a number that begins at 0, and returns it.
    ///
    /// # Errors
    ///
    /// When the store is gone.
    pub fn add(&self, key: &str, amount: i64) -> Result<i64, DistributedError> {
        let mut sum = 0;
        // SAFETY: `handle` is live until `self` is dropped; there is room for the sum.
        self.ask("add", key, |key| unsafe {
            ffi::torch_ext_store_add(self.handle, key.as_ptr(), amount, &mut sum)
        })?;
        Ok(sum)
    }

    pub(super) fn handle(&self) -> *const RawStore {
        self.handle
    }

    fn ask(
        &self,
        what: &str,
        key: &str,
        call: impl FnOnce(&CStr) -> ErrorText,
    ) -> Result<(), DistributedError> {
        let operation = format!("store {what} {key:?}");
        let key = ffi::text(&operation, key)?;
        let StoreAddress { host, port } = &self.address;
        ffi::check(&operation, call(&key)).map_err(|error| error.with(format!("{host}:{port}")))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: `self` owns the live `handle`, and nothing uses it afterwards. Nobody is left to receive an error.
        drop(ffi::check("closing the store", unsafe { ffi::torch_ext_store_free(self.handle) }));
    }
}

/// `time` for C++, where 0 would mean "without end". Twenty years are as good as more, which would overflow in
/// nanoseconds.
pub(super) fn milliseconds(time: Duration) -> i64 {
    const LONGEST: i64 = 20 * 365 * 24 * 3600 * 1000;
    i64::try_from(time.as_millis()).unwrap_or(LONGEST).clamp(1, LONGEST)
}
