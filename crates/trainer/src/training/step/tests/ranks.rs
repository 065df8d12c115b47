//! Two ranks with a share each take the step that one rank takes with the whole batch. Ranks are threads here.

use std::thread;

use torch_ext::distributed::{Store, StoreAddress, StoreRole};

use super::*;
use crate::ranks::{Keeper, Launch};

/// A port that is free now.
fn port() -> u16 {
    let any = StoreAddress { host: "127.0.0.1".to_string(), port: 0 };
    let store = Store::tcp(&any, StoreRole::Host, std::time::Duration::from_secs(5)).unwrap();
    store.port()
}

/// What `work` makes of two ranks, in their order.
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
                world.part().unwrap();
                done
            })
        };
        let threads: Vec<_> = (0..2).map(rank).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A learner in float64 whose weights are waves: no thread draws from what all threads share.
fn learner_of_waves(world: World, options: StepOptions) -> (VarStore, Learner) {
    let mut store = VarStore::new(Device::Cpu);
    let spec = ModelSpec::new(Preset::NotebookCifar10);
    let model = Xception::new(&store.root(), &spec.architecture().unwrap(), spec.classes).unwrap();
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
    (store, Learner::new(model, optimizer, world, options))
}

/// Loss and gradients of all ranks together, or of one rank with everything.
struct Results {
    loss: f64,
    right: i64,
    images: usize,
    gradients: Vec<Tensor>,
}

fn together(mut learner: Learner, batch: &Batch, range: std::ops::Range<i64>) -> Results {
    let cut = |tensor: &Tensor| tensor.narrow(0, range.start, range.end - range.start);
    let images = torch_ext::channels_last(&cut(&batch.images).to_kind(Kind::Double)).unwrap();
    let labels = cut(&batch.labels);
    let (stepped, gradients) = match learner.world.size() {
        1 => learner.pass_all(&images, &labels),
        _ => learner.pass_together(&images, &labels, batch.in_all as i64),
    }
    .unwrap();
    Results {
        loss: stepped.loss.double_value(&[]),
        right: stepped.right.int64_value(&[]),
        images: stepped.images,
        gradients: gradients.iter().map(Tensor::copy).collect(),
    }
}

/// Shares of unequal size, against one rank; and twice the same, bit for bit.
fn check(phase: Phase, synchronised: bool, accumulation: usize) {
    let options = StepOptions { accumulation, ..OPTIONS };
    let made = |world: World| {
        let statistics = if synchronised { world.synchronised().unwrap() } else { None };
        let range = if world.leads() { 0..3 } else { 3..7 };
        let (_store, learner) = learner_of_waves(world, options);
        let mut learner = learner.with_statistics(statistics);
        learner.phase = phase;
        together(learner, &batch(3, 7), range)
    };
    let (_store, mut alone) = learner_of_waves(World::single(), OPTIONS);
    alone.phase = phase;
    let alone = together(alone, &batch(3, 7), 0..7);
    let norm = |tensor: &Tensor| tensor.norm().double_value(&[]);
    let whole = alone.gradients.iter().map(norm).fold(0.0, f64::max);
    let [first, again] = [two_ranks(made), two_ranks(made)];
    for (results, again) in first.iter().zip(&again) {
        assert_eq!(results.right, alone.right);
        assert!((results.loss / alone.loss - 1.0).abs() < 1e-6, "{} {}", results.loss, alone.loss);
        assert_eq!(results.gradients.len(), alone.gradients.len());
        for (index, (got, expected)) in results.gradients.iter().zip(&alone.gradients).enumerate() {
            // A bias ahead of a batch norm has no gradient but what rounding leaves.
            let length = norm(expected).max(1e-6 * whole);
            let off = norm(&(got - expected)) / length;
            assert!(off < 1e-9, "gradient {index} of length {length} is off by {off}");
            assert!(got.equal(&again.gradients[index]) && got.equal(&first[0].gradients[index]));
        }
    }
    assert_eq!(first[0].images + first[1].images, 7);
}

#[test]
fn with_fixed_statistics_two_ranks_are_one() {
    check(Phase::Parameters, false, 1);
}

#[test]
fn so_they_are_in_micro_batches() {
    check(Phase::Parameters, false, 3);
}

#[test]
fn with_synchronised_statistics_two_ranks_are_one() {
    check(Phase::Everything, true, 1);
}

