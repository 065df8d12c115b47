//! Labels that are texts, in tables of every format.

use std::collections::{BTreeMap, BTreeSet};

use crate::first_few::first_few;

/// The longest name of a class, in bytes: a longer text, such as a caption or an encoded file, is no label.
pub(super) const LONGEST: usize = 1000;

/// Whether a program wrote this for a label that is missing.
pub(super) fn is_missing(label: &str) -> bool {
    ["", "nan", "NaN", "<NA>", "null", "NULL", "N/A", "#N/A"].contains(&label)
}

/// A remark on labels that are the same but for their case, `Cat and cat`.
pub(super) fn remark_alike<'a>(labels: impl Iterator<Item = &'a str>) -> Option<String> {
    let distinct: BTreeSet<&str> = labels.collect();
    let mut spellings = BTreeMap::<String, Vec<&str>>::new();
    for label in distinct {
        spellings.entry(label.to_lowercase()).or_default().push(label);
    }
    let several = spellings.into_values().filter(|spellings| spellings.len() > 1);
    let alike: Vec<String> = several.map(|spellings| spellings.join(" and ")).collect();
    let names = (!alike.is_empty()).then(|| first_few(&alike))?;
    Some(format!("labels that differ in case only are classes of their own: {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_label_are_named() {
        let labels = ["cat", "Dog", "cat", "dog", "DOG"];
        assert_eq!(
            remark_alike(labels.into_iter()).unwrap(),
            "labels that differ in case only are classes of their own: DOG and Dog and dog"
        );
        assert_eq!(remark_alike(["cat", "dog"].into_iter()), None);
    }
}
