//! The reliability diagram: confidence against accuracy.

use maud::{Markup, html};

use super::axis::Axis;
use super::chart::frame;
use super::number_format::{decimal, in_threes, percent};
use super::page::scrolling;
use crate::evaluation::{Bin, Details};

/// The diagram over a histogram, and the bins as a table.
pub(super) fn markup(details: &Details) -> Markup {
    let bins = &details.calibration;
    html! {
        p {
            "Images in " (bins.len()) " bins by the probability of the predicted class. A bar is the part of a bin \
             that is correct, the orange outline what the network claimed. Bars on the diagonal are honest; below it \
             it is overconfident. The expected calibration error, the mean distance between the two over all \
             images, is " strong { (percent(Some(details.ece))) } "."
        }
        figure.reliability {
            figcaption {
                h3 { "Accuracy by confidence" }
                ul.legend {
                    li { svg.sample viewBox="0 0 24 8" aria-hidden="true" { rect.bar width="24" height="8" {} } "accuracy" }
                    li { svg.sample viewBox="0 0 24 8" aria-hidden="true" { path.gap d="M1 8V1H23V8" {} } "confidence" }
                }
            }
            (diagram(details))
            (histogram(bins))
            p.axis-title { "confidence; below, the number of images" }
        }
        details { summary { "The bins as a table" } (scrolling("Calibration bins", &table(bins))) }
    }
}

fn diagram(details: &Details) -> Markup {
    let side = 1000.0 / details.calibration.len().max(1) as f64;
    let height = |part: f64| part.clamp(0.0, 1.0) * 1000.0;
    let drawing = html! {
        @for (number, bin) in details.calibration.iter().enumerate() {
            @if let (Some(accuracy), Some(confidence)) = (bin.accuracy, bin.confidence) {
                @let left = number as f64 * side + side * 0.08;
                @let right = left + side * 0.84;
                rect.bar x=(format!("{left:.1}")) width=(format!("{:.1}", right - left))
                    y=(format!("{:.1}", 1000.0 - height(accuracy))) height=(format!("{:.1}", height(accuracy))) {}
                path.gap d=(format!("M{left:.1} 1000V{:.1}H{right:.1}V1000", 1000.0 - height(confidence))) {}
            }
        }
        path.ideal d="M0 1000L1000 0" {}
    };
    let axis = Axis::exactly(0.0, 1.0, 5, 0.0);
    let up = Axis::exactly(0.0, 100.0, 5, 0.0);
    let description = format!(
        "Reliability diagram; expected calibration error {}. The bins stand in the table below.",
        decimal(Some(details.ece))
    );
    frame(&description, &axis, &up, " %", &drawing)
}

fn histogram(bins: &[Bin]) -> Markup {
    let side = 1000.0 / bins.len().max(1) as f64;
    let up = Axis::around(bins.iter().map(|bin| bin.count as f64).chain([0.0]), 2);
    let drawing = html! {
        @for (number, bin) in bins.iter().enumerate() {
            @let height = up.part(bin.count as f64) * 1000.0;
            rect.bar x=(format!("{:.1}", (number as f64 + 0.08) * side)) width=(format!("{:.1}", side * 0.84))
                y=(format!("{:.1}", 1000.0 - height)) height=(format!("{height:.1}")) {}
        }
    };
    let axis = Axis::exactly(0.0, 1.0, 5, 0.0);
    html! { div.histogram { (frame("Images by confidence", &axis, &up, "", &drawing)) } }
}

fn table(bins: &[Bin]) -> Markup {
    let edge = |number: usize| number as f64 / bins.len() as f64;
    html! {
        table.figures {
            thead {
                tr {
                    th scope="col" { "Bin" }
                    th scope="col" { "Images" }
                    th scope="col" { "Mean confidence" }
                    th scope="col" { "Accuracy" }
                }
            }
            tbody {
                @for (number, bin) in bins.iter().enumerate() {
                    tr {
                        th scope="row" { (format!("{:.3}–{:.3}", edge(number), edge(number + 1))) }
                        td { (in_threes(&bin.count.to_string())) }
                        td { (percent(bin.confidence)) }
                        td { (percent(bin.accuracy)) }
                    }
                }
            }
        }
    }
}
