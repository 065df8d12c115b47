//! Downloaded files, pinned by size and SHA-256.

use std::fmt;

/// A pinned file.
#[derive(Clone, Copy, Debug)]
pub struct Artefact<'a> {
    /// Its file name, on its site and in a mirror.
    pub name: &'a str,
    /// Its place on its site; `None` for what comes through pip.
    pub url: Option<&'a str>,
    /// Its length where that is published, else a cap.
    pub size: Size,
    /// SHA-256 in lower-case hex; the first figures of it where no more is published.
    pub sha256: &'a str,
}

impl Artefact<'_> {
    /// Whether `sha256` is the pinned one.
    pub fn has_sum(&self, sha256: &str) -> bool {
        is_sum(sha256, self.sha256)
    }

    /// Whether a file of this name is meant; a `+` may have stayed encoded when it was downloaded.
    pub fn is_named(&self, name: &str) -> bool {
        name.replace("%2B", "+") == self.name
    }

    /// The name as it stands in a URL.
    pub fn encoded_name(&self) -> String {
        self.name.replace('+', "%2B")
    }
}

/// Whether `sha256` is what is `pinned`, or begins with it.
pub fn is_sum(sha256: &str, pinned: &str) -> bool {
    !pinned.is_empty() && sha256.starts_with(pinned)
}

/// The permitted length of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Pinned.
    Exactly(u64),
    /// Unknown, with a cap.
    AtMost(u64),
}

impl Size {
    /// The longest that is acceptable.
    pub fn cap(self) -> u64 {
        let (Size::Exactly(bytes) | Size::AtMost(bytes)) = self;
        bytes
    }

    /// Whether `len` is acceptable.
    pub fn allows(self, len: u64) -> bool {
        match self {
            Size::Exactly(bytes) => len == bytes,
            Size::AtMost(bytes) => len <= bytes,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Exactly(bytes) => write!(f, "{bytes} bytes"),
            Size::AtMost(bytes) => write!(f, "at most {bytes} bytes"),
        }
    }
}
