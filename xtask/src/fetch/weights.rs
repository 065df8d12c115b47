//! Published weights, by the names that `xception` takes for `--weights`.
//!
//! Their sites publish the first eight or nine figures of a file's SHA-256, in its name, and its length; that is what is
//! checked.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::artefact::{Artefact, Size};
use super::install::{self, State, install};
use super::lock::Lock;
use super::source::{Context, Source};
use crate::failure::{exit_code, integrity, usage};

/// A file of weights.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// As on the command line: the preset, then what they were trained on and how.
    pub name: &'static str,
    /// The file.
    pub file: Artefact<'static>,
}

const fn weights(
    name: &'static str,
    file: &'static str,
    url: &'static str,
    size: Size,
    sha256: &'static str,
) -> Weights {
    Weights { name, file: Artefact { name: file, url: Some(url), size, sha256 } }
}

/// All that are known.
pub const KNOWN: &[Weights] = &[
    weights(
        "xception",
        "xception-43020ad28.pth",
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/xception-43020ad28.pth",
        Size::Exactly(91_675_053),
        "43020ad28",
    ),
    weights(
        "xception41.tf_in1k",
        "tf_xception_41-e6439c97.pth",
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/tf_xception_41-e6439c97.pth",
        Size::Exactly(108_422_028),
        "e6439c97",
    ),
    weights(
        "xception65.tf_in1k",
        "tf_xception_65-c9ae96e8.pth",
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/tf_xception_65-c9ae96e8.pth",
        Size::Exactly(160_536_780),
        "c9ae96e8",
    ),
    weights(
        "xception71.tf_in1k",
        "tf_xception_71-8eec7df1.pth",
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/tf_xception_71-8eec7df1.pth",
        Size::Exactly(170_295_556),
        "8eec7df1",
    ),
    weights(
        "xception65.ra3_in1k",
        "xception65_ra3-1447db8d.pth",
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-tpu-weights/xception65_ra3-1447db8d.pth",
        Size::AtMost(200_000_000),
        "1447db8d",
    ),
    weights(
        "xception41p.ra3_in1k",
        "xception41p_ra3-33195bc8.pth",
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-tpu-weights/xception41p_ra3-33195bc8.pth",
        Size::AtMost(140_000_000),
        "33195bc8",
    ),
    weights(
        "xception65p.ra3_in1k",
        "xception65p_ra3-3c6114e4.pth",
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-tpu-weights/xception65p_ra3-3c6114e4.pth",
        Size::AtMost(200_000_000),
        "3c6114e4",
    ),
];

/// Finds weights by name.
///
/// # Errors
///
/// When the name is missing or unknown; the message has all names.
pub fn named(name: Option<&str>) -> Result<&'static Weights> {
    let known = || KNOWN.iter().map(|weights| weights.name).collect::<Vec<_>>().join(", ");
    let Some(name) = name else {
        return Err(usage(format!("which weights? known are {}", known())));
    };
    let found = KNOWN.iter().find(|weights| weights.name == name);
    found.ok_or_else(|| usage(format!("unknown weights '{name}'; known are {}", known())))
}

/// Puts weights into the cache, as `weights/NAME/FILE`, unless they are there.
///
/// # Errors
///
/// When they cannot be fetched, or have the wrong content; the message says what to do.
pub fn fetch(weights: &Weights, context: &Context) -> Result<PathBuf> {
    let target = context.cache.root().join("weights").join(weights.name);
    match install::state(&target) {
        State::Whole => {
            eprintln!("{} is there already, in {}", weights.name, target.display());
            return Ok(target);
        }
        State::Foreign => install::refuse_foreign(&target)?,
        State::Damaged(why) => {
            eprintln!("{} is damaged ({why}), fetching it again", target.display());
        }
        State::Absent => {}
    }
    let _lock = Lock::acquire(&context.cache, &format!("weights-{}", weights.name))?;
    let obtained = context.obtain(&weights.file).map_err(|error| match context.source {
        Source::Official if exit_code(&error) == 3 => integrity(format!(
            "{error:#}; a copy of {} from elsewhere is taken with --from PATH_OR_URL",
            weights.file.name
        )),
        _ => error,
    })?;
    let obtained = obtained.ok_or_else(|| missing(weights, context))?;
    let archives = [obtained];
    install(&target, &archives, |into| {
        let to = into.join(weights.file.name);
        let copied = fs::copy(&archives[0].path, &to);
        copied.map(drop).with_context(|| format!("cannot write {}", to.display()))
    })?;
    eprintln!("{} is ready in {}", weights.name, target.display());
    Ok(target)
}

fn missing(weights: &Weights, context: &Context) -> anyhow::Error {
    let (name, file) = (weights.name, weights.file.name);
    integrity(match &context.source {
        Source::Official => format!(
            "weights {name} are not in {} and --offline forbids the network: run `cargo xtask fetch weights {name}` \
             online, or give a copy of {file} with --from PATH",
            context.cache.root().display()
        ),
        Source::Folder(path) => format!("there is no {file} in {}", path.display()),
        Source::File(path) => format!(
            "{} is not called {file}, so it is not taken for the published file; weights of your own need no fetching: \
             give their path to --weights, or see `xception import`",
            path.display()
        ),
        Source::Url(url) => format!("there is no {file} at {url}"),
    })
}
