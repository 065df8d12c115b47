//! Which files make a libtorch, for each platform and variant.

mod aarch64;
mod x86_64;

use std::env::consts;

use super::super::artefact::{Artefact, Size};
use crate::cli::Variant;

/// The libtorch that tch 0.26 is made for.
pub const VERSION: &str = "2.13.0";

/// A system and an architecture, as [`consts::OS`] and [`consts::ARCH`] name them.
pub type Platform = (&'static str, &'static str);

/// The platform of this machine.
pub const HOST: Platform = (consts::OS, consts::ARCH);

/// A length that is not published: a cap for the download.
const UNPUBLISHED: Size = Size::AtMost(4 << 30);

/// An official zip.
#[derive(Clone, Copy, Debug)]
pub struct Zip {
    /// The platform that it is for.
    pub platform: Platform,
    /// The build that it holds.
    pub variant: Variant,
    /// The file.
    pub archive: Artefact<'static>,
}

/// A wheel that a libtorch is taken from.
#[derive(Clone, Copy, Debug)]
pub struct Wheel {
    /// As in pip's requirements.
    pub requirement: &'static str,
    /// The file.
    pub archive: Artefact<'static>,
    /// The libraries to take.
    pub libraries: Libraries,
}

/// Which libraries of a wheel go into `lib/`.
#[derive(Clone, Copy, Debug)]
pub enum Libraries {
    /// These entries, with their sizes.
    Named(&'static [(&'static str, u64)]),
    /// Every shared library in a folder called `lib`.
    All,
}

/// The published zips.
pub const ZIPS: &[Zip] = &[
    zip(
        ("linux", "x86_64"),
        Variant::Cpu,
        "libtorch-shared-with-deps-2.13.0+cpu.zip",
        "https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-2.13.0%2Bcpu.zip",
        Size::Exactly(126_385_248),
        "edbf4cbed78433d803e90a65f1752e57783d164bce66c95c0872b2ab8f5c159e",
    ),
    zip(
        ("linux", "x86_64"),
        Variant::Cu130,
        "libtorch-shared-with-deps-2.13.0+cu130.zip",
        "https://download.pytorch.org/libtorch/cu130/libtorch-shared-with-deps-2.13.0%2Bcu130.zip",
        Size::Exactly(500_687_821),
        "945c5a3d946a28b387ad9dc9fddda7ba03e35fae1375b84ebff15df789436f82",
    ),
    zip(
        ("linux", "x86_64"),
        Variant::Cu132,
        "libtorch-shared-with-deps-2.13.0+cu132.zip",
        "https://download.pytorch.org/libtorch/cu132/libtorch-shared-with-deps-2.13.0%2Bcu132.zip",
        UNPUBLISHED,
        "79fce57974149b92db6d662e382205c4e16fc73d21fd6fffcd3246288cfa74aa",
    ),
    zip(
        ("macos", "aarch64"),
        Variant::Cpu,
        "libtorch-macos-arm64-2.13.0.zip",
        "https://download.pytorch.org/libtorch/cpu/libtorch-macos-arm64-2.13.0.zip",
        Size::Exactly(88_779_559),
        "1e10c6c4dc2764150c9fb2ad28e1889191302734e7f939108e5d2f22f21a06f8",
    ),
    zip(
        ("windows", "x86_64"),
        Variant::Cpu,
        "libtorch-win-shared-with-deps-2.13.0+cpu.zip",
        "https://download.pytorch.org/libtorch/cpu/libtorch-win-shared-with-deps-2.13.0%2Bcpu.zip",
        Size::Exactly(199_487_097),
        "e1cd3950adc30c54c364eaaf44c2b0caf1eafee29a6e811c805e6fe1ce912759",
    ),
];

const fn zip(
    platform: Platform,
    variant: Variant,
    name: &'static str,
    url: &'static str,
    size: Size,
    sha256: &'static str,
) -> Zip {
    Zip { platform, variant, archive: Artefact { name, url: Some(url), size, sha256 } }
}

/// The wheels for a build on Linux, where the zip cannot be fetched or, on Arm, there is none: the torch wheel is the
/// CUDA one, of which the CPU build takes the part that needs no GPU.
///
/// `None` where there is no such route.
pub fn wheels(platform: Platform, variant: Variant) -> Option<Vec<Wheel>> {
    match (platform, variant) {
        (("linux", "x86_64"), Variant::Cpu) => Some(x86_64::CPU_WHEELS.to_vec()),
        (("linux", "aarch64"), Variant::Cpu) => Some(aarch64::CPU_WHEELS.to_vec()),
        (("linux", "x86_64"), Variant::Cu130) => {
            let all = x86_64::CPU_WHEELS.iter().chain(x86_64::CUDA_WHEELS);
            Some(all.map(|wheel| Wheel { libraries: Libraries::All, ..*wheel }).collect())
        }
        _ => None,
    }
}

/// The zip for a platform and variant.
pub fn zip_for(platform: Platform, variant: Variant) -> Option<&'static Zip> {
    ZIPS.iter().find(|zip| zip.platform == platform && zip.variant == variant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_a_hash_and_every_requirement_names_its_file() {
        let mut all = wheels(("linux", "x86_64"), Variant::Cu130).unwrap();
        assert_eq!(all.len(), 16);
        all.extend(wheels(("linux", "aarch64"), Variant::Cpu).unwrap());
        for wheel in &all {
            let (name, version) = wheel.requirement.split_once("==").unwrap();
            let start = format!("{}-{version}-", name.replace('-', "_"));
            assert!(wheel.archive.name.starts_with(&start), "{}", wheel.archive.name);
        }
        let archives = all.iter().map(|wheel| &wheel.archive);
        for archive in archives.chain(ZIPS.iter().map(|zip| &zip.archive)) {
            let hex = archive.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            assert!(hex && archive.sha256.len() == 64, "{}", archive.name);
            let place = format!("/{}", archive.encoded_name());
            assert!(archive.url.is_none_or(|url| url.ends_with(&place)), "{}", archive.name);
        }
    }

    #[test]
    fn only_linux_has_a_wheel_route() {
        assert!(wheels(("macos", "aarch64"), Variant::Cpu).is_none());
        assert!(wheels(("linux", "x86_64"), Variant::Cu132).is_none());
        assert!(zip_for(("linux", "aarch64"), Variant::Cpu).is_none());
        assert!(zip_for(("macos", "aarch64"), Variant::Cpu).is_some());
    }
}
