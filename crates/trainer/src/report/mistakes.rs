//! The mistakes the network is surest of, as it saw them.

use maud::{Markup, html};

use crate::evaluation::{Details, PicturedMistake};

/// The pictures with what they are and what they were taken for.
pub(super) fn markup(details: &Details) -> Markup {
    if details.mistakes.is_empty() {
        return html! { p.empty { "No picture of the test set was taken for another class." } };
    }
    html! {
        p {
            "The " (details.mistakes.len()) " wrong answers with the highest probability, surest first: mislabelled \
             pictures, classes that overlap, or a network that looks at the wrong thing. "
            @if details.mistakes.iter().all(|pictured| pictured.name.is_none()) {
                "The number is the picture's place in the test set, counted from 0."
            }
        }
        ol.gallery { @for pictured in &details.mistakes { (picture(pictured, &details.class_names)) } }
    }
}

fn picture(pictured: &PicturedMistake, class_names: &[String]) -> Markup {
    let PicturedMistake { mistake, name, png } = pictured;
    let (label, predicted) = (&class_names[mistake.label], &class_names[mistake.predicted]);
    let place = match name {
        Some(name) => name.rsplit('/').next().unwrap_or(name).to_string(),
        None => format!("#{}", mistake.index),
    };
    html! {
        li {
            img src=(format!("data:image/png;base64,{png}"))
                alt=(format!("Test picture {}: {label}, taken for {predicted}", mistake.index));
            div { (label) }
            div.wrong { "→ " (predicted) }
            div.small title=[name] { (format!("{:.1} %", mistake.probability * 100.0)) " · " (place) }
        }
    }
}
