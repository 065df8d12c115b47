//! Figures of images with any number of classes: how well each class's images are sorted before all others, and what is found
//! from its threshold on.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::ranking::Ranking;
use super::rows::Rows;

/// Likeliest classes of an image that MAP@100 looks at (Chollet 2017, section 4.2).
pub(crate) const AT: usize = 100;

/// Figures of images with any number of classes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Several {
    /// Mean over the images of the average precision of their 100 likeliest classes; an image without a class counts in no
    /// mean.
    pub(crate) map_at_100: f64,
    /// The figures that need the answers to all images; absent where they are too many to keep.
    pub(crate) by_class: Option<ByClass>,
}

/// Figures of each class, and their means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ByClass {
    /// Mean average precision of the classes that have images. scikit-learn: `average_precision_score(average="macro")`.
    pub(crate) mean_average_precision: Option<f64>,
    /// F1 of all answers together. scikit-learn: `f1_score(average="micro")`.
    pub(crate) micro_f1: Option<f64>,
    /// Mean F1 of the classes. scikit-learn: `f1_score(average="macro", zero_division=0)`.
    pub(crate) macro_f1: Option<f64>,
    /// Part of the images with no wrong answer for any class.
    pub(crate) exact: f64,
    /// Labels of an image on average.
    pub(crate) labels: f64,
    /// By class.
    pub(crate) classes: Vec<ClassAnswers>,
    /// Images that have class `row` and class `column`.
    pub(crate) together: Vec<Vec<u64>>,
}

/// The answers to the question whether one class is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClassAnswers {
    /// Areas under its curves.
    #[serde(flatten)]
    pub(crate) ranking: Ranking,
    /// The probability from which it is said of an image.
    pub(crate) threshold: f64,
    /// Part of the images of which it is said that have it.
    pub(crate) precision: Option<f64>,
    /// Part of its images of which it is said.
    pub(crate) recall: Option<f64>,
    /// Harmonic mean of the two.
    pub(crate) f1: Option<f64>,
    /// Images that have it.
    pub(crate) support: u64,
    /// Points of recall and precision.
    pub(crate) curve: Vec<[f64; 2]>,
}

/// Answers that are said of images, counted.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    hits: u64,
    false_alarms: u64,
    missed: u64,
}

impl Said {
    fn precision(self) -> Option<f64> {
        part(self.hits, self.hits + self.false_alarms)
    }

    fn recall(self) -> Option<f64> {
        part(self.hits, self.hits + self.missed)
    }

    fn f1(self) -> Option<f64> {
        part(2 * self.hits, 2 * self.hits + self.false_alarms + self.missed)
    }
}

fn part(of: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| of as f64 / all as f64)
}

impl Several {
    /// The figure that epochs are compared by.
    pub(crate) fn mean_average_precision(&self) -> f64 {
        let by_class = self.by_class.as_ref();
        by_class.and_then(|figures| figures.mean_average_precision).unwrap_or(self.map_at_100)
    }

    /// The figures for programs.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut document = json!({ "map_at_100": self.map_at_100 });
        if let Some(ByClass { mean_average_precision, micro_f1, macro_f1, exact, labels, .. }) =
            &self.by_class
        {
            document["mean_average_precision"] = json!(mean_average_precision);
            document["micro_f1"] = json!(micro_f1);
            document["macro_f1"] = json!(macro_f1);
            document["exact"] = json!(exact);
            document["labels_per_image"] = json!(labels);
        }
        match document {
            Value::Object(document) => document,
            _ => Map::new(),
        }
    }
}

