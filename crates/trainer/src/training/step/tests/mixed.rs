//! Steps over mixed batches: the loss and its gradient are those of both labels, each in its share.

use std::collections::BTreeMap;

use datasets::Mixed;

use super::*;
use crate::optim::optimizer::Decays;

/// Labels that are three further than the batch's own.
fn partners(batch: &Batch) -> Tensor {
    (&batch.labels + 3).remainder(10)
}

fn mixed_batch(step: i64, size: i64, weight: f64) -> Batch {
    let plain = batch(step, size);
    Batch { mixed: Some(Mixed { partner_labels: partners(&plain), weight }), ..plain }
}

/// A network's variables to start from: the generator that draws them is shared with the tests beside these.
fn start() -> BTreeMap<String, Tensor> {
    let (store, _) = stepper(Device::Cpu, Precision::Fp32, Launch::KernelByKernel);
    variables(&store)
}

fn stepper_at(start: &BTreeMap<String, Tensor>) -> (VarStore, Stepper) {
    let (store, stepper) = stepper(Device::Cpu, Precision::Fp32, Launch::KernelByKernel);
    tch::no_grad(|| {
        for (name, mut variable) in variables(&store) {
            variable.copy_(&start[&name]);
        }
    });
    (store, stepper)
}

/// Loss, images recognised and how far every variable went in one step of plain SGD.
fn stepped(start: &BTreeMap<String, Tensor>, batch: &Batch) -> (f64, i64, Vec<Tensor>) {
    let sgd = OptimizerConfig::Sgd {
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
        decays: Decays::All,
    };
    let (store, mut stepper) = stepper_at(start);
    stepper.learner.optimizer = Optimizer::new(&store, sgd);
    let before: Vec<_> = store.trainable_variables().iter().map(Tensor::copy).collect();
    let moment = Moment { epoch: 1, step: 1, learning_rate: 1.0 };
    let Stepped { loss, right, .. } = stepper.step(batch, moment).unwrap();
    let after = store.trainable_variables().into_iter().zip(before);
    let moved = after.map(|(after, before)| after.detach() - before.detach()).collect();
    (loss.double_value(&[]), right.int64_value(&[]), moved)
}

#[test]
fn loss_and_gradient_are_those_of_both_labels_in_their_shares() {
    let (start, plain) = (start(), batch(0, 4));
    let own = stepped(&start, &plain);
    let partner = stepped(&start, &Batch { labels: partners(&plain), ..batch(0, 4) });
    for weight in [1.0, 0.7, 0.2, 0.0] {
        let mixed = stepped(&start, &mixed_batch(0, 4, weight));
        let expected = weight * own.0 + (1.0 - weight) * partner.0;
        assert!((mixed.0 - expected).abs() < 1e-6, "{weight}: {} and not {expected}", mixed.0);
        assert_eq!(mixed.1, own.1, "the first label counts");
        let mut farthest = 0.0_f64;
        for (mixed, (own, partner)) in mixed.2.iter().zip(own.2.iter().zip(&partner.2)) {
            let expected = own * weight + partner * (1.0 - weight);
            let distance = (mixed - &expected).abs().max().double_value(&[]);
            let size = expected.abs().max().double_value(&[]);
            assert!(distance <= 1e-3 * size + 3e-5, "{weight}: {distance} of {size}");
            farthest = farthest.max(size);
        }
        assert!(farthest > 1e-2, "nothing moved");
    }
    assert!((own.0 - partner.0).abs() > 1e-3, "the labels make no difference");
}

#[test]
fn plain_batches_after_mixed_ones_are_plain() {
    let start = start();
    let run = |first: &Batch| {
        let (_store, mut stepper) = stepper_at(&start);
        let loss = stepper.step(first, moment(1)).unwrap().loss.double_value(&[]);
        (loss, stepper.step(&batch(1, 4), moment(2)).unwrap().loss.double_value(&[]))
    };
    let (plain, mixed) = (run(&batch(0, 4)), run(&mixed_batch(0, 4, 1.0)));
    assert!(
        (plain.0 - mixed.0).abs() < 1e-6 && (plain.1 - mixed.1).abs() < 1e-4,
        "{plain:?} {mixed:?}"
    );
}

/// A recorded step reads each batch's share, and batches that are mixed and not take turns.
#[test]
#[ignore = "needs a CUDA device and the feature `cuda`"]
fn captured_mixed_steps_are_eager_steps() {
    let losses = |launch| -> Vec<f64> {
        let (_store, mut stepper) = stepper(Device::Cuda(0), Precision::Fp32, launch);
        let batch = |step: i64| match step {
            6 => batch(step, 8),
            _ => mixed_batch(step, 8, 1.0 / step as f64),
        };
        let step = |step| stepper.step(&batch(step), moment(step as u64)).unwrap();
        (1..=12).map(step).map(|stepped| stepped.loss.double_value(&[])).collect()
    };
    let (eager, captured) =
        (losses(Launch::KernelByKernel), losses(Launch::Graph { batch_size: 8 }));
    for (eager, captured) in eager.iter().zip(&captured) {
        assert!((eager - captured).abs() < 1e-2 * eager, "{eager} {captured}");
    }
}
