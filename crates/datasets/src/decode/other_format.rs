//! The formats of files that are no images, or images that cannot be read, by their first bytes: people collect them under
//! the names of images.

/// The sentence about `bytes` that begin as a known format does, which is none of those that are read.
pub(super) fn sentence(bytes: &[u8]) -> Option<String> {
    let name = name(bytes)?;
    Some(match name {
        Name::Image(name) => format!("its format is {name}: convert it to JPEG or PNG first"),
        Name::Other(name) => format!("it is {name}, not an image"),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Image(&'static str),
    Other(&'static str),
}

fn name(bytes: &[u8]) -> Option<Name> {
    use Name::{Image, Other};
    if bytes.get(4..8) == Some(b"ftyp") {
        return Some(match bytes.get(8..12)? {
            b"avif" | b"avis" => Image("AVIF"),
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => {
                Image("HEIC")
            }
            b"crx " => Image("Canon raw"),
            _ => Other("a film"),
        });
    }
    let is_riff = |kind: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(kind);
    let known: [(bool, Name); 14] = [
        (bytes.starts_with(b"\xff\x0a"), Image("JPEG XL")),
        (bytes.starts_with(b"\0\0\0\x0cJXL "), Image("JPEG XL")),
        (bytes.starts_with(b"\0\0\0\x0cjP  "), Image("JPEG 2000")),
        (bytes.starts_with(b"\xff\x4f\xff\x51"), Image("JPEG 2000")),
        (bytes.starts_with(b"8BPS"), Image("Photoshop")),
        (bytes.starts_with(b"\0\0\x01\0"), Image("ICO")),
        (bytes.starts_with(b"%PDF"), Other("a PDF document")),
        (bytes.starts_with(b"PK\x03\x04"), Other("a ZIP archive")),
        (bytes.starts_with(b"\x1f\x8b"), Other("a gzip archive")),
        (is_riff(b"AVI "), Other("a film")),
        (bytes.starts_with(b"\x1a\x45\xdf\xa3"), Other("a film")),
        (
            bytes.starts_with(b"version https://git-lfs"),
            Other("a pointer of Git LFS (git lfs pull)"),
        ),
        (bytes.iter().all(|&byte| byte == 0), Other("nothing but zeros")),
        (bytes.starts_with(b"\0\x05\x16\x07"), Other("a file of macOS about another one")),
    ];
    known.iter().find(|(begins, _)| *begins).map(|(_, name)| *name).or_else(|| marked_up(bytes))
}

/// Pages and drawings begin with a mark of their kind, after spaces, a declaration or comments.
fn marked_up(bytes: &[u8]) -> Option<Name> {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_ascii_lowercase();
    let start = start.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let holds = |mark: &str| start.starts_with('<') && start.contains(mark);
    if holds("<svg") {
        Some(Name::Image("SVG"))
    } else if holds("<!doctype html") || holds("<html") || holds("<head") || holds("<body") {
        Some(Name::Other("a web page (HTML)"))
    } else if holds("<?xml") {
        Some(Name::Other("XML"))
    } else {
        start.starts_with(['{', '[']).then_some(Name::Other("JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_under_an_image_s_name_are_named_as_they_are() {
        for (bytes, expected) in [
            (&b"\0\0\0\x18ftypheic\0\0"[..], "its format is HEIC: convert it to JPEG or PNG first"),
            (b"\0\0\0\x1cftypavif", "its format is AVIF: convert it to JPEG or PNG first"),
            (b"\0\0\0\x1cftypisom", "it is a film, not an image"),
            (b"\xff\x0a\0", "its format is JPEG XL: convert it to JPEG or PNG first"),
            (b"\xef\xbb\xbf\n<!DOCTYPE html><p>", "it is a web page (HTML), not an image"),
            (b"<!-- x --><HTML>", "it is a web page (HTML), not an image"),
            (
                b"<?xml version='1.0'?>\n<svg xmlns=",
                "its format is SVG: convert it to JPEG or PNG first",
            ),
            (b"<?xml version='1.0'?><Error>", "it is XML, not an image"),
            (b"{\"message\":\"Not found\"}", "it is JSON, not an image"),
            (b"%PDF-1.7", "it is a PDF document, not an image"),
            (b"\0\0\0\0\0\0\0\0", "it is nothing but zeros, not an image"),
        ] {
            assert_eq!(sentence(bytes).as_deref(), Some(expected));
        }
        for bytes in [
            &b"\xff\xd8\xff\xe0"[..],
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"words",
            b"\0\0\0\x18ftyp",
            b"<",
        ] {
            assert_eq!(sentence(bytes), None);
        }
    }
}
