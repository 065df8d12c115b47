//! The head of a run's page: its accuracy, how sure that is, what guessing gives, and what the figures are of.

use maud::{Markup, html};

use super::number_format::{decimal, duration, in_threes, percent, throughput};
use super::run_files::Run;
use crate::evaluation::{Details, Guess, LeftOutNames, Overall, Several, TOP5_CLASSES, digits};

/// The accuracy in words.
pub(super) fn headline(run: &Run) -> String {
    match run.top1() {
        Some(top1) if top1.is_finite() => {
            let (set, so_far) =
                if run.has_ended() { ("test", "") } else { (run.measured(), " so far") };
            match &run.details {
                Some(details) if details.several.is_some() => {
                    format!("{} on the {set} set", of_all(details))
                }
                Some(details) => format!("{} {set} accuracy{so_far}", rounded(details, top1)),
                None => format!("{} {set} accuracy{so_far}", percent(Some(top1))),
            }
        }
        Some(_) => "The test accuracy is not finite".to_string(),
        None => "Nothing measured yet".to_string(),
    }
}

/// The head of the page.
pub(super) fn markup(run: &Run) -> Markup {
    let measured = run.measured_epochs();
    let epochs = match run.planned_epochs() {
        Some(planned) => format!("{measured} of {planned} epochs"),
        None => format!("{measured} epochs"),
    };
    let images = run
        .details
        .as_ref()
        .map(|details| format!(", {} test images", in_threes(&details.images.to_string())));
    let best = run.best();
    html! {
        header {
            p.name { (run.name) }
            h1 { (headline(run)) }
            p.lede {
                "Preset " (run.preset()) " on " (run.data()) (images.unwrap_or_default()) ". "
                @if let Some(side) = run.side() {
                    "The network sees each image in " (side) "×" (side) " pixels. "
                }
                (epochs) " in " (duration(run.seconds())) "."
            }
            @if run.is_synthetic() {
                p.notice {
                    strong { "Drawn shapes, not CIFAR-10. " }
                    "Every figure on this page is about the synthetic set and says nothing about real images."
                }
            }
            @if run.details.is_none() {
                p.notice {
                    strong { "No final evaluation. " }
                    "There is no evaluation.json in this run's folder: it is still training, was interrupted, or was \
                     made by an earlier version. What follows is what it had measured by then; confusion matrix, \
                     classes, calibration and mistakes are left out."
                }
            }
            @if let Some(details) = &run.details { (left_out(&details.left_out)) }
            dl.facts {
                @if let Some(details) = &run.details { (beside_accuracy(details)) }
                @let one_label = run.details.as_ref().is_none_or(|details| details.several.is_none());
                @if one_label && run.classes().is_none_or(|classes| classes >= TOP5_CLASSES) {
                    div { dt { "Top-5" } dd { (percent(run.top5())) } }
                }
                div { dt { "Loss" } dd { (decimal(run.loss())) } }
                @if let Some(details) = &run.details {
                    div { dt { "Calibration error" } dd { (percent(Some(details.ece))) } }
                }
                @if let Some(best) = best {
                    div {
                        @if run.measured() == "test" {
                            dt { "Best epoch (flatters)" }
                            dd { (best.epoch) ": " (percent(Some(best.value))) }
                        } @else {
                            dt { "Best epoch, on the validation set" }
                            dd { (best.epoch) ": " (percent(Some(best.value))) }
                        }
                    }
                    @let of_one = run.details.as_ref().filter(|details| details.several.is_none());
                    @if let Some(top1) = of_one.and_then(|details| details.best_top1) {
                        div { dt { "Test accuracy of that epoch" } dd { (percent(Some(top1))) } }
                    }
                }
                div { dt { "Median speed" } dd { (throughput(run.curves.median("perf/images_per_s"))) } }
            }
        }
    }
}

/// The images that are in none of the figures.
pub(super) fn left_out(LeftOutNames { train, validation, test }: &LeftOutNames) -> Markup {
    html! {
        @if !(train.is_empty() && validation.is_empty() && test.is_empty()) {
            p.notice {
                strong { "Images that cannot be read. " }
                (train.len()) " of those to train on"
                @if !validation.is_empty() { ", " (validation.len()) " of the validation set" }
                " and " (test.len()) " of the test set were left out; no figure on \
                 this page is about them."
            }
            details.left-out {
                summary { "Their names" }
                ul { @for name in train.iter().chain(validation).chain(test) { li { code { (name) } } } }
            }
        }
    }
}

/// The interval of the accuracy, and the figures that a rare class can move.
pub(super) fn beside_accuracy(details: &Details) -> Markup {
    if let Some(several) = &details.several {
        return beside_mean_precision(details, several);
    }
    let Overall { balanced_accuracy, macro_f1, interval, guess, .. } =
        Overall::of(&details.confusion);
    html! {
        @if let Some([low, high]) = interval {
            div {
                dt { "95 % interval of the accuracy" }
                dd { (rounded(details, low)) " to " (rounded(details, high)) }
            }
        }
        @if let Some(Guess { class, accuracy }) = guess {
            div {
                dt { "Always guessing “" (details.class_names[class]) "”" }
                dd { (percent(Some(accuracy))) }
            }
        }
        div { dt { "Balanced accuracy" } dd { (percent(balanced_accuracy)) } }
        div { dt { "Macro F1" } dd { (decimal(macro_f1)) } }
    }
}

/// `81.96 % accuracy`, or of images with several labels `0.9531 mean average precision`.
pub(super) fn of_all(details: &Details) -> String {
    match &details.several {
        Some(several) => format!("{:.4} mean average precision", several.mean_average_precision()),
        None => format!("{} accuracy", rounded(details, details.top1)),
    }
}

/// The figures of images with several labels.
fn beside_mean_precision(details: &Details, several: &Several) -> Markup {
    html! {
        @if let Some(figures) = &several.by_class {
            div { dt { "Micro F1" } dd { (decimal(figures.micro_f1)) } }
            div { dt { "Macro F1" } dd { (decimal(figures.macro_f1)) } }
            div { dt { "No wrong answer" } dd { (rounded(details, figures.exact)) } }
        }
        div { dt { "Likeliest class correct" } dd { (rounded(details, details.top1)) } }
        div { dt { "MAP@100" } dd { (decimal(Some(several.map_at_100))) } }
    }
}

/// A part of the measured images, with as many digits as their number supports.
pub(super) fn rounded(details: &Details, part: f64) -> String {
    format!("{:.*} %", digits(details.images), part * 100.0)
}
