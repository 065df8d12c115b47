//! Scores of a whole confusion matrix that a class with few images can move, and what chance would give: accuracy alone
//! hides a class that is never recognised.

use serde_json::{Map, Value, json};

use super::class_scores::ClassScores;

/// The quantile of the normal distribution for 95 % between two bounds.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// Fewest classes for which it says something that the label is among the five likeliest.
pub(crate) const TOP5_CLASSES: usize = 6;

/// Scores of a confusion matrix. A quotient without a denominator is `None`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Overall {
    /// Mean recall of the classes that have images. scikit-learn: `balanced_accuracy_score`.
    pub(crate) balanced_accuracy: Option<f64>,
    /// Mean F1 of the classes that have images or were predicted. scikit-learn: `f1_score(average="macro")`.
    pub(crate) macro_f1: Option<f64>,
    /// Agreement beyond that of chance (Cohen 1960). scikit-learn: `cohen_kappa_score`.
    pub(crate) cohen_kappa: Option<f64>,
    /// Correlation of labels and predictions (Gorodkin 2004). scikit-learn: `matthews_corrcoef`, which returns 0 for `None`.
    pub(crate) matthews: Option<f64>,
    /// The interval in which the accuracy lies with 95 % confidence, of images like these (Wilson 1927).
    pub(crate) interval: Option<[f64; 2]>,
    /// The answer that is correct most often without looking.
    pub(crate) guess: Option<Guess>,
}

/// A class that is always guessed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Guess {
    /// The class with most images.
    pub(crate) class: usize,
    /// Its part of the images, which is the accuracy of the guess.
    pub(crate) accuracy: f64,
}

impl Overall {
    /// The scores of a square `confusion`, whose rows are the true classes.
    pub(crate) fn of(confusion: &[Vec<u64>]) -> Self {
        let scores = ClassScores::of(confusion);
        let recalls = scores.iter().filter_map(|scores| scores.recall);
        let f1s = scores.iter().filter_map(|scores| scores.f1);
        let true_counts: Vec<f64> = scores.iter().map(|scores| scores.support as f64).collect();
        let predicted_counts: Vec<f64> = (0..confusion.len())
            .map(|class| confusion.iter().map(|row| row[class] as f64).sum())
            .collect();
        let images: f64 = true_counts.iter().sum();
        let correct: f64 = (0..confusion.len()).map(|class| confusion[class][class] as f64).sum();
        let products = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let by_chance = products(&true_counts, &predicted_counts);
        let squared = images * images;
        let spread = (squared - products(&true_counts, &true_counts))
            * (squared - products(&predicted_counts, &predicted_counts));
        Self {
            balanced_accuracy: mean(recalls),
            macro_f1: mean(f1s),
            cohen_kappa: quotient(correct * images - by_chance, squared - by_chance),
            matthews: quotient(correct * images - by_chance, spread.sqrt()),
            interval: wilson(correct, images),
            guess: guess(&scores, images),
        }
    }

    /// The scores for programs.
    pub(crate) fn to_json(&self, class_names: &[String]) -> Map<String, Value> {
        let Self { balanced_accuracy, macro_f1, cohen_kappa, matthews, interval, guess } = self;
        let guess = guess.map(
            |Guess { class, accuracy }| json!({ "class": class_names[class], "top1": accuracy }),
        );
        let scores = json!({
            "balanced_accuracy": balanced_accuracy, "macro_f1": macro_f1, "cohen_kappa": cohen_kappa,
            "matthews": matthews, "top1_interval": interval, "commonest_class": guess,
        });
        match scores {
            Value::Object(scores) => scores,
            _ => Map::new(),
        }
    }
}

/// Digits after the point of a percentage of `images`, so that one image more or less shows, and no digit is made up.
pub(crate) fn digits(images: u64) -> usize {
    match images {
        0..=100 => 0,
        101..=1000 => 1,
        _ => 2,
    }
}

/// The mean; `None` of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    quotient(sum, count)
}

fn quotient(of: f64, all: f64) -> Option<f64> {
    (all > 0.0).then(|| of / all)
}

/// Wilson's interval of `correct` of `images`.
fn wilson(correct: f64, images: f64) -> Option<[f64; 2]> {
    let part = quotient(correct, images)?;
    let square = QUANTILE * QUANTILE;
    let middle = part + square / (2.0 * images);
    let half = QUANTILE * (part * (1.0 - part) / images + square / (4.0 * images * images)).sqrt();
    let scale = 1.0 + square / images;
    Some([((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0)])
}

/// The first of the classes with most images.
fn guess(scores: &[ClassScores], images: f64) -> Option<Guess> {
    let most = scores.iter().map(|scores| scores.support).max().filter(|most| *most > 0)?;
    let class = scores.iter().position(|scores| scores.support == most)?;
    Some(Guess { class, accuracy: most as f64 / images })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::golden;

    #[test]
    fn scores_are_those_of_scikit_learn() {
        for (number, case) in golden::cases("confusions").into_iter().enumerate() {
            let confusion: Vec<Vec<u64>> =
                serde_json::from_value(case["confusion"].clone()).unwrap();
            let overall = Overall::of(&confusion);
            for (name, own) in [
                ("balanced_accuracy", overall.balanced_accuracy),
                ("macro_f1", overall.macro_f1),
                ("cohen_kappa", overall.cohen_kappa),
                ("matthews", overall.matthews),
            ] {
                let expected = case[name].as_f64().unwrap();
                assert!((own.unwrap() - expected).abs() < 1e-12, "{number} {name}: {own:?}");
            }
            for (bound, own) in overall.interval.unwrap().into_iter().enumerate() {
                let expected = case["interval"][bound].as_f64().unwrap();
                assert!((own - expected).abs() < 1e-12, "{number} bound {bound}: {own}");
            }
        }
    }

    #[test]
    fn the_guess_is_the_commonest_class() {
        let overall = Overall::of(&[vec![1, 0, 0], vec![0, 4, 2], vec![3, 0, 0]]);
        assert_eq!(overall.guess, Some(Guess { class: 1, accuracy: 0.6 }));
    }

    #[test]
    fn nothing_and_one_class_have_no_quotients() {
        let nothing = Overall::of(&[vec![0, 0], vec![0, 0]]);
        assert_eq!((nothing.balanced_accuracy, nothing.macro_f1), (None, None));
        assert_eq!((nothing.interval, nothing.guess), (None, None));
        let one = Overall::of(&[vec![5, 0], vec![0, 0]]);
        assert_eq!((one.cohen_kappa, one.matthews), (None, None), "chance is always correct");
        assert_eq!(one.balanced_accuracy, Some(1.0));
    }

    #[test]
    fn digits_show_one_image() {
        assert_eq!([20, 100, 101, 1000, 1001, 10_000].map(digits), [0, 0, 1, 1, 2, 2]);
    }
}
