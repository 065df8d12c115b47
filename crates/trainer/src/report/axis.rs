//! Axis ticks at round numbers: one, two or five times a power of ten.

/// A range of numbers and its ticks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    /// The number at the left or at the bottom.
    pub(super) low: f64,
    /// The number at the right or on top.
    pub(super) high: f64,
    /// The ticks.
    pub(super) ticks: Vec<f64>,
    step: f64,
}

impl Axis {
    /// An axis from tick to tick around all finite `values`, with about `ticks` ticks; 0 to 1 without values.
    pub(super) fn around(values: impl Iterator<Item = f64>, ticks: usize) -> Self {
        let (low, high) = match extent(values) {
            None => (0.0, 1.0),
            Some((low, high)) if high > low => (low, high),
            Some((0.0, _)) => (0.0, 1.0),
            // One value alone lies in the middle.
            Some((only, _)) => (only - only.abs() / 2.0, only + only.abs() / 2.0),
        };
        let step = round_step((high - low) / ticks.max(1) as f64, f64::MIN_POSITIVE);
        // A value that lies on a tick but for its rounding needs no tick beyond it.
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        Self::between(first * step, last * step, step)
    }

    /// An axis exactly from `low` to `high`, with about `ticks` ticks, none closer than `least` to the next.
    pub(super) fn exactly(low: f64, high: f64, ticks: usize, least: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self::between(low, high, round_step((high - low) / ticks.max(1) as f64, least))
    }

    fn between(low: f64, high: f64, step: f64) -> Self {
        // The slack keeps a tick whose product was rounded past the end.
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        let ticks = (0..=(last - first) as usize).map(|number| (first + number as f64) * step);
        Self { low, high, ticks: ticks.collect(), step }
    }

    /// The same axis in the opposite direction.
    pub(super) fn reversed(self) -> Self {
        Self { low: self.high, high: self.low, ..self }
    }

    /// The position of `value`, from 0 at `low` to 1 at `high`.
    pub(super) fn part(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The label of a tick, with enough digits to tell it from its neighbours.
    pub(super) fn label(&self, tick: f64) -> String {
        let largest = self.ticks.iter().fold(0.0_f64, |largest, tick| largest.max(tick.abs()));
        if tick == 0.0 {
            return "0".to_string();
        }
        if (largest > 0.0 && largest < 1e-3) || largest >= 1e6 {
            let exponent = largest.log10().floor();
            let digits = (exponent - self.step.log10().floor()).max(0.0) as usize;
            return format!("{:.digits$}e{exponent}", tick / 10_f64.powf(exponent));
        }
        let digits = (-(self.step * 1.000_001).log10().floor()).max(0.0) as usize;
        super::number_format::in_threes(&format!("{tick:.digits$}"))
    }
}

/// The least and the largest finite value.
fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .filter(|value| value.is_finite())
        .map(|value| (value, value))
        .reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

/// The smallest round number that is neither below `step` nor below `least`.
fn round_step(step: f64, least: f64) -> f64 {
    let step = step.max(least).max(1e-300);
    let power = 10_f64.powf(step.log10().floor());
    let fits = |times: &f64| times * power >= step * (1.0 - 1e-9);
    [1.0, 2.0, 5.0, 10.0].into_iter().find(fits).unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|tick| axis.label(*tick)).collect()
    }

    #[test]
    fn ticks_stand_at_round_numbers() {
        let around = |values: &[f64]| labels(&Axis::around(values.iter().copied(), 4));
        assert_eq!(around(&[0.31, 2.29]), ["0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
        assert_eq!(around(&[42.1, 81.96]), ["40", "50", "60", "70", "80", "90"]);
        assert_eq!(around(&[0.0, 0.004]), ["0", "0.001", "0.002", "0.003", "0.004"]);
        assert_eq!(around(&[709.0, 1234.0]), ["600", "800", "1,000", "1,200", "1,400"]);
        assert_eq!(around(&[0.0, 3e7]), ["0", "1e7", "2e7", "3e7"]);
        assert_eq!(around(&[1e-5, 2.5e-5]), ["1.0e-5", "1.5e-5", "2.0e-5", "2.5e-5"]);
    }

    #[test]
    fn what_is_not_finite_and_what_does_not_vary_have_an_axis_too() {
        assert_eq!(Axis::around([f64::NAN, f64::INFINITY].into_iter(), 4).high, 1.0);
        let zero = Axis::around([0.0, 0.0].into_iter(), 4);
        assert_eq!((zero.low, zero.high), (0.0, 1.0));
        let constant = Axis::around([0.05, 0.05].into_iter(), 4);
        assert!(constant.low < 0.05 && constant.high > 0.05 && constant.ticks.len() < 9);
    }

    #[test]
    fn an_exact_axis_keeps_its_ends_and_whole_epochs() {
        let axis = Axis::exactly(0.0, 3.0, 6, 1.0);
        assert_eq!(
            (axis.low, axis.high, axis.ticks.as_slice()),
            (0.0, 3.0, &[0.0, 1.0, 2.0, 3.0][..])
        );
        assert_eq!(labels(&Axis::exactly(0.0, 37.0, 5, 1.0)), ["0", "10", "20", "30"]);
        assert_eq!(Axis::exactly(0.0, 0.0, 5, 1.0).high, 1.0, "a run without a step");
        assert_eq!(axis.part(1.5), 0.5);
    }
}
