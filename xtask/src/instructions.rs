//! The sets that tests and peers can be held to, by the trainer's own table: xtask depends on no crate that needs libtorch.

use anyhow::Result;
use clap::ValueEnum;

use crate::failure::usage;

/// The most that a process uses of its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Instructions {
    /// The set that every CPU of the architecture has
    Portable,
    /// AVX2 with FMA
    Avx2,
    /// AVX-512, without BF16 and AMX
    Avx512,
}

impl Instructions {
    /// Refuses a set that this CPU does not have.
    ///
    /// # Errors
    ///
    /// Those of usage.
    pub fn check(self) -> Result<()> {
        match self.is_there() {
            true => Ok(()),
            false => Err(usage(format!(
                "this CPU does not have {}: leave --instructions out",
                self.name()
            ))),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn is_there(self) -> bool {
        match self {
            Instructions::Portable => true,
            Instructions::Avx2 => is_x86_feature_detected!("avx2"),
            Instructions::Avx512 => is_x86_feature_detected!("avx512bw"),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_there(self) -> bool {
        false
    }

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Instructions::Portable => "portable",
            Instructions::Avx2 => "avx2",
            Instructions::Avx512 => "avx512",
        }
    }

    /// The variables that hold libtorch's kernels and ours, oneDNN, and MKL to the set.
    pub fn variables(self) -> [(&'static str, &'static str); 3] {
        let (aten, onednn, mkl) = match self {
            Instructions::Portable => ("default", "SSE41", "SSE4_2"),
            Instructions::Avx2 => ("avx2", "AVX2", "AVX2"),
            Instructions::Avx512 => ("avx512", "AVX512_CORE", "AVX512"),
        };
        [
            ("ATEN_CPU_CAPABILITY", aten),
            ("ONEDNN_MAX_CPU_ISA", onednn),
            ("MKL_ENABLE_INSTRUCTIONS", mkl),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `xception --instructions SET` and `cargo xtask peers --instructions SET` mean the same.
    #[test]
    fn the_table_is_the_trainers() {
        let trainers = include_str!("../../crates/trainer/src/instructions.rs");
        for set in Instructions::value_variants() {
            let [aten, onednn, mkl] = set.variables().map(|(_, value)| value);
            let line = format!("{set:?} => (\"{aten}\", \"{onednn}\", \"{mkl}\")");
            assert!(trainers.contains(&line), "{line}");
            assert!(set.variables().iter().all(|(name, _)| trainers.contains(name)), "{set:?}");
        }
    }
}