/// A step leaves both with the same weights, votes with an answer, and images that could not be read out of the mean.
#[test]
fn ranks_agree_on_steps_stops_and_images_that_are_missing() {
    let ended = two_ranks(|world| {
        let (store, mut learner) = learner_of_waves(world, OPTIONS);
        learner.phase = Phase::Parameters;
        let rank = learner.world.rank();
        let stop = (rank == 1).then_some(Signal::Terminate);
        let mut wishes = Wishes { stop, save: rank == 0 };
        let cut = |tensor: &Tensor| tensor.narrow(0, 2 * rank as i64, 2);
        let batch = batch(1, 4);
        let images = torch_ext::channels_last(&cut(&batch.images).to_kind(Kind::Double)).unwrap();
        // Eight were meant, and four could be read.
        let labels = cut(&batch.labels);
        let stepped = learner.update_together(&images, &labels, 8, &mut wishes, moment(1)).unwrap();
        assert_eq!(wishes, Wishes { stop: Some(Signal::Terminate), save: true });
        assert_eq!(stepped.images, 4);
        (stepped.loss.double_value(&[]), snapshot(&store))
    });
    let (store, mut alone) = learner_of_waves(World::single(), OPTIONS);
    alone.phase = Phase::Parameters;
    let batch = batch(1, 4);
    let images = batch.images.to_kind(Kind::Double);
    let images = torch_ext::channels_last(&images).unwrap();
    let stepped = alone.update(&images, &batch.labels, moment(1)).unwrap();
    let expected = snapshot(&store);
    for (loss, weights) in &ended {
        assert!((loss / stepped.loss.double_value(&[]) - 1.0).abs() < 1e-6);
        for (name, tensor) in weights {
            assert!(tensor.allclose(&expected[name], 1e-9, 1e-12, false), "{name}");
            assert!(tensor.equal(&ended[0].1[name]), "{name}");
        }
    }
}

/// A run may pass a loss that is not finite, and then all ranks must stop or none.
#[test]
fn ranks_agree_on_stopping_also_where_the_loss_is_not_finite() {
    for asked_rank in [None, Some(0), Some(1)] {
        let expected = asked_rank.map(|_| Signal::Interrupt);
        let heard = two_ranks(|world| {
            let (_store, mut learner) = learner_of_waves(world, OPTIONS);
            learner.phase = Phase::Parameters;
            let rank = learner.world.rank();
            let stop = (asked_rank == Some(rank)).then_some(Signal::Interrupt);
            let mut wishes = Wishes { stop, save: false };
            let batch = batch(1, 2);
            let value = if rank == 0 { 1.0 } else { f64::NAN };
            let images = (batch.images.to_kind(Kind::Double) * value).contiguous();
            let images = torch_ext::channels_last(&images).unwrap();
            let error =
                learner.update_together(&images, &batch.labels, 4, &mut wishes, moment(1)).err();
            assert!(matches!(error, Some(Error::NonFiniteLoss { .. })));
            wishes.stop
        });
        assert_eq!(heard, [expected, expected]);
    }
}

/// What a step over all images of a batch comes to where one rank can read all of them and the other none.
#[test]
fn a_rank_whose_images_are_all_broken_takes_the_step_all_the_same() {
    for accumulation in [1, 2] {
        let options = StepOptions { accumulation, ..OPTIONS };
        let step = |world: World, count: i64, in_all: usize| {
            let (store, mut learner) = learner_of_waves(world, options);
            learner.phase = Phase::Parameters;
            let batch = batch(1, 4);
            let images = batch.images.narrow(0, 0, count).to_kind(Kind::Double);
            let images = torch_ext::channels_last(&images).unwrap();
            let labels = batch.labels.narrow(0, 0, count);
            let stepped = match learner.world.size() {
                1 => learner.update(&images, &labels, moment(1)),
                _ => {
                    let mut wishes = Wishes::default();
                    learner.update_together(&images, &labels, in_all, &mut wishes, moment(1))
                }
            };
            let stepped = stepped.unwrap();
            assert_eq!(stepped.images, 4);
            (stepped.loss.double_value(&[]), snapshot(&store))
        };
        let (loss, expected) = step(World::single(), 4, 4);
        for gone in 0..2 {
            let ended = two_ranks(|world| {
                let count = if world.rank() == gone { 0 } else { 4 };
                step(world, count, 8)
            });
            for (own_loss, weights) in &ended {
                assert!((own_loss / loss - 1.0).abs() < 1e-6);
                for (name, tensor) in weights {
                    assert!(tensor.allclose(&expected[name], 1e-9, 1e-12, false), "{name}");
                    assert!(tensor.equal(&ended[0].1[name]), "{name}");
                }
            }
        }
    }
}

/// Where nothing can be learned all ranks say so, and none waits: nobody has an image, or one has none and statistics are
/// of all.
#[test]
fn shares_that_nothing_can_be_learned_from_are_refused_by_all() {
    for (synchronised, counts, expected) in [
        (false, [0, 0], "a whole batch of images cannot be read"),
        (true, [0, 0], "a whole batch of images cannot be read"),
        (true, [2, 0], "of 2 ranks, 1 cannot read a single image"),
    ] {
        let said = two_ranks(|world| {
            let rank = world.rank();
            let statistics = if synchronised { world.synchronised().unwrap() } else { None };
            let (_store, learner) = learner_of_waves(world, OPTIONS);
            let mut learner = learner.with_statistics(statistics);
            let batch = batch(1, 2);
            let images = batch.images.narrow(0, 0, counts[rank]).to_kind(Kind::Double);
            let labels = batch.labels.narrow(0, 0, counts[rank]);
            let mut wishes = Wishes::default();
            let stepped = learner.update_together(&images, &labels, 4, &mut wishes, moment(1));
            stepped.err().unwrap()
        });
        for error in said {
            assert_eq!(error.exit_code(), Error::DeadData(String::new()).exit_code());
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }
}
