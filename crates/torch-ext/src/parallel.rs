//! Loops over libtorch's own intra-op threads, so that there is one pool and `--threads` means all of it.

use std::ffi::c_void;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

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
/// `body` must keep its sums per index: they are then the same for any number of threads.
pub(crate) fn for_each(count: usize, body: &(dyn Fn(usize) + Sync)) {
    share_out(count, &|share| share.for_each(body));
}

/// Calls `body` once with each of `parts`, in any order and on any thread of the pool.
pub(crate) fn for_each_of<T: Send>(parts: Vec<T>, body: &(dyn Fn(T) + Sync)) {
    let parts: Vec<Mutex<Option<T>>> =
        parts.into_iter().map(|part| Mutex::new(Some(part))).collect();
    for_each(parts.len(), &|index| {
        let part = parts[index].lock().unwrap_or_else(PoisonError::into_inner).take();
        body(part.expect("a loop visits each index once"));
    });
}

/// Calls `body` with ranges that cover every index below `count` once, a few for each thread, and with the parts of its
/// range of `list`, which consists of `count` parts of equal length. An empty list has no parts.
pub(crate) fn for_each_range_of<T: Send>(
    list: &mut [T],
    count: usize,
    body: &(dyn Fn(Range<usize>, &mut [T]) + Sync),
) {
    if list.is_empty() {
        return;
    }
    let mut rest = Cut::new(list, count);
    let parts = ranges(count).into_iter().map(|range| (range.clone(), rest.take(range.len())));
    for_each_of(parts.collect(), &|(range, part)| body(range, part));
}

/// The ranges that cover every index below `count` once, a few for each thread.
pub(crate) fn ranges(count: usize) -> Vec<Range<usize>> {
    let threads = tch::get_num_threads().max(1) as usize;
    let pieces = if threads == 1 { 1 } else { threads * RANGES }.min(count);
    (0..pieces).map(|index| piece(count, pieces, index)).collect()
}

/// Ranges that a thread starts with.
const RANGES: usize = 8;

/// A list that is cut into parts from its start on.
pub(crate) struct Cut<'a, T> {
    rest: &'a mut [T],
    /// Length of one part.
    length: usize,
}

impl<'a, T> Cut<'a, T> {
    /// `list` consists of `count` parts of equal length.
    pub(crate) fn new(list: &'a mut [T], count: usize) -> Self {
        let length = list.len() / count.max(1);
        assert_eq!(list.len(), length * count, "expected a list of {count} parts of equal length");
        Self { rest: list, length }
    }

    /// The next `count` parts.
    pub(crate) fn take(&mut self, count: usize) -> &'a mut [T] {
        self.rest.split_off_mut(..count * self.length).expect("as many parts as the list has")
    }
}

/// Calls `body` once on each thread of the pool with its [`Share`] of the indices below `count`, which fits 32 bits.
pub(crate) fn share_out(count: usize, body: &(dyn Fn(Share) + Sync)) {
    assert!(u32::try_from(count).is_ok(), "expected at most {} tasks, got {count}", u32::MAX);
    let threads = (tch::get_num_threads().max(1) as usize).min(count);
    let left = (0..threads).map(|own| Left::new(piece(count, threads, own)));
    let left: Vec<Left> = left.collect();
    on_threads(threads, &|range| range.for_each(|own| body(Share { left: &left, own })));
}

/// The indices of one thread: its own part, first to last, then the last ones of the thread that has most left.
///
/// Threads of a busy processor run at unequal speeds, and with fixed parts all would wait for the slowest. An index
/// moves only when its own thread is late, because its data lie near that thread.
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
            let slowest = self.left.iter().max_by_key(|left| left.range().len())?;
            if slowest.range().is_empty() {
                return None;
            }
            if let Some(index) = slowest.take(|range| range.next_back()) {
                return Some(index);
            }
        }
    }
}

/// The rest of a thread's part: start and end, 32 bits each, so that both are read and written at once.
struct Left(AtomicU64);

impl Left {
    fn new(range: Range<usize>) -> Self {
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
    // SAFETY: `run_range` expects a `Job`, and `job` outlives the call, which returns when every index is done.
    let text = unsafe {
        ffi::torch_ext_parallel_for(count as i64, run_range, (&raw const job).cast_mut().cast())
    };
    if let Some(panic) = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(panic);
    }
    ffi::check("a parallel loop", text).expect("libtorch's pool runs");
}

/// The body that libtorch calls on its threads.
///
/// # Safety
/// `context` points to a [`Job`] that outlives the call.
unsafe extern "C" fn run_range(context: *mut c_void, begin: i64, end: i64) {
    // SAFETY: the caller promises a job that outlives the call.
    let job = unsafe { &*context.cast::<Job>() };
    #[cfg(test)]
    FORCED.set(job.set);
    // A panic must not unwind through C++; `on_threads` resumes it.
    let work = || (job.body)(begin as usize..end as usize);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        job.panic.lock().unwrap_or_else(PoisonError::into_inner).replace(panic);
    }
}

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
    fn each_range_receives_its_part_of_the_list() {
        let mut list = vec![0; 3 * 1000];
        for_each_range_of(&mut list, 1000, &|range, part| {
            assert_eq!(part.len(), 3 * range.len());
            part.iter_mut().zip(3 * range.start..).for_each(|(number, index)| *number = index);
        });
        assert!(list.into_iter().eq(0..3000));
        for_each_range_of(&mut [0; 0], usize::MAX, &|_, _| panic!("nothing to visit"));
    }

    #[test]
    #[should_panic(expected = "expected a list of 3 parts of equal length")]
    fn a_list_of_unequal_parts_is_refused() {
        for_each_range_of(&mut [0; 5], 3, &|_, _| ());
    }

    #[test]
    #[should_panic(expected = "expected at most 4294967295 tasks, got 4294967296")]
    fn more_tasks_than_32_bits_count_are_refused() {
        share_out(1 << 32, &|_| ());
    }

    #[test]
    fn a_thread_that_is_done_helps_the_slowest() {
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