impl ByClass {
    /// The figures of `rows`, with a threshold for each class.
    pub(crate) fn of(rows: &Rows, thresholds: &[f64]) -> Self {
        let classes = thresholds.len();
        let mut said = vec![Said::default(); classes];
        let mut together = vec![vec![0; classes]; classes];
        let (mut exact, mut labels) = (0, 0);
        for (own, probabilities) in rows.answers() {
            let mut is_exact = true;
            for (class, (probability, said)) in probabilities.iter().zip(&mut said).enumerate() {
                let is_there = own.binary_search(&(class as u32)).is_ok();
                let is_said = f64::from(*probability) >= thresholds[class];
                said.hits += u64::from(is_there && is_said);
                said.false_alarms += u64::from(!is_there && is_said);
                said.missed += u64::from(is_there && !is_said);
                is_exact &= is_there == is_said;
            }
            exact += u64::from(is_exact);
            labels += own.len();
            for &one in own {
                own.iter().for_each(|&other| together[one as usize][other as usize] += 1);
            }
        }
        let all = said.iter().fold(Said::default(), |all, own| Said {
            hits: all.hits + own.hits,
            false_alarms: all.false_alarms + own.false_alarms,
            missed: all.missed + own.missed,
        });
        let classes: Vec<ClassAnswers> = said
            .iter()
            .enumerate()
            .map(|(class, said)| {
                let ranked = rows.ranked(class);
                ClassAnswers {
                    ranking: ranked.ranking(),
                    threshold: thresholds[class],
                    precision: said.precision(),
                    recall: said.recall(),
                    f1: said.f1(),
                    support: said.hits + said.missed,
                    curve: ranked.curves().map_or_else(Vec::new, |curves| curves.precision_recall),
                }
            })
            .collect();
        let images = rows.len().max(1) as f64;
        Self {
            mean_average_precision: mean(
                classes.iter().filter_map(|class| class.ranking.average_precision),
            ),
            micro_f1: all.f1(),
            macro_f1: mean(classes.iter().map(|class| class.f1.unwrap_or(0.0))),
            exact: exact as f64 / images,
            labels: labels as f64 / images,
            classes,
            together,
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The average precision of the likeliest classes of an image, given whether it has each, in order, and the number of its
/// classes in all; `None` for an image without one.
pub(super) fn average_precision_at(hits: impl Iterator<Item = bool>, labels: usize) -> Option<f64> {
    if labels == 0 {
        return None;
    }
    let (mut found, mut sum) = (0, 0.0);
    for (rank, is_hit) in (1..).zip(hits.take(AT)) {
        if is_hit {
            found += 1;
            sum += f64::from(found) / f64::from(rank);
        }
    }
    Some(sum / labels.min(AT) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::golden;
    use crate::evaluation::rows::Keep;

    fn rows(case: &Value) -> Rows {
        let labels: Vec<Vec<u32>> = serde_json::from_value(case["labels"].clone()).unwrap();
        let scores: Vec<Vec<f32>> = serde_json::from_value(case["scores"].clone()).unwrap();
        let mut rows = Rows::of(Keep::Rows, labels.len(), scores[0].len()).unwrap();
        for (index, (labels, scores)) in (0..).zip(labels.iter().zip(&scores)) {
            rows.add(index, labels.clone(), scores);
        }
        rows
    }

    #[test]
    fn figures_are_those_of_scikit_learn() {
        for (number, case) in golden::cases("several").iter().enumerate() {
            let rows = rows(case);
            let thresholds: Vec<f64> = serde_json::from_value(case["thresholds"].clone()).unwrap();
            let own = ByClass::of(&rows, &thresholds);
            for (name, own) in [
                ("mean_average_precision", own.mean_average_precision),
                ("micro_f1", own.micro_f1),
                ("macro_f1", own.macro_f1),
                ("exact", Some(own.exact)),
            ] {
                let expected = case[name].as_f64().unwrap();
                assert!((own.unwrap() - expected).abs() < 1e-9, "{number} {name}: {own:?}");
            }
            for (class, own) in own.classes.iter().enumerate() {
                let expected = case["average_precision"][class].as_f64();
                let same = own.ranking.average_precision.zip(expected);
                assert!(same.is_none_or(|(own, expected)| (own - expected).abs() < 1e-9));
            }
        }
    }

    #[test]
    fn the_best_thresholds_are_those_of_all() {
        for (number, case) in golden::cases("several").iter().enumerate() {
            let rows = rows(case);
            let own = ByClass::of(&rows, &rows.best_thresholds());
            for (class, own) in own.classes.iter().enumerate() {
                let expected = case["best_f1"][class].as_f64().unwrap();
                assert!(
                    (own.f1.unwrap_or(0.0) - expected).abs() < 1e-9,
                    "{number} {class}: {own:?}"
                );
            }
        }
    }

    #[test]
    fn precision_at_the_top_is_that_worked_by_hand() {
        let of = |hits: &[bool], labels| average_precision_at(hits.iter().copied(), labels);
        // Hits at ranks 1 and 3, one of three labels not among them.
        let expected = (1.0 + 2.0 / 3.0) / 3.0;
        assert!((of(&[true, false, true, false], 3).unwrap() - expected).abs() < 1e-12);
        assert_eq!(of(&[false; 5], 2), Some(0.0));
        assert_eq!(of(&[false; 5], 0), None, "an image of no class");
        let late = std::iter::repeat_n(false, 100).chain([true]);
        assert_eq!(average_precision_at(late, 1), Some(0.0), "beyond the hundredth");
    }
}
