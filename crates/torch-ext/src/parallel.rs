//! Work shared out over libtorch's own intra-op threads, so that there is one pool and `--threads` means all of it.

use std::ffi::c_void;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;

use crate::ffi;

type Panic = Box<dyn std::any::Any + Send>;

struct Job<'a> {
    body: &'a (dyn Fn(Range<usize>) + Sync),
    panic: Mutex<Option<Panic>>,
}

/// Calls `body` with every index below `count`, each once, in any order and on any thread of the pool.
///
/// What `body` adds up it must keep per index: sums are then the same however many threads there are.
pub(crate) fn for_each(count: usize, body: &(dyn Fn(usize) + Sync)) {
    for_each_range(count, &|range| range.for_each(body));
}

/// Calls `body` with ranges that cover every index below `count` once, one range a thread.
pub(crate) fn for_each_range(count: usize, body: &(dyn Fn(Range<usize>) + Sync)) {
    let job = Job { body, panic: Mutex::new(None) };
    // SAFETY: `job` outlives the call, which returns when every index is done.
    let text = unsafe {
        ffi::torch_ext_parallel_for(count as i64, run_range, (&raw const job).cast_mut().cast())
    };
    if let Some(panic) = job.panic.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        resume_unwind(panic);
    }
    ffi::check("a parallel loop", text).expect("libtorch's pool runs");
}

/// Called by libtorch on its threads.
unsafe extern "C" fn run_range(context: *mut c_void, begin: i64, end: i64) {
    // SAFETY: `for_each` passes its job, alive until the loop is over.
    let job = unsafe { &*context.cast::<Job>() };
    // A panic must not unwind through C++; it waits for the caller.
    let work = || (job.body)(begin as usize..end as usize);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        job.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).replace(panic);
    }
}

/// A pointer that goes to the pool's threads, each of which keeps to its own part of what lies behind it.
#[derive(Debug)]
pub(crate) struct Shared<T>(pub(crate) *mut T);

impl<T> Shared<T> {
    /// The start of `list`, which is only read.
    pub(crate) fn reading(list: &[T]) -> Self {
        Self(list.as_ptr().cast_mut())
    }

    /// The place `count` items on.
    ///
    /// # Safety
    /// It lies within what the pointer covers.
    pub(crate) unsafe fn offset(self, count: usize) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { self.0.add(count) })
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

// SAFETY: the kernels give each thread rows, or sums, of its own; `T` is a plain number.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

/// The part of `total` that belongs to piece `index` of `pieces`: contiguous, and even to within one.
pub(crate) fn piece(total: usize, pieces: usize, index: usize) -> Range<usize> {
    total * index / pieces..total * (index + 1) / pieces
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_index_is_visited_once() {
        let visits: Vec<AtomicUsize> = (0..1000).map(|_| AtomicUsize::new(0)).collect();
        for_each(visits.len(), &|index| {
            visits[index].fetch_add(1, Ordering::Relaxed);
        });
        assert!(visits.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        for_each(0, &|_| panic!("nothing to visit"));
    }

    /// The pool is found by name at run time: were it not, everything would still work, on one thread.
    #[test]
    #[cfg(target_os = "linux")]
    fn every_thread_of_the_pool_works() {
        use std::collections::HashSet;
        let seen = Mutex::new(HashSet::new());
        for_each(2, &|_| {
            seen.lock().unwrap().insert(std::thread::current().id());
            // Long enough for the other thread to come and take its share.
            std::thread::sleep(std::time::Duration::from_millis(20));
        });
        let expected = tch::get_num_threads().clamp(1, 2) as usize;
        assert_eq!(seen.into_inner().unwrap().len(), expected);
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let panic =
            catch_unwind(|| for_each(8, &|index| assert_ne!(index, 5, "five"))).unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().contains("five"));
    }

    #[test]
    fn pieces_cover_everything_once() {
        let covered: Vec<usize> = (0..7).flat_map(|index| piece(23, 7, index)).collect();
        assert_eq!(covered, (0..23).collect::<Vec<_>>());
    }
}
