//! The report of one run, from its headline to the machine it was made on.

use maud::{Markup, html};

use super::axis::Axis;
use super::chart::{Chart, Line};
use super::number_format::{decimal, percent};
use super::page::{Section, contents, page as whole_page, scrolling};
use super::run_files::Run;
use super::{
    advice, classes, confusion, first_layer, header, mistakes, provenance, ranking, reliability,
    several,
};
use crate::evaluation::Details;

/// The page.
pub(super) fn page(run: &Run) -> String {
    let body = html! {
        (header::markup(run))
        (contents(&sections(run)))
        footer { "Made from the run's folder by " code { "xception report" } "." }
    };
    whole_page(&format!("{} – {}", run.name, header::headline(run)), &body)
}

/// The sections about classes, on the page of a run and of an evaluation.
pub(super) fn of_classes(details: &Details) -> Vec<Section> {
    let names = &details.class_names;
    let figures = details.several.as_ref().map(|several| several.by_class.as_ref());
    match figures {
        Some(Some(figures)) => vec![
            ("classes", "Classes", several::classes(figures, names)),
            ("together", "Classes that come together", several::together(figures, names)),
        ],
        // Too many answers to keep.
        Some(None) => Vec::new(),
        None => {
            let ranking = ranking::markup(details);
            let ranking = ranking.map(|curves| ("ranking", "Thresholds", curves));
            [
                ("confusion", "Confusion matrix", confusion::markup(details)),
                ("classes", "Classes", classes::markup(details)),
            ]
            .into_iter()
            .chain(ranking)
            .collect()
        }
    }
}

fn sections(run: &Run) -> Vec<Section> {
    let mut sections = Vec::new();
    if let Some(advice) = advice::markup(run) {
        sections.push(("advice", "What to try next", advice));
    }
    sections.push(("curves", "Training", curves(run)));
    if let Some(details) = &run.details {
        sections.extend(of_classes(details));
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
    let has_precision = !run.curves.points("val/map").is_empty();
    html! {
        table.figures {
            thead {
                tr {
                    th scope="col" { "Epoch" }
                    th scope="col" { "Loss" }
                    @if has_precision {
                        th scope="col" { "Mean average precision" }
                    } @else {
                        th scope="col" { "Accuracy" }
                        th scope="col" { "Top-5" }
                    }
                }
            }
            tbody {
                @for point in run.curves.points("val/acc1") {
                    tr {
                        th scope="row" { (point.epoch) }
                        td { (decimal(value("val/loss", point.step))) }
                        @if has_precision {
                            td { (decimal(value("val/map", point.step))) }
                        } @else {
                            td { (percent(Some(point.value))) }
                            td { (percent(value("val/acc5", point.step))) }
                        }
                    }
                }
            }
        }
    }
}

/// The drawing of a tag: its chart, its name there, and the factor of its values.
type Drawn = (&'static str, &'static [(&'static str, &'static str)], &'static str, f64);

const DRAWN: [Drawn; 5] = [
    ("Loss", &[("train/loss", "training"), ("val/loss", "test")], "", 1.0),
    ("Accuracy", &[("train/acc1", "training"), ("val/acc1", "test")], " %", 100.0),
    ("Mean average precision", &[("val/map", "test")], " %", 100.0),
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
    // Only images with several labels have the figure.
    let has_precision = runs.iter().any(|run| !run.curves.points("val/map").is_empty());
    let drawn = DRAWN.iter().filter(|(_, tags, ..)| has_precision || tags[0].0 != "val/map");
    match runs {
        [run] => drawn.flat_map(|drawn| of_one(drawn, run)).collect(),
        _ => drawn.flat_map(of_many).collect(),
    }
}
