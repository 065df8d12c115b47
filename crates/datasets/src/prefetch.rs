//! An iterator that runs before its consumer needs it, in one thread.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

/// The items of another iterator, some of them ready before they are requested. A panic of that iterator surfaces in
/// `next`. Dropping ends and joins the thread.
pub(crate) struct Prefetch<T> {
    // Both are `None` once the thread has ended.
    receiver: Option<Receiver<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// At most `ready` items (1 or more) are finished and waiting at any time.
    ///
    /// # Panics
    /// Where the system has no thread left.
    pub(crate) fn new(ready: usize, items: impl Iterator<Item = T> + Send + 'static) -> Self {
        // One more item waits in the thread itself.
        let (sender, receiver) = sync_channel(ready.saturating_sub(1));
        let thread = thread::Builder::new()
            .name("loader".into())
            .spawn(move || {
                for item in items {
                    if sender.send(item).is_err() {
                        return;
                    }
                }
            })
            .expect("the system has no thread left for the loader");
        Self { receiver: Some(receiver), thread: Some(thread) }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let item = self.receiver.as_ref()?.recv().ok();
        if item.is_none() {
            self.receiver = None;
            if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                resume_unwind(panic);
            }
        }
        item
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        // Closed first, or a thread that waits to send would never end.
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            // The panic of an item that was never requested has been printed already.
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn items_keep_their_order() {
        for ready in [1, 2, 100] {
            assert!(Prefetch::new(ready, 0..50).eq(0..50));
        }
    }

    #[test]
    fn a_finished_iterator_stays_finished() {
        let mut items = Prefetch::new(1, 0..1);
        assert_eq!([items.next(), items.next(), items.next()], [Some(0), None, None]);
    }

    #[test]
    fn a_panic_surfaces_after_the_items_before_it() {
        let mut items = Prefetch::new(2, (0..5).inspect(|&item| assert!(item < 2, "item {item}")));
        assert_eq!([items.next(), items.next()], [Some(0), Some(1)]);
        let panic = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "item 2");
        assert_eq!(items.next(), None);
    }

    #[test]
    fn leaving_early_ends_and_joins_the_thread() {
        for (ready, taken) in [(1, 0), (1, 1), (3, 2)] {
            let alive = Arc::new(());
            let held = Arc::clone(&alive);
            let mut items = Prefetch::new(ready, (0..).map(move |item| (item, held.clone()).0));
            for expected in 0..taken {
                assert_eq!(items.next(), Some(expected));
            }
            drop(items);
            assert_eq!(Arc::strong_count(&alive), 1, "the thread is gone with all it held");
        }
    }

    #[test]
    fn no_more_than_requested_is_made_early() {
        for ready in [1, 3] {
            let made = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&made);
            let mut items = Prefetch::new(
                ready,
                (0..100).inspect(move |_| {
                    counter.fetch_add(1, Ordering::SeqCst);
                }),
            );
            items.next();
            // It may be slower than this, never faster: the test cannot fail by chance.
            thread::sleep(Duration::from_millis(50));
            let made = made.load(Ordering::SeqCst);
            assert!(made <= 1 + ready, "{made} made, 1 taken, {ready} may wait");
        }
    }
}
