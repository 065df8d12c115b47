//! The options after the file of `csv:FILE?image=COLUMN&label=COLUMN&split=COLUMN&folder=DIR`, and of `parquet:DIR`.
//!
//! Images have several labels with `separator=|`, the character between the labels of a cell, or with `labels=CLASS,CLASS`, a
//! column for each class.

use std::path::{Path, PathBuf};

use datasets::TableColumns;

use crate::data::Error;
use crate::did_you_mean;

/// The options that there are.
const KEYS: [&str; 6] = ["image", "label", "separator", "labels", "split", "folder"];
/// Those of images with several labels, which are for tables alone.
const OF_SEVERAL: [&str; 2] = ["separator", "labels"];

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
        if OF_SEVERAL.contains(&key) && kind != "csv" {
            let problem = "several labels for an image are read from tables and archives only; write the rows as a table (csv:FILE)";
            return Err(refuse(problem.to_string()));
        }
        match key {
            "image" => columns.image = Some(decoded(value)),
            "label" => columns.label = Some(decoded(value)),
            "split" => columns.split = Some(decoded(value)),
            "folder" => columns.folder = Some(decoded(value).into()),
            "separator" => columns.separator = Some(separator(value).map_err(refuse)?),
            "labels" => columns.labels = Some(value.split(',').map(decoded).collect()),
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
    let TableColumns { image, label, separator, labels, split, folder } = columns;
    let encode = |text: &Option<String>| text.as_deref().map(encoded);
    let names = |names: &Vec<String>| {
        let name = |name: &String| encoded(name).replace(',', "%2C");
        names.iter().map(name).collect::<Vec<_>>().join(",")
    };
    let options = KEYS.into_iter().zip([
        encode(image),
        encode(label),
        separator.map(encoded_separator),
        labels.as_ref().map(names),
        encode(split),
        folder.as_ref().map(|folder| encoded(&folder.display().to_string())),
    ]);
    let options: Vec<String> =
        options.filter_map(|(key, value)| value.map(|value| format!("{key}={value}"))).collect();
    if options.is_empty() { String::new() } else { format!("?{}", options.join("&")) }
}

/// `value` with `&` and `%` written as in a URL.
fn encoded(value: &str) -> String {
    value.replace('%', "%25").replace('&', "%26")
}

fn decoded(value: &str) -> String {
    value.replace("%26", "&").replace("%2C", ",").replace("%25", "%")
}

/// The character between labels: itself, or written as in a URL.
fn separator(value: &str) -> Result<char, String> {
    let coded = value.strip_prefix('%').filter(|digits| digits.len() == 2);
    let coded = coded.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(u8::is_ascii);
    let mut letters = value.chars();
    let separator = match (coded, letters.next(), letters.next()) {
        (Some(byte), _, _) => char::from(byte),
        (None, Some(only), None) => only,
        _ => {
            return Err(
                "expected the one character between labels, such as | or ; (%20 for a space)"
                    .to_string(),
            );
        }
    };
    if separator.is_alphanumeric() || separator == '"' {
        return Err(format!(
            "'{separator}' may be part of a label; expected a character such as | or ; (%20 for a space)"
        ));
    }
    Ok(separator)
}

/// A separator as [`separator`] reads it, with those coded that shells or `&` would take away.
fn encoded_separator(separator: char) -> String {
    match separator {
        ' ' | '\t' | '\n' | '&' | '%' => format!("%{:02X}", u32::from(separator)),
        other => other.to_string(),
    }
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
            "there is no 'lable' (did you mean 'label'?); there are image, label, separator, labels, split, folder",
        );
        check("b.csv?label", "it has no '='");
        for wrong in ["", "||", "%2", "%e4"] {
            check(&format!("b.csv?separator={wrong}"), "expected the one character between labels");
        }
        for wrong in ["x", "%41", "7"] {
            check(&format!("b.csv?separator={wrong}"), "may be part of a label; expected a");
        }
        for option in ["separator=|", "labels=cat,dog"] {
            let error = parse("parquet", &format!("pets?{option}")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("parquet:DIR?{option}: several labels")), "{error}");
        }
    }

    #[test]
    fn several_labels_are_read_as_they_are_written() {
        for (option, expected) in [
            ("|", '|'),
            (";", ';'),
            ("%20", ' '),
            ("%26", '&'),
            ("%25", '%'),
            ("%09", '\t'),
            (",", ','),
        ] {
            let written = format!("?label=tags&separator={option}");
            let (_, columns) = parse("csv", &format!("b.csv{written}")).unwrap();
            assert_eq!((columns.separator, text(&columns)), (Some(expected), written));
        }
        let (_, columns) = parse("csv", "b.csv?separator=%7C").unwrap();
        assert_eq!((columns.separator, text(&columns).as_str()), (Some('|'), "?separator=|"));
        let (_, columns) = parse("csv", "b.csv?labels=cat,R%26D%2C small,dog").unwrap();
        let names = ["cat", "R&D, small", "dog"].map(String::from);
        assert_eq!(columns.labels.as_deref(), Some(&names[..]));
        assert_eq!(text(&columns), "?labels=cat,R%26D%2C small,dog");
    }
}
