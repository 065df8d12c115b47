//! Work shared out over libtorch's own intra-op threads, so that there is one pool and `--threads` means all of it.

use std::ffi::c_void;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ffi;
#[cfg(test)]
use crate::simd::{InstructionSet, tests::FORCED};

type Panic = Box<dyn std::any::Any + Send>;

struct Job<'a> {
    body: &'a (dyn Fn(Range<usize>) + Sync),
    panic: Mutex<Option<Panic>>,
    #[cfg(test)]
    set: Option<InstructionSet>,
}

/// Calls `body` with every index below `count`, each once, in any order and on any thread of the pool.
///
/// What `body` adds up it must keep per index: sums are then the same however many threads there are.
pub(crate) fn for_each(count: usize, body: &(dyn Fn(usize) + Sync)) {
    share_out(count, &|share| share.for_each(body));
}

/// Calls `body` with ranges that cover every index below `count` once, a few for each thread.
pub(crate) fn for_each_range(count: usize, body: &(dyn Fn(Range<usize>) + Sync)) {
    let threads = tch::get_num_threads().max(1) as usize;
    let pieces = if threads == 1 { 1 } else { threads * RANGES }.min(count);
    for_each(pieces, &|index| body(piece(count, pieces, index)));
}

/// Ranges that a thread starts out with.
const RANGES: usize = 8;

/// Calls `body` once on each thread of the pool with its [`Share`] of the indices below `count`.
pub(crate) fn share_out(count: usize, body: &(dyn Fn(Share) + Sync)) {
    let threads = (tch::get_num_threads().max(1) as usize).min(count);
    let left = (0..threads).map(|own| Left::new(piece(count, threads, own)));
    let left: Vec<Left> = left.collect();
    on_threads(threads, &|range| range.for_each(|own| body(Share { left: &left, own })));
}

/// The indices that fall to a thread: its own part, first to last, then the last ones of whoever is furthest behind.
///
/// A processor that others use too gives its threads unequal speeds, and the slowest of equal parts would be waited
/// for. Whose part an index is decides where its data lie near, so nothing moves without need.
pub(crate) struct Share<'a> {
    left: &'a [Left],
    own: usize,
}

impl Iterator for Share<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if let Some(index) = self.left[self.own].take(|range| range.next()) {
            return Some(index);
        }
        loop {
            let behind = self.left.iter().max_by_key(|left| left.range().len())?;
            if behind.range().is_empty() {
                return None;
            }
            if let Some(index) = behind.take(|range| range.next_back()) {
                return Some(index);
            }
        }
    }
}

/// What is left of a thread's part: start and end, 32 bits each, so that both are read and written at once.
struct Left(AtomicU64);

impl Left {
    fn new(range: Range<usize>) -> Self {
        debug_assert!(u32::try_from(range.end).is_ok());
        Self(AtomicU64::new(Self::packed(&range)))
    }

    fn packed(range: &Range<usize>) -> u64 {
        (range.start as u64) << 32 | range.end as u64
    }

    fn unpacked(packed: u64) -> Range<usize> {
        (packed >> 32) as usize..(packed & u64::from(u32::MAX)) as usize
    }

    fn range(&self) -> Range<usize> {
        Self::unpacked(self.0.load(Ordering::Relaxed))
    }

    /// Takes an index from either end. The range only ever shrinks, so an exchange cannot mistake one for another.
    fn take(&self, end: impl Fn(&mut Range<usize>) -> Option<usize>) -> Option<usize> {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let mut range = Self::unpacked(seen);
            let index = end(&mut range)?;
            let taken = Self::packed(&range);
            match self.0.compare_exchange_weak(seen, taken, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(index),
                Err(now) => seen = now,
            }
        }
    }
}

/// Calls `body` with ranges that cover every index below `count` once, one range a thread.
fn on_threads(count: usize, body: &(dyn Fn(Range<usize>) + Sync)) {
    let job = Job {
        body,
        panic: Mutex::new(None),
        #[cfg(test)]
        set: FORCED.get(),
    };
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
    // SAFETY: `on_threads` passes its job, alive until the loop is over.
    let job = unsafe { &*context.cast::<Job>() };
    #[cfg(test)]
    FORCED.set(job.set);
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
    use std::sync::atomic::AtomicUsize;

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

    #[test]
    fn ranges_cover_every_index_once() {
        for count in [0, 1, 5, 1000] {
            let visits: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            for_each_range(count, &|range| {
                visits[range].iter().for_each(|count| {
                    count.fetch_add(1, Ordering::Relaxed);
                });
            });
            assert!(visits.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{count}");
        }
    }

    #[test]
    fn a_thread_that_is_done_helps_the_one_furthest_behind() {
        let left = [Left::new(0..2), Left::new(2..4), Left::new(4..9)];
        let indices: Vec<usize> = Share { left: &left, own: 0 }.take(6).collect();
        assert_eq!(indices, [0, 1, 8, 7, 6, 5]);
        assert_eq!(Share { left: &left, own: 1 }.collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(Share { left: &left, own: 2 }.next(), None);
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
