//! The wheels for Linux x86-64.

use super::{Libraries, Wheel};
use crate::fetch::artefact::{Artefact, Size};

/// `libtorch_cpu.so` of the CUDA wheel needs the CUDA runtime and CUPTI, even where it finds no GPU.
pub(super) const CPU_WHEELS: &[Wheel] = &[
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
pub(super) const CUDA_WHEELS: &[Wheel] = &[
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
