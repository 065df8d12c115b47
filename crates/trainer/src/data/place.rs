//! The folders of data sets: `data/` in the working folder, then the user's cache, which `cargo xtask fetch` fills. Each may
//! have the binary version or the one for Python.

use std::env;
use std::path::PathBuf;

use datasets::Cifar;

/// The folders that are searched, in order.
pub(crate) fn searched(set: Cifar) -> Vec<PathBuf> {
    let places = std::iter::once(PathBuf::from("data")).chain(cache());
    places
        .flat_map(|place| [set.folder(), set.python_folder()].map(|folder| place.join(folder)))
        .collect()
}

/// The first of them that is there.
pub(super) fn find(set: Cifar) -> Option<PathBuf> {
    searched(set).into_iter().find(|folder| folder.is_dir())
}

/// `XCEPTION_CACHE`, else `$XDG_CACHE_HOME/xception-rs`, else `~/.cache/xception-rs`.
pub(crate) fn cache() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XCEPTION_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("xception-rs")))
        .or_else(|| Some(set("HOME")?.join(".cache/xception-rs")))
}
