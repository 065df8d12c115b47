//! The network that a run trains, with everything that a step changes: variables, the optimizer's memory, the average.
//!
//! Every rank has a copy, and updates must leave all copies the same to the last bit.

use std::path::Path;

use sha2::{Digest, Sha256};
use tch::{Device, Tensor, nn::VarStore};
use xception::Xception;
use xception::weights::{self, Description, Labels, Tensors};

use crate::learner::Learner;
use crate::network::transfer::Pretrained;
use crate::optim::average::{Average, AverageConfig};
use crate::optim::schedule::Position;
use crate::ranks::World;
use crate::recipe::HeadStart;
use crate::run::checkpoint::Checkpoint;
use crate::training::Error;

/// The network of a run, as this rank has it.
pub(super) struct Model {
    pub(super) store: VarStore,
    pub(super) learner: Learner<Xception>,
    average: Option<Average>,
    pub(super) description: Description,
}

impl Model {
    /// The network in `store`, which `learner` trains.
    pub(super) fn new(
        store: VarStore,
        learner: Learner<Xception>,
        average: Option<AverageConfig>,
        description: Description,
    ) -> Self {
        let average = average.map(|config| Average::new(&store, config));
        Self { store, learner, average, description }
    }

    /// Begins with weights that were trained before.
    pub(super) fn start_from(
        &mut self,
        pretrained: &Pretrained,
        head: HeadStart,
        average: Option<AverageConfig>,
    ) -> Result<(), Error> {
        let Description { spec, class_names, .. } = &self.description;
        pretrained.fill(&self.store, spec, class_names, head)?;
        // The average began as a copy of the initial weights.
        self.average = average.map(|config| Average::new(&self.store, config));
        Ok(())
    }

    /// The number of trainable parameters.
    pub(super) fn parameters(&self) -> usize {
        self.store.trainable_variables().iter().map(Tensor::numel).sum()
    }

    /// Bytes of everything but weights and gradients that is kept between steps.
    pub(super) fn kept_bytes(&self) -> u64 {
        let exchanged = self.learner.exchange().bytes(&self.store.trainable_variables());
        let average = self.average.as_ref().map_or(0, Average::bytes);
        self.learner.optimizer().bytes() + average + exchanged
    }

    /// Takes the weights after the step at `position` into the average, if there is one.
    pub(super) fn update_average(&mut self, position: &Position) -> Result<(), Error> {
        match &mut self.average {
            Some(average) => Ok(average.update(position)?),
            None => Ok(()),
        }
    }

    /// Does `work` while the network has the averaged weights, if there are such.
    pub(super) fn averaged<T>(
        &mut self,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut average = self.average.take();
        let done = match &mut average {
            Some(average) => average.during(|| work(self)),
            None => work(self),
        };
        self.average = average;
        done
    }

    /// Copies of the weights, of the optimizer's memory and of the average, which is empty where there is none.
    pub(super) fn snapshot(&self) -> [Tensors; 3] {
        [
            weights::snapshot(&self.store),
            self.learner.optimizer().state(),
            self.average.as_ref().map_or_else(Tensors::new, Average::tensors),
        ]
    }

    /// Puts everything back to where it was at `checkpoint`.
    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        weights::load(&self.store, &checkpoint.model)?;
        self.learner.optimizer_mut().restore(&checkpoint.optimizer)?;
        if let Some(average) = &mut self.average {
            average.restore(&checkpoint.average)?;
        }
        Ok(())
    }

    /// Writes the weights to `path`, with the description of the network, and with `thresholds` where they were chosen.
    pub(super) fn write(
        &self,
        path: &Path,
        thresholds: Option<&[f64]>,
    ) -> Result<(), weights::Error> {
        let mut description = self.description.clone();
        if let Some(thresholds) = thresholds {
            description.labels = Labels::Several { thresholds: thresholds.to_vec() };
        }
        weights::write(path, &weights::snapshot(&self.store), &description.to_metadata())
    }

    /// Puts the weights in the file at `path` into the network. Returns the classes that an image may have by them.
    pub(super) fn read(&self, path: &Path) -> Result<Labels, weights::Error> {
        let (tensors, metadata) = weights::read(path)?;
        weights::load(&self.store, &tensors)?;
        let description = Description::from_metadata(path, &metadata)?;
        Ok(description.map_or(Labels::One, |description| description.labels))
    }

    /// Copies all variables of rank 0 to the other ranks, and makes sure that they arrived. `step` goes into an error.
    pub(super) fn share_variables(&self, world: &World, step: u64) -> Result<(), Error> {
        world.broadcast(&self.variables(|_| true))?;
        self.compare_parameters(world, step)
    }

    /// Copies the running statistics of rank 0 to the other ranks, each of which saw other images, before they are used or
    /// saved.
    pub(super) fn share_statistics(&self, world: &World) -> Result<(), Error> {
        Ok(world.broadcast(&self.variables(|variable| !variable.requires_grad()))?)
    }

    /// Refuses ranks whose parameters differ in any bit after `step`.
    pub(super) fn compare_parameters(&self, world: &World, step: u64) -> Result<(), Error> {
        match world.first_that_differs(|| self.digest())? {
            None => {
                tracing::debug!("parameters agree on all ranks after step {step}");
                Ok(())
            }
            Some(rank) => Err(Error::RanksDiffer { rank, step }),
        }
    }

    /// The sha256 of all parameters.
    fn digest(&self) -> Result<Vec<u8>, Error> {
        let mut hash = Sha256::new();
        for parameter in self.variables(Tensor::requires_grad) {
            let values = parameter.detach().to_device(Device::Cpu).contiguous().view(-1);
            let mut bytes = vec![0; values.numel() * values.kind().elt_size_in_bytes()];
            values.f_copy_data_u8(&mut bytes, values.numel())?;
            hash.update(&bytes);
        }
        Ok(hash.finalize().to_vec())
    }

    /// The `wanted` variables, sorted by name: the same order on all ranks.
    fn variables(&self, wanted: impl Fn(&Tensor) -> bool) -> Vec<Tensor> {
        let mut named: Vec<(String, Tensor)> = self.store.variables().into_iter().collect();
        named.retain(|(_, variable)| wanted(variable));
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        named.into_iter().map(|(_, variable)| variable).collect()
    }
}
