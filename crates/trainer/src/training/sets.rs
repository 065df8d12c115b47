//! The images of a run: the loaders of its training and test set, and the images that could not be read.

use std::sync::Arc;

use datasets::{Batches, Broken, LastBatch, Loader, LoaderConfig, Order, Share, Source};

use crate::data::Data;
use crate::data::unreadable_images::LeftOutOfRun;
use crate::ranks::World;
use crate::recipe::{InputRecipe, Recipe};
use crate::training::Error;

/// Batches that are prepared while the network is busy.
const PREFETCH: usize = 2;

/// This rank's share of the training and the test set.
pub(super) struct Sets {
    pub(super) train: Loader,
    /// The set by which the best epoch is chosen, where that is not the test set.
    pub(super) validation: Option<Loader>,
    pub(super) test: Loader,
    pub(super) left_out: LeftOutOfRun,
}

impl Sets {
    /// The sets of `data`, loaded as `recipe` says.
    pub(super) fn new(recipe: &Recipe, data: &Data, world: &World) -> Result<Self, Error> {
        let loader = |images: &Arc<dyn Source>, order| -> Result<Loader, Error> {
            let mut config = loader_config(recipe, &**images, order, world.share());
            if world.device().is_cuda() {
                // The CPU has nothing else to do, and a GPU takes small images faster than one thread makes them.
                config.workers = config.workers.max(gpu_workers());
                config.prefetch = config.prefetch.max(2 * config.workers);
            }
            let loader = Loader::new(Arc::clone(images), config)?;
            Ok(if world.device().is_cuda() { loader.finished_on(world.device()) } else { loader })
        };
        Ok(Self {
            train: loader(&data.train, recipe.order())?,
            validation: data
                .validation
                .as_ref()
                .map(|images| loader(images, Order::Sequential))
                .transpose()?,
            test: loader(&data.test, Order::Sequential)?,
            left_out: LeftOutOfRun::default(),
        })
    }

    /// The set that is measured after every epoch.
    pub(super) fn measured(&self) -> &Loader {
        self.validation.as_ref().unwrap_or(&self.test)
    }

    /// Rows or columns of the training images, whichever are more.
    pub(super) fn side(&self) -> usize {
        let [height, width] = self.train.size();
        height.max(width)
    }

    /// Training images of an epoch, of all ranks together.
    pub(super) fn images_per_epoch(&self) -> u64 {
        self.train.images_per_epoch() as u64
    }

    /// The training batches of `epoch` from number `first` on, in the size that `recipe` has for the epoch.
    pub(super) fn batches(&self, recipe: &Recipe, epoch: u64, first: usize) -> Batches {
        match recipe.side(epoch) {
            Some(side) => self.train.epoch_at(epoch, first, side),
            None => self.train.epoch_from(epoch, first),
        }
    }
}

/// Threads that make batches for a GPU: half of this rank's, at most eight.
fn gpu_workers() -> usize {
    (tch::get_num_threads().max(1) as usize / 2).clamp(1, 8)
}

/// Loads `share` of `images` as the recipe says: shuffled to train on them, in order to measure on them.
pub(crate) fn loader_config(
    recipe: &Recipe,
    images: &dyn Source,
    order: Order,
    share: Share,
) -> LoaderConfig {
    let (of_rank, augmentation) = match order {
        Order::Shuffled | Order::ShuffledByFile | Order::Balanced(_) => {
            (recipe.batch_size, recipe.augmentation())
        }
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
        fit: recipe.input.filter(|_| images.size().is_none()).map(InputRecipe::resize),
        broken: recipe.input.map_or(Broken::Refuse, |input| input.broken.into()),
        prefetch: PREFETCH.max(recipe.input.map_or(0, |input| 2 * input.workers)),
        workers: recipe.input.map_or(1, |input| input.workers),
    }
}
