//! A run ahead of its first step: network, optimizer and loaders, built as the recipe says.

use std::sync::Arc;
use std::time::Instant;

use datasets::{Broken, LastBatch, Loader, LoaderConfig, Order, Share, Source};
use tch::nn::VarStore;
use xception::Xception;
use xception::summary::Summary;
use xception::weights::Description;

use super::memory::{self, Needs};
use super::not_finite::Passage;
use super::running::{Running, Speed};
use super::saving::Saver;
use super::step::{Launch, Learner, Stepper};
use super::{Training, checks, origin};
use crate::Error;
use crate::data::Data;
use crate::data::left_out::LeftOutOfRun;
use crate::network::transfer::Pretrained;
use crate::optim::average::Average;
use crate::optim::optimizer::Optimizer;
use crate::optim::state;
use crate::ranks::World;
use crate::recipe::{InputRecipe, NonFinite, RankStatistics, Recipe};
use crate::run::checkpoint::{Checkpoints, RealDisk, State, Sums};
use crate::run::run_folder::RunFolder;
use crate::run::watching::Watch;
use crate::stop::StopRequest;

/// Batches that are made ready while the network is busy.
const PREFETCH: usize = 2;

impl Training<'_> {
    /// Begins with weights that were trained before.
    pub(crate) fn start_from(&mut self, pretrained: Pretrained) -> Result<(), Error> {
        let Some(transfer) = &self.recipe.transfer else { return Ok(()) };
        let Description { spec, class_names, .. } = &self.description;
        pretrained.fill(&self.store, spec, class_names, transfer.head)?;
        // It began as a copy of what was drawn.
        self.average = self.recipe.average.map(|config| Average::new(&self.store, config));
        Ok(())
    }
}

