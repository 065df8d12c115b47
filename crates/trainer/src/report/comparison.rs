//! Runs side by side: results, curves, and the keys in which the recipes differ.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::chart::sample;
use super::number_format::{NOTHING, decimal, duration, percent, throughput};
use super::page::{page as whole_page, scrolling, section};
use super::provenance;
use super::run_files::Run;
use super::run_page::charts;
use super::spread::Spread;

/// The page. With `spreads`, the runs are of one cross-validation, and these are its result.
pub(super) fn page(runs: &[Run], spreads: &[Spread]) -> String {
    let references: Vec<&Run> = runs.iter().collect();
    let recipes: Vec<Vec<(String, String)>> =
        runs.iter().map(|run| flattened(&run.recipe)).collect();
    let machines: Vec<Vec<(String, String)>> =
        runs.iter().map(|run| provenance::facts(&run.environment)).collect();
    let data: BTreeSet<&str> = runs.iter().map(Run::data).collect();
    let body = html! {
        header {
            h1 { (headline(runs, spreads)) }
            p.lede { "On " (data.iter().copied().collect::<Vec<_>>().join(" and ")) "." }
            @if data.len() > 1 {
                p.notice { strong { "Different data sets. " } "Figures of one cannot be held against those of another." }
            }
        }
        @if !spreads.is_empty() {
            dl.facts {
                @for spread in spreads { div { dt { (spread.name) } dd { (spread.text()) } } }
            }
        }
        (section("results", "Results", &results(runs)))
        (section("curves", "Training", &html! {
            div.charts { @for chart in charts(&references) { (chart.markup()) } }
        }))
        (section("recipes", "What differs in the recipes", &differences(runs, &recipes)))
        (section("machines", "What differs in versions and hardware", &differences(runs, &machines)))
        footer { "Made from the runs' folders by " code { "xception report" } "." }
    };
    whole_page(&headline(runs, spreads), &body)
}

fn headline(runs: &[Run], spreads: &[Spread]) -> String {
    match spreads.first() {
        Some(spread) => format!("{} {} in {} folds", spread.text(), spread.name, runs.len()),
        None => format!("Comparison of {} runs", runs.len()),
    }
}

fn results(runs: &[Run]) -> Markup {
    let ece = |run: &Run| run.details.as_ref().map(|details| details.ece);
    let epochs = |run: &Run| match run.planned_epochs() {
        Some(planned) if planned != run.measured_epochs() => {
            format!("{} of {planned}", run.measured_epochs())
        }
        _ => run.measured_epochs().to_string(),
    };
    let table = html! {
        table.figures.wide {
            thead {
                tr {
                    @for title in ["Run", "Accuracy", "Top-5", "Loss", "ECE", "Epochs", "Time", "Speed"] {
                        th scope="col" { (title) }
                    }
                }
            }
            tbody {
                @for (number, run) in runs.iter().enumerate() {
                    tr {
                        th scope="row" { (sample(number)) (run.name) }
                        td { strong { (percent(run.top1())) } }
                        td { (percent(run.top5())) }
                        td { (decimal(run.loss())) }
                        td { (percent(ece(run))) }
                        td { (epochs(run)) }
                        td { (duration(run.seconds())) }
                        td { (throughput(run.curves.median("perf/images_per_s"))) }
                    }
                }
            }
        }
    };
    let unfinished = runs.iter().any(|run| run.details.is_none());
    html! {
        p { "On the test set, under the last weights. ECE is the expected calibration error, speed the median of training." }
        (scrolling("Results", &table))
        @if unfinished {
            p.note { "A run without ECE has no evaluation.json: its figures are those of the last epoch it measured." }
        }
    }
}

/// The keys whose values are not the same in all runs.
fn differences(runs: &[Run], tables: &[Vec<(String, String)>]) -> Markup {
    let value = |table: &'_ [(String, String)], key: &str| {
        table.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    };
    let mut seen = BTreeSet::new();
    let keys = tables.iter().flatten().map(|(key, _)| key).filter(|key| seen.insert(*key));
    let rows: Vec<(&String, Vec<Option<String>>)> = keys
        .map(|key| (key, tables.iter().map(|table| value(table, key)).collect::<Vec<_>>()))
        .filter(|(_, values)| values.iter().any(|value| *value != values[0]))
        .collect();
    if rows.is_empty() {
        return html! { p { "Nothing." } };
    }
    let table = html! {
        table.figures.wide.text {
            thead { tr { th scope="col" { "" } @for run in runs { th scope="col" { (run.name) } } } }
            tbody {
                @for (key, values) in &rows {
                    tr {
                        th scope="row" { (key) }
                        @for value in values { td { (value.as_deref().unwrap_or(NOTHING)) } }
                    }
                }
            }
        }
    };
    scrolling("Differences", &table)
}

/// `optimizer.name`, `adamw`, and so on through all tables.
fn flattened(table: &toml::Table) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                let inner = flattened(inner).into_iter();
                pairs.extend(inner.map(|(under, value)| (format!("{key}.{under}"), value)));
            }
            toml::Value::String(text) => pairs.push((key.clone(), text.clone())),
            value => pairs.push((key.clone(), value.to_string())),
        }
    }
    pairs
}
