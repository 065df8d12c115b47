//! The findings of a check as tables for people.

use crate::console::escape;
use crate::report::{Checked, Fault};

/// The most classes that are listed: the largest and the smallest half of them.
const CLASSES: usize = 40;
/// The most images or groups of images that are listed of a kind.
const LISTED: usize = 10;

/// The set, its classes, and its faults, each kind with its first images.
pub(super) fn table(checked: &Checked) -> String {
    let mut lines = vec![checked.headline(), String::new()];
    lines.extend(classes(checked));
    lines.push(String::new());
    let codings =
        checked.findings.codings.iter().map(|(coding, count)| format!("{coding} {count}"));
    lines.push(format!("formats: {}", codings.collect::<Vec<_>>().join(" · ")));
    lines.extend(checked.remarks.iter().map(|remark| format!("note: {remark}")));
    lines.push(String::new());
    let faults = checked.faults();
    if faults.is_empty() {
        lines.push("no faults were found".to_string());
    }
    for fault in &faults {
        lines.push(fault.sentence.clone());
        lines.extend(examples(checked, fault));
    }
    let lines: Vec<_> = lines.iter().map(|line| escape::name(line)).collect();
    lines.join("\n")
}

fn classes(checked: &Checked) -> Vec<String> {
    let mut order: Vec<_> = checked.findings.classes.iter().collect();
    let count = order.len();
    if count > CLASSES {
        order.sort_by_key(|class| std::cmp::Reverse(class.total()));
        order.drain(CLASSES / 2..count - CLASSES / 2);
    }
    let width = order.iter().map(|class| class.name.chars().count()).chain([5]).max().unwrap_or(0);
    let heads: String =
        checked.findings.parts.iter().map(|(name, _)| format!(" {name:>8}")).collect();
    let mut lines =
        vec![format!("  {:width$}{heads}  {:>15}  sides, pixels", "class", "median size")];
    for (number, class) in order.iter().enumerate() {
        if count > CLASSES && number == CLASSES / 2 {
            lines.push(format!("  … and {} classes between these", count - CLASSES));
        }
        let counts: String = class.images.iter().map(|count| format!(" {count:>8}")).collect();
        let ([height, width_of], [least, most]) = (class.median, class.sides);
        let median = format!("{width_of} × {height}");
        lines.push(format!("  {:width$}{counts}  {median:>15}  {least} to {most}", class.name));
    }
    lines
}

/// The first images of a fault, or the first groups of them, with the reason of one that cannot be read.
fn examples(checked: &Checked, fault: &Fault) -> Vec<String> {
    let mut lines = Vec::new();
    for images in fault.groups.iter().take(LISTED) {
        let names: Vec<String> = images.iter().take(4).map(|&image| checked.place(image)).collect();
        let more = images.len().saturating_sub(4);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let reason = images.first().and_then(|&image| checked.reason(image));
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        lines.push(format!("    {}{more}{reason}", names.join("  =  ")));
    }
    if fault.groups.len() > LISTED {
        lines.push(format!("    and {} more (--json has all)", fault.groups.len() - LISTED));
    }
    lines
}
