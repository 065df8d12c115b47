//! The page of a search for the learning rate: the loss at each rate.

use maud::html;

use super::axis::Axis;
use super::chart::{Chart, Line};
use super::page::page as whole_page;

/// The page, of pairs of a rate and the smoothed loss, and the rate at which the loss falls fastest.
pub(super) fn page(points: &[(f64, f64)], best: Option<f64>) -> String {
    let logs: Vec<(f64, f64)> = points.iter().map(|(rate, loss)| (rate.log10(), *loss)).collect();
    let ends = logs.first().zip(logs.last()).map_or((0.0, 1.0), |(a, b)| (a.0, b.0));
    let chart = Chart {
        title: "Loss by learning rate".to_string(),
        x_label: "learning rate, as a power of ten",
        unit: "",
        x: Axis::exactly(ends.0, ends.1, 8, 1.0),
        lines: vec![Line { label: "smoothed loss".to_string(), points: logs, style: 0 }],
    };
    let headline = match best {
        Some(best) => format!("The loss falls fastest at {best:.1e}"),
        None => "The loss falls at no learning rate".to_string(),
    };
    let body = html! {
        header {
            h1 { (headline) }
            p.lede {
                "One step at each rate, which rises by the same factor every time; nothing of it is kept. Take the rate \
                 above for a constant rate or a cosine, and up to three times that as the peak of a one-cycle; a rate at \
                 which the loss rises is too high for any."
            }
        }
        (chart.markup())
        footer { "Made by " code { "xception lr" } "." }
    };
    whole_page(&headline, &body)
}
