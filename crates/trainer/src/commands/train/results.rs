//! The results of a run: files for programs, a report and a summary for people.

use serde_json::json;

use super::Finished;
use crate::commands::{Error, figures, print as line, table};
use crate::console::escape;
use crate::duration::clock;
use crate::evaluation::{self, Details, Evaluation, LeftOutNames, Neglected, neglected};
use crate::recipe::{Metric, Recipe};
use crate::run::checkpoint::Best;
use crate::training::Outcome;
use crate::training::run_plan::RunPlan;
use crate::whole_file;

/// The number of neglected classes that a warning names.
const NAMED: usize = 3;

/// Writes `results.json` for programs, and the report for people.
pub(super) fn write(plan: &RunPlan, outcome: &Outcome) -> Result<(), Error> {
    let RunPlan { recipe, data, folder, .. } = plan;
    let Outcome { last, best, validation, best_on_test, epochs, seconds, test, left_out } = outcome;
    let per_class: serde_json::Map<String, serde_json::Value> = data
        .class_names()
        .iter()
        .cloned()
        .zip(last.per_class().into_iter().map(|part| json!(part)))
        .collect();
    let mut left_out = LeftOutNames {
        train: left_out.train.names(&*data.train),
        validation: left_out.validation.names(&**data.measured()),
        test: left_out.test.names(&*data.test),
    };
    // A finished run that is resumed reads no image to train on.
    let earlier = LeftOutNames::in_results(&folder.file("results.json")).unwrap_or_default();
    let is_new = |name: &String| !left_out.train.contains(name);
    let earlier: Vec<String> = earlier.train.into_iter().filter(is_new).collect();
    left_out.train.extend(earlier);
    match left_out.count() {
        0 => {}
        1 => tracing::warn!("1 image cannot be read, and is in no figure; results.json names it"),
        count => tracing::warn!(
            "{count} images cannot be read, and are in no figure; results.json names them"
        ),
    }
    let mut document = json!({
        "data": data.name, "epochs": epochs, "seconds": seconds,
        "last": last.to_json(data.class_names()),
        "best": { "epoch": best.epoch, "top1": best.top1 }, "per_class": per_class, "confusion": last.confusion,
        "left_out": left_out,
    });
    if let Some(validation) = validation {
        document["validation"] = validation.to_json(data.class_names());
        let on_test = best_on_test.as_ref().map(|best| best.to_json(data.class_names()));
        document["best"]["test"] = json!(on_test);
    }
    folder.write_json("results.json", &document)?;
    let weights = folder.file("last.safetensors");
    if let Some(table) = last.predictions(&*data.test) {
        whole_file::write(&folder.file(evaluation::PREDICTIONS), &table)?;
    }
    let trained = data.train.images_by_class();
    let details = Details::of(last, &data.name, trained.clone(), test, left_out, &weights)?;
    let best_top1 = best_on_test.as_ref().map(|evaluation| evaluation.top1);
    Details { best_top1, ..details }.save(folder.path())?;
    crate::report::write(folder.path(), None)?;
    warn_of_neglected(recipe, &trained, last, data.class_names());
    Ok(())
}

/// Prints the results for people.
pub(super) fn print(finished: &Finished) -> Result<(), Error> {
    let Finished { plan: RunPlan { recipe, data, folder, .. }, outcome } = finished;
    let Outcome { last, best, validation, best_on_test, epochs, seconds, .. } = outcome;
    let figure = if last.several.is_some() { "Average precision" } else { "Accuracy" };
    line(&format!(
        "\n{figure} by class on the {} test set:\n{}",
        data.name,
        table::per_class(last, data.class_names())
    ))?;
    if let Some(matrix) = table::confusion(last, data.class_names()) {
        line(&format!("\nRows are the true classes, columns the predicted ones:\n{matrix}"))?;
    }
    let stands_in = if data.stands_in { " (synthetic images, NOT CIFAR-10)" } else { "" };
    let measured = format!("{} test", data.name);
    line(&format!("\n{}", figures::lines(&measured, stands_in, last, data.class_names())))?;
    line(&format!("after {} in {}", count_of_epochs(*epochs), clock(*seconds)))?;
    let chosen = chosen_by(recipe.metric(), best);
    let on_set = match validation {
        Some(_) => "on the validation set, by which it was chosen",
        None => "(chosen on the test set, so it flatters)",
    };
    let on_test = best_on_test.as_ref().map(|test| format!("; {} on the test set", headline(test)));
    line(&format!("best epoch {}: {chosen} {on_set}{}", best.epoch, on_test.unwrap_or_default()))?;
    if best.epoch < *epochs {
        line(&format!("weights of that epoch: {}", folder.file("best.safetensors").display()))?;
    }
    line(&format!("report: {}", folder.file(crate::report::FILE).display()))?;
    if last.rows.is_some() {
        let table = folder.file(evaluation::PREDICTIONS);
        line(&format!("answers to all test images: {}", table.display()))?;
    }
    line(&format!("weights and metrics: {}", folder.path().display()))?;
    line(&format!(
        "to classify images: xception predict --weights {} IMAGE",
        folder.path().display()
    ))
}

/// The figure by which the best epoch was chosen, such as `81.96 %` or `loss 0.5123`.
fn chosen_by(metric: Metric, best: &Best) -> String {
    match (metric, best.value) {
        (Metric::Loss, Some(value)) => format!("loss {:.4}", -value),
        (metric, Some(value)) => format!("{} {value:.4}", metric.name()),
        (_, None) => format!("{:.2} %", best.top1 * 100.0),
    }
}

/// The figure of a set that stands first: accuracy, or of several labels mean average precision.
fn headline(evaluation: &Evaluation) -> String {
    match &evaluation.several {
        Some(several) => format!("{:.4}", several.mean_average_precision()),
        None => format!("{:.2} %", evaluation.top1 * 100.0),
    }
}

fn count_of_epochs(epochs: u64) -> String {
    if epochs == 1 { "1 epoch".to_string() } else { format!("{epochs} epochs") }
}

/// Warns of classes that are rarely found because they have few training images.
fn warn_of_neglected(recipe: &Recipe, training: &[u64], last: &Evaluation, names: &[String]) {
    let found = neglected(&last.confusion, training);
    let advice = match recipe.imbalance {
        None => "; try --set imbalance.sampling=equal, which shows every class equally often",
        Some(_) => "",
    };
    for Neglected { class, recall, training_images, of_commonest } in found.iter().take(NAMED) {
        tracing::warn!(
            "{} is found in {:.1} % of its images: it has {training_images} training images, and the commonest class \
             {of_commonest}{advice}",
            escape::name(&names[*class]),
            recall * 100.0
        );
    }
    if found.len() > NAMED {
        tracing::warn!("{} more classes are like this; report.html has them", found.len() - NAMED);
    }
}
