//! Images of several inputs as batches of the network, and its answers in the order of the inputs.

use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};
use xception::weights;

use super::answer::{Answer, Outcome, Selection};
use crate::commands::inputs::Inputs;
use crate::commands::refusal::ImagesProblem;
use crate::commands::{Error, Refusal};
use crate::network;
use crate::network::forward::{Forward, Views};
use crate::network::model_file::Loaded;

/// Images that go through the network together.
pub(super) const BATCH: usize = 32;

/// An input that waits for its answer.
struct Waiting {
    input: String,
    /// Its normalised image `[1, 3, H, W]`, or the reason why it has none.
    image: Result<Tensor, String>,
}

/// Collects images to full batches, and classifies them.
pub(super) struct Classifier<'a> {
    loaded: &'a Loaded,
    forward: Forward<&'a xception::Xception>,
    views: Views,
    selection: Selection,
    waiting: Vec<Waiting>,
    /// Height and width of the images that wait.
    size: Vec<i64>,
}

/// The answers for some inputs.
pub(super) struct Answered {
    pub(super) answers: Vec<Answer>,
    /// `[images, classes]`; `None` without an image.
    pub(super) logits: Option<Tensor>,
}

impl<'a> Classifier<'a> {
    pub(super) fn new(
        loaded: &'a Loaded,
        forward: Forward<&'a xception::Xception>,
        views: Views,
        selection: Selection,
    ) -> Self {
        Self { loaded, forward, views, selection, waiting: Vec::new(), size: Vec::new() }
    }

    /// Adds a normalised image `[1, 3, H, W]`; returns the answers for those before it where it makes no batch with them.
    pub(super) fn add(&mut self, input: String, image: Tensor) -> Result<Option<Answered>, Error> {
        let size = image.size()[2..].to_vec();
        let answered = if size == self.size { self.when_full()? } else { Some(self.answer()?) };
        self.size = size;
        self.waiting.push(Waiting { input, image: Ok(image) });
        Ok(answered)
    }

    /// Adds an input that cannot be read; returns the answers for those before it where they are many.
    pub(super) fn add_unreadable(
        &mut self,
        input: &Path,
        error: Error,
        inputs: &mut Inputs,
    ) -> Result<Option<Answered>, Error> {
        let problem = inputs.unreadable(error)?;
        let answered = self.when_full()?;
        self.waiting.push(Waiting { input: input.display().to_string(), image: Err(problem) });
        Ok(answered)
    }

    fn when_full(&mut self) -> Result<Option<Answered>, Error> {
        (self.waiting.len() >= BATCH).then(|| self.answer()).transpose()
    }

    /// The answers for all that wait.
    ///
    /// # Errors
    /// An answer that is not finite.
    pub(super) fn answer(&mut self) -> Result<Answered, Error> {
        let waiting = std::mem::take(&mut self.waiting);
        let images: Vec<&Tensor> =
            waiting.iter().filter_map(|waiting| waiting.image.as_ref().ok()).collect();
        let logits = if images.is_empty() {
            None
        } else {
            let batch = torch_ext::channels_last(&Tensor::cat(&images, 0))?;
            let logits = self.forward.logits(&batch, self.views)?;
            if logits.isfinite().all().int64_value(&[]) == 0 {
                return Err(network::Error::NoAnswer.into());
            }
            Some(logits)
        };
        let class_names = &self.loaded.description.class_names;
        let mut outcomes = logits
            .as_ref()
            .map(|logits| self.selection.outcomes(logits, class_names))
            .unwrap_or_default()
            .into_iter();
        let answer = |Waiting { input, image }| {
            let outcome = match image {
                Ok(_) => outcomes.next().expect("a row for each image"),
                Err(problem) => Outcome::Unreadable(problem),
            };
            Answer { input, outcome }
        };
        Ok(Answered { answers: waiting.into_iter().map(answer).collect(), logits })
    }

    /// The images `[N, 3, H, W]` in the file of tensors at `path`.
    ///
    /// # Errors
    /// A file without such images, or with images that the network does not take.
    pub(super) fn images(&self, path: &Path) -> Result<Tensor, Error> {
        let refuse =
            |problem| Error::from(Refusal::NoImages { path: PathBuf::from(path), problem });
        let (mut tensors, _) = weights::read(path)?;
        let images = tensors.remove("input").ok_or_else(|| refuse(ImagesProblem::NoInput))?;
        match images.size()[..] {
            [_, 3, _, _] if images.numel() > 0 && images.kind() == Kind::Float => {}
            _ => {
                let (size, kind) = (images.size(), images.kind());
                return Err(refuse(ImagesProblem::Shape { size, kind }));
            }
        }
        if images.isfinite().all().int64_value(&[]) == 0 {
            return Err(refuse(ImagesProblem::NotFinite));
        }
        let side = images.size()[2].min(images.size()[3]);
        let spec = self.loaded.description.spec;
        xception::summary::Summary::new(&spec.architecture()?, spec.classes, side)?;
        Ok(images)
    }
}
