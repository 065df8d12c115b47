//! A set that was checked: its findings as kinds of faults, worst first, for a table, a document and a page.

use std::borrow::Cow;

use datasets::{Findings, Group, Part};
use serde_json::{Value, json};

use crate::label_names::{label_names, names};

/// The number of images of the largest class, as a multiple of those of the smallest, from which it is a fault.
const IMBALANCE: f64 = 10.0;

/// A set and what was found in it.
pub(crate) struct Checked<'a> {
    /// The value of `--data` that names it.
    pub(crate) name: String,
    /// Whether its test set was held back.
    pub(crate) held: bool,
    /// Images with a shorter side are tiny, in pixels.
    pub(crate) side: u32,
    /// Its parts that have images.
    pub(crate) parts: Vec<Part<'a>>,
    /// The findings of all parts.
    pub(crate) findings: Findings,
    /// Sentences on the files that are in no part.
    pub(crate) remarks: Vec<String>,
}

/// A kind of fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Its name for programs.
    pub(crate) kind: &'static str,
    /// The finding, for people.
    pub(crate) sentence: String,
    /// The images in question: those that belong together, or one in each group. Empty for faults of whole classes.
    pub(crate) groups: Vec<Vec<u32>>,
}

impl Checked<'_> {
    /// The set, its classes and its images in a line.
    pub(crate) fn headline(&self) -> String {
        let held = if self.held { ", held back" } else { "" };
        let parts = self.findings.parts.iter().map(|(name, images)| {
            let held = if *name == "test" { held } else { "" };
            format!("{images} {name}{held}")
        });
        let parts = parts.collect::<Vec<_>>().join(", ");
        let classes = self.findings.classes.len();
        format!("{} · {classes} classes · {} images ({parts})", self.name, self.findings.images())
    }

    /// The kinds of faults that were found, worst first.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let Findings { exact, near, unreadable, blank, tiny, .. } = &self.findings;
        let single = |images: &[u32]| images.iter().map(|&image| vec![image]).collect::<Vec<_>>();
        let groups = |groups: &[Group], is: fn(&Group) -> bool| -> Vec<Vec<u32>> {
            groups.iter().filter(|group| is(group)).map(|group| group.images.clone()).collect()
        };
        let leak = |group: &Group| group.across_parts;
        let noise = |group: &Group| group.across_classes;
        let within = |group: &Group| !group.across_parts && !group.across_classes;
        let broken: Vec<u32> = unreadable.iter().map(|image| image.index).collect();
        let cut = unreadable.iter().filter(|image| is_cut(&image.reason)).count();
        let cut = if cut > 0 { format!(", {cut} of them cut off") } else { String::new() };
        let side = self.side;
        // Of several labels an image, two images of one class may differ in the others.
        let are_several = self.parts.iter().any(|part| part.images.is_multi_label());
        let (noise_of, within_of) = match are_several {
            true => ("whose labels differ", "with the same labels"),
            false => ("with more than one label", "within a class"),
        };
        let found: [(&'static str, Vec<Vec<u32>>, String); 9] = [
            (
                "leak",
                groups(exact, leak),
                "{} in more than one part of the set: the test set is known from training".into(),
            ),
            (
                "near-leak",
                groups(near, leak),
                "{} that look alike, in more than one part of the set".into(),
            ),
            ("label-noise", groups(exact, noise), format!("{{}} {noise_of}")),
            ("near-label-noise", groups(near, noise), format!("{{}} that look alike, {noise_of}")),
            ("unreadable", single(&broken), format!("{{}} that cannot be read{cut}")),
            (
                "tiny",
                single(tiny),
                format!(
                    "{{}} with a side below {side} pixels, that of the network's input (--side)"
                ),
            ),
            ("blank", single(blank), "{} of one colour".into()),
            ("duplicate", groups(exact, within), format!("{{}} {within_of}")),
            ("near-duplicate", groups(near, within), format!("{{}} that look alike, {within_of}")),
        ];
        let mut faults: Vec<Fault> = found
            .into_iter()
            .filter(|(_, groups, _)| !groups.is_empty())
            .map(|(kind, groups, sentence)| {
                let sentence = sentence.replacen("{}", &counted(kind, &groups), 1);
                Fault { kind, sentence, groups }
            })
            .collect();
        faults.extend(self.faults_of_classes());
        faults
    }

    fn faults_of_classes(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let missing = self.findings.missing();
        if !missing.is_empty() {
            let named: Vec<String> = missing
                .iter()
                .take(8)
                .map(|(class, parts)| format!("{} (not in {})", class.name, parts.join(", ")))
                .collect();
            let more = missing.len().saturating_sub(8);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let count = plural(missing.len(), "class", "classes");
            let sentence = format!(
                "{count} without an image in a part of the set: {}{more}",
                named.join(", ")
            );
            faults.push(Fault { kind: "missing-class", sentence, groups: Vec::new() });
        }
        if let Some([largest, smallest]) = self.findings.extremes() {
            let ratio = largest.total() as f64 / smallest.total() as f64;
            if ratio >= IMBALANCE {
                let sentence = format!(
                    "imbalance: {} has {ratio:.1} times the images of {} ({} and {})",
                    largest.name,
                    smallest.name,
                    largest.total(),
                    smallest.total()
                );
                faults.push(Fault { kind: "imbalance", sentence, groups: Vec::new() });
            }
        }
        faults
    }

    /// `train/cat a/b.png`: part, class and name of an image.
    pub(crate) fn place(&self, image: u32) -> String {
        let (part, index) = self.part(image);
        let class = label_names(part.images, index);
        format!("{}/{class} {}", part.name, self.short_name(image))
    }

    /// The name of an image, relative to the set for a file.
    pub(crate) fn short_name(&self, image: u32) -> String {
        let (part, index) = self.part(image);
        part.images.file(index).map_or_else(|| format!("#{index}"), |(name, _)| name)
    }

    /// The part of an image, and its number there.
    pub(crate) fn part(&self, image: u32) -> (&Part<'_>, usize) {
        let mut index = image as usize;
        for part in &self.parts {
            if index < part.images.len() {
                return (part, index);
            }
            index -= part.images.len();
        }
        unreachable!("findings are about images of the parts")
    }

    /// Why an image cannot be read, if it cannot.
    pub(crate) fn reason(&self, image: u32) -> Option<Cow<'_, str>> {
        let found = self
            .findings
            .unreadable
            .binary_search_by_key(&image, |unreadable| unreadable.index)
            .ok()?;
        Some(Cow::Borrowed(&self.findings.unreadable[found].reason))
    }

    /// Everything for programs.
    pub(crate) fn to_json(&self) -> Value {
        let image = |&image: &u32| {
            let (part, index) = self.part(image);
            let mut value = json!({ "image": part.images.name(index), "part": part.name });
            match part.images.is_multi_label() {
                true => value["classes"] = json!(names(part.images, index)),
                false => value["class"] = json!(label_names(part.images, index)),
            }
            if let Some(reason) = self.reason(image) {
                value["reason"] = json!(reason);
            }
            value
        };
        let fault = |fault: &Fault| {
            let groups: Vec<Vec<Value>> =
                fault.groups.iter().map(|group| group.iter().map(image).collect()).collect();
            json!({ "kind": fault.kind, "sentence": fault.sentence, "groups": groups })
        };
        let parts: serde_json::Map<String, Value> = self
            .findings
            .parts
            .iter()
            .map(|(name, images)| (name.to_string(), json!(images)))
            .collect();
        let classes: Vec<Value> = self
            .findings
            .classes
            .iter()
            .map(|class| {
                let parts = self.findings.parts.iter().zip(&class.images);
                let images: serde_json::Map<String, Value> =
                    parts.map(|((name, _), images)| (name.to_string(), json!(images))).collect();
                let ([height, width], [shortest, longest]) = (class.median, class.sides);
                json!({
                    "name": class.name, "images": images, "median_width": width, "median_height": height,
                    "shortest_side": shortest, "longest_side": longest,
                })
            })
            .collect();
        json!({
            "data": self.name, "images": self.findings.images(), "parts": parts, "held_back": self.held,
            "classes": classes, "formats": self.findings.codings, "notes": self.remarks,
            "faults": self.faults().iter().map(fault).collect::<Vec<_>>(),
        })
    }
}

/// Whether an image cannot be read because its end is missing.
fn is_cut(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    ["cut off", "end of file", "unexpected eof", "truncated", "failed to fill"]
        .iter()
        .any(|said| reason.contains(said))
}

/// `3 images`, or `2 groups of 5 identical files`.
fn counted(kind: &str, groups: &[Vec<u32>]) -> String {
    let images: usize = groups.iter().map(Vec::len).sum();
    match kind {
        "leak" | "label-noise" | "duplicate" => {
            format!("{} of {images} identical files", plural(groups.len(), "group", "groups"))
        }
        "near-leak" | "near-label-noise" | "near-duplicate" => {
            format!("{} of {images} images", plural(groups.len(), "group", "groups"))
        }
        _ => plural(images, "image", "images"),
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
