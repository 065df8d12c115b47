//! Images with any number of classes: what is found of each class from its threshold on, at every other threshold, and which
//! classes come together.

use maud::{Markup, html};

use super::axis::Axis;
use super::chart::{Chart, Line};
use super::number_format::{decimal, in_threes, percent};
use super::page::scrolling;
use crate::evaluation::{ByClass, ClassAnswers};

/// Most classes whose curves are drawn, the weakest ones, and whose pairs are listed.
const DRAWN: usize = 8;
/// Pairs of classes that are listed.
const PAIRS: usize = 15;

/// The table of classes, weakest first, and the curves of the weakest.
pub(super) fn classes(figures: &ByClass, names: &[String]) -> Markup {
    let weakest = weakest_first(figures);
    html! {
        p {
            "Weakest first, by average precision (AP), the area under the class's precision-recall curve. Precision, recall \
             and F1 are those of the answers from the class's threshold on: thresholds of the largest F1 on the validation \
             set, or 0.5 without one."
        }
        (scrolling("Scores by class", &table(figures, names, &weakest)))
        div.charts { (curves(figures, names, &weakest).markup()) }
    }
}

/// The pairs of classes that come together most often.
pub(super) fn together(figures: &ByClass, names: &[String]) -> Markup {
    let mut pairs: Vec<(u64, usize, usize)> = Vec::new();
    for (one, row) in figures.together.iter().enumerate() {
        let others = row.iter().enumerate().skip(one + 1).filter(|(_, count)| **count > 0);
        pairs.extend(others.map(|(other, count)| (*count, one, other)));
    }
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    pairs.truncate(PAIRS);
    let part = |count: u64, class: usize| {
        let support = figures.classes[class].support;
        (support > 0).then(|| count as f64 / support as f64)
    };
    if pairs.is_empty() {
        return html! { p.note { "No image has two classes." } };
    }
    let body = html! {
        table.figures {
            thead {
                tr {
                    th scope="col" { "Classes" }
                    th scope="col" { "Images with both" }
                    th scope="col" { "Of the first" }
                    th scope="col" { "Of the second" }
                }
            }
            tbody {
                @for (count, one, other) in &pairs {
                    tr {
                        th scope="row" { (names[*one]) " and " (names[*other]) }
                        td { (in_threes(&count.to_string())) }
                        td { (percent(part(*count, *one))) }
                        td { (percent(part(*count, *other))) }
                    }
                }
            }
        }
    };
    html! {
        p { "An image has " (format!("{:.1}", figures.labels)) " classes on average. The pairs that come together most often:" }
        (scrolling("Classes that come together", &body))
    }
}

fn weakest_first(figures: &ByClass) -> Vec<usize> {
    let precision =
        |class: &usize| figures.classes[*class].ranking.average_precision.unwrap_or(f64::INFINITY);
    let mut order: Vec<usize> = (0..figures.classes.len()).collect();
    order.sort_by(|a, b| precision(a).total_cmp(&precision(b)));
    order
}

fn table(figures: &ByClass, names: &[String], order: &[usize]) -> Markup {
    html! {
        table.figures {
            thead {
                tr {
                    @for title in ["Class", "AP", "AUC", "Threshold", "Precision", "Recall", "F1", "Images"] {
                        th scope="col" { (title) }
                    }
                }
            }
            tbody {
                @for &class in order {
                    @let ClassAnswers { ranking, threshold, precision, recall, f1, support, .. } = &figures.classes[class];
                    tr {
                        th scope="row" { (names[class]) }
                        td { (decimal(ranking.average_precision)) }
                        td { (decimal(ranking.roc_auc)) }
                        td { (format!("{threshold:.3}")) }
                        td { (percent(*precision)) }
                        td { (percent(*recall)) }
                        td { (percent(*f1)) }
                        td { (in_threes(&support.to_string())) }
                    }
                }
            }
        }
    }
}

fn curves(figures: &ByClass, names: &[String], order: &[usize]) -> Chart {
    let drawn = order.iter().filter(|class| !figures.classes[**class].curve.is_empty()).take(DRAWN);
    let line = |(style, &class): (usize, &usize)| Line {
        label: names[class].clone(),
        points: figures.classes[class].curve.iter().map(|[x, y]| (x * 100.0, y * 100.0)).collect(),
        style,
    };
    Chart {
        title: "Precision by recall, of the weakest classes".to_string(),
        x_label: "found, %",
        unit: " %",
        x: Axis::exactly(0.0, 100.0, 5, 0.0),
        lines: drawn.enumerate().map(line).collect(),
    }
}
