//! The confusion matrix: as numbers where there is room for them, else as shades.

use std::fmt::Write;

use maud::{Markup, html};

use super::axis::Axis;
use super::chart::frame;
use super::number_format::in_threes;
use super::page::scrolling;
use crate::evaluation::Details;

/// Most classes whose numbers fit a page.
const NUMBERED: usize = 20;
/// Pairs of classes that are listed for larger matrices.
const LISTED: usize = 20;
/// Upper ends of the shades, as parts of a class's images.
const SHADES: [f64; 6] = [0.02, 0.05, 0.1, 0.25, 0.5, 1.0];

/// The matrix, and for many classes the pairs that are mixed up most.
pub(super) fn markup(details: &Details) -> Markup {
    let intro = "A row is a true class, a column what its images were taken for. Blue is correct and orange wrong; the \
                 deeper, the larger the part of the row.";
    let pairs = pairs(details);
    html! {
        p { (intro) }
        @if details.class_names.len() <= NUMBERED {
            (scrolling("Confusion matrix", &numbers(details)))
        } @else {
            (shades(details))
            h3 { "Mixed up most" }
            @if pairs.is_empty() { p.note { "No class was taken for another." } }
            @else { (scrolling("Classes mixed up most", &list(details, &pairs))) }
        }
    }
}

fn numbers(details: &Details) -> Markup {
    html! {
        table.confusion {
            colgroup { col.names; @for _ in &details.class_names { col; } }
            thead {
                tr {
                    td.corner { "true ↓ taken for →" }
                    @for name in &details.class_names { th scope="col" { span title=(name) { (name) } } }
                }
            }
            tbody {
                @for (class, row) in details.confusion.iter().enumerate() {
                    tr {
                        th scope="row" { (details.class_names[class]) }
                        @for (predicted, count) in row.iter().enumerate() {
                            @if *count == 0 { td.none { "·" } }
                            @else {
                                td.(kind(class, predicted)) style=(depth(part(*count, row))) { (count) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One path per shade, so that ten thousand cells stay a small file.
fn shades(details: &Details) -> Markup {
    let classes = details.class_names.len() as f64;
    let side = 1000.0 / classes;
    let mut paths = vec![(String::new(), String::new()); SHADES.len()];
    for (class, row) in details.confusion.iter().enumerate() {
        for (predicted, count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
            let shade = SHADES.iter().position(|end| part(*count, row) <= *end);
            let (hits, misses) = &mut paths[shade.unwrap_or(SHADES.len() - 1)];
            let path = if class == predicted { hits } else { misses };
            let (x, y) = (predicted as f64 * side, class as f64 * side);
            write!(path, "M{x:.1} {y:.1}h{side:.2}v{side:.2}h-{side:.2}z")
                .expect("a string takes what is written");
        }
    }
    let drawing = html! {
        rect width="1000" height="1000" {}
        @for ((hits, misses), end) in paths.iter().zip(SHADES) {
            path.hit style=(depth(end)) d=(hits) {}
            path.miss style=(depth(end)) d=(misses) {}
        }
    };
    let axis = Axis::exactly(0.0, classes, 5, 1.0);
    // Classes are counted from the top.
    let down = axis.clone().reversed();
    let description = format!(
        "Confusion matrix of {} classes by their labels; the pairs that are mixed up most are listed below",
        details.class_names.len()
    );
    html! {
        figure.map {
            figcaption {
                ul.legend {
                    @for (number, end) in SHADES.iter().enumerate() {
                        li {
                            span.shade.hit style=(depth(*end)) aria-hidden="true" {}
                            span.shade.miss style=(depth(*end)) aria-hidden="true" {}
                            @let from = if number == 0 { 0.0 } else { SHADES[number - 1] };
                            (format!("{:.0}–{:.0} %", from * 100.0, end * 100.0))
                        }
                    }
                }
            }
            (frame(&description, &axis, &down, "", &drawing))
            p.axis-title { "taken for, by label; rows are true classes" }
        }
    }
}

fn list(details: &Details, pairs: &[(usize, usize, u64)]) -> Markup {
    html! {
        table.figures {
            thead {
                tr {
                    th scope="col" { "True class" }
                    th scope="col" { "Taken for" }
                    th scope="col" { "Images" }
                    th scope="col" { "Of the class" }
                }
            }
            tbody {
                @for (class, predicted, count) in pairs {
                    tr {
                        th scope="row" { (details.class_names[*class]) }
                        td { (details.class_names[*predicted]) }
                        td { (in_threes(&count.to_string())) }
                        td { (format!("{:.1} %", part(*count, &details.confusion[*class]) * 100.0)) }
                    }
                }
            }
        }
    }
}

/// `(true class, predicted class, images)` of the most frequent mistakes.
fn pairs(details: &Details) -> Vec<(usize, usize, u64)> {
    let cells = details.confusion.iter().enumerate().flat_map(|(class, row)| {
        row.iter().enumerate().map(move |(predicted, count)| (class, predicted, *count))
    });
    let mut pairs: Vec<_> =
        cells.filter(|(class, predicted, count)| class != predicted && *count > 0).collect();
    pairs.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
    pairs.truncate(LISTED);
    pairs
}

fn kind(class: usize, predicted: usize) -> &'static str {
    if class == predicted { "hit" } else { "miss" }
}

fn part(count: u64, row: &[u64]) -> f64 {
    count as f64 / row.iter().sum::<u64>().max(1) as f64
}

/// The opacity for `part`: its root, because most mistakes are a few per cent and would not show otherwise.
fn depth(part: f64) -> String {
    format!("--part:{:.0}%", part.clamp(0.0, 1.0).sqrt() * 100.0)
}
