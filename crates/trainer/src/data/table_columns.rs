//! The options after the file of `csv:FILE?image=COLUMN&label=COLUMN&split=COLUMN&folder=DIR`, and of `parquet:DIR`.

use std::path::{Path, PathBuf};

use datasets::TableColumns;

use crate::data::Error;
use crate::did_you_mean;

/// The options that there are.
const KEYS: [&str; 4] = ["image", "label", "split", "folder"];

/// The file and the options in `text`, which follows `csv:` or `parquet:`, the `kind`. A file whose name has a question mark
/// is found as it is.
pub(super) fn parse(kind: &'static str, text: &str) -> Result<(PathBuf, TableColumns), Error> {
    let (file, options) = match text.split_once('?') {
        Some(parts) if !Path::new(text).exists() => parts,
        _ => (text, ""),
    };
    let mut columns = TableColumns::default();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let refuse =
            |problem: String| Error::TableOption { kind, option: option.to_string(), problem };
        let (key, value) =
            option.split_once('=').ok_or_else(|| refuse("it has no '='".to_string()))?;
        let value = decoded(value);
        match key {
            "image" => columns.image = Some(value),
            "label" => columns.label = Some(value),
            "split" => columns.split = Some(value),
            "folder" => columns.folder = Some(value.into()),
            "separator" => {
                let problem =
                    "several labels for one image are not trained here; keep one label in each row";
                return Err(refuse(problem.to_string()));
            }
            _ => {
                let hint = did_you_mean::hint(key, KEYS);
                return Err(refuse(format!(
                    "there is no '{key}'{hint}; there are {}",
                    KEYS.join(", ")
                )));
            }
        }
    }
    Ok((file.into(), columns))
}

/// The text that [`parse`] reads the columns from, with its question mark; nothing for none.
pub(super) fn text(columns: &TableColumns) -> String {
    let TableColumns { image, label, split, folder } = columns;
    let folder = folder.as_ref().map(|folder| folder.display().to_string());
    let options = KEYS.into_iter().zip([image.clone(), label.clone(), split.clone(), folder]);
    let options: Vec<String> = options
        .filter_map(|(key, value)| value.map(|value| format!("{key}={}", encoded(&value))))
        .collect();
    if options.is_empty() { String::new() } else { format!("?{}", options.join("&")) }
}

/// `value` with `&` and `%` written as in a URL.
fn encoded(value: &str) -> String {
    value.replace('%', "%25").replace('&', "%26")
}

fn decoded(value: &str) -> String {
    value.replace("%26", "&").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_they_are_written() {
        let (file, columns) =
            parse("csv", "a/b.csv?image=photo&label=R%26D 100%25&folder=my images").unwrap();
        assert_eq!(file, Path::new("a/b.csv"));
        assert_eq!(
            (columns.image.as_deref(), columns.label.as_deref()),
            (Some("photo"), Some("R&D 100%"))
        );
        assert_eq!(text(&columns), "?image=photo&label=R%26D 100%25&folder=my images");
        let (file, columns) = parse("csv", "b.csv").unwrap();
        assert_eq!((file.to_str(), text(&columns).as_str()), (Some("b.csv"), ""));
    }

    #[test]
    fn options_that_there_are_not_are_refused() {
        let check = |text: &str, expected: &str| {
            let error = parse("csv", text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(
            "b.csv?lable=x",
            "there is no 'lable' (did you mean 'label'?); there are image, label, split, folder",
        );
        check("b.csv?label", "it has no '='");
        check("b.csv?label=tags&separator=|", "several labels for one image are not trained here");
    }
}
