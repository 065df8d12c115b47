//! Batch norm of a map that our kernels do not compute on, by the statistics of all processes.
//!
//! PyTorch: `torch.nn.SyncBatchNorm`. For each layer a list of sums travels, once forward and once backward.

use tch::{Device, Kind, Tensor};

use super::BatchNorm;
use super::sum_over_processes::SumOverProcesses;
use crate::autograd::record;
use crate::dense::{described, expect_floating, is_floating};
use crate::nhwc::Nhwc;

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
    use std::sync::{Arc, Barrier, Mutex};

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
