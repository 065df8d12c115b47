//! The part of the training set that a recipe uses, and the part that it holds out for validation.

use std::sync::Arc;

use datasets::{Held, Joined, Selected, Source, folds};

use crate::data::{Data, Error};

impl Data {
    /// The same set, whose test set is part `number` (from 1) of `of` parts of every class, or of a multi-label set's whole. A
    /// test set that was held back of the training set is among the images that are divided; one of its own is left out.
    ///
    /// # Errors
    /// Classes with one image.
    pub(crate) fn with_fold(mut self, number: u32, of: u32, seed: u64) -> Result<Self, Error> {
        let all: Arc<dyn Source> = match self.held {
            true => Arc::new(Joined::new(self.train, self.test)),
            false => self.train,
        };
        let mut parts = [Vec::new(), Vec::new()];
        for class in groups(&all)? {
            let names: Vec<String> = class.iter().map(|index| all.name(*index as usize)).collect();
            for (index, fold) in class.into_iter().zip(folds(&names, of, seed)) {
                parts[usize::from(fold == number - 1)].push(index);
            }
        }
        parts.iter_mut().for_each(|part| part.sort_unstable());
        let [train, test] = parts;
        tracing::info!(
            "fold {number} of {of}: {} images to train on, {} to test",
            train.len(),
            test.len()
        );
        self.train = Arc::new(Selected::new(Arc::clone(&all), train));
        self.test = Arc::new(Selected::new(all, test));
        self.held = false;
        Ok(self)
    }

    /// The same set, with `validation` held out of every class's training images, and without those that are `unused`. Of a
    /// multi-label set they are held out of all training images. A set with a validation set keeps its own.
    ///
    /// # Errors
    /// Classes with too few images to hold one out.
    pub(crate) fn with_training_part(
        mut self,
        validation: Held,
        unused: Held,
    ) -> Result<Self, Error> {
        if validation.fraction > 0.0 && self.validation.is_some() {
            tracing::info!("the set has a validation set of its own; none is held out of training");
        } else if validation.fraction > 0.0 {
            let [train, held_out] = split(&self.train, validation)?;
            tracing::info!(
                "{} of {} training images are held out to choose the best epoch (training_set.validation)",
                held_out.len(),
                self.train.len()
            );
            self.validation = Some(Arc::new(Selected::new(Arc::clone(&self.train), held_out)));
            self.train = Arc::new(Selected::new(self.train, train));
        }
        if unused.fraction > 0.0 {
            let [used, _] = split(&self.train, unused)?;
            tracing::info!(
                "{} of {} training images are used (training_set.fraction)",
                used.len(),
                self.train.len()
            );
            self.train = Arc::new(Selected::new(self.train, used));
        }
        Ok(self)
    }
}

/// The numbers of the images of each class, of which a class of one image is refused. Those of a multi-label set are one
/// group: an image of several classes is on one side for all of them.
fn groups(images: &Arc<dyn Source>) -> Result<Vec<Vec<u32>>, Error> {
    if images.is_multi_label() {
        return Ok(vec![(0..images.len() as u32).collect()]);
    }
    let mut by_class = vec![Vec::new(); images.class_names().len()];
    for index in 0..images.len() {
        by_class[images.label(index) as usize].push(index as u32);
    }
    let single = by_class.iter().zip(images.class_names()).filter(|(class, _)| class.len() == 1);
    let classes: Vec<String> = single.map(|(_, name)| name.clone()).collect();
    if !classes.is_empty() {
        return Err(Error::OneTrainingImage { classes });
    }
    Ok(by_class)
}

/// The numbers of the images that stay, and of those that are held back of every group.
fn split(images: &Arc<dyn Source>, held: Held) -> Result<[Vec<u32>; 2], Error> {
    let mut parts = [Vec::new(), Vec::new()];
    for class in groups(images)? {
        let names: Vec<String> = class.iter().map(|index| images.name(*index as usize)).collect();
        let is_held = held.among(names.iter().map(String::as_str));
        for (index, is_held) in class.into_iter().zip(is_held) {
            parts[usize::from(is_held)].push(index);
        }
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DataSpec;
    use crate::ranks::World;

    fn synthetic() -> Data {
        Data::load(&DataSpec::Synthetic, &World::single()).unwrap()
    }

    #[test]
    fn parts_are_apart_and_every_class_is_in_each() {
        let held = |fraction, seed| Held { fraction, seed };
        let whole = synthetic();
        let data = whole.clone().with_training_part(held(0.1, 7), held(0.5, 8)).unwrap();
        let validation = data.validation.unwrap();
        assert!(validation.len().abs_diff(1000) < 150, "{}", validation.len());
        assert!(data.train.len().abs_diff(4500) < 300, "{}", data.train.len());
        assert_eq!(data.test.len(), whole.test.len());
        let counts = [validation.images_by_class(), data.train.images_by_class()];
        assert!(counts.iter().flatten().all(|count| *count > 0), "{counts:?}");
        let names = |images: &Arc<dyn Source>| -> std::collections::BTreeSet<String> {
            (0..images.len()).map(|index| images.name(index)).collect()
        };
        assert!(names(&validation).is_disjoint(&names(&data.train)));
    }

    #[test]
    fn each_image_is_tested_in_one_fold() {
        let whole = synthetic();
        let mut tested = vec![0; whole.train.len()];
        for number in 1..=3 {
            let data = whole.clone().with_fold(number, 3, 0).unwrap();
            assert_eq!(data.train.len() + data.test.len(), whole.train.len());
            let counts = data.test.images_by_class();
            assert!(counts.iter().all(|count| (333..=334).contains(count)), "{counts:?}");
            (0..data.test.len())
                .for_each(|index| tested[data.test.name(index).parse::<usize>().unwrap()] += 1);
        }
        assert!(tested.iter().all(|times| *times == 1));
    }

    #[test]
    fn several_labels_are_divided_as_a_whole() {
        let (whole, _) = Data::to_check(&DataSpec::SyntheticMulti).unwrap();
        let held = |fraction, seed| Held { fraction, seed };
        let data = whole.clone().with_training_part(held(0.1, 7), held(0.5, 8)).unwrap();
        let validation = data.validation.unwrap();
        assert!(validation.len().abs_diff(800) < 100, "{}", validation.len());
        assert!(data.train.len().abs_diff(3600) < 250, "{}", data.train.len());
        assert!(data.train.is_multi_label() && validation.is_multi_label());
        let mut tested = vec![0; whole.train.len()];
        for number in 1..=3 {
            let data = whole.clone().with_fold(number, 3, 0).unwrap();
            assert!((2666..=2667).contains(&data.test.len()), "{}", data.test.len());
            assert_eq!(data.train.len() + data.test.len(), 8000);
            (0..data.test.len())
                .for_each(|index| tested[data.test.name(index).parse::<usize>().unwrap()] += 1);
        }
        assert!(tested.iter().all(|times| *times == 1));
    }

    #[test]
    fn nothing_held_changes_nothing() {
        let held = Held { fraction: 0.0, seed: 0 };
        let data = synthetic().with_training_part(held, held).unwrap();
        assert_eq!((data.train.len(), data.validation.is_none()), (10_000, true));
    }
}
