//! Progressive resizing: epochs of smaller images before those of the full size.

use serde::{Deserialize, Serialize};
use xception::{ModelSpec, summary::Summary};

use crate::invalid_value::InvalidValue;

/// Consecutive epochs whose images have one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The end of the stage as a part of all epochs: above 0, and 1 for the last stage. It is rounded to the nearest
    /// epoch.
    pub until: f64,
    /// Rows and columns of the training images; test images keep their own size.
    pub size: usize,
}

/// The size of the images of epoch `epoch` (from 1) among `epochs`; `None` for their own.
pub(super) fn side(stages: &[Stage], epoch: u64, epochs: u64) -> Option<usize> {
    // Rounded, for 0.7 times 10 is a little more than 7.
    let lasts = |stage: &&Stage| epoch as f64 <= (stage.until * epochs as f64).round();
    stages.iter().find(lasts).or(stages.last()).map(|stage| stage.size)
}

/// Refuses stages that do not make up a run, or that the network `spec` cannot take.
pub(super) fn check(stages: &[Stage], spec: ModelSpec) -> Result<(), InvalidValue> {
    let untils: Vec<f64> = stages.iter().map(|stage| stage.until).collect();
    let rise = untils.windows(2).all(|pair| pair[0] < pair[1]);
    let in_range = untils.iter().all(|until| *until > 0.0);
    InvalidValue::unless(
        rise && in_range && untils.last().is_none_or(|last| *last == 1.0),
        "progressive.until",
        "above 0, rise from stage to stage and end with 1",
        format!("{untils:?}"),
    )?;
    let Ok(table) = spec.architecture() else { return Ok(()) };
    for &Stage { size, .. } in stages {
        let input = i64::try_from(size).ok().filter(|size| *size > 0);
        let problem = match input {
            Some(input) => match Summary::new(&table, spec.classes, input) {
                Ok(_) => continue,
                Err(error) => error.to_string(),
            },
            None => "images need a row and a column".to_string(),
        };
        let (accepted, got) = ("a size that the network can take", format!("{size}: {problem}"));
        return Err(InvalidValue::new("progressive.size", accepted, got));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use xception::Preset;

    use super::*;
    use crate::recipe::Recipe;
    use crate::recipe::Request;

    fn sides(stages: &[(f64, usize)], epochs: u64) -> Vec<Option<usize>> {
        let stages: Vec<_> = stages.iter().map(|&(until, size)| Stage { until, size }).collect();
        (1..=epochs).map(|epoch| side(&stages, epoch, epochs)).collect()
    }

    #[test]
    fn epochs_belong_to_the_stage_whose_end_is_the_nearest() {
        assert_eq!(sides(&[], 2), [None, None]);
        let expected: Vec<_> =
            [16; 3].into_iter().chain([24; 4]).chain([32; 3]).map(Some).collect();
        assert_eq!(sides(&[(0.3, 16), (0.7, 24), (1.0, 32)], 10), expected);
        assert_eq!(sides(&[(0.5, 16), (1.0, 32)], 3), [Some(16), Some(16), Some(32)]);
        // A stage may be too short for an epoch, never the last.
        assert_eq!(sides(&[(0.1, 16), (1.0, 32)], 2), [Some(32), Some(32)]);
    }

    #[track_caller]
    fn refused(stages: &str, expected: &str) {
        let error = resolved(stages).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    fn resolved(stages: &str) -> Result<Recipe, crate::recipe::Error> {
        Recipe::resolve(&Request {
            set: vec![format!("progressive={stages}")],
            ..Request::default()
        })
    }

    #[test]
    fn stages_are_read_and_written() {
        let recipe = resolved("[{ until = 0.5, size = 16 }, { until = 1.0, size = 32 }]").unwrap();
        assert_eq!([1, 5, 6, 10].map(|epoch| recipe.side(epoch)), [16, 16, 32, 32].map(Some));
        let text = toml::to_string(&recipe).unwrap();
        assert!(text.contains("[[progressive]]\nuntil = 0.5\nsize = 16\n"), "{text}");
        assert_eq!(toml::from_str::<Recipe>(&text).unwrap(), recipe);
        assert_eq!(resolved("[]").unwrap().side(1), None);
    }

    #[test]
    fn stages_that_lead_nowhere_are_refused() {
        let until =
            "progressive.until must be above 0, rise from stage to stage and end with 1, got";
        refused("[{ until = 0.5, size = 16 }]", &format!("{until} [0.5]"));
        refused(
            "[{ until = 0.0, size = 16 }, { until = 1.0, size = 32 }]",
            &format!("{until} [0.0, 1.0]"),
        );
        refused(
            "[{ until = 0.7, size = 16 }, { until = 0.3, size = 24 }, { until = 1.0, size = 32 }]",
            &format!("{until} [0.7, 0.3, 1.0]"),
        );
        refused("[{ until = nan, size = 16 }]", &format!("{until} [NaN]"));
        refused(
            "[{ until = 1.0, size = 0 }]",
            "progressive.size must be a size that the network can take, got 0: images need a row and a column",
        );
        refused("[{ until = 1.0 }]", "missing field `size`");
        refused("[{ until = 1.0, size = 32, from = 3 }]", "unknown field `from`");
    }

    /// Without padding in its stem a network has a smallest image.
    #[test]
    fn a_size_that_vanishes_in_the_network_is_refused() {
        let stages = [Stage { until: 1.0, size: 4 }];
        assert_eq!(
            check(&stages, ModelSpec::new(Preset::Xception)).unwrap_err().to_string(),
            "progressive.size must be a size that the network can take, got 4: input of 4 pixels is too small: the \
             feature map vanishes before the head"
        );
        check(&stages, ModelSpec::new(Preset::NotebookCifar10)).unwrap();
    }
}
