//! Precision, recall and F1, class by class.

use maud::{Markup, html};

use super::number_format::{decimal, in_threes, percent};
use super::page::scrolling;
use crate::evaluation::{ClassScores, Details, Ranking};

/// Classes beyond which only the weakest are shown at once.
const MANY: usize = 20;
/// The number of classes that are shown then.
const WEAKEST: usize = 10;

/// A table, weakest class first.
pub(super) fn markup(details: &Details) -> Markup {
    let mut rows: Vec<Row> = (0..details.class_names.len())
        .map(|class| Row {
            name: &details.class_names[class],
            scores: &details.classes[class],
            ranking: details.rankings.get(class),
            trained: details.training_images.get(class).copied(),
        })
        .collect();
    // A class without scores comes last.
    let f1 = |scores: &ClassScores| scores.f1.unwrap_or(f64::INFINITY);
    rows.sort_by(|a, b| f1(a.scores).total_cmp(&f1(b.scores)));
    let intro = html! {
        p {
            "Weakest first. Precision: of the images taken for the class, the part that is of it. Recall: of its \
             images, the part that was recognised. F1: the harmonic mean of the two."
            @if !details.rankings.is_empty() {
                " AUC and AP are the areas under the class's ROC and precision-recall curve, against all other classes."
            }
        }
    };
    if rows.len() <= MANY {
        return html! { (intro) (table("Scores by class", &rows)) };
    }
    html! {
        (intro)
        (table("Scores of the weakest classes", &rows[..WEAKEST]))
        details {
            summary { "All " (rows.len()) " classes" }
            (table("Scores of all classes", &rows))
        }
    }
}

/// A class of the table.
struct Row<'a> {
    name: &'a str,
    scores: &'a ClassScores,
    /// `None` where the answers to all images were not kept.
    ranking: Option<&'a Ranking>,
    /// Its training images; `None` where they were not counted.
    trained: Option<u64>,
}

fn table(label: &str, rows: &[Row]) -> Markup {
    let (ranked, counted) = (
        rows.iter().any(|row| row.ranking.is_some()),
        rows.iter().any(|row| row.trained.is_some()),
    );
    let body = html! {
        table.figures {
            thead {
                tr {
                    th scope="col" { "Class" }
                    th scope="col" { "Precision" }
                    th scope="col" { "Recall" }
                    th scope="col" { "F1" }
                    @if ranked { th scope="col" { "AUC" } th scope="col" { "AP" } }
                    th scope="col" { "Images" }
                    @if counted { th scope="col" { "Trained on" } }
                }
            }
            tbody {
                @for Row { name, scores, ranking, trained } in rows {
                    tr {
                        th scope="row" { (name) }
                        td { (percent(scores.precision)) }
                        td { (percent(scores.recall)) }
                        td { (percent(scores.f1)) (measure(scores.f1)) }
                        @if ranked {
                            td { (decimal(ranking.and_then(|ranking| ranking.roc_auc))) }
                            td { (decimal(ranking.and_then(|ranking| ranking.average_precision))) }
                        }
                        td { (in_threes(&scores.support.to_string())) }
                        @if counted { td { (in_threes(&trained.unwrap_or(0).to_string())) } }
                    }
                }
            }
        }
    };
    scrolling(label, &body)
}

/// A bar as long as the part is large.
fn measure(part: Option<f64>) -> Markup {
    let length = part.filter(|part| part.is_finite()).unwrap_or(0.0).clamp(0.0, 1.0) * 100.0;
    html! { span.measure aria-hidden="true" { i style=(format!("--part:{length:.1}%")) {} } }
}
