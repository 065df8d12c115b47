//! Files that say their number, `train-00001-of-00003.parquet`: whether each of them is there, once.

use std::collections::BTreeMap;

use crate::first_few::first_few;

/// The files of one counting: `data/train` of 3.
type Counting<'a> = (&'a str, usize);

/// Remarks on files that are missing, and on files of two countings or of one number that lie beside each other.
pub(super) fn remarks<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: BTreeMap<Counting<'_>, Vec<usize>> = BTreeMap::new();
    for (start, number, of) in names.filter_map(parts) {
        found.entry((start, of)).or_default().push(number);
    }
    let mut remarks = Vec::new();
    for ((start, of), numbers) in &found {
        let missing: Vec<usize> = (0..*of).filter(|number| !numbers.contains(number)).collect();
        if !missing.is_empty() {
            let numbers: Vec<String> =
                missing.iter().map(|number| format!("{number:05}")).collect();
            let are = if missing.len() == 1 { "is" } else { "are" };
            remarks.push(format!(
                "of the {of} files {start}-…-of-{of:05}, {} {are} missing: {}",
                missing.len(),
                first_few(&numbers)
            ));
        }
        let twice = numbers.len() + missing.len() > *of;
        let another = found.keys().any(|(other, count)| other == start && count < of);
        if twice || another {
            remarks.push(format!(
                "there are files {start}-… of more than one writing, which may hold the same images twice"
            ));
        }
    }
    remarks
}

/// The start of a name before its number, the number, and the number of files: at most 100,000, as five digits say.
fn parts(name: &str) -> Option<(&str, usize, usize)> {
    let (before, after) = name.rsplit_once("-of-")?;
    let (start, number) = before.rsplit_once('-')?;
    let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
    let (number, of) = (number.parse().ok()?, after[..digits].parse().ok()?);
    (number < of && of <= 100_000).then_some((start, number, of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_doubled_files_are_remarked() {
        let remarks = |names: &[&str]| remarks(names.iter().copied());
        let whole = ["train-00000-of-00002.parquet", "train-00001-of-00002-1a2b.parquet"];
        assert!(remarks(&whole).is_empty());
        assert!(remarks(&["train.parquet", "a-of-b.parquet", "x-9-of-3.parquet"]).is_empty());
        assert_eq!(
            remarks(&["d/train-00000-of-00003.parquet", "d/train-00002-of-00003.parquet"]),
            ["of the 3 files d/train-…-of-00003, 1 is missing: 00001"]
        );
        let twice = "there are files train-… of more than one writing, which may hold the same images twice";
        assert_eq!(remarks(&[&whole[..], &["train-00000-of-00001.parquet"]].concat()), [twice]);
        assert_eq!(remarks(&[&whole[..], &["train-00000-of-00002-x.parquet"]].concat()), [twice]);
    }
}
