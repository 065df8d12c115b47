//! The answer for one image: its most probable classes, as far as they are probable enough.

use tch::Tensor;
use xception::weights::Labels;

/// A class and its probability.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guess {
    pub(super) class: usize,
    pub(super) label: String,
    pub(super) probability: f64,
}

/// The result for one input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) input: String,
    pub(super) outcome: Outcome,
}

/// The network's answer, or the reason why there is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// At least one class is probable enough: the most probable first.
    Sure(Vec<Guess>),
    /// None is; this is the most probable one.
    NotSure(Guess),
    /// The input cannot be read.
    Unreadable(String),
}

impl Answer {
    /// The classes that are listed.
    pub(super) fn top(&self) -> &[Guess] {
        match &self.outcome {
            Outcome::Sure(guesses) => guesses,
            Outcome::NotSure(_) | Outcome::Unreadable(_) => &[],
        }
    }
}

/// The classes that are listed for an image.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// At most so many.
    pub(super) top: usize,
    /// Each with at least this probability; `None` for that of the weights, or for any.
    pub(super) threshold: Option<f64>,
    /// The classes that an image may have.
    pub(super) labels: Labels,
}

impl Selection {
    /// The outcomes for `logits`, `[N, classes]`, one for each row.
    pub(super) fn outcomes(&self, logits: &Tensor, class_names: &[String]) -> Vec<Outcome> {
        let top = self.top.min(class_names.len());
        let probabilities = self.labels.probabilities(logits);
        let (probabilities, classes) = probabilities.topk(top as i64, -1, true, true);
        let flat = |tensor: Tensor| tensor.contiguous().view([-1]);
        let probabilities: Vec<f64> = flat(probabilities).try_into().expect("they are doubles");
        let classes: Vec<i64> = flat(classes).try_into().expect("places are integers");
        let rows = probabilities.chunks_exact(top).zip(classes.chunks_exact(top));
        rows.map(|(probabilities, classes)| self.outcome(probabilities, classes, class_names))
            .collect()
    }

    /// The probability from which `class` is listed.
    fn threshold(&self, class: usize) -> f64 {
        match (self.threshold, &self.labels) {
            (Some(threshold), _) => threshold,
            (None, Labels::Several { thresholds }) => thresholds[class],
            (None, Labels::One) => 0.0,
        }
    }

    /// The outcome for one image, whose most probable classes are given in order, at least one.
    fn outcome(&self, probabilities: &[f64], classes: &[i64], class_names: &[String]) -> Outcome {
        let mut guesses = probabilities.iter().zip(classes).map(|(&probability, &class)| {
            let class = class as usize;
            Guess { class, label: class_names[class].clone(), probability }
        });
        let best = guesses.next().expect("a network has a class");
        // Each class has its own threshold: a less probable one may reach its own where the best does not.
        let listed: Vec<Guess> = std::iter::once(best.clone())
            .chain(guesses)
            .filter(|guess| guess.probability >= self.threshold(guess.class))
            .collect();
        if listed.is_empty() { Outcome::NotSure(best) } else { Outcome::Sure(listed) }
    }
}

/// Parses a probability.
pub(super) fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(probability),
        _ => Err("a probability is a number from 0 to 1, such as 0.5".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(top: usize, threshold: f64) -> Outcome {
        let names = ["ant", "bee", "cat", "dog"].map(String::from);
        let shares = Tensor::from_slice(&[0.125, 0.5, 0.25, 0.125]).view([1, 4]);
        let selection = Selection { top, threshold: Some(threshold), labels: Labels::One };
        let outcomes = selection.outcomes(&shares.log(), &names);
        let [outcome] = <[Outcome; 1]>::try_from(outcomes).unwrap();
        outcome
    }

    fn labels_of(outcome: Outcome) -> Vec<String> {
        let answer = Answer { input: String::new(), outcome };
        answer.top().iter().map(|guess| guess.label.clone()).collect()
    }

    #[test]
    fn the_most_probable_classes_come_first() {
        assert_eq!(labels_of(outcome(2, 0.0)), ["bee", "cat"]);
        assert_eq!(labels_of(outcome(9, 0.0)).len(), 4, "there are no more");
        let Outcome::Sure(guesses) = outcome(1, 0.0) else { panic!("0 is no threshold") };
        assert_eq!(guesses[0].class, 1);
        assert!((guesses[0].probability - 0.5).abs() < 1e-12);
    }

    #[test]
    fn classes_below_the_threshold_are_not_listed() {
        assert_eq!(labels_of(outcome(4, 0.2)), ["bee", "cat"]);
        assert_eq!(labels_of(outcome(1, 0.2)), ["bee"]);
        assert_eq!(labels_of(outcome(4, 0.6)), [""; 0]);
        let Outcome::NotSure(best) = outcome(4, 0.6) else { panic!("none reaches it") };
        assert_eq!(best.label, "bee");
    }

    #[test]
    fn each_of_several_classes_has_its_own_threshold() {
        let names = ["ant", "bee", "cat"].map(String::from);
        let logits = Tensor::from_slice(&[0.6_f64, 0.4, 0.1]).logit(None).view([1, 3]);
        let listed = |thresholds: [f64; 3], threshold| {
            let labels = Labels::Several { thresholds: thresholds.to_vec() };
            let selection = Selection { top: 3, threshold, labels };
            let [outcome] = <[Outcome; 1]>::try_from(selection.outcomes(&logits, &names)).unwrap();
            labels_of(outcome)
        };
        assert_eq!(listed([0.5, 0.3, 0.5], None), ["ant", "bee"]);
        assert_eq!(listed([0.7, 0.3, 0.5], None), ["bee"]);
        assert_eq!(listed([0.7, 0.5, 0.5], None), [""; 0]);
        assert_eq!(listed([0.7, 0.5, 0.5], Some(0.05)), ["ant", "bee", "cat"]);
    }

    #[test]
    fn a_threshold_is_a_probability() {
        assert_eq!(["0", "1", "0.25"].map(|text| probability(text).unwrap()), [0.0, 1.0, 0.25]);
        for text in ["-0.1", "1.1", "NaN", "50%", "", "inf"] {
            assert!(probability(text).unwrap_err().contains("from 0 to 1"), "{text}");
        }
    }
}
