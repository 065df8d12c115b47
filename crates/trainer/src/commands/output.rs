//! The file that a person names for an output.

use std::fs;
use std::path::{Path, PathBuf};

use super::Refusal;

/// The file that `out` leads to: a link is followed, so that its target is written and not the link replaced.
///
/// # Errors
/// One of `inputs`, which would be lost.
pub(super) fn place<'a>(
    out: &Path,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> Result<PathBuf, Refusal> {
    let Ok(real) = fs::canonicalize(out) else { return Ok(end_of_links(out)) };
    let is_regular = real.is_file();
    for input in inputs {
        if is_regular && fs::canonicalize(input).is_ok_and(|input| input == real) {
            return Err(Refusal::OutIsInput { path: out.to_path_buf() });
        }
    }
    let is_link = fs::symlink_metadata(out).is_ok_and(|metadata| metadata.is_symlink());
    Ok(if is_link { real } else { out.to_path_buf() })
}

/// The most links that follow one another, as Linux has it.
const MOST_LINKS: usize = 40;

/// The file that a link to nothing leads to, which is yet to be written. A pipe that a link leads to, as `/dev/stdout` may,
/// has no path of its own.
fn end_of_links(out: &Path) -> PathBuf {
    let mut place = out.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&place) {
            Ok(target) if fs::metadata(&place).is_err() => {
                place = place.parent().unwrap_or(Path::new("")).join(target);
            }
            _ => break,
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let [input, other] = ["input", "other"].map(|name| folder.path().join(name));
        fs::write(&input, "input").unwrap();
        let round_about = folder.path().join("../").join(folder.path()).join("input");
        for out in [&input, &round_about] {
            let error = place(out, [input.as_path()]).unwrap_err().to_string();
            assert!(error.contains("is read by the same command"), "{error}");
        }
        assert_eq!(place(&other, [input.as_path()]).unwrap(), other);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_and_a_device_is_not_an_input() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(place(&link, []).unwrap(), file.canonicalize().unwrap());
        let [new, to_new] = ["new", "to-new"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink("new", &to_new).unwrap();
        assert_eq!(place(&to_new, []).unwrap(), new);
        let null = Path::new("/dev/null");
        assert_eq!(place(null, [null]).unwrap(), null);
    }
}
