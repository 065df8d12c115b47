//! Two classes, told apart at every threshold: the ROC curve and the precision-recall curve.

use maud::{Markup, html};

use super::axis::Axis;
use super::chart::{Chart, Line};
use super::number_format::decimal;
use crate::evaluation::Details;

/// Both curves of the second class; `None` with more classes, whose areas stand in the table of classes.
pub(super) fn markup(details: &Details) -> Option<Markup> {
    let (curves, ranking) = (details.curves.as_ref()?, details.rankings.get(1)?);
    let class = details.class_names.get(1)?;
    let chart = |title: String, x_label, points: &[[f64; 2]]| Chart {
        title,
        x_label,
        unit: " %",
        x: Axis::exactly(0.0, 100.0, 5, 0.0),
        lines: vec![Line {
            label: class.clone(),
            points: points.iter().map(|[x, y]| (x * 100.0, y * 100.0)).collect(),
            style: 0,
        }],
    };
    let roc = format!("ROC, area {}", decimal(ranking.roc_auc));
    let precision = format!("Precision by recall, area {}", decimal(ranking.average_precision));
    Some(html! {
        p {
            "An image is called " strong { (class) } " where its probability reaches a threshold, here every one from \
             high to low. Left: the part of the other images that is called so by mistake, against the part that is \
             found. Right: the part that is found, against the part of the calls that is correct."
        }
        div.charts {
            (chart(roc, "other images called so, %", &curves.roc).markup())
            (chart(precision, "found, %", &curves.precision_recall).markup())
        }
    })
}
