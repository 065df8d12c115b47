//! The table `[training_set]`: a part that is held out of training to choose the best epoch, and the part of the rest that is
//! used.

use datasets::Held;
use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;

/// The images of the training set that are used. Hashes of their names choose them, so they stay the same when others are
/// added.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSetRecipe {
    /// The part of every class that is held out and measured after each epoch; 0 for none. A set with a validation set of its
    /// own keeps that.
    pub validation: f64,
    /// The part of every class's other images that is trained on.
    pub fraction: f64,
    /// The seed of the choice.
    pub seed: u64,
    /// The part that is the test set, of a cross-validation; absent for the set's own test set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
}

/// One of several equal parts of every class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// Its number, from 1.
    pub number: u32,
    /// The number of parts.
    pub of: u32,
}

impl TrainingSetRecipe {
    /// The table for a recipe that has none.
    pub(super) const WHOLE: Self = Self { validation: 0.0, fraction: 1.0, seed: 0, fold: None };

    /// Refuses numbers that are out of range.
    pub(super) fn check(self) -> Result<(), InvalidValue> {
        let Self { validation, fraction, fold, .. } = self;
        if let Some(Fold { number, of }) = fold {
            InvalidValue::unless(of >= 2, "training_set.fold.of", "at least 2", of)?;
            let (key, accepted) = ("training_set.fold.number", format!("1 to {of}"));
            InvalidValue::unless((1..=of).contains(&number), key, accepted, number)?;
        }
        let fits = (0.0..1.0).contains(&validation);
        InvalidValue::unless(
            fits,
            "training_set.validation",
            "at least 0 and below 1",
            validation,
        )?;
        let fits = fraction > 0.0 && fraction <= 1.0;
        InvalidValue::unless(fits, "training_set.fraction", "above 0 and at most 1", fraction)
    }

    /// The images that are held out for validation.
    pub(crate) fn held_out(self) -> Held {
        Held { fraction: self.validation, seed: self.seed }
    }

    /// The images that are left out altogether. Another seed than that of validation, or the same hashes would choose.
    pub(crate) fn unused(self) -> Held {
        Held { fraction: 1.0 - self.fraction, seed: !self.seed }
    }
}
