//! Areas under ROC and precision-recall curves: how well a score sorts the images of a class before all others, whatever
//! threshold is chosen.

use serde::{Deserialize, Serialize};

/// Most points of a curve that is drawn.
const POINTS: usize = 200;

/// The ranking of one class's images against those of all others, by the class's probability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ranking {
    /// The area under the ROC curve; `None` where all images are of the class, or none. scikit-learn: `roc_auc_score`.
    pub(crate) roc_auc: Option<f64>,
    /// The area under the precision-recall curve, in steps; `None` for a class without images. scikit-learn:
    /// `average_precision_score`.
    pub(crate) average_precision: Option<f64>,
}

/// The images that reach a threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Reached {
    hits: u64,
    false_alarms: u64,
}

/// The points of a threshold that is lowered from score to score.
pub(crate) struct Ranked {
    steps: Vec<Reached>,
    /// The score of each step.
    scores: Vec<f32>,
}

/// The curves that a report draws, as pairs of x and y.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RankingCurves {
    /// False positive rate, true positive rate.
    pub(crate) roc: Vec<[f64; 2]>,
    /// Recall, precision.
    pub(crate) precision_recall: Vec<[f64; 2]>,
}

impl Ranked {
    /// Sorts pairs of a score and whether the image is of the class. Images of one score pass the threshold together.
    pub(crate) fn new(scored: impl Iterator<Item = (f32, bool)>) -> Self {
        let mut scored: Vec<(f32, bool)> = scored.collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let (mut steps, mut scores) = (Vec::new(), Vec::new());
        let mut reached = Reached::default();
        for (place, &(score, is_hit)) in scored.iter().enumerate() {
            if is_hit {
                reached.hits += 1;
            } else {
                reached.false_alarms += 1;
            }
            if scored.get(place + 1).is_none_or(|next| next.0 != score) {
                steps.push(reached);
                scores.push(score);
            }
        }
        Self { steps, scores }
    }

    /// The areas.
    pub(crate) fn ranking(&self) -> Ranking {
        let all = self.steps.last().copied().unwrap_or_default();
        let (positives, negatives) = (all.hits as f64, all.false_alarms as f64);
        let mut before = Reached::default();
        let (mut twice_area, mut precision) = (0.0, 0.0);
        for &step in &self.steps {
            let hits = (step.hits - before.hits) as f64;
            let false_alarms = (step.false_alarms - before.false_alarms) as f64;
            twice_area += false_alarms * (before.hits + step.hits) as f64;
            precision += hits * step.precision();
            before = step;
        }
        Ranking {
            roc_auc: (positives > 0.0 && negatives > 0.0)
                .then(|| twice_area / (2.0 * positives * negatives)),
            average_precision: (positives > 0.0).then(|| precision / positives),
        }
    }

    /// The threshold of the largest F1, half-way to the next lower score; 0.5 for a class without images.
    pub(crate) fn best_threshold(&self) -> f64 {
        let all = self.steps.last().map_or(0, |all| all.hits);
        let f1 = |step: &Reached| {
            2.0 * step.hits as f64 / (step.hits + step.false_alarms + all).max(1) as f64
        };
        let places = 0..self.steps.len();
        // Of equal ones the first: the highest threshold.
        let best = places.rev().max_by(|&a, &b| f1(&self.steps[a]).total_cmp(&f1(&self.steps[b])));
        match best.filter(|_| all > 0) {
            Some(best) => {
                let own = f64::from(self.scores[best]);
                let next = self.scores.get(best + 1).map_or(own, |next| f64::from(*next));
                (own + next) / 2.0
            }
            None => 0.5,
        }
    }

    /// The curves, thinned to what can be told apart; `None` where one of them has no axis.
    pub(crate) fn curves(&self) -> Option<RankingCurves> {
        let all = self.steps.last().filter(|all| all.hits > 0 && all.false_alarms > 0)?;
        let every = self.steps.len().div_ceil(POINTS).max(1);
        let last = self.steps.len() - 1;
        let kept = self.steps.iter().enumerate();
        let kept: Vec<&Reached> = kept
            .filter(|(place, _)| place.is_multiple_of(every) || *place == last)
            .map(|(_, step)| step)
            .collect();
        let recall = |step: &Reached| step.hits as f64 / all.hits as f64;
        let roc = kept
            .iter()
            .map(|step| [step.false_alarms as f64 / all.false_alarms as f64, recall(step)]);
        Some(RankingCurves {
            roc: std::iter::once([0.0, 0.0]).chain(roc).collect(),
            precision_recall: kept.iter().map(|step| [recall(step), step.precision()]).collect(),
        })
    }
}

impl Reached {
    fn precision(self) -> f64 {
        self.hits as f64 / (self.hits + self.false_alarms) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::golden;

    #[test]
    fn areas_are_those_of_scikit_learn() {
        for (number, case) in golden::cases("rankings").into_iter().enumerate() {
            let scores: Vec<f32> = serde_json::from_value(case["scores"].clone()).unwrap();
            let positive: Vec<bool> = serde_json::from_value(case["positive"].clone()).unwrap();
            let own = Ranked::new(scores.into_iter().zip(positive)).ranking();
            for (name, own) in
                [("roc_auc", own.roc_auc), ("average_precision", own.average_precision)]
            {
                let expected = case[name].as_f64().unwrap();
                assert!((own.unwrap() - expected).abs() < 1e-12, "{number} {name}: {own:?}");
            }
        }
    }

    #[test]
    fn a_class_of_none_or_of_all_images_has_no_curve() {
        let none = Ranked::new([(0.3, false), (0.1, false)].into_iter());
        assert_eq!(none.ranking(), Ranking { roc_auc: None, average_precision: None });
        assert_eq!(none.curves(), None);
        let all = Ranked::new([(0.3, true)].into_iter());
        assert_eq!(all.ranking(), Ranking { roc_auc: None, average_precision: Some(1.0) });
        assert_eq!(Ranked::new(std::iter::empty()).curves(), None);
    }

    #[test]
    fn curves_begin_and_end_where_all_curves_do() {
        let scored = (0..1000).map(|number| (number as f32, number % 3 == 0));
        let curves = Ranked::new(scored).curves().unwrap();
        assert_eq!(curves.roc.first(), Some(&[0.0, 0.0]));
        assert_eq!(curves.roc.last(), Some(&[1.0, 1.0]));
        assert_eq!(curves.precision_recall.last(), Some(&[1.0, 0.334]));
        assert!(curves.roc.len() <= POINTS + 2, "{}", curves.roc.len());
    }
}
