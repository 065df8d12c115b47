//! The page of weights that were measured on images: the parts of a run's page that need no training.

use maud::{Markup, html};

use super::header::{beside_accuracy, left_out, of_all};
use super::number_format::{decimal, in_threes, percent};
use super::page::{contents, page as whole_page};
use super::run_page::of_classes;
use super::{mistakes, reliability};
use crate::evaluation::{Details, TOP5_CLASSES};

/// The subject of an evaluation.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// The images in words, such as `folder:/pets test`.
    pub(crate) images: String,
    /// The file of the weights.
    pub(crate) weights: String,
    /// The preset of the network.
    pub(crate) preset: String,
}

/// The page.
pub(super) fn page(details: &Details, measured: &Measured) -> String {
    let headline = format!("{} on {}", of_all(details), measured.images);
    let mut sections = of_classes(details);
    sections.push(("calibration", "Calibration", reliability::markup(details)));
    sections.push(("mistakes", "Most confident mistakes", mistakes::markup(details)));
    let body = html! {
        (header(&headline, details, measured))
        (contents(&sections))
        footer { "Made by " code { "xception eval --report" } "." }
    };
    whole_page(&headline, &body)
}

fn header(headline: &str, details: &Details, measured: &Measured) -> Markup {
    html! {
        header {
            p.name { (measured.weights) }
            h1 { (headline) }
            p.lede {
                "Preset " (measured.preset) ", " (in_threes(&details.images.to_string())) " images of "
                (details.class_names.len()) " classes."
            }
            (left_out(&details.left_out))
            dl.facts {
                (beside_accuracy(details))
                @if details.several.is_none() && details.class_names.len() >= TOP5_CLASSES {
                    div { dt { "Top-5" } dd { (percent(Some(details.top5))) } }
                }
                div { dt { "Loss" } dd { (decimal(Some(details.loss))) } }
                div { dt { "Calibration error" } dd { (percent(Some(details.ece))) } }
            }
        }
    }
}
