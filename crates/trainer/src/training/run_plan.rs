//! The plan of a run, resolved once: nothing changes it afterwards, and the training loop reads it.
//!
//! Each stage is a function whose output the next one takes: what was typed ([`RunRequest`]), the run that is resumed
//! ([`previous`]), the recipe as its text says it, the recipe that the weights imply ([`weights`]), the recipe that the
//! images imply ([`images`]) and the images themselves ([`Resolved`]), and last the folder ([`RunPlan`]).

mod gpu;
mod images;
mod previous;
mod weights;

use std::path::{Path, PathBuf};

use self::previous::Previous;
use super::{Error, Training, check_archives, check_ranks, check_recipe};
use crate::data::{Data, DataSpec, stand_in_banner};
use crate::duration::clock;
use crate::file_error::FileError;
use crate::network::transfer::Pretrained;
use crate::ranks::World;
use crate::recipe::{Fold, Recipe, Request};
use crate::run::image_list;
use crate::run::run_folder::RunFolder;
use crate::stop::StopRequest;

/// The command as it was typed: a recipe with its changes, and the folder of the run.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunRequest {
    /// The recipe and its changes.
    pub(crate) recipe: Request,
    /// The folder of a new run; `None` for `runs/<recipe>-<data>`, numbered.
    pub(crate) out: Option<PathBuf>,
    /// The folder of the run to resume.
    pub(crate) resume: Option<PathBuf>,
    /// The number of epochs that the resumed run has from now on.
    pub(crate) extend: Option<u64>,
}

/// Everything that a run is made of, but for its folder.
pub(crate) struct Resolved {
    recipe: Recipe,
    data: Data,
    origin: Origin,
}

/// The run that a plan belongs to.
#[expect(clippy::large_enum_variant, reason = "a run has one such value")]
enum Origin {
    /// A new one.
    New {
        weights: Option<Pretrained>,
        /// The folder that was typed.
        out: Option<PathBuf>,
        /// The name of the folder if none was typed.
        name: String,
    },
    /// One that is resumed.
    Resumed(Previous),
}

/// Everything that a run is made of.
pub(crate) struct RunPlan {
    /// The recipe, with every value that weights and images imply.
    pub(crate) recipe: Recipe,
    /// The images.
    pub(crate) data: Data,
    /// The folder that the run leaves.
    pub(crate) folder: RunFolder,
    /// The state that the run starts from.
    pub(crate) start: Start,
}

/// The state that a run starts from.
#[expect(clippy::large_enum_variant, reason = "a run has one such value")]
pub(crate) enum Start {
    /// Initial weights, or weights that were trained before.
    New {
        /// The weights; `None` for initial ones.
        weights: Option<Pretrained>,
    },
    /// The newest checkpoint of the run's folder.
    Resumed {
        /// The recipe that the run was begun with.
        begun: Recipe,
    },
}

impl RunRequest {
    /// Refuses words that no recipe understands. Reads no other file, so a rank does not have to wait for others to be
    /// refused.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.resume.is_none() {
            Recipe::resolve(&self.recipe)?;
        }
        Ok(())
    }

    /// Resolves everything but the folder: finds the run to resume, the weights and the images. The ranks of `world`
    /// resolve the same, or are refused.
    pub(crate) fn resolve(&self, world: &World) -> Result<Resolved, Error> {
        let previous = Previous::find(self, world)?;
        let recipe = self.recipe_in_words(previous.as_ref())?;
        let weights = self.weights(&recipe)?;
        let recipe = match &weights {
            Some(weights) => weights::implied(recipe, weights, &self.recipe)?,
            None => recipe,
        };
        let spec: DataSpec = recipe.data.parse()?;
        let recipe = images::implied(recipe, &spec, weights.as_ref())?;
        let recipe = self.extended(recipe, previous.as_ref())?;
        if let Some(previous) = &previous {
            // The path of the images may have changed; they are compared once they are found.
            let data = previous.recipe.data.clone();
            let epochs = self.extend.map_or(recipe.epochs, |_| previous.recipe.epochs);
            check_recipe(&previous.recipe, &Recipe { data, epochs, ..recipe.clone() })?;
        }
        gpu::check(&recipe, world)?;
        check_archives(world, &spec)?;
        let data = Data::load(&spec, world)?;
        if data.stands_in {
            tracing::warn!("\n{}", stand_in_banner());
        }
        let data = match recipe.training_set {
            Some(part) => {
                let data = match part.fold {
                    Some(Fold { number, of }) => data.with_fold(number, of, part.seed)?,
                    None => data,
                };
                data.with_training_part(part.held_out(), part.unused())?
            }
            None => data,
        };
        let recipe = recipe.for_labels_of(&*data.train)?;
        let recipe = images::named(recipe, &data, previous.as_ref().map(|run| &run.recipe))?;
        check_ranks(world, &recipe, &data)?;
        let origin = match previous {
            Some(previous) => Origin::Resumed(previous),
            None => Origin::New { weights, out: self.out.clone(), name: self.run_name(&data) },
        };
        Ok(Resolved { recipe, data, origin })
    }

    /// The recipe in the words of its text and of what was typed.
    fn recipe_in_words(&self, previous: Option<&Previous>) -> Result<Recipe, Error> {
        // A launcher that starts a run again repeats the first command, whose recipe is compared with the run's. With
        // --resume, the run's recipe is the text that changes are made to.
        let text = previous.map(|run| &run.text).filter(|_| self.resume.is_some());
        Ok(Recipe::resolve_on(text, &self.recipe)?)
    }

    /// `recipe` with the epochs that the run of `previous` is extended to.
    fn extended(&self, recipe: Recipe, previous: Option<&Previous>) -> Result<Recipe, Error> {
        let (Some(epochs), Some(previous)) = (self.extend, previous) else { return Ok(recipe) };
        let had = previous.recipe.epochs;
        if epochs <= had {
            return Err(Error::NotExtended { epochs, had });
        }
        Ok(Recipe { epochs, ..recipe })
    }

    /// The weights that a recipe starts from. The recipe of a run has everything that its weights implied, and they may be
    /// gone by now.
    fn weights(&self, recipe: &Recipe) -> Result<Option<Pretrained>, Error> {
        let is_of_run = self.resume.is_some() && self.recipe.recipe.is_none();
        Ok(if is_of_run { None } else { Pretrained::of(recipe)? })
    }

    /// `quick-cifar10` for the recipe `quick`, `mine-pets` for `mine.toml` and the images in `pets/`.
    fn run_name(&self, data: &Data) -> String {
        let recipe = Path::new(self.recipe.recipe_name()).file_stem();
        format!("{}-{}", recipe.and_then(|stem| stem.to_str()).unwrap_or("run"), data.short_name())
    }
}

