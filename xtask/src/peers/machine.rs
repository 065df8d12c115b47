//! The machine and the sources that a ratio belongs to.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::workspace::Workspace;

/// The instruction sets that decide how fast these kernels can be.
const FLAGS: &[&str] = &[
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
];

/// Physical cores that this process may use.
pub fn physical_cores() -> usize {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    physical_cores_of(&cpuinfo()).map_or(available, |cores| cores.min(available))
}

/// Distinct pairs of package and core; `None` where the text names none.
fn physical_cores_of(cpuinfo: &str) -> Option<usize> {
    let processors = cpuinfo.split("\n\n");
    let cores: BTreeSet<_> = processors
        .filter_map(|text| Some((field(text, "physical id")?, field(text, "core id")?)))
        .collect();
    (!cores.is_empty()).then_some(cores.len())
}

/// The value after `name` and a colon.
fn field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// Those of [`FLAGS`] that the processor has.
fn flags_of(cpuinfo: &str) -> Vec<&'static str> {
    let has: BTreeSet<_> = field(cpuinfo, "flags").unwrap_or("").split_whitespace().collect();
    FLAGS.iter().copied().filter(|flag| has.contains(flag)).collect()
}

/// Processor, memory, load and kernel, and the commit that was built.
pub fn describe(workspace: &Workspace) -> Value {
    let cpuinfo = cpuinfo();
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let first_word = |text: &str| text.split_whitespace().next().map(str::to_owned);
    let kibibytes = field(&read("/proc/meminfo"), "MemTotal").and_then(first_word);
    let kibibytes = kibibytes.and_then(|word| word.parse::<u64>().ok());
    json!({
        "cpu": field(&cpuinfo, "model name"),
        "physical_cores": physical_cores(),
        "flags": flags_of(&cpuinfo),
        "memory_mib": kibibytes.map(|kibibytes| kibibytes / 1024),
        "load_before": first_word(&read("/proc/loadavg")).and_then(|word| word.parse::<f64>().ok()),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "commit": answer(workspace.command("git").args(["describe", "--always", "--dirty"])),
    })
}

/// Today and now, in UTC, as a name for a folder.
pub fn now() -> String {
    let now = answer(Command::new("date").args(["-u", "+%Y-%m-%d-%H%M%S"]));
    now.unwrap_or_else(|| "undated".into())
}

/// The first line that a command prints, if it ends well.
fn answer(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().unwrap_or("").to_owned())
}

fn cpuinfo() -> String {
    fs::read_to_string("/proc/cpuinfo").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two cores of two threads each.
    const CPUINFO: &str = "\
processor\t: 0\nphysical id\t: 0\ncore id\t\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16x\n
processor\t: 1\nphysical id\t: 0\ncore id\t\t: 1\n
processor\t: 2\nphysical id\t: 0\ncore id\t\t: 0\n
processor\t: 3\nphysical id\t: 0\ncore id\t\t: 1\n";

    #[test]
    fn threads_of_one_core_count_once_and_flags_are_whole_words() {
        assert_eq!(physical_cores_of(CPUINFO), Some(2));
        assert_eq!(physical_cores_of("processor\t: 0\n"), None);
        assert_eq!(flags_of(CPUINFO), ["avx2", "avx512f"]);
        assert_eq!(flags_of(""), Vec::<&str>::new());
    }
}
