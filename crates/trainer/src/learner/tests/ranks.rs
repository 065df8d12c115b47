//! Two ranks with a share each take the step that one rank takes with the whole batch. Ranks are threads here.

use std::ops::Range;
use std::thread;

use torch_ext::distributed::{Store, StoreAddress, StoreRole};

use super::*;
use crate::ranks::{Keeper, Launch, World};
use crate::recipe::RankStatistics;
use crate::signal::Signal;

/// A port that is free now.
fn port() -> u16 {
    let any = StoreAddress { host: "127.0.0.1".to_string(), port: 0 };
    let store = Store::tcp(&any, StoreRole::Host, std::time::Duration::from_secs(5)).unwrap();
    store.port()
}

/// The results of `work` on two ranks, in their order.
fn two_ranks<T: Send>(work: impl Fn(World) -> T + Sync) -> Vec<T> {
    let port = port();
    thread::scope(|scope| {
        let rank = |rank| {
            let work = &work;
            scope.spawn(move || {
                let launch = Launch {
                    rank,
                    world_size: 2,
                    local_rank: rank,
                    local_size: None,
                    store: StoreAddress { host: "127.0.0.1".to_string(), port },
                    keeper: Keeper::Rank0,
                    run: "test".to_string(),
                };
                let world = World::meet(&launch).unwrap();
                let done = work(world.clone());
                world.finish().unwrap();
                done
            })
        };
        let threads: Vec<_> = (0..2).map(rank).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A learner in float64 whose weights are waves: no thread draws from the generator that all threads share.
fn learner_of_waves(
    world: &World,
    batch_norm: RankStatistics,
    options: StepOptions,
) -> (VarStore, Learner<Xception>) {
    let mut store = VarStore::new(Device::Cpu);
    let spec = ModelSpec::new(Preset::NotebookCifar10);
    let network = Xception::new(store.root(), &spec.architecture().unwrap(), spec.classes).unwrap();
    store.double();
    let variables: BTreeMap<_, _> = store.variables().into_iter().collect();
    for (number, (name, mut variable)) in variables.into_iter().enumerate() {
        let wave = Tensor::arange(variable.numel() as i64, (Kind::Double, Device::Cpu));
        let fan_in: i64 = variable.size().iter().skip(1).product();
        let wave = (wave * 1.37 + number as f64).sin() / (fan_in as f64).sqrt().max(5.0);
        let scale =
            name.ends_with("running_var") || (variable.dim() == 1 && name.ends_with("weight"));
        let values = if scale { wave + 1.0 } else { wave };
        tch::no_grad(|| variable.copy_(&values.view(variable.size().as_slice())));
    }
    let optimizer = Optimizer::new(&store, SGD);
    let learner = Learner::new(network, optimizer, options, Precision::Fp32)
        .with_exchange(exchange_among(world, batch_norm).unwrap());
    (store, learner)
}

/// The same, with fixed statistics.
fn learner_of_fixed_waves(world: &World, options: StepOptions) -> (VarStore, Learner<Xception>) {
    let (store, mut learner) = learner_of_waves(world, RankStatistics::Broadcast, options);
    learner.set_phase(Phase::FrozenStatistics);
    (store, learner)
}

/// Images `range` of `batch` in float64, and their labels.
fn share(batch: &Batch, range: Range<i64>) -> (Tensor, Tensor) {
    let cut = |tensor: &Tensor| tensor.narrow(0, range.start, range.end - range.start);
    let images = cut(&batch.images).to_kind(Kind::Double);
    (torch_ext::channels_last(&images).unwrap(), cut(&batch.labels))
}

/// Takes the first step in float64, over a share of a batch of `in_all` images.
fn take(
    learner: &mut Learner<Xception>,
    (images, labels): &(Tensor, Tensor),
    in_all: usize,
    votes: Votes,
) -> Result<StepOutput, Error> {
    let share = Share { readable: images.size()[0] as usize, in_all };
    let divisor = learner.step.exchange.open(share, votes)?;
    learner.step.take(images, labels, divisor, context(1), None)
}

/// The loss and gradients of all ranks together, or of one rank with everything.
struct Results {
    loss: f64,
    correct: i64,
    images: usize,
    gradients: Vec<Tensor>,
}

/// The gradients over images `range` of `batch`.
fn gradients(mut learner: Learner<Xception>, batch: &Batch, range: Range<i64>) -> Results {
    let (images, labels) = share(batch, range);
    let step = &mut learner.step;
    let own = Share { readable: images.size()[0] as usize, in_all: batch.in_all };
    let divisor = step.exchange.open(own, Votes::default()).unwrap();
    let (mut output, gradients) = step.gradients(&images, &labels, divisor).unwrap();
    step.exchange.close(&mut output, &gradients).unwrap();
    Results {
        loss: output.loss.double_value(&[]),
        correct: output.correct.int64_value(&[]),
        images: output.images,
        gradients: gradients.iter().map(Tensor::copy).collect(),
    }
}

/// Compares shares of unequal size with one rank, and with a second run, bit for bit.
fn check(phase: Phase, batch_norm: RankStatistics, accumulation: usize) {
    let options = StepOptions { accumulation, ..OPTIONS };
    let of_rank = |world: World| {
        let range = if world.leads() { 0..3 } else { 3..7 };
        let (_store, mut learner) = learner_of_waves(&world, batch_norm, options);
        learner.set_phase(phase);
        gradients(learner, &batch(3, 7), range)
    };
    let (_store, mut alone) = learner_of_waves(&World::single(), batch_norm, OPTIONS);
    alone.set_phase(phase);
    let alone = gradients(alone, &batch(3, 7), 0..7);
    let norm = |tensor: &Tensor| tensor.norm().double_value(&[]);
    let whole = alone.gradients.iter().map(norm).fold(0.0, f64::max);
    let [first, again] = [two_ranks(of_rank), two_ranks(of_rank)];
    for (results, again) in first.iter().zip(&again) {
        assert_eq!((results.correct, results.images), (alone.correct, 7));
        assert!((results.loss / alone.loss - 1.0).abs() < 1e-6, "{} {}", results.loss, alone.loss);
        assert_eq!(results.gradients.len(), alone.gradients.len());
        for (index, (got, expected)) in results.gradients.iter().zip(&alone.gradients).enumerate() {
            // A bias before a batch norm has no gradient but what rounding leaves.
            let length = norm(expected).max(1e-6 * whole);
            let off = norm(&(got - expected)) / length;
            assert!(off < 1e-9, "gradient {index} of length {length} is off by {off}");
            assert!(got.equal(&again.gradients[index]) && got.equal(&first[0].gradients[index]));
        }
    }
}

#[test]
fn with_fixed_statistics_two_ranks_are_one() {
    check(Phase::FrozenStatistics, RankStatistics::Broadcast, 1);
}

#[test]
fn so_they_are_in_micro_batches() {
    check(Phase::FrozenStatistics, RankStatistics::Broadcast, 3);
}

#[test]
fn with_synchronised_statistics_two_ranks_are_one() {
    check(Phase::Everything, RankStatistics::Synchronised, 1);
}

/// Asserts that a step of each rank ended in the loss and the weights of one over everything.
fn assert_same(ended: &[(f64, Tensors)], loss: f64, expected: &Tensors) {
    for (own_loss, weights) in ended {
        assert!((own_loss / loss - 1.0).abs() < 1e-6);
        for (name, tensor) in weights {
            assert!(tensor.allclose(&expected[name], 1e-9, 1e-12, false), "{name}");
            assert!(tensor.equal(&ended[0].1[name]), "{name}");
        }
    }
}

/// A step leaves both with the same weights, votes with an answer, and unreadable images out of the mean.
#[test]
fn ranks_agree_on_steps_stops_and_images_that_are_missing() {
    let ended = two_ranks(|world| {
        let (store, mut learner) = learner_of_fixed_waves(&world, OPTIONS);
        let rank = world.rank();
        let stop = (rank == 1).then_some(Signal::Terminate);
        let votes = Votes { stop, save: rank == 0 };
        let first = 2 * rank as i64;
        // Eight were meant, and four could be read.
        let output = take(&mut learner, &share(&batch(1, 4), first..first + 2), 8, votes).unwrap();
        let exchange = learner.exchange();
        assert_eq!((exchange.stop(None), exchange.saves()), (Some(Signal::Terminate), true));
        assert_eq!(output.images, 4);
        (output.loss.double_value(&[]), snapshot(&store))
    });
    let (store, mut alone) = learner_of_fixed_waves(&World::single(), OPTIONS);
    let output = take(&mut alone, &share(&batch(1, 4), 0..4), 4, Votes::default()).unwrap();
    assert_same(&ended, output.loss.double_value(&[]), &snapshot(&store));
}

/// A run may recover from a loss that is not finite, and then all ranks must stop or none.
#[test]
fn ranks_agree_on_stopping_also_where_the_loss_is_not_finite() {
    for asked_rank in [None, Some(0), Some(1)] {
        let expected = asked_rank.map(|_| Signal::Interrupt);
        let agreed = two_ranks(|world| {
            let (_store, mut learner) = learner_of_fixed_waves(&world, OPTIONS);
            let rank = world.rank();
            let stop = (asked_rank == Some(rank)).then_some(Signal::Interrupt);
            let votes = Votes { stop, save: false };
            let mut poisoned = batch(1, 2);
            poisoned.images *= if rank == 0 { 1.0 } else { f64::NAN };
            let error = take(&mut learner, &share(&poisoned, 0..2), 4, votes).err();
            assert!(matches!(error, Some(Error::NonFiniteLoss(_))));
            learner.exchange().stop(None)
        });
        assert_eq!(agreed, [expected, expected]);
    }
}

/// One rank alone answers for itself, and at once.
#[test]
fn one_rank_stops_when_it_is_asked() {
    let (_store, mut learner) = learner_of_fixed_waves(&World::single(), OPTIONS);
    let votes = Votes { stop: None, save: true };
    take(&mut learner, &share(&batch(1, 2), 0..2), 2, votes).unwrap();
    let asked = Some(Signal::Terminate);
    assert_eq!((learner.exchange().stop(asked), learner.exchange().saves()), (asked, true));
    learner.forget_votes();
    assert!(!learner.exchange().saves());
}

/// A step over all images of a batch, where one rank can read all of them and the other none.
#[test]
fn a_rank_whose_images_are_all_broken_takes_the_step_all_the_same() {
    for accumulation in [1, 2] {
        let options = StepOptions { accumulation, ..OPTIONS };
        let step = |world: World, count: i64, in_all: usize| {
            let (store, mut learner) = learner_of_fixed_waves(&world, options);
            let share = share(&batch(1, 4), 0..count);
            let output = take(&mut learner, &share, in_all, Votes::default()).unwrap();
            assert_eq!(output.images, 4);
            (output.loss.double_value(&[]), snapshot(&store))
        };
        let (loss, expected) = step(World::single(), 4, 4);
        for gone in 0..2 {
            let ended = two_ranks(|world| {
                let count = if world.rank() == gone { 0 } else { 4 };
                step(world, count, 8)
            });
            assert_same(&ended, loss, &expected);
        }
    }
}

/// If nothing can be learned, all ranks report it, and none waits: no rank has an image, or one has none and statistics
/// are synchronised.
#[test]
fn shares_from_which_nothing_can_be_learned_are_refused_by_all() {
    for (batch_norm, counts, expected) in [
        (RankStatistics::Broadcast, [0, 0], "no image of a batch can be read"),
        (RankStatistics::Synchronised, [0, 0], "no image of a batch can be read"),
        (RankStatistics::Synchronised, [2, 0], "of 2 ranks, 1 cannot read a single image"),
    ] {
        let errors = two_ranks(|world| {
            let (_store, mut learner) = learner_of_waves(&world, batch_norm, OPTIONS);
            let share = share(&batch(1, 2), 0..counts[world.rank()]);
            take(&mut learner, &share, 4, Votes::default()).err().unwrap()
        });
        for error in errors {
            assert_eq!(error.exit_code(), crate::exit_code::ExitCode::Data);
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }
}
