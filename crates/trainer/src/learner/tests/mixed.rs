//! Steps over mixed batches: the loss and its gradient are those of both labels, each in its share.

use std::collections::BTreeMap;

use datasets::Mixed;

use super::*;

/// The batch's own labels plus three, modulo ten.
fn partners(batch: &Batch) -> Tensor {
    (&batch.labels + 3).remainder(10)
}

fn mixed_batch(step: i64, size: i64, weight: f64) -> Batch {
    let plain = batch(step, size);
    Batch { mixed: Some(Mixed { partner_labels: partners(&plain), weight }), ..plain }
}

/// A network's variables to start from: the generator that draws them is shared with the tests beside these.
fn start() -> BTreeMap<String, Tensor> {
    let (store, _) = notebook(Device::Cpu, Precision::Fp32, Launch::Eager);
    variables(&store)
}

fn learner_at(start: &BTreeMap<String, Tensor>) -> (VarStore, Learner<Xception>) {
    let (store, learner) = notebook(Device::Cpu, Precision::Fp32, Launch::Eager);
    tch::no_grad(|| {
        for (name, mut variable) in variables(&store) {
            variable.copy_(&start[&name]);
        }
    });
    (store, learner)
}

/// The loss, the number of correct images, and the change of every variable in one step of plain SGD.
fn moved(start: &BTreeMap<String, Tensor>, batch: &Batch) -> (f64, i64, Vec<Tensor>) {
    let (store, mut learner) = learner_at(start);
    learner.step.optimizer = Optimizer::new(&store, SGD);
    let before: Vec<_> = store.trainable_variables().iter().map(Tensor::copy).collect();
    let context = StepContext { epoch: 1, step: 1, learning_rate: 1.0 };
    let StepOutput { loss, correct, .. } = step(&mut learner, batch, context).unwrap();
    let after = store.trainable_variables().into_iter().zip(before);
    let moved = after.map(|(after, before)| after.detach() - before.detach()).collect();
    (loss.double_value(&[]), correct.int64_value(&[]), moved)
}

#[test]
fn loss_and_gradient_are_those_of_both_labels_in_their_shares() {
    let (start, plain) = (start(), batch(0, 4));
    let own = moved(&start, &plain);
    let partner = moved(&start, &Batch { labels: partners(&plain), ..batch(0, 4) });
    for weight in [1.0, 0.7, 0.2, 0.0] {
        let mixed = moved(&start, &mixed_batch(0, 4, weight));
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

/// A recording is made after three steps, so one that is thrown away by each batch of the other kind is never made.
#[test]
fn plain_and_mixed_batches_keep_a_recording_each() {
    let launch = Launch::Graph { batch_size: 4, required: false };
    let (_store, mut learner) = notebook(Device::Cpu, Precision::Fp32, launch);
    let (plain, mixed) = (batch(1, 4), mixed_batch(2, 4, 0.5));
    let both = Tensor::stack(&[&mixed.labels, &partners(&mixed)], 0);
    for (images, labels) in [(&plain.images, &plain.labels), (&mixed.images, &both)] {
        learner.replays.push(GraphReplay::refusing([images, labels]));
    }
    for number in 1..=6 {
        let batch = if number % 2 == 0 { &mixed } else { &plain };
        drop(step(&mut learner, batch, context(number)).unwrap());
        assert_eq!(learner.replays.len(), 2);
    }
    assert!(learner.replays.iter().all(GraphReplay::is_next_recorded));
}

#[test]
fn plain_batches_after_mixed_ones_are_plain() {
    let start = start();
    let run = |first: &Batch| {
        let (_store, mut learner) = learner_at(&start);
        let mut loss = |batch, number| {
            step(&mut learner, batch, context(number)).unwrap().loss.double_value(&[])
        };
        (loss(first, 1), loss(&batch(1, 4), 2))
    };
    let (plain, mixed) = (run(&batch(0, 4)), run(&mixed_batch(0, 4, 1.0)));
    assert!(
        (plain.0 - mixed.0).abs() < 1e-6 && (plain.1 - mixed.1).abs() < 1e-4,
        "{plain:?} {mixed:?}"
    );
}

/// A recorded step reads each batch's share, and batches that are mixed and not take turns. Nothing is learned, so that
/// every loss is of the same weights: forward passes are deterministic, backward passes are not.
#[test]
#[ignore = "needs a CUDA device and the feature `cuda`"]
fn captured_mixed_steps_are_eager_steps() {
    let losses = |launch| -> Vec<f64> {
        let (_store, mut learner) = notebook(Device::Cuda(0), Precision::Fp32, launch);
        let batch = |number: i64| match number {
            6 => batch(number, 8),
            _ => mixed_batch(number, 8, 1.0 / number as f64),
        };
        let mut take = |number| {
            let context = StepContext { learning_rate: 0.0, ..context(number as u64) };
            step(&mut learner, &batch(number), context).unwrap().loss.double_value(&[])
        };
        (1..=12).map(&mut take).collect()
    };
    let (eager, captured) =
        (losses(Launch::Eager), losses(Launch::Graph { batch_size: 8, required: true }));
    for (eager, captured) in eager.iter().zip(&captured) {
        assert!((eager - captured).abs() < 1e-6 * eager, "{eager} {captured}");
    }
    assert!(eager.windows(2).all(|pair| pair[0] != pair[1]), "{eager:?}");
}
