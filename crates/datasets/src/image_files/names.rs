//! Many names in one allocation.

/// Letters of the digest of an image's bytes in a name.
const CONTENT: usize = 12;

/// The digest of the image's bytes that ends the name of an image in a Parquet file: `train.parquet/17#3fa9c1d2e4b5`.
///
/// Its row and its file say little: they change when files are divided in another way.
#[must_use]
pub fn content_in_name(name: &str) -> Option<&str> {
    let (_, digest) = name.rsplit_once('#')?;
    let is_hex = |letter: u8| letter.is_ascii_digit() || (b'a'..=b'f').contains(&letter);
    (digest.len() == CONTENT && digest.bytes().all(is_hex)).then_some(digest)
}

/// The digest that a name has of `image`, the bytes of a file.
#[cfg(feature = "parquet")]
pub(super) fn content(image: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(image);
    digest.iter().take(CONTENT / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// Names, by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    /// The end of each name in the text.
    ends: Vec<usize>,
}

impl Names {
    pub(super) fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    /// The name of this number. Panics past the last one.
    pub(super) fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[index]]
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut all = Self::default();
        names.into_iter().for_each(|name| all.push(name));
        all
    }
}
