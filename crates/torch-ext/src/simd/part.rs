//! A part of a vector of eight, for sets whose masked loads are slow or not there.

/// The first `lanes` values at `at`, and zeros up to a full vector.
///
/// # Safety
/// `lanes` is at most eight, and as many values can be read at `at`.
#[inline(always)]
pub(super) unsafe fn padded<T: Copy>(at: *const T, lanes: usize, zero: T) -> [T; 8] {
    let mut whole = [zero; 8];
    // SAFETY: the caller has these values, and there is room for eight.
    unsafe { std::ptr::copy_nonoverlapping(at, whole.as_mut_ptr(), lanes) };
    whole
}

/// Writes the first `lanes` of a full vector to `at`.
///
/// # Safety
/// `lanes` is at most eight, and as many values can be written at `at`.
#[inline(always)]
pub(super) unsafe fn put<T: Copy>(whole: [T; 8], at: *mut T, lanes: usize) {
    // SAFETY: the caller has room for these values, and there are eight.
    unsafe { std::ptr::copy_nonoverlapping(whole.as_ptr(), at, lanes) };
}
