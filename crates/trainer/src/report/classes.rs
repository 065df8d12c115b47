//! Precision, recall and F1, class by class.

use maud::{Markup, html};

use super::number_format::{in_threes, percent};
use super::page::scrolling;
use crate::evaluation::{ClassScores, Details};

/// Classes beyond which only the weakest are shown at once.
const MANY: usize = 20;
/// The number of classes that are shown then.
const WEAKEST: usize = 10;

/// A table, weakest class first.
pub(super) fn markup(details: &Details) -> Markup {
    let mut rows: Vec<(&str, &ClassScores)> =
        details.class_names.iter().map(String::as_str).zip(&details.classes).collect();
    // A class without scores comes last.
    let f1 = |scores: &ClassScores| scores.f1.unwrap_or(f64::INFINITY);
    rows.sort_by(|a, b| f1(a.1).total_cmp(&f1(b.1)));
    let intro = html! {
        p {
            "Weakest first. Precision: of the images taken for the class, the part that is of it. Recall: of its \
             images, the part that was recognised. F1: the harmonic mean of the two."
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

fn table(label: &str, rows: &[(&str, &ClassScores)]) -> Markup {
    let body = html! {
        table.figures {
            thead {
                tr {
                    th scope="col" { "Class" }
                    th scope="col" { "Precision" }
                    th scope="col" { "Recall" }
                    th scope="col" { "F1" }
                    th scope="col" { "Images" }
                }
            }
            tbody {
                @for (name, scores) in rows {
                    tr {
                        th scope="row" { (name) }
                        td { (percent(scores.precision)) }
                        td { (percent(scores.recall)) }
                        td { (percent(scores.f1)) (measure(scores.f1)) }
                        td { (in_threes(&scores.support.to_string())) }
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
