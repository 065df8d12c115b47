//! Batch statistics of several processes: every one normalises by the mean and variance of all their maps together.
//!
//! PyTorch: `torch.nn.SyncBatchNorm`. What travels is a list of sums a layer, once forward and once backward.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use crate::numbers;

/// Adds up a tensor of float64 over all processes, in place. All of them call it equally often, in the same order.
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
    /// By `sum`, which does not return where it fails.
    pub fn new(sum: impl Fn(&Tensor) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sum))
    }

    /// Does `work`; what batch norms measure meanwhile in this thread, they measure over all processes. The backward
    /// pass of what they make is synchronised, too, whenever it comes.
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

    /// That of the work under way.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Sums `tensor` over all processes, in place.
    pub(crate) fn sum(&self, tensor: &Tensor) {
        (self.0)(tensor);
    }

    /// The sums of lists of numbers, all in one.
    pub(crate) fn sums<const K: usize>(&self, lists: [&[f64]; K]) -> [Vec<f64>; K] {
        let flat = Tensor::from_slice(&lists.concat());
        self.sum(&flat);
        let flat: Vec<f64> = numbers::read(&flat);
        let mut start = 0;
        lists.map(|list| {
            start += list.len();
            flat[start - list.len()..start].to_vec()
        })
    }
}

/// Mean and biased variance of all processes' pixels, and how many those are, from this one's.
pub(super) fn moments(
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
    let mean: Vec<f64> = sums.iter().map(|sum| sum / all).collect();
    let variance =
        squares.iter().zip(&mean).map(|(square, mean)| (square / all - mean * mean).max(0.0));
    let variance = variance.collect();
    (mean, variance, all)
}

/// The batch normalisation in training of a map that our kernels do not compute on, such as one on a GPU, by the
/// statistics of all processes; `None` where nothing is synchronised.
pub fn synchronised_batch_norm(xs: &Tensor, norm: &super::BatchNorm) -> Option<Tensor> {
    let sum = SumOverProcesses::current()?;
    let (ys, mean, inverse_deviation, pixels) = tch::no_grad(|| forward(xs, norm, &sum));
    let weight = norm.weight.to_kind(Kind::Double);
    let saved = [xs, &mean, &inverse_deviation, &weight];
    let (weight_kind, bias_kind) = (norm.weight.kind(), norm.bias.kind());
    crate::autograd::record(&[xs, norm.weight, norm.bias], &[&ys], &saved, move |incoming| {
        let [xs, mean, inverse_deviation, weight] = incoming.saved else {
            unreachable!("as many as were saved")
        };
        let Some(gradient) = &incoming.gradients[0] else { return vec![None, None, None] };
        let gradient = gradient.to_kind(Kind::Double);
        let centred = xs.to_kind(Kind::Double) - by_channel(mean);
        let over_pixels =
            |values: &Tensor| values.sum_dim_intlist(&[0_i64, 2, 3][..], false, None::<Kind>);
        let own = Tensor::stack(&[over_pixels(&gradient), over_pixels(&(&gradient * &centred))], 0);
        let all = own.copy();
        sum.sum(&all);
        let offset = all.get(0) / pixels;
        let slope = all.get(1) * inverse_deviation.square() / pixels;
        let values = (gradient - by_channel(&offset) - centred * by_channel(&slope))
            * by_channel(&(weight * inverse_deviation));
        vec![
            Some(values.to_kind(xs.kind())),
            Some((own.get(1) * inverse_deviation).to_kind(weight_kind)),
            Some(own.get(0).to_kind(bias_kind)),
        ]
    });
    Some(ys)
}

/// Result, mean, inverse deviation, and pixels in all; moves the running statistics.
fn forward(
    xs: &Tensor,
    norm: &super::BatchNorm,
    sum: &SumOverProcesses,
) -> (Tensor, Tensor, Tensor, f64) {
    let wide = xs.to_kind(Kind::Double);
    let own = (xs.numel() as i64 / xs.size()[1]) as f64;
    let over_pixels =
        |values: &Tensor| values.sum_dim_intlist(&[0_i64, 2, 3][..], false, None::<Kind>);
    let count = Tensor::full([xs.size()[1]], own, (Kind::Double, xs.device()));
    let sums = Tensor::stack(&[count, over_pixels(&wide), over_pixels(&wide.square())], 0);
    sum.sum(&sums);
    let pixels = sums.to_device(Device::Cpu).double_value(&[0, 0]);
    let mean = sums.get(1) / pixels;
    let variance = (sums.get(2) / pixels - mean.square()).clamp_min(0.0);
    let unbiased = pixels / (pixels - norm.correction).max(1.0);
    let moved = [(norm.running_mean, &mean), (norm.running_var, &(&variance * unbiased))];
    // As libtorch: a batch without a pixel, in all processes together, teaches nothing.
    for (running, new) in moved.into_iter().filter(|_| pixels > 0.0) {
        let mut running = running.shallow_clone();
        let moved = running.to_kind(Kind::Double).lerp(new, norm.momentum);
        running.copy_(&moved);
    }
    let inverse_deviation = (variance + norm.eps).rsqrt();
    let scale = norm.weight.to_kind(Kind::Double) * &inverse_deviation;
    let shift = norm.bias.to_kind(Kind::Double) - &mean * &scale;
    let ys = (wide * by_channel(&scale) + by_channel(&shift)).to_kind(xs.kind());
    (ys, mean, inverse_deviation, pixels)
}