impl Resolved {
    /// The same with as many epochs as `seconds` suffice for, by some steps that belong to no run.
    ///
    /// # Errors
    /// A time in which not one epoch fits.
    pub(crate) fn within(
        self,
        seconds: f64,
        stop: &StopRequest,
        world: &World,
    ) -> Result<Self, Error> {
        let place = tempfile::tempdir().map_err(FileError::on("create", &std::env::temp_dir()))?;
        let plan = RunPlan {
            recipe: self.recipe.clone(),
            data: self.data.clone(),
            folder: RunFolder::of_rank_0(place.path())?,
            start: Start::New { weights: None },
        };
        let time =
            Training::new(&plan, stop.clone(), world.clone())?.epoch_time()?.agreed(world)?;
        let (limit, epoch) = (clock(seconds), clock(time.training + time.evaluation));
        let epochs = time.epochs_in(seconds);
        if epochs == 0 {
            return Err(Error::TooShort { limit, epoch });
        }
        tracing::info!(
            "--time-limit: an epoch takes about {epoch}, so {limit} suffice for {epochs}"
        );
        let Self { recipe, data, origin } = self;
        let recipe =
            recipe.with_epochs(epochs).map_err(|problem| Error::Epochs { epochs, problem })?;
        Ok(Self { recipe, data, origin })
    }

    /// The plan, in the folder of the run that is resumed, or in a new one that rank 0 makes.
    pub(crate) fn in_folder(self, world: &World) -> Result<RunPlan, Error> {
        let Self { recipe, data, origin } = self;
        let (folder, start) = match origin {
            Origin::Resumed(Previous { folder, recipe: begun, .. }) => {
                (folder, Start::Resumed { begun })
            }
            Origin::New { weights, out, name } => {
                let folder = new_folder(out.as_deref(), &name, &recipe, &data, world)?;
                (folder, Start::New { weights })
            }
        };
        world.set_folder(folder.path());
        Ok(RunPlan { recipe, data, folder, start })
    }
}

impl RunPlan {
    /// Removes the folder of a new run that was refused: nothing may be left that looks like a run. A folder with a
    /// checkpoint stays.
    pub(crate) fn discard(&self, world: &World) {
        if world.leads() && matches!(self.start, Start::New { .. }) {
            self.folder.discard();
        }
    }
}

/// The folder of a new run, with the files that say how the run is made.
fn new_folder(
    out: Option<&Path>,
    name: &str,
    recipe: &Recipe,
    data: &Data,
    world: &World,
) -> Result<RunFolder, Error> {
    if !world.leads() {
        let path = world.broadcast_bytes(Vec::new())?;
        return Ok(RunFolder::of_rank_0(Path::new(&*String::from_utf8_lossy(&path)))?);
    }
    let folder = RunFolder::create(out, name)?;
    folder.write_config(recipe)?;
    let measured = if data.validation.is_some() { "validation" } else { "test" };
    folder.write_environment(recipe.seed, world.ranks(), measured)?;
    if data.is_files() {
        image_list::write(&folder, &data.parts())?;
    }
    world.broadcast_bytes(folder.path().display().to_string().into_bytes())?;
    Ok(folder)
}

#[cfg(test)]
mod tests;
