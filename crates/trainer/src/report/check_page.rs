//! The page of `xception check`: the classes of a set, and the images in question beside each other.

use datasets::{Decoded, Fit, Interpolation, Shape};
use maud::{Markup, html};

use super::checked::{Checked, Fault};
use super::number_format::in_threes;
use super::page::{page as whole_page, scrolling, section};
use crate::label_names::label_names;
use crate::network::images;

/// Rows and columns of a small image, in pixels.
const SIDE: usize = 112;
/// The most small images of a kind of fault.
const SHOWN: usize = 60;
/// The most small images of a group.
const OF_GROUP: usize = 8;

/// The page.
pub(super) fn page(checked: &Checked) -> String {
    let faults = checked.faults();
    let body = html! {
        (header(checked, &faults))
        nav aria-label="Contents" {
            ul {
                li { a href="#classes" { "Classes" } }
                @for fault in &faults { li { a href=(format!("#{}", fault.kind)) { (title(fault)) } } }
            }
        }
        (section("classes", "Classes", &classes(checked)))
        @for fault in &faults { (section(fault.kind, title(fault), &shown(checked, fault))) }
        footer { "Made from the images by " code { "xception check" } "." }
    };
    whole_page(&format!("{} – check", checked.name), &body)
}

fn title(fault: &Fault) -> &'static str {
    match fault.kind {
        "leak" => "Identical files in several parts",
        "near-leak" => "Look-alikes in several parts",
        "label-noise" => "Identical files with several labels",
        "near-label-noise" => "Look-alikes with several labels",
        "unreadable" => "Unreadable images",
        "tiny" => "Tiny images",
        "blank" => "Images of one colour",
        "duplicate" => "Identical files in a class",
        "near-duplicate" => "Look-alikes in a class",
        "missing-class" => "Classes that a part lacks",
        _ => "Imbalance",
    }
}

fn header(checked: &Checked, faults: &[Fault]) -> Markup {
    html! {
        header {
            p.name { (checked.name) }
            h1 {
                @match faults.len() {
                    0 => "No faults were found",
                    1 => "1 kind of fault",
                    kinds => { (kinds) " kinds of faults" }
                }
            }
            p.lede { (checked.headline()) "." }
            @for remark in &checked.remarks { p.notice { (remark) "." } }
            dl.facts {
                @for (coding, count) in &checked.findings.codings {
                    div { dt { (coding) } dd { (in_threes(&count.to_string())) } }
                }
            }
        }
    }
}

fn classes(checked: &Checked) -> Markup {
    let body = html! {
        table.figures {
            thead {
                tr {
                    th scope="col" { "Class" }
                    @for (name, _) in &checked.findings.parts { th scope="col" { (name) } }
                    th scope="col" { "Median size" }
                    th scope="col" { "Sides" }
                }
            }
            tbody {
                @for class in &checked.findings.classes {
                    tr {
                        th scope="row" { (class.name) }
                        @for count in &class.images { td { (in_threes(&count.to_string())) } }
                        td { (class.median[1]) " × " (class.median[0]) }
                        td { (class.sides[0]) " to " (class.sides[1]) }
                    }
                }
            }
        }
    };
    scrolling("Images by class", &body)
}

fn shown(checked: &Checked, fault: &Fault) -> Markup {
    let mut room = SHOWN;
    let mut groups: Vec<&[u32]> = Vec::new();
    for group in &fault.groups {
        let images = &group[..group.len().min(OF_GROUP)];
        let Some(rest) = room.checked_sub(images.len()) else { break };
        room = rest;
        groups.push(images);
    }
    let hidden = fault.groups.len() - groups.len();
    let single = fault.groups.iter().all(|group| group.len() == 1);
    html! {
        p { (fault.sentence) "." }
        @if single {
            ol.gallery { @for group in &groups { @for &image in *group { (tile(checked, image)) } } }
        } @else {
            @for (number, group) in groups.iter().enumerate() {
                h3.note { "Group " (number + 1) ", " (fault.groups[number].len()) " images" }
                ol.gallery { @for &image in *group { (tile(checked, image)) } }
            }
        }
        @if hidden > 0 { p.note { (hidden) " more are in the document of " code { "--json" } "." } }
    }
}

fn tile(checked: &Checked, image: u32) -> Markup {
    let (part, index) = checked.part(image);
    let class = label_names(part.images, index);
    let name = checked.short_name(image);
    let file = name.rsplit('/').next().unwrap_or(&name).to_string();
    html! {
        li {
            @match small(checked, image) {
                Some(png) => { img src=(format!("data:image/png;base64,{png}")) alt=(format!("{class}: {file}")); }
                None => { p.empty { "no image" } }
            }
            div { (class) }
            div.small title=(name) { (part.name) " · " (file) }
            @if let Some(reason) = checked.reason(image) { div.wrong { (reason) } }
        }
    }
}

/// An image as small PNG in base64; `None` for one that cannot be read.
fn small(checked: &Checked, image: u32) -> Option<String> {
    checked.reason(image).is_none().then_some(())?;
    let (part, index) = checked.part(image);
    let mut room = Decoded::default();
    let image = part.images.image(index, &mut room).ok()?;
    let interpolation = Interpolation::Bilinear;
    let fit = Fit { side: SIDE, crop_fraction: 1.0, interpolation, shape: Shape::Crop };
    Some(images::png_base64(&fit.square(image), SIDE, SIDE))
}
