//! libtorch out of the Python wheel, where the official zip cannot be fetched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::table::{Libraries, Platform, VERSION, Wheel};
use super::{complete, pip, umbrella, unzip};
use crate::cli::Variant;
use crate::durable;
use crate::failure::integrity;
use crate::fetch::extract::zip::Pick;
use crate::fetch::install::install;
use crate::fetch::partial::sha256_of;
use crate::fetch::progress::megabytes;
use crate::fetch::source::{Context, Obtained, Source};

/// Installs from wheels; `false` when the source does not have all of them.
///
/// # Errors
///
/// When they cannot be fetched, have the wrong content, or there is no compiler for the umbrella.
pub fn install_from(
    wheels: &[Wheel],
    platform: Platform,
    variant: Variant,
    context: &Context,
    target: &Path,
) -> Result<bool> {
    if variant == Variant::Cpu && context.source == Source::Official {
        // Better now than after half a gigabyte is downloaded.
        umbrella::compiler(platform)?;
    }
    let folder = folder_for_pip(context, platform, variant);
    let Some(archives) = obtain(wheels, platform, &folder, context)? else { return Ok(false) };
    install(target, &archives, |into| {
        for (wheel, archive) in wheels.iter().zip(&archives) {
            // A mirror's own packing may hold libraries that were stripped or linked anew.
            let sizes = archive.official;
            unzip(archive, &|name| pick(wheel, name, sizes), into)?;
        }
        if variant == Variant::Cpu {
            umbrella::link(&umbrella::compiler(platform)?, &into.join("lib"))?;
        }
        let version = into.join("build-version");
        fs::write(&version, format!("{VERSION}+{}\n", variant.name()))
            .with_context(|| format!("cannot write {}", version.display()))?;
        complete(into)
    })?;
    durable::remove_any(&folder)?;
    Ok(true)
}

fn folder_for_pip(context: &Context, (_, architecture): Platform, variant: Variant) -> PathBuf {
    context.cache.archives().join(format!("wheels-{}-{architecture}", variant.name()))
}

fn obtain(
    wheels: &[Wheel],
    (_, architecture): Platform,
    folder: &Path,
    context: &Context,
) -> Result<Option<Vec<Obtained>>> {
    if context.source != Source::Official {
        return wheels.iter().map(|wheel| context.obtain(&wheel.archive)).collect();
    }
    if context.offline && !wheels.iter().all(|wheel| folder.join(wheel.archive.name).is_file()) {
        return Ok(None);
    }
    let bytes = wheels.iter().map(|wheel| wheel.archive.size.cap()).sum();
    eprintln!("taking libtorch from its Python wheel: {} through pip", megabytes(bytes));
    durable::create_folder(folder)?;
    let paths = pip::download(wheels, architecture, folder)?;
    wheels
        .iter()
        .zip(paths)
        .map(|(wheel, path)| check(wheel, path))
        .collect::<Result<_>>()
        .map(Some)
}

/// Hashes what pip brought, whatever pip checked.
fn check(wheel: &Wheel, path: PathBuf) -> Result<Obtained> {
    let hashed = File::open(&path).and_then(sha256_of);
    let (sha256, _) = hashed.with_context(|| format!("cannot read {}", path.display()))?;
    if sha256 != wheel.archive.sha256 {
        durable::remove_any(&path)?;
        return Err(integrity(format!(
            "{} has sha256 {sha256}, expected {}",
            wheel.archive.name, wheel.archive.sha256
        )));
    }
    Ok(Obtained {
        name: wheel.archive.name.into(),
        path,
        sha256,
        official: true,
        origin: format!("pip download {}", wheel.requirement),
        transient: true,
    })
}

/// The parts of a wheel that a build needs: headers, and libraries with their known `sizes`.
fn pick(wheel: &Wheel, name: &str, sizes: bool) -> Option<Pick> {
    if let Some(inner) = name.strip_prefix("torch/").filter(|inner| inner.starts_with("include/")) {
        return Some(Pick { to: inner.into(), size: None });
    }
    if let Some(to) = licence(name) {
        return Some(Pick { to, size: None });
    }
    let (folder, file) = name.rsplit_once('/')?;
    let size = match wheel.libraries {
        Libraries::Named(names) => {
            let (_, size) = names.iter().find(|(known, _)| *known == name)?;
            Some(*size).filter(|_| sizes)
        }
        Libraries::All if folder.ends_with("/lib") && file.contains(".so") => None,
        Libraries::All => return None,
    };
    Some(Pick { to: Path::new("lib").join(file), size })
}

/// The place of a licence, by the name of its wheel: whoever passes a library on has to pass its licence on, too.
fn licence(name: &str) -> Option<PathBuf> {
    let (package, inner) = name.split_once(".dist-info/")?;
    let inner = inner.strip_prefix("licenses/").unwrap_or(inner);
    let is_one = ["LICENSE", "NOTICE"].iter().any(|start| inner.to_uppercase().starts_with(start));
    (is_one && !package.contains('/')).then(|| Path::new("licenses").join(package).join(inner))
}

#[cfg(test)]
mod tests {
    use super::super::table::wheels;
    use super::*;

    fn picks(variant: Variant, name: &str) -> Option<(String, Option<u64>)> {
        let torch = wheels(("linux", "x86_64"), variant).unwrap()[0];
        let pick = pick(&torch, name, true)?;
        Some((pick.to.to_str().unwrap().to_owned(), pick.size))
    }

    #[test]
    fn a_cpu_build_takes_only_what_needs_no_gpu() {
        let header = Some(("include/ATen/ATen.h".into(), None));
        assert_eq!(picks(Variant::Cpu, "torch/include/ATen/ATen.h"), header);
        let library = Some(("lib/libc10.so".into(), Some(1_623_185)));
        assert_eq!(picks(Variant::Cpu, "torch/lib/libc10.so"), library);
        for name in ["torch/lib/libtorch_cuda.so", "torch/lib/libtorch.so", "torch/nn/init.py"] {
            assert_eq!(picks(Variant::Cpu, name), None, "{name}");
        }
    }

    #[test]
    fn licences_come_with_the_libraries() {
        let licence = Some(("licenses/torch-2.13.0/LICENSE".into(), None));
        assert_eq!(picks(Variant::Cpu, "torch-2.13.0.dist-info/licenses/LICENSE"), licence);
        let nvidias = Some(("licenses/nvidia_x-1.0/License.txt".into(), None));
        assert_eq!(picks(Variant::Cpu, "nvidia_x-1.0.dist-info/License.txt"), nvidias);
        assert_eq!(picks(Variant::Cpu, "torch-2.13.0.dist-info/METADATA"), None);
    }

    #[test]
    fn a_cuda_build_takes_every_library() {
        let library = Some(("lib/libtorch_cuda.so".into(), None));
        assert_eq!(picks(Variant::Cu130, "torch/lib/libtorch_cuda.so"), library);
        let cudnn = Some(("lib/libcudnn.so.9".into(), None));
        assert_eq!(picks(Variant::Cu130, "nvidia/cudnn/lib/libcudnn.so.9"), cudnn);
        for name in ["torch/_C.cpython-311-x86_64-linux-gnu.so", "torch/lib/libshm/err.h"] {
            assert_eq!(picks(Variant::Cu130, name), None, "{name}");
        }
    }
}
