//! The report of one run, from its headline to the machine it was made on.

use maud::{Markup, html};

use super::axis::Axis;
use super::chart::{Chart, Line};
use super::number_format::{decimal, duration, in_threes, percent, throughput};
use super::page::{page as whole_page, scrolling, section};
use super::run_files::Run;
use super::{classes, confusion, first_layer, mistakes, provenance, reliability};
use crate::evaluation::LeftOutNames;

/// The page.
pub(super) fn page(run: &Run) -> String {
    let sections = sections(run);
    let body = html! {
        (header(run))
        nav aria-label="Contents" {
            ul { @for (id, title, _) in &sections { li { a href=(format!("#{id}")) { (title) } } } }
        }
        @for (id, title, body) in &sections { (section(id, title, body)) }
        footer { "Made from the run's folder by " code { "xception report" } "." }
    };
    whole_page(&format!("{} – {}", run.name, headline(run)), &body)
}

type Section = (&'static str, &'static str, Markup);

fn sections(run: &Run) -> Vec<Section> {
    let mut sections = vec![("curves", "Training", curves(run))];
    if let Some(details) = &run.details {
        sections.push(("confusion", "Confusion matrix", confusion::markup(details)));
        sections.push(("classes", "Classes", classes::markup(details)));
        sections.push(("calibration", "Calibration", reliability::markup(details)));
        sections.push(("mistakes", "Most confident mistakes", mistakes::markup(details)));
    }
    if let Some(filters) = run.first_layer.as_ref().and_then(first_layer::markup) {
        sections.push(("filters", "First-layer filters", filters));
    }
    sections.push(("recipe", "Recipe", html! { pre.recipe { code { (run.recipe_text) } } }));
    sections.push(("made", "How it was made", provenance::markup(run)));
    sections
}

fn headline(run: &Run) -> String {
    match run.top1() {
        Some(top1) if top1.is_finite() => {
            let (set, so_far) =
                if run.has_ended() { ("test", "") } else { (run.measured(), " so far") };
            format!("{} {set} accuracy{so_far}", percent(Some(top1)))
        }
        Some(_) => "The test accuracy is not finite".to_string(),
        None => "Nothing measured yet".to_string(),
    }
}

fn header(run: &Run) -> Markup {
    let measured = run.measured_epochs();
    let epochs = match run.planned_epochs() {
        Some(planned) => format!("{measured} of {planned} epochs"),
        None => format!("{measured} epochs"),
    };
    let images = run
        .details
        .as_ref()
        .map(|details| format!(", {} test images", in_threes(&details.images.to_string())));
    let best = run.curves.largest("val/acc1");
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
                div { dt { "Top-5" } dd { (percent(run.top5())) } }
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
                    @if let Some(top1) = run.details.as_ref().and_then(|details| details.best_top1) {
                        div { dt { "Test accuracy of that epoch" } dd { (percent(Some(top1))) } }
                    }
                }
                div { dt { "Median speed" } dd { (throughput(run.curves.median("perf/images_per_s"))) } }
            }
        }
    }
}

