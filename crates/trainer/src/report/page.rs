//! The frame of every page: the head, the style, and a policy under which a browser makes no request.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Colours and type.
const STYLE: &str = include_str!("page.css");
/// Shows the values of curves under the pointer. The page is complete without it: the values are in tables, too.
const SCRIPT: &str = include_str!("page.js");
/// The policy: no content from outside this file.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
                      script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A page around `body`.
pub(super) fn page(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("xception ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// A section: its anchor, its title and its content.
pub(super) type Section = (&'static str, &'static str, Markup);

/// The table of contents, and the sections.
pub(super) fn contents(sections: &[Section]) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul { @for (id, title, _) in sections { li { a href=(format!("#{id}")) { (title) } } } }
        }
        @for (id, title, body) in sections { (section(id, title, body)) }
    }
}

/// A section that the table of contents links to.
pub(super) fn section(id: &str, title: &str, body: &Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby=(format!("{id}-title")) {
            h2 id=(format!("{id}-title")) { (title) }
            (body)
        }
    }
}

/// Content that may be wider than a phone. It scrolls by itself, also by keyboard.
pub(super) fn scrolling(label: &str, body: &Markup) -> Markup {
    html! { div.scrolling role="region" tabindex="0" aria-label=(label) { (body) } }
}
