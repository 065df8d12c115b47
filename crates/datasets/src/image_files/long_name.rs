//! The extension before an entry of a tar archive that holds its name, where the name is too long for the entry's own header.

use std::io::{self, Read};

use tar::{Entry, EntryType, PaxExtensions};

/// The longest extension that is read, in bytes: a name has a few dozen.
const LONGEST: u64 = 64 << 10;

/// The name that an extension gave to the next entry.
#[derive(Default)]
pub(super) struct LongName {
    pub(super) name: Option<String>,
}

impl LongName {
    /// Reads `entry`, if it is an extension. Returns whether it was one.
    ///
    /// # Errors
    /// An extension longer than any name, or one that changes the size of the next entry, as files of 8 GiB have it.
    pub(super) fn take(&mut self, entry: &mut Entry<'_, impl Read>) -> io::Result<bool> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName | EntryType::XHeader => {}
            EntryType::GNULongLink | EntryType::XGlobalHeader => return Ok(true),
            _ => return Ok(false),
        }
        let length = entry.size();
        if length > LONGEST {
            return Err(io::Error::other(format!(
                "an extension of {length} bytes before an entry; the longest that is read has {LONGEST}"
            )));
        }
        let mut bytes = Vec::new();
        entry.take(LONGEST).read_to_end(&mut bytes)?;
        if kind == EntryType::GNULongName {
            let name = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
            self.name = Some(String::from_utf8_lossy(name).into_owned());
            return Ok(true);
        }
        for field in PaxExtensions::new(&bytes) {
            let field = field?;
            match field.key_bytes() {
                b"path" => {
                    self.name = Some(String::from_utf8_lossy(field.value_bytes()).into_owned());
                }
                b"size" => {
                    return Err(io::Error::other(
                        "an entry whose size is in an extension, as only files of 8 GiB have it",
                    ));
                }
                _ => {}
            }
        }
        Ok(true)
    }
}