/// The images that are in none of the figures.
fn left_out(LeftOutNames { train, validation, test }: &LeftOutNames) -> Markup {
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

fn curves(run: &Run) -> Markup {
    let (gaps, unreadable) = (run.curves.not_finite(), run.curves.unreadable);
    let smoothed = run.recipe.get("label_smoothing").and_then(toml::Value::as_float);
    html! {
        p {
            "Training figures are means over the steps since the last line of metrics.jsonl, on augmented images"
            @if smoothed.is_some_and(|part| part > 0.0) { " and smoothed labels" }
            "; " (run.measured()) " figures are of the whole " (run.measured()) " set after an epoch."
        }
        div.charts {
            @for chart in charts(&[run]) { (chart.markup()) }
        }
        @if gaps > 0 {
            p.note { "Measured values that were not finite, and are gaps in the curves: " (gaps) "." }
        }
        @if unreadable > 0 {
            p.note { "Lines of metrics.jsonl that cannot be read, and are left out: " (unreadable) "." }
        }
        details { summary { "The " (run.measured()) " set, epoch by epoch" } (scrolling("Figures by epoch", &epochs(run))) }
    }
}

fn epochs(run: &Run) -> Markup {
    let value = |tag: &str, step: u64| {
        let point = run.curves.points(tag).iter().find(|point| point.step == step)?;
        Some(point.value)
    };
    html! {
        table.figures {
            thead {
                tr {
                    th scope="col" { "Epoch" }
                    th scope="col" { "Loss" }
                    th scope="col" { "Accuracy" }
                    th scope="col" { "Top-5" }
                }
            }
            tbody {
                @for point in run.curves.points("val/acc1") {
                    tr {
                        th scope="row" { (point.epoch) }
                        td { (decimal(value("val/loss", point.step))) }
                        td { (percent(Some(point.value))) }
                        td { (percent(value("val/acc5", point.step))) }
                    }
                }
            }
        }
    }
}

/// The drawing of a tag: its chart, its name there, and the factor of its values.
type Drawn = (&'static str, &'static [(&'static str, &'static str)], &'static str, f64);

const DRAWN: [Drawn; 4] = [
    ("Loss", &[("train/loss", "training"), ("val/loss", "test")], "", 1.0),
    ("Accuracy", &[("train/acc1", "training"), ("val/acc1", "test")], " %", 100.0),
    ("Learning rate", &[("lr", "learning rate")], "", 1.0),
    ("Images per second", &[("perf/images_per_s", "images per second")], "", 1.0),
];

/// The curves of one run, or of many: then a chart for each tag and a line for each run.
pub(super) fn charts(runs: &[&Run]) -> Vec<Chart> {
    // Epochs where every run has finished one; else steps, which are all that is known.
    let per_epoch: Option<Vec<f64>> = runs.iter().map(|run| run.curves.steps_per_epoch()).collect();
    let scale = per_epoch.clone().unwrap_or_else(|| vec![1.0; runs.len()]);
    let x_label = if per_epoch.is_some() { "epoch" } else { "step" };
    let line = |(number, run): (usize, &Run), tag: &str, label: &str, style, times: f64| Line {
        label: label.to_string(),
        points: run
            .curves
            .thinned(tag)
            .iter()
            .map(|(x, y)| (x / scale[number], y * times))
            .collect(),
        style,
    };
    let chart = |title: String, unit, lines: Vec<Line>| {
        let ends = lines.iter().filter_map(|line| line.points.last()).map(|(x, _)| *x);
        let x = Axis::exactly(0.0, ends.fold(0.0, f64::max), 5, 1.0);
        Chart { title, x_label, unit, x, lines }
    };
    let of_one = |(title, tags, unit, times): &Drawn, run: &Run| {
        let lines = (0..).zip(tags.iter());
        let named = |label: &'static str| if label == "test" { run.measured() } else { label };
        let lines =
            lines.map(|(style, (tag, label))| line((0, run), tag, named(label), style, *times));
        vec![chart(title.to_string(), unit, lines.collect())]
    };
    let of_many = |(title, tags, unit, times): &Drawn| {
        let of_tag = |(tag, label): &(&str, &str)| {
            let lines = runs.iter().enumerate();
            let lines = lines.map(|(at, run)| line((at, run), tag, &run.name, at, *times));
            let title =
                if tags.len() == 1 { title.to_string() } else { format!("{title}, {label}") };
            chart(title, unit, lines.collect())
        };
        // The test set first: it is what runs are compared by.
        tags.iter().rev().map(of_tag).collect::<Vec<_>>()
    };
    match runs {
        [run] => DRAWN.iter().flat_map(|drawn| of_one(drawn, run)).collect(),
        _ => DRAWN.iter().flat_map(of_many).collect(),
    }
}
