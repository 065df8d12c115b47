//! The endings of the names of image files: a set takes files by their names, and decodes them by their content.

/// The endings, in lower case.
const ENDINGS: [&str; 13] = [
    "jpg", "jpeg", "jpe", "jfif", "jif", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff",
];

/// The most common of them, for messages.
pub(crate) const NAMED: &str = ".jpg, .jpeg, .jfif, .png, .webp, .bmp, .gif, .tif";

/// The ending of a file's name in lower case, without the dot; none where the name has no dot, or begins with its only one.
pub(crate) fn ending(name: &str) -> Option<String> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let (stem, ending) = name.rsplit_once('.')?;
    (!stem.is_empty() && !ending.is_empty()).then(|| ending.to_ascii_lowercase())
}

/// Whether a file of this name is an image: by its ending, in either case, as folders are listed.
#[must_use]
pub fn is_image(name: &str) -> bool {
    ending(name).is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// The name of an image file without its ending; the whole name of any other file.
pub(crate) fn stem(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    match name.rsplit_once('.') {
        Some((stem, _)) if is_image(name) => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_count_in_either_case() {
        for name in ["a.jpg", "a/b.JPEG", "x.JFIF", "1.2.Tiff", "c.gif", "d.bmp", "e.webp"] {
            assert!(is_image(name), "{name}");
        }
        for name in ["a.heic", "jpg", ".jpg", "a.jpg/b", "a.", "", "a.jpg.txt"] {
            assert!(!is_image(name), "{name}");
        }
        assert_eq!(ending("IMG_1.HEIC").unwrap(), "heic");
        assert_eq!(ending("a.b/README"), None);
    }

    #[test]
    fn only_the_ending_of_an_image_is_taken_off() {
        for (name, expected) in [("a/b.c.jpg", "b.c"), ("id.7", "id.7"), ("x", "x")] {
            assert_eq!(stem(name), expected);
        }
    }
}