fn by_channel(numbers: &Tensor) -> Tensor {
    numbers.view([1, -1, 1, 1])
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};

    use super::super::{BatchNorm, FeatureMap, Statistics};
    use super::*;

    /// A thread for each of `inputs`, which add up as processes would.
    fn processes<I: Send, T: Send>(inputs: Vec<I>, work: impl Fn(I) -> T + Sync) -> Vec<T> {
        let total: Arc<Mutex<Option<Tensor>>> = Arc::default();
        let barrier = Arc::new(Barrier::new(inputs.len()));
        let sum = SumOverProcesses::new(move |tensor| {
            {
                let mut total = total.lock().unwrap();
                *total = Some(total.take().map_or(tensor.copy(), |sum| sum + tensor));
            }
            barrier.wait();
            tensor.shallow_clone().copy_(total.lock().unwrap().as_ref().unwrap());
            if barrier.wait().is_leader() {
                *total.lock().unwrap() = None;
            }
            barrier.wait();
        });
        std::thread::scope(|scope| {
            let (work, sum) = (&work, &sum);
            let start = |input| scope.spawn(move || sum.during(|| work(input)));
            let threads: Vec<_> = inputs.into_iter().map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// Result, gradients in the values, weight and bias, and the running statistics after it.
    fn results(
        xs: &Tensor,
        pull: &Tensor,
        norm: impl Fn(&Tensor, &BatchNorm) -> Tensor,
    ) -> Vec<Tensor> {
        let c = xs.size()[1];
        let ramp = |start: f64| Tensor::arange(c, (xs.kind(), Device::Cpu)) * 0.3 + start;
        let leaves = [xs.copy(), ramp(0.5), ramp(-0.2)].map(|leaf| leaf.set_requires_grad(true));
        let running = [ramp(0.1), ramp(1.0)];
        let config = BatchNorm {
            weight: &leaves[1],
            bias: &leaves[2],
            running_mean: &running[0],
            running_var: &running[1],
            momentum: 0.1,
            eps: 1e-3,
            correction: 1.0,
        };
        let ys = norm(&leaves[0], &config);
        (&ys * pull).sum(Kind::Double).backward();
        let [first, second] = running;
        let mut all = vec![ys.detach()];
        all.extend(leaves.iter().map(Tensor::grad));
        all.extend([first, second]);
        all.into_iter().map(|tensor| tensor.to_kind(Kind::Double)).collect()
    }

    fn by_kernels(xs: &Tensor, norm: &BatchNorm) -> Tensor {
        let map = FeatureMap::batch_normalized(xs.shallow_clone(), norm, Statistics::OfBatch);
        map.unwrap().resolve()
    }

    /// Three processes with unequal parts of a batch, against one with all of it.
    fn check(kind: Kind, tolerance: f64, norm: fn(&Tensor, &BatchNorm) -> Tensor) {
        tch::manual_seed(5);
        let xs = (Tensor::randn([7, 5, 4, 3], (Kind::Double, Device::Cpu)) * 2 + 3).to_kind(kind);
        let xs = crate::channels_last(&xs).unwrap();
        let pull = Tensor::randn([7, 5, 4, 3], (Kind::Double, Device::Cpu));
        let whole = results(&xs, &pull, by_kernels);
        let cut = |(start, length): (i64, i64)| {
            let [xs, pull] = [&xs, &pull].map(|tensor| tensor.narrow(0, start, length));
            (crate::channels_last(&xs).unwrap(), pull)
        };
        let ranks = processes([(0, 2), (2, 4), (6, 1)].map(cut).into(), |(xs, pull)| {
            results(&xs, &pull, norm)
        });
        for (index, expected) in whole.iter().enumerate() {
            let got: Vec<&Tensor> = ranks.iter().map(|results| &results[index]).collect();
            let got = match index {
                0 | 1 => Tensor::cat(&got, 0),
                // What each knows of weight and bias is added up, like every gradient.
                2 | 3 => got[0] + got[1] + got[2],
                _ => {
                    assert!(got.iter().all(|running| *running == got[0]));
                    got[0].shallow_clone()
                }
            };
            let off = ((got - expected).abs().max() / expected.abs().max()).double_value(&[]);
            assert!(off < tolerance, "result {index} is off by {off}");
        }
    }

    #[test]
    fn parts_are_normalised_as_the_whole() {
        check(Kind::Double, 1e-12, by_kernels);
        check(Kind::Float, 2e-6, by_kernels);
    }

    #[test]
    fn so_are_maps_that_are_not_ours() {
        let composed = |xs: &Tensor, norm: &BatchNorm| synchronised_batch_norm(xs, norm).unwrap();
        check(Kind::Double, 1e-12, composed);
        check(Kind::Float, 2e-6, composed);
    }

    #[test]
    fn nothing_is_synchronised_outside() {
        processes(vec![()], |()| assert!(SumOverProcesses::current().is_some()));
        assert!(SumOverProcesses::current().is_none());
    }
}
