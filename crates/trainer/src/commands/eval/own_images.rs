//! The images of the run that wrote the weights: they are measured by the run's own list, so that none of them is one that
//! it was trained on.

use std::path::Path;
use std::sync::Arc;

use datasets::{Selected, Source};
use xception::weights::Description;

use crate::commands::{Error, Refusal};
use crate::data::{Data, DataSpec, Part};
use crate::run::image_list::ImageList;

/// A set, and the images of it to measure on.
type OfSet = (Data, Arc<dyn Source>);

/// The part `split` of the set `spec`, by the list beside the file `weights`. `None` where there is no list, or no image of
/// the set is in it.
pub(super) fn find(
    spec: &DataSpec,
    split: Part,
    description: &Description,
    weights: &Path,
) -> Result<Option<OfSet>, Error> {
    let Some(list) = ImageList::beside(weights)? else { return Ok(None) };
    let (data, all) = Data::part(spec, Part::All)?;
    let root = description.data.split_once(':').map_or("", |(_, root)| root);
    let splits: Vec<Option<&str>> =
        (0..all.len()).map(|index| split_of(&list, &*all, index, root)).collect();
    let (known, path) = (splits.iter().flatten().count(), list.path().display());
    if known == 0 {
        return Ok(None);
    }
    let count = |name: &str| splits.iter().filter(|split| **split == Some(name)).count();
    let name = match split {
        Part::All => {
            match count("train") {
                0 => {}
                1 => tracing::warn!("1 of these images was trained on, by {path}"),
                count => tracing::warn!("{count} of these images were trained on, by {path}"),
            }
            return Ok(Some((data, all)));
        }
        Part::Test => "test",
        Part::Train => "train",
        Part::Validation => "val",
    };
    let of_run = list.count(name);
    let indices: Vec<u32> = (0..)
        .zip(&splits)
        .filter(|(_, split)| **split == Some(name))
        .map(|(index, _)| index)
        .collect();
    if indices.is_empty() {
        let (data, path) = (data.name, list.path().to_path_buf());
        return Err(Refusal::NoneOfRun { data, split: name, of_run, path }.into());
    }
    tracing::info!(
        "measuring on the {} {name} images of the run's own list, {path}; {} that it was trained on and {} that it does not \
         have are left out",
        indices.len(),
        if name == "train" { 0 } else { count("train") },
        all.len() - known,
    );
    if indices.len() < of_run {
        tracing::warn!(
            "{} of the run's {of_run} {name} images are not there, or were changed",
            of_run - indices.len()
        );
    }
    Ok(Some((data, Arc::new(Selected::new(all, indices)))))
}

/// The split of an image, by its name in its set, or by its place in `root`, the folder of the run's images.
fn split_of<'a>(
    list: &'a ImageList,
    images: &dyn Source,
    index: usize,
    root: &str,
) -> Option<&'a str> {
    let (name, bytes) = images.file(index)?;
    let in_root = || {
        let full = images.name(index);
        let name = Path::new(&full).strip_prefix(root).ok().filter(|_| !root.is_empty())?;
        list.split(name.to_str()?, bytes)
    };
    list.split(&name, bytes).or_else(in_root)
}
