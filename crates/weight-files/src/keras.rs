//! Keras's files: HDF5 with or without the network, and `.keras` archives, which hold both apart.

mod hdf5;

pub(crate) use self::hdf5::parse;
use crate::zip_archive::{Archive, entry};
use crate::{Arrays, Contents, Dictionary, Error, KerasLayer};

/// The entry of a `.keras` archive that holds the weights.
pub(crate) const WEIGHTS: &str = "model.weights.h5";

/// The largest description of a network, in bytes.
const LARGEST_CONFIG: u64 = 64 << 20;

/// The content of an archive of `length` bytes whose weights are in the entry `weights`.
///
/// The weights lie in groups that count the layers of each class; the names are in the description beside them.
pub(crate) fn parse_archive(
    archive: &mut Archive,
    weights: &str,
    length: usize,
) -> Result<Contents, Error> {
    let folder = weights.strip_suffix(WEIGHTS).unwrap_or("");
    let missing = |name: &str| Error::Damaged(format!("its {name} is missing"));
    let config = entry(archive, &format!("{folder}config.json"), LARGEST_CONFIG)?;
    let network = KerasLayer::parse(&config.ok_or_else(|| missing("config.json"))?)?;
    // An archive may be packed, but weights hardly shrink.
    let most = (length as u64).saturating_mul(4);
    let weights = entry(archive, weights, most)?.ok_or_else(|| missing(WEIGHTS))?;
    let mut contents = parse(&weights)?;
    for dictionary in &mut contents.dictionaries {
        *dictionary = renamed(std::mem::take(dictionary), &network);
    }
    Ok(Contents { network: Some(network), ..contents })
}

/// The variables under the names of their layers in the place of the layers' numbers.
fn renamed(dictionary: Dictionary, network: &KerasLayer) -> Dictionary {
    let names = network.names_of_groups();
    let rename = |name: String| match name.rsplit_once('/') {
        Some((group, variable)) => match names.get(group) {
            Some(layer) => format!("{layer}/{variable}"),
            None => name,
        },
        None => name,
    };
    let Dictionary { place, arrays, unread } = dictionary;
    let arrays: Arrays = arrays.into_iter().map(|(name, array)| (rename(name), array)).collect();
    let unread = unread.into_iter().map(|(name, reason)| (rename(name), reason)).collect();
    Dictionary { place, arrays, unread }
}
