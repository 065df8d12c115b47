//! Which files make a libtorch, for each platform and variant.

use super::super::artefact::{Artefact, Size};
use crate::cli::Variant;

/// The libtorch that tch 0.26 is made for.
pub const VERSION: &str = "2.13.0";

/// A length that is not published: a cap for the download.
const UNPUBLISHED: Size = Size::AtMost(4 << 30);

/// An official zip.
#[derive(Clone, Copy, Debug)]
pub struct Zip {
    /// `std::env::consts::OS` and `ARCH`.
    pub platform: (&'static str, &'static str),
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
    platform: (&'static str, &'static str),
    variant: Variant,
    name: &'static str,
    url: &'static str,
    size: Size,
    sha256: &'static str,
) -> Zip {
    Zip { platform, variant, archive: Artefact { name, url: Some(url), size, sha256 } }
}

/// The wheels for a build on Linux x86-64, where the zip cannot be fetched: the torch wheel is the CUDA
/// one, of which the CPU build takes the part that needs no GPU.
///
/// `None` where there is no such route.
pub fn wheels(platform: (&str, &str), variant: Variant) -> Option<Vec<Wheel>> {
    match (platform, variant) {
        (("linux", "x86_64"), Variant::Cpu) => Some(CPU_WHEELS.to_vec()),
        (("linux", "x86_64"), Variant::Cu130) => {
            let all = CPU_WHEELS.iter().chain(CUDA_WHEELS);
            Some(all.map(|wheel| Wheel { libraries: Libraries::All, ..*wheel }).collect())
        }
        _ => None,
    }
}

/// `libtorch_cpu.so` of the CUDA wheel needs the CUDA runtime and CUPTI, even where it finds no GPU.
const CPU_WHEELS: &[Wheel] = &[
    Wheel {
        requirement: "torch==2.13.0",
        archive: Artefact {
            name: "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl",
            url: None,
            size: Size::Exactly(526_574_961),
            sha256: "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
        },
        libraries: Libraries::Named(&[
            ("torch/lib/libtorch_cpu.so", 438_418_417),
            ("torch/lib/libc10.so", 1_623_185),
            ("torch/lib/libgomp.so.1", 254_009),
        ]),
    },
    Wheel {
        requirement: "nvidia-cuda-runtime==13.0.96",
        archive: Artefact {
            name: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            url: None,
            size: Size::Exactly(2_243_632),
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        },
        libraries: Libraries::Named(&[("nvidia/cu13/lib/libcudart.so.13", 704_288)]),
    },
    Wheel {
        requirement: "nvidia-cuda-cupti==13.0.85",
        archive: Artefact {
            name: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
            url: None,
            size: Size::Exactly(10_715_597),
            sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        },
        libraries: Libraries::Named(&[("nvidia/cu13/lib/libcupti.so.13", 4_152_208)]),
    },
];

/// The wheels that the torch wheel's metadata asks for beyond [`CPU_WHEELS`].
const CUDA_WHEELS: &[Wheel] = &[
    nvidia(
        "nvidia-cublas==13.1.1.3",
        "nvidia_cublas-13.1.1.3-py3-none-manylinux_2_27_x86_64.whl",
        423_138_758,
        "37936a16db8fe4ac1f065c2139360608a543a09275cb1a1af612e08cfa065436",
    ),
    nvidia(
        "nvidia-cuda-nvrtc==13.0.88",
        "nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        90_215_200,
        "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
    ),
    nvidia(
        "nvidia-cudnn-cu13==9.20.0.48",
        "nvidia_cudnn_cu13-9.20.0.48-py3-none-manylinux_2_27_x86_64.whl",
        366_173_588,
        "0c45dd8eeb50b603f07995b1b300c62ffe6a1980482b82b3bcf94a4ca9d49304",
    ),
    nvidia(
        "nvidia-cufft==12.0.0.61",
        "nvidia_cufft-12.0.0.61-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        214_085_489,
        "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
    ),
    nvidia(
        "nvidia-cufile==1.15.1.6",
        "nvidia_cufile-1.15.1.6-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        1_223_672,
        "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44",
    ),
    nvidia(
        "nvidia-curand==10.4.0.35",
        "nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_x86_64.whl",
        59_544_258,
        "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
    ),
    nvidia(
        "nvidia-cusolver==12.0.4.66",
        "nvidia_cusolver-12.0.4.66-py3-none-manylinux_2_27_x86_64.whl",
        200_941_980,
        "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112",
    ),
    nvidia(
        "nvidia-cusparse==12.6.3.3",
        "nvidia_cusparse-12.6.3.3-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        145_942_937,
        "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b",
    ),
    nvidia(
        "nvidia-cusparselt-cu13==0.8.1",
        "nvidia_cusparselt_cu13-0.8.1-py3-none-manylinux2014_x86_64.whl",
        170_148_586,
        "786ce87568c303fadb5afcc7102d454cd3040d75f6f8626f5db460d1871f4dd0",
    ),
    nvidia(
        "nvidia-nccl-cu13==2.29.7",
        "nvidia_nccl_cu13-2.29.7-py3-none-manylinux_2_18_x86_64.whl",
        205_976_000,
        "edd81538446786ec3b73972543e53bb43bcaf0bfc8ef76cb679fcc390ffe136d",
    ),
    nvidia(
        "nvidia-nvjitlink==13.0.88",
        "nvidia_nvjitlink-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        40_713_933,
        "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b",
    ),
    nvidia(
        "nvidia-nvshmem-cu13==3.4.5",
        "nvidia_nvshmem_cu13-3.4.5-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        60_412_546,
        "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80",
    ),
    nvidia(
        "nvidia-nvtx==13.0.85",
        "nvidia_nvtx-13.0.85-py3-none-manylinux1_x86_64.manylinux_2_5_x86_64.whl",
        148_047,
        "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4",
    ),
];

const fn nvidia(
    requirement: &'static str,
    name: &'static str,
    bytes: u64,
    sha256: &'static str,
) -> Wheel {
    let archive = Artefact { name, url: None, size: Size::Exactly(bytes), sha256 };
    Wheel { requirement, archive, libraries: Libraries::All }
}

/// The zip for a platform and variant.
pub fn zip_for(platform: (&str, &str), variant: Variant) -> Option<&'static Zip> {
    ZIPS.iter().find(|zip| zip.platform == platform && zip.variant == variant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_a_hash_and_every_requirement_names_its_file() {
        let wheels = wheels(("linux", "x86_64"), Variant::Cu130).unwrap();
        assert_eq!(wheels.len(), 16);
        for wheel in &wheels {
            let (name, version) = wheel.requirement.split_once("==").unwrap();
            let start = format!("{}-{version}-", name.replace('-', "_"));
            assert!(wheel.archive.name.starts_with(&start), "{}", wheel.archive.name);
        }
        let archives = wheels.iter().map(|wheel| &wheel.archive);
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
