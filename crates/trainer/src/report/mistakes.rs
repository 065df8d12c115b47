//! The most confident mistakes of the network, with their images.

use maud::{Markup, html};

use crate::evaluation::{Details, ShownMistake};

/// The images with their true and their predicted classes.
pub(super) fn markup(details: &Details) -> Markup {
    if details.mistakes.is_empty() {
        return html! { p.empty { "No image of the test set was taken for another class." } };
    }
    html! {
        p {
            "The " (details.mistakes.len()) " wrong answers with the highest probability, surest first: mislabelled \
             images, classes that overlap, or a network that looks at the wrong thing. "
            @if details.mistakes.iter().all(|shown| shown.name.is_none()) {
                "The number is the image's place in the test set, counted from 0."
            }
        }
        ol.gallery { @for shown in &details.mistakes { (image(shown, &details.class_names)) } }
    }
}

fn image(shown: &ShownMistake, class_names: &[String]) -> Markup {
    let ShownMistake { mistake, name, png } = shown;
    let (label, predicted) = (&class_names[mistake.label], &class_names[mistake.predicted]);
    let place = match name {
        Some(name) => name.rsplit('/').next().unwrap_or(name).to_string(),
        None => format!("#{}", mistake.index),
    };
    html! {
        li {
            img src=(format!("data:image/png;base64,{png}"))
                alt=(format!("Test image {}: {label}, taken for {predicted}", mistake.index));
            div { (label) }
            div.wrong { "→ " (predicted) }
            div.small title=[name] { (format!("{:.1} %", mistake.probability * 100.0)) " · " (place) }
        }
    }
}
