//! The filters of the first layer, as images.

use maud::{Markup, html};

use crate::evaluation::FirstLayer;
use crate::network::images::png_base64;

/// Every filter; `None` where the file's shape does not fit its numbers.
pub(super) fn markup(layer: &FirstLayer) -> Option<Markup> {
    let [filters, _, rows, columns] = layer.shape;
    let images = layer.images()?;
    let label = format!("The {filters} filters of the first layer");
    Some(html! {
        p {
            (filters) " filters of " (rows) "×" (columns) " pixels. Grey is zero; all share one scale, so a pale filter \
             is a weak one. Edges and colour contrasts are what a trained network looks for; noise is what it began with."
        }
        div.filters role="img" aria-label=(label) {
            @for pixels in &images {
                img alt="" src=(format!("data:image/png;base64,{}", png_base64(pixels, columns, rows)));
            }
        }
    })
}
