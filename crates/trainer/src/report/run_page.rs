//! The report of one run, from its headline to the machine it was made on.

use maud::{Markup, html};

use super::axis::Axis;
use super::chart::{Chart, Line};
use super::number_format::{decimal, percent};
use super::page::{page as whole_page, scrolling, section};
use super::run_files::Run;
use super::{
    advice, classes, confusion, first_layer, header, mistakes, provenance, ranking, reliability,
};

/// The page.
pub(super) fn page(run: &Run) -> String {
    let sections = sections(run);
    let body = html! {
        (header::markup(run))
        nav aria-label="Contents" {
            ul { @for (id, title, _) in &sections { li { a href=(format!("#{id}")) { (title) } } } }
        }
        @for (id, title, body) in &sections { (section(id, title, body)) }
        footer { "Made from the run's folder by " code { "xception report" } "." }
    };
    whole_page(&format!("{} – {}", run.name, header::headline(run)), &body)
}

type Section = (&'static str, &'static str, Markup);

fn sections(run: &Run) -> Vec<Section> {
    let mut sections = Vec::new();
    if let Some(advice) = advice::markup(run) {
        sections.push(("advice", "What to try next", advice));
    }
    sections.push(("curves", "Training", curves(run)));
    if let Some(details) = &run.details {
        sections.push(("confusion", "Confusion matrix", confusion::markup(details)));
        sections.push(("classes", "Classes", classes::markup(details)));
        if let Some(curves) = ranking::markup(details) {
            sections.push(("ranking", "Thresholds", curves));
        }
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
