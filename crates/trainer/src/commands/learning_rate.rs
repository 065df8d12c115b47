//! `xception lr`: the learning rate at which a recipe learns fastest (Smith 2015, section 3.3).
//!
//! Steps at rates that rise by the same factor each time: too low ones learn nothing, then the loss falls, and from some rate
//! on it rises. Nothing of it is kept.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{output, print};
use crate::commands::recipe_arguments::RecipeArgs;
use crate::commands::{Error, Refusal};
use crate::file_error::FileError;
use crate::ranks::World;
use crate::report;
use crate::stop::StopRequest;
use crate::training::run_plan::RunRequest;
use crate::training::{Training, Tried};

/// Flags of `xception lr`.
#[derive(Debug, Args)]
pub struct LrArgs {
    /// The recipe and its changes.
    #[command(flatten)]
    pub recipe: RecipeArgs,
    /// The first learning rate
    #[arg(long, value_name = "RATE", default_value_t = 1e-6)]
    pub from: f64,
    /// The last learning rate, unless the loss rises to four times its lowest value before
    #[arg(long, value_name = "RATE", default_value_t = 10.0)]
    pub to: f64,
    /// Steps from the first to the last
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=10000))]
    pub steps: u32,
    /// Write the curve as a page
    #[arg(short, long, value_name = "OUT.html")]
    pub out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// The weight of earlier losses in the mean that the curve shows.
const SMOOTHING: f64 = 0.9;
/// The loss, as a multiple of the lowest one, at which the search ends.
const DIVERGED: f64 = 4.0;

pub(super) fn run(arguments: &LrArgs) -> Result<(), Error> {
    let &LrArgs { from, to, steps, .. } = arguments;
    if !(from > 0.0 && to > from && to.is_finite()) {
        return Err(Refusal::Rates { from, to }.into());
    }
    let out = arguments.out.as_deref().map(|out| output::place(out, [])).transpose()?;
    let place = tempfile::tempdir().map_err(FileError::on("create", &std::env::temp_dir()))?;
    let request = RunRequest {
        recipe: arguments.recipe.request(),
        out: Some(place.path().to_path_buf()),
        resume: None,
        extend: None,
    };
    let world = World::single();
    let plan = request.resolve(&world)?.in_folder(&world)?;
    let training = Training::new(&plan, StopRequest::listen()?, world)?;
    let factor = (to / from).powf(1.0 / f64::from(steps - 1));
    let rates: Vec<f64> = (0..steps).map(|step| from * factor.powi(step as i32)).collect();
    let tried = training.try_rates(&rates, |tried| {
        let smooth = smoothed(tried);
        let lowest = smooth.iter().copied().fold(f64::INFINITY, f64::min);
        smooth.last().is_none_or(|last| *last < DIVERGED * lowest)
    })?;
    let smooth = smoothed(&tried);
    let best = steepest(&tried, &smooth);
    if let Some(out) = &out {
        let points: Vec<(f64, f64)> =
            tried.iter().zip(&smooth).map(|(tried, loss)| (tried.learning_rate, *loss)).collect();
        report::write_rates(&points, best, out)?;
    }
    if arguments.json {
        return print(&format!("{:#}", document(&tried, &smooth, best)));
    }
    print(&text(&tried, &smooth, best))?;
    match &out {
        Some(out) => print(&format!("curve: {}", out.display())),
        None => Ok(()),
    }
}

/// The losses as means over earlier ones, without the pull towards zero of a mean that has just begun (Kingma and Ba 2015,
/// section 3).
fn smoothed(tried: &[Tried]) -> Vec<f64> {
    let mut mean = 0.0;
    let mut weight = 1.0;
    let next = |tried: &Tried| {
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * tried.loss;
        weight *= SMOOTHING;
        mean / (1.0 - weight)
    };
    tried.iter().map(next).collect()
}