impl<'a> Training<'a> {
    /// Builds everything; nothing has been trained yet.
    pub(crate) fn new(
        recipe: &'a Recipe,
        data: &Data,
        folder: &'a RunFolder,
        stop: StopRequest,
        world: World,
    ) -> Result<Self, Error> {
        if world.leads() {
            checks::data(&*data.train)?;
        }
        let device = world.device();
        if device.is_cuda() && matches!(recipe.non_finite, NonFinite::Skip { .. }) {
            return Err(Error::Usage(
                "non_finite.action = \"skip\" looks at every loss ahead of its update, which a GPU does not wait for; \
                 use \"roll-back\" there"
                    .to_string(),
            ));
        }
        let shuffled = recipe.input.map_or(Order::Shuffled, |input| input.shuffle.into());
        let train = loader(recipe, &data.train, shuffled, &world)?;
        let test = loader(recipe, &data.test, Order::Sequential, &world)?;
        let spec = recipe.spec(data.class_names().len() as i64)?;
        let precision = recipe.precision.resolved(device);
        tch::manual_seed(recipe.seed as i64);
        let store = VarStore::new(device);
        let model = Xception::new(&store.root(), &spec.architecture()?, spec.classes)?
            .with_dropout(recipe.model.dropout.unwrap_or(0.0))?
            .with_drop_path(recipe.model.drop_path.unwrap_or(0.0))?;
        // The head is trained alone for a while: it has groups of its own.
        let head =
            recipe.transfer.as_ref().map(|_| spec.architecture().map(|table| table.names.head()));
        let head = head.transpose()?;
        let optimizer = Optimizer::with_groups(&store, &recipe.optimizer, &recipe.groups, head)?;
        let [height, width] = train.size();
        let stored = height.max(width);
        let resized = recipe.progressive.iter().map(|stage| stage.size);
        let input = resized.max().unwrap_or(0).max(stored) as i64;
        let network = Summary::new(&spec.architecture()?, spec.classes, input)?;
        let average = recipe.average.map(|config| Average::new(&store, config));
        let parameters = store.trainable_variables();
        // Gradients on their way to other ranks have a place of their own.
        let sent = if world.size() > 1 { state::bytes(&parameters) } else { 0 };
        let remembered = optimizer.bytes() + average.as_ref().map_or(0, Average::bytes) + sent;
        let needs = Needs::of(&network, precision, remembered);
        if !device.is_cuda() {
            let batch_size = recipe.batch_size.min(data.train.len()) as u64;
            needs.check(batch_size, memory::free(), world.on_this_machine())?;
        }
        // A recorded step would blank the same each time, and cannot hold what ranks tell each other on the CPU.
        let launch = match recipe.model.draws() || world.size() > 1 {
            true => Launch::KernelByKernel,
            false => Launch::best(recipe.batch_size),
        };
        let statistics = match recipe.ranks.unwrap_or_default().batch_norm {
            RankStatistics::Synchronised => world.synchronised()?,
            RankStatistics::Broadcast => None,
        };
        let learner = Learner::new(model, optimizer, world.clone(), recipe.step_options())
            .with_statistics(statistics);
        let state = State {
            origin: origin::origin(recipe, data, precision, &world),
            learning_rate_factor: recipe
                .ranks
                .unwrap_or_default()
                .learning_rate_factor(world.size()),
            step: 0,
            best: None,
            epoch: Sums::default(),
            unlogged: Sums::default(),
            passed_over: Vec::new(),
            roll_backs: 0,
        };
        let open =
            || Checkpoints::open(RealDisk, folder.file("checkpoints"), recipe.checkpoints.keep);
        let watch = match world.leads() {
            true => Watch::open(folder.path())?,
            false => Watch::nothing(),
        };
        let checkpoints = world.leads().then(open).transpose()?;
        Ok(Self {
            recipe,
            folder,
            stop,
            world,
            precision,
            description: Description {
                spec,
                class_names: data.class_names().to_vec(),
                input: stored as i64,
                crop_fraction: recipe.input.map_or(1.0, |input| input.crop_fraction),
                interpolation: recipe.input.map(|input| input.interpolation).unwrap_or_default(),
                mean: recipe.normalization.mean,
                std: recipe.normalization.std,
                data: data.name.to_string(),
            },
            stepper: Stepper::new(learner, precision, launch),
            train,
            test,
            watch,
            saver: Saver::new(checkpoints, recipe.checkpoints),
            epoch: Running::from(state.epoch, device),
            unlogged: Running::from(state.unlogged, device),
            state,
            average,
            needs,
            left_out: LeftOutOfRun::default(),
            passage: Passage::new(recipe.non_finite, &store),
            store,
            speed: Speed::start(),
            spent: 0.0,
            since: Instant::now(),
        })
    }
}

/// How the recipe loads what is `share` of the images: to train on them, shuffled, or to measure on them.
pub(crate) fn loader_config(
    recipe: &Recipe,
    images: &dyn Source,
    order: Order,
    share: Share,
) -> LoaderConfig {
    let (of_rank, augmentation) = match order {
        Order::Shuffled | Order::ShuffledByFile => (recipe.batch_size, recipe.augmentation()),
        Order::Sequential => (recipe.eval_batch_size, recipe.test_augmentation()),
    };
    LoaderConfig {
        batch_size: of_rank * share.world_size,
        share,
        order,
        seed: recipe.seed,
        augmentation,
        normalization: recipe.normalization(),
        last_batch: LastBatch::Keep,
        fit: recipe.input.filter(|_| images.size().is_none()).map(InputRecipe::fit),
        broken: recipe.input.map_or(Broken::Refuse, |input| input.broken.into()),
        prefetch: PREFETCH.max(recipe.input.map_or(0, |input| 2 * input.workers)),
        workers: recipe.input.map_or(1, |input| input.workers),
    }
}

fn loader(
    recipe: &Recipe,
    images: &Arc<dyn Source>,
    order: Order,
    world: &World,
) -> Result<Loader, Error> {
    let config = loader_config(recipe, &**images, order, world.share());
    Ok(Loader::new(Arc::clone(images), config)?)
}
