//! The classes that an image may have, and with that the meaning of the logits.

use tch::{Kind, Tensor};

/// The classes that an image may have.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Labels {
    /// One of them: probabilities add up to 1 (softmax).
    #[default]
    One,
    /// Any number of them: each has a probability of its own (sigmoid), and is said of an image from its threshold on.
    Several {
        /// By class, each 0 to 1.
        thresholds: Vec<f64>,
    },
}

impl Labels {
    /// Whether an image may have any number of classes.
    #[must_use]
    pub fn are_several(&self) -> bool {
        matches!(self, Labels::Several { .. })
    }

    /// The probabilities for `logits`, `[…, classes]`, in float64.
    pub fn probabilities(&self, logits: &Tensor) -> Tensor {
        match self {
            Labels::One => logits.softmax(-1, Kind::Double),
            Labels::Several { .. } => logits.to_kind(Kind::Double).sigmoid(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_of_one_class_or_of_each() {
        let logits = Tensor::from_slice(&[0.0_f32, 0.0, -1000.0]);
        let values =
            |labels: &Labels| -> Vec<f64> { Vec::try_from(labels.probabilities(&logits)).unwrap() };
        assert_eq!(values(&Labels::One), [0.5, 0.5, 0.0]);
        assert_eq!(values(&Labels::Several { thresholds: vec![0.5; 3] }), [0.5, 0.5, 0.0]);
        let logits = Tensor::from_slice(&[3.0_f32.ln(), 3.0_f32.ln()]);
        let several = Labels::Several { thresholds: vec![0.5; 2] };
        assert!((several.probabilities(&logits).double_value(&[0]) - 0.75).abs() < 1e-6);
        assert!(several.are_several() && !Labels::One.are_several());
    }
}