/// The rate at which the smoothed loss falls steepest; `None` where it never falls.
///
/// The slope is taken over a tenth of the curve, and only before the lowest point: after it, noise falls, too.
fn steepest(tried: &[Tried], smooth: &[f64]) -> Option<f64> {
    let lowest = (0..smooth.len()).min_by(|&a, &b| smooth[a].total_cmp(&smooth[b]))?;
    let reach = (tried.len() / 20).max(1);
    let fall = |at: &usize| smooth[at - reach] - smooth[at + reach];
    let steepest = (reach..=lowest)
        .filter(|at| at + reach < smooth.len())
        .filter(|at| fall(at) > 0.0)
        .max_by(|a, b| fall(a).total_cmp(&fall(b)))?;
    Some(tried[steepest].learning_rate)
}

fn document(tried: &[Tried], smooth: &[f64], best: Option<f64>) -> Value {
    let point = |(tried, smooth): (&Tried, &f64)| json!({ "learning_rate": tried.learning_rate, "loss": tried.loss, "smoothed": smooth });
    let points: Vec<Value> = tried.iter().zip(smooth).map(point).collect();
    json!({ "steepest": best, "steps": points })
}

/// Twenty lines of the curve with a bar each, and the sentence.
fn text(tried: &[Tried], smooth: &[f64], best: Option<f64>) -> String {
    let finite = || smooth.iter().copied().filter(|loss| loss.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(0.0, f64::max));
    let every = tried.len().div_ceil(20).max(1);
    let mut lines = vec!["learning rate  loss".to_string()];
    for (tried, loss) in tried.iter().zip(smooth).step_by(every) {
        let part = ((loss - low) / (high - low).max(1e-12)).clamp(0.0, 1.0);
        let bar = "█".repeat((part * 40.0).round() as usize);
        lines.push(format!("    {:>9.2e}  {loss:>6.3}  {bar}", tried.learning_rate));
    }
    lines.push(match best {
        Some(rate) => format!(
            "the loss falls fastest at {rate:.2e}: try --lr {rate:.1e} with a constant rate or a cosine, up to three times \
             that as the peak of a one-cycle"
        ),
        None => "the loss falls at no rate: look at the images (xception check), or take more --steps".to_string(),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(loss: impl Fn(f64) -> f64) -> Vec<Tried> {
        let rate = |step: i32| 10_f64.powf(-6.0 + 7.0 * f64::from(step) / 99.0);
        let tried = |step| Tried { learning_rate: rate(step), loss: loss(rate(step).log10()) };
        (0..100).map(tried).collect()
    }

    #[test]
    fn the_steepest_rate_lies_on_the_slope() {
        // Level at 2.3 up to 1e-4, falling to 1e-2, rising steeply from 1e-1 on.
        let tried = curve(|log| match log {
            log if log < -4.0 => 2.3,
            log if log < -2.0 => 2.3 - (log + 4.0) * 0.5,
            log if log < -1.0 => 1.3,
            log => 1.3 + (log + 1.0) * 5.0,
        });
        let best = steepest(&tried, &smoothed(&tried)).unwrap();
        assert!((1e-4..2e-2).contains(&best), "{best}");
    }

    #[test]
    fn a_curve_that_never_falls_has_no_rate() {
        let tried = curve(|log| 10.0 + log);
        assert_eq!(steepest(&tried, &smoothed(&tried)), None);
        assert_eq!(steepest(&[], &[]), None);
        let last = Tried { learning_rate: 1.0, loss: f64::INFINITY };
        let ended = [curve(|_| 2.0), vec![last]].concat();
        assert!(text(&ended, &smoothed(&ended), None).contains("xception check"));
    }

    #[test]
    fn a_mean_that_has_just_begun_is_the_value() {
        let smooth = smoothed(&curve(|_| 2.0));
        assert!(smooth.iter().all(|loss| (loss - 2.0).abs() < 1e-9));
    }
}
