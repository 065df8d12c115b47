//! A run before its first step: network, optimizer and loaders, built as the recipe says.

use tch::nn::VarStore;
use torch_ext::SumOrder;
use xception::summary::Summary;
use xception::weights::{Description, Labels};
use xception::{ModelSpec, Xception};

use super::course::Course;
use super::memory::{self, Needs};
use super::model::Model;
use super::non_finite::NonFinitePolicy;
use super::run_plan::RunPlan;
use super::saving::Saver;
use super::sets::Sets;
use super::timing::Timing;
use super::{Training, origin, sanity_checks};
use crate::data::Data;
use crate::learner::{Launch, Learner, exchange_among};
use crate::optim::optimizer::Optimizer;
use crate::ranks::World;
use crate::recipe::{NonFinite, Recipe};
use crate::run::checkpoint::{Checkpoints, RealDisk, State, Sums};
use crate::run::logs::RunLogs;
use crate::run::run_folder::CHECKPOINTS;
use crate::stop::StopRequest;
use crate::training::Error;

impl<'a> Training<'a> {
    /// Builds the run of `plan`, and puts it where it starts.
    pub(crate) fn new(plan: &'a RunPlan, stop: StopRequest, world: World) -> Result<Self, Error> {
        let mut training = Self::build(plan, stop, world)?;
        training.start(&plan.start)?;
        Ok(training)
    }

    fn build(plan: &'a RunPlan, stop: StopRequest, world: World) -> Result<Self, Error> {
        let RunPlan { recipe, data, folder, .. } = plan;
        if world.leads() {
            let validation = data.validation.iter().map(|images| ("validation", &**images));
            let measured: Vec<_> = validation.chain([("test", &*data.test)]).collect();
            sanity_checks::data(&*data.train, &measured)?;
        }
        let device = world.device();
        if device.is_cuda() && matches!(recipe.non_finite, NonFinite::Skip { .. }) {
            return Err(Error::SkipOnGpu);
        }
        let sets = Sets::new(recipe, data, &world)?;
        if world.leads() {
            sanity_checks::sizes(&*data.train, sets.side());
            if recipe.transfer.is_none() {
                let steps = recipe.epochs * sets.train.batches_per_epoch() as u64;
                sanity_checks::steps(steps, recipe.batch_size);
            }
        }
        let spec = recipe.spec(data.class_names().len() as i64)?;
        let store = VarStore::new(device);
        let learner =
            learner(recipe, &spec, &store, &world)?.with_loss(&recipe.loss_plan(&*data.train));
        let description = description(recipe, &spec, data, &sets);
        let policy = NonFinitePolicy::new(recipe.non_finite, &store);
        let model = Model::new(store, learner, recipe.average, description);
        let needs = Needs::of(
            &Summary::new(&spec.architecture()?, spec.classes, largest_side(recipe, &sets))?,
            model.learner.precision(),
            model.kept_bytes(),
        );
        if !device.is_cuda() {
            let batch_size = recipe.batch_size.min(data.train.len()) as u64;
            needs.check(batch_size, memory::free(world.device()), world.on_this_machine())?;
        }
        let state = State {
            origin: origin::origin(recipe, data, model.learner.precision(), &world),
            learning_rate_factor: recipe
                .ranks
                .unwrap_or_default()
                .learning_rate_factor(world.ranks()),
            step: 0,
            best: None,
            epoch: Sums::default(),
            unlogged: Sums::default(),
            skipped: Vec::new(),
            roll_backs: 0,
            stopping: None,
            plateau: None,
        };
        let batch_size = world.global_batch(recipe.batch_size);
        let course = Course::new(recipe, sets.train.batches_per_epoch(), batch_size, state, device);
        let open =
            || Checkpoints::open(RealDisk, folder.file(CHECKPOINTS), recipe.checkpoints.keep);
        let logs = if world.leads() { RunLogs::open(folder.path())? } else { RunLogs::nothing() };
        let checkpoints = world.leads().then(open).transpose()?;
        let saver = Saver::new(checkpoints, recipe.checkpoints);
        let timing = Timing::start(0.0);
        Ok(Self {
            recipe,
            folder,
            world,
            stop,
            model,
            sets,
            course,
            policy,
            saver,
            logs,
            timing,
            needs,
            unreadable_batches: 0,
        })
    }
}

/// The network of `spec`, its variables in `store`, and the learner that trains it.
fn learner(
    recipe: &Recipe,
    spec: &ModelSpec,
    store: &VarStore,
    world: &World,
) -> Result<Learner<Xception>, Error> {
    tch::manual_seed(recipe.seed as i64);
    if world.device().is_cuda() {
        let order = if recipe.deterministic { SumOrder::Fixed } else { SumOrder::Any };
        torch_ext::set_sum_order(order)?;
    }
    let architecture = spec.architecture()?;
    let network = Xception::new(store.root(), &architecture, spec.classes)?
        .with_dropout(recipe.model.dropout.unwrap_or(0.0))?
        .with_drop_path(recipe.model.drop_path.unwrap_or(0.0))?;
    // A head that is trained alone for a while has groups of its own.
    let head = recipe.transfer.as_ref().map(|_| architecture.names.head());
    let optimizer = Optimizer::with_groups(store, &recipe.optimizer, &recipe.groups, head)?;
    let exchange = exchange_among(world, recipe.ranks.unwrap_or_default().batch_norm)?;
    let launch = Launch::new(recipe.launch, recipe.batch_size);
    let precision = recipe.precision.resolved(world.device());
    let learner = Learner::new(network, optimizer, recipe.step_options(), precision);
    Ok(learner.with_exchange(exchange).with_launch(launch))
}

/// The metadata of the weights that the run writes.
fn description(recipe: &Recipe, spec: &ModelSpec, data: &Data, sets: &Sets) -> Description {
    Description {
        spec: *spec,
        class_names: data.class_names().to_vec(),
        input: sets.side() as i64,
        crop_fraction: recipe.input.map_or(1.0, |input| input.crop_fraction),
        interpolation: recipe.input.map(|input| input.interpolation).unwrap_or_default(),
        fit: recipe.input.map(|input| input.fit).unwrap_or_default(),
        mean: recipe.normalization.mean,
        std: recipe.normalization.std,
        data: data.name.to_string(),
        labels: match data.train.is_multi_label() {
            true => Labels::Several { thresholds: vec![0.5; data.class_names().len()] },
            false => Labels::One,
        },
    }
}

/// Rows and columns of the largest images in the course of the run.
fn largest_side(recipe: &Recipe, sets: &Sets) -> i64 {
    let resized = recipe.progressive.iter().map(|stage| stage.size).max();
    resized.unwrap_or(0).max(sets.side()) as i64
}
