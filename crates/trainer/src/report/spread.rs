//! A figure of several runs: mean, standard deviation, and each value.

/// The values of one figure.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    /// The figure.
    pub(crate) name: &'static str,
    /// Run by run.
    pub(crate) values: Vec<f64>,
    /// Whether it is a part of 1, shown in per cent.
    pub(crate) is_part: bool,
}

impl Spread {
    /// The mean, and the standard deviation of two or more values.
    pub(crate) fn moments(&self) -> (f64, Option<f64>) {
        moments(&self.values)
    }

    /// `81.96 ± 0.40` for `values` times `scale`.
    pub(crate) fn scaled(values: &[f64], scale: f64) -> String {
        written(values, scale, 2, "")
    }

    /// `81.96 ± 0.40 %` or `0.812 ± 0.004`.
    pub(crate) fn text(&self) -> String {
        match self.is_part {
            true => written(&self.values, 100.0, 2, " %"),
            false => written(&self.values, 1.0, 3, ""),
        }
    }
}

fn moments(values: &[f64]) -> (f64, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()))
}

fn written(values: &[f64], scale: f64, digits: usize, unit: &str) -> String {
    match moments(values) {
        (mean, _) if mean.is_nan() => "–".to_string(),
        (mean, Some(deviation)) => {
            format!("{:.digits$} ± {:.digits$}{unit}", mean * scale, deviation * scale)
        }
        (mean, None) => format!("{:.digits$}{unit}", mean * scale),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_of_samples() {
        let spread = |values: &[f64], is_part| {
            Spread { name: "any", values: values.to_vec(), is_part }.text()
        };
        assert_eq!(spread(&[0.5], true), "50.00 %");
        assert_eq!(spread(&[0.5, 0.6, 0.7], true), "60.00 ± 10.00 %");
        assert_eq!(spread(&[1.0, 2.0], false), "1.500 ± 0.707");
        assert_eq!(spread(&[], true), "–");
        assert_eq!(Spread::scaled(&[30.0, 90.0], 1.0 / 60.0), "1.00 ± 0.71");
    }
}
