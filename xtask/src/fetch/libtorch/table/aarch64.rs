//! The wheels for Linux on 64-bit Arm.

use super::{Libraries, Wheel};
use crate::fetch::artefact::{Artefact, Size};

/// As on x86-64, the torch wheel is the CUDA one. Beside it lie Arm's kernels and NVIDIA's BLAS and LAPACK for Arm.
pub(super) const CPU_WHEELS: &[Wheel] = &[
    Wheel {
        requirement: "torch==2.13.0",
        archive: Artefact {
            name: "torch-2.13.0-cp311-cp311-manylinux_2_28_aarch64.whl",
            url: None,
            size: Size::Exactly(427_199_369),
            sha256: "092790c696a760c729fd5722835f50b9d81fd7c8f141571f3f3cf4081a8f664c",
        },
        libraries: Libraries::Named(&[
            ("torch/lib/libtorch_cpu.so", 267_181_049),
            ("torch/lib/libc10.so", 1_930_761),
            ("torch/lib/libgomp.so.1", 344_073),
            ("torch/lib/libgfortran.so.5", 1_485_185),
            ("torch/lib/libarm_compute.so", 17_850_537),
            ("torch/lib/libarm_compute_graph.so", 1_310_433),
            ("torch/lib/libnvpl_blas_core.so.0", 2_562_097),
            ("torch/lib/libnvpl_blas_lp64_gomp.so.0", 469_313),
            ("torch/lib/libnvpl_lapack_core.so.0", 1_710_681),
            ("torch/lib/libnvpl_lapack_lp64_gomp.so.0", 5_936_761),
        ]),
    },
    Wheel {
        requirement: "nvidia-cuda-runtime==13.0.96",
        archive: Artefact {
            name: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
            url: None,
            size: Size::Exactly(2_261_060),
            sha256: "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
        },
        libraries: Libraries::Named(&[("nvidia/cu13/lib/libcudart.so.13", 707_752)]),
    },
    Wheel {
        requirement: "nvidia-cuda-cupti==13.0.85",
        archive: Artefact {
            name: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_aarch64.whl",
            url: None,
            size: Size::Exactly(10_310_827),
            sha256: "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
        },
        libraries: Libraries::Named(&[("nvidia/cu13/lib/libcupti.so.13", 3_850_656)]),
    },
];
