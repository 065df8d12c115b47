//! Batch statistics of several processes: each normalises by the mean and variance of the maps of all.
//!
//! PyTorch: `torch.nn.SyncBatchNorm`. For each layer a list of sums travels, once forward and once backward.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::BatchNorm;
use crate::autograd::record;
use crate::dense::{described, expect_floating, is_floating};
use crate::nhwc::Nhwc;
use crate::numbers;

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
        let flat: Vec<f64> = numbers::read(&flat);
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
    if all == 0.0 {
        return (mean.to_vec(), variance.to_vec(), all);
    }
    let mean: Vec<f64> = sums.iter().map(|sum| sum / all).collect();
    let variance =
        squares.iter().zip(&mean).map(|(square, mean)| (square / all - mean * mean).max(0.0));
    let variance = variance.collect();
    (mean, variance, all)
}

/// The batch normalisation in training of `xs: [N, C, H, W]`, by the statistics of all processes, for a map that our
/// kernels do not compute on, such as one on a GPU; `None` where nothing is synchronised.
///
/// Differentiable in `xs`, weight and bias; there is no second derivative. Statistics enter the running ones. Where the
/// batches of all processes are empty, they leave the running ones alone. PyTorch: `torch.nn.SyncBatchNorm`.
///
/// # Panics
/// Where `xs` does not hold floating-point numbers or has other dimensions, and where a tensor of `norm` is not `[C]` on
/// the device of `xs`.
pub fn synchronised_batch_norm(xs: &Tensor, norm: &BatchNorm) -> Option<Tensor> {
    let sum = SumOverProcesses::current()?;
    expect_floating(xs);
    let sizes = Nhwc::of(xs);
    for (name, tensor) in norm.tensors() {
        let fits = tensor.defined()
            && tensor.size() == [sizes.c as i64]
            && tensor.device() == xs.device()
            && tensor.f_kind().is_ok_and(is_floating);
        assert!(
            fits,
            "expected {name} of {} floating-point numbers on {:?}, one for each channel, got {}",
            sizes.c,
            xs.device(),
            described(tensor)
        );
    }
    let Forward { ys, mean, inverse_deviation, pixels } =
        tch::no_grad(|| forward(xs, sizes, norm, &sum));
    let weight = norm.weight.to_kind(Kind::Double);
    let saved = [xs, &mean, &inverse_deviation, &weight];
    let (weight_kind, bias_kind) = (norm.weight.kind(), norm.bias.kind());
    record(&[xs, norm.weight, norm.bias], &[&ys], &saved, move |incoming| {
        let [xs, mean, inverse_deviation, weight] = incoming.saved else {
            unreachable!("the graph returns as many tensors as were saved")
        };
        let Some(gradient) = &incoming.gradients[0] else { return vec![None, None, None] };
        let gradient = gradient.to_kind(Kind::Double);
        let centred = xs.to_kind(Kind::Double) - by_channel(mean);
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

/// The result of [`forward`]. Mean and inverse deviation are `[C]`, float64; `pixels` counts those of all processes.
struct Forward {
    ys: Tensor,
    mean: Tensor,
    inverse_deviation: Tensor,
    pixels: f64,
}

/// Normalises by the statistics of all processes and moves the running ones.
fn forward(xs: &Tensor, sizes: Nhwc, norm: &BatchNorm, sum: &SumOverProcesses) -> Forward {
    let wide = xs.to_kind(Kind::Double);
    let own = sizes.pixels() as f64;
    let count = Tensor::full([sizes.c as i64], own, (Kind::Double, xs.device()));
    let sums = Tensor::stack(&[count, over_pixels(&wide), over_pixels(&wide.square())], 0);
    sum.sum(&sums);
    let pixels = if sizes.c == 0 { 0.0 } else { sums.to_device(Device::Cpu).double_value(&[0, 0]) };
    let mean = sums.get(1) / pixels;
    let variance = (sums.get(2) / pixels - mean.square()).clamp_min(0.0);
    let unbiased = pixels / (pixels - norm.correction).max(1.0);
    let moves = [(norm.running_mean, &mean), (norm.running_var, &(&variance * unbiased))];
    for (running, new) in moves.into_iter().filter(|_| pixels > 0.0) {
        let mut running = running.shallow_clone();
        let moved = running.to_kind(Kind::Double).lerp(new, norm.momentum);
        running.copy_(&moved);
    }
    let inverse_deviation = (variance + norm.eps).rsqrt();
    let scale = norm.weight.to_kind(Kind::Double) * &inverse_deviation;
    let shift = norm.bias.to_kind(Kind::Double) - &mean * &scale;
    let ys = (wide * by_channel(&scale) + by_channel(&shift)).to_kind(xs.kind());
    Forward { ys, mean, inverse_deviation, pixels }
}

fn over_pixels(values: &Tensor) -> Tensor {
    values.sum_dim_intlist(&[0_i64, 2, 3][..], false, None::<Kind>)
}

fn by_channel(numbers: &Tensor) -> Tensor {
    numbers.view([1, -1, 1, 1])
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};

    use super::super::{FeatureMap, Statistics};
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

    /// Result, gradients in the values, weight and bias, and the new running statistics.
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
                // Weight and bias have a gradient in each process; the sum of all counts.
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
    fn parts_are_normalised_like_the_whole() {
        check(Kind::Double, 1e-12, by_kernels);
        check(Kind::Float, 2e-6, by_kernels);
    }

    #[test]
    fn parts_of_maps_of_other_devices_are_normalised_like_the_whole() {
        let composed = |xs: &Tensor, norm: &BatchNorm| synchronised_batch_norm(xs, norm).unwrap();
        check(Kind::Double, 1e-12, composed);
        check(Kind::Float, 2e-6, composed);
    }

    #[test]
    fn nothing_is_synchronised_outside_of_the_work() {
        processes(vec![()], |()| assert!(SumOverProcesses::current().is_some()));
        assert!(SumOverProcesses::current().is_none());
    }
}
