//! Sums over several processes: the part of a synchronised batch norm that travels.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use tch::Tensor;

use crate::channel_values;

/// Adds up a tensor of float64 over all processes, in place. All processes call it equally often, in the same order.
#[derive(Clone)]
pub struct SumOverProcesses(Arc<dyn Fn(&Tensor) + Send + Sync>);

impl fmt::Debug for SumOverProcesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SumOverProcesses")
    }
}

thread_local! {
    static CURRENT: RefCell<Option<SumOverProcesses>> = const { RefCell::new(None) };
}

impl SumOverProcesses {
    /// A sum by `sum`, which adds up its argument in place and panics or ends the process where it cannot.
    ///
    /// The backward pass calls it too, on the thread that runs it, so it is `Send` and `Sync`.
    pub fn new(sum: impl Fn(&Tensor) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sum))
    }

    /// Does `work`. Until it is done, batch norms on this thread measure their statistics over all processes, and the
    /// backward pass of the maps that they return is synchronised too.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Restored(Option<SumOverProcesses>);
        impl Drop for Restored {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restored = Restored(CURRENT.replace(Some(self.clone())));
        work()
    }

    /// The sum of the [work](Self::during) under way.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Sums `tensor` over all processes, in place.
    pub(crate) fn sum(&self, tensor: &Tensor) {
        (self.0)(tensor);
    }

    /// The sums of several lists of numbers in one call.
    pub(crate) fn sums<const K: usize>(&self, lists: [&[f64]; K]) -> [Vec<f64>; K] {
        let list = lists.concat();
        let flat = Tensor::from_slice(&list);
        self.sum(&flat);
        let flat: Vec<f64> = channel_values::read(&flat);
        assert!(
            flat.len() == list.len(),
            "expected the sum over processes to keep {} numbers, got {}",
            list.len(),
            flat.len()
        );
        let mut start = 0;
        lists.map(|list| {
            start += list.len();
            flat[start - list.len()..start].to_vec()
        })
    }
}

/// Mean and biased variance of the pixels of all processes, and their number, from those of this process.
pub(super) fn moments_of_all(
    sum: &SumOverProcesses,
    mean: &[f64],
    variance: &[f64],
    pixels: f64,
) -> (Vec<f64>, Vec<f64>, f64) {
    let sums: Vec<f64> = mean.iter().map(|mean| mean * pixels).collect();
    let squares =
        mean.iter().zip(variance).map(|(mean, variance)| pixels * (variance + mean * mean));
    let squares: Vec<f64> = squares.collect();
    let [count, sums, squares] = sum.sums([&[pixels], &sums, &squares]);
    let all = count[0];
    if all == 0.0 {
        return (mean.to_vec(), variance.to_vec(), all);
    }
    let mean: Vec<f64> = sums.iter().map(|sum| sum / all).collect();
    let variance =
        squares.iter().zip(&mean).map(|(square, mean)| (square / all - mean * mean).max(0.0));
    let variance = variance.collect();
    (mean, variance, all)
}
