//! The loss of a run: what recipe and training images imply.

use datasets::Source;

use super::{
    ClassBalance, ImbalanceRecipe, Metric, MultiLabelLoss, MultiLabelRecipe, Recipe,
    SelectionRecipe,
};
use crate::invalid_value::InvalidValue;

/// The loss of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LossPlan {
    /// One class an image: cross-entropy.
    One(ClassBalance),
    /// Any number of classes an image.
    Several {
        /// The form of the loss.
        form: MultiLabelLoss,
        /// The factor of each class's loss where it is there; `None` for 1.
        positive_weights: Option<Vec<f64>>,
    },
}

impl Recipe {
    /// The loss on the images of `train`.
    pub(crate) fn loss_plan(&self, train: &dyn Source) -> LossPlan {
        let images = train.images_by_class();
        if train.is_multi_label() {
            let MultiLabelRecipe { loss, positive_weights } =
                self.multi_label.unwrap_or(MultiLabelRecipe::USUAL);
            let positive_weights = positive_weights.of(train.len() as u64, &images);
            return LossPlan::Several { form: loss, positive_weights };
        }
        let balance = self.imbalance.map(|imbalance| imbalance.balance(&images));
        LossPlan::One(balance.unwrap_or_default())
    }

    /// The recipe for the images of `train`: of any number of classes each, it has a table `[multi_label]`.
    ///
    /// # Errors
    /// A table that is for images of the other kind.
    pub(crate) fn for_labels_of(mut self, train: &dyn Source) -> Result<Self, InvalidValue> {
        if train.is_multi_label() {
            InvalidValue::unless(
                self.imbalance.is_none_or(|imbalance| imbalance == ImbalanceRecipe::NOTHING),
                "imbalance",
                "absent where images have several labels; multi_label.positive_weights = \"balanced\" favours rare classes \
                 there",
                "a table",
            )?;
            self.multi_label.get_or_insert(MultiLabelRecipe::USUAL);
            let metric = Metric::MeanAveragePrecision;
            let metric = self.selection.get_or_insert(SelectionRecipe { metric }).metric;
            InvalidValue::unless(
                matches!(metric, Metric::MeanAveragePrecision | Metric::Top1 | Metric::Loss),
                "selection.metric",
                "mean-average-precision, top1 or loss where images have several labels",
                metric.name(),
            )?;
        } else {
            InvalidValue::unless(
                self.multi_label.is_none(),
                "multi_label",
                "absent where each image has one label",
                "a table",
            )?;
            InvalidValue::unless(
                self.metric() != Metric::MeanAveragePrecision,
                "selection.metric",
                "another where each image has one label, such as balanced-accuracy",
                "mean-average-precision",
            )?;
        }
        Ok(self)
    }
}
