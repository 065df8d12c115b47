//! The instruction sets, and the one that this process uses.

use std::sync::OnceLock;

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// The instructions that every CPU of the architecture has.
    Portable,
    /// NEON, on 64-bit Arm: 8 numbers at a time, in two vectors.
    Neon,
    /// AVX2 with FMA: 8 numbers at a time.
    Avx2,
    /// AVX-512 F, BW, DQ and VL: 16 numbers at a time.
    Avx512,
    /// AVX-512 with BF16, which rounds to bf16 and multiplies pairs of such numbers. Numbers below 1.2e-38 count as
    /// zeros.
    Avx512Bf16,
}

impl InstructionSet {
    /// The best that this CPU has.
    pub fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx512 && is_x86_feature_detected!("avx512bf16") {
                return Self::Avx512Bf16;
            }
            if avx512 {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        if cfg!(target_arch = "aarch64") { Self::Neon } else { Self::Portable }
    }

    /// The set that kernels run on: the best that this CPU has, within the limit that the environment sets.
    ///
    /// The limit is libtorch's own variable for its kernels, `ATEN_CPU_CAPABILITY`: `default`, `avx2` and `avx512`
    /// hold these kernels to as little. oneDNN and MKL, which libtorch calls, have variables of their own (`ONEDNN_MAX_CPU_ISA`,
    /// `MKL_ENABLE_INSTRUCTIONS`).
    pub fn chosen() -> Self {
        // Asked once, as by libtorch: a step whose halves run on two sets would be of neither.
        static CHOSEN: OnceLock<InstructionSet> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            Self::detected().within(std::env::var("ATEN_CPU_CAPABILITY").ok().as_deref())
        })
    }

    /// This set, or the one that a value of `ATEN_CPU_CAPABILITY` limits it to.
    pub(super) fn within(self, limit: Option<&str>) -> Self {
        match limit {
            // On Arm it means NEON to libtorch, too.
            Some("default") if self == Self::Neon => self,
            Some("default") => Self::Portable,
            Some("avx2") => self.min(Self::Avx2),
            Some("avx512") => self.min(Self::Avx512),
            // As libtorch, which ignores what it does not know.
            _ => self,
        }
    }
}
