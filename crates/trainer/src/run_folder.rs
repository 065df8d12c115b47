//! The folder that a run leaves: how it was made, what was measured, and the weights.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Error;
use crate::recipe::Recipe;

/// An existing folder that belongs to one run.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes `asked`, which must be new or empty, or else `runs/<name>`, numbered if that is taken.
    pub(crate) fn create(asked: Option<&Path>, name: &str) -> Result<Self, Error> {
        let path = match asked {
            Some(path) if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) => {
                return Err(Error::Usage(format!(
                    "--out {}: the folder is not empty; give a new one",
                    path.display()
                )));
            }
            Some(path) => {
                fs::create_dir_all(path).map_err(Error::file("create", path))?;
                path.to_path_buf()
            }
            None => Self::create_numbered(Path::new("runs"), name)?,
        };
        Ok(Self { path })
    }

    fn create_numbered(runs: &Path, name: &str) -> Result<PathBuf, Error> {
        fs::create_dir_all(runs).map_err(Error::file("create", runs))?;
        for number in 1.. {
            let path =
                runs.join(if number == 1 { name.to_string() } else { format!("{name}-{number}") });
            match fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file("create", &path)(error)),
            }
        }
        unreachable!("numbers do not end")
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the run.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes the recipe with everything resolved.
    pub(crate) fn write_config(&self, recipe: &Recipe) -> Result<(), Error> {
        let text = toml::to_string(recipe).expect("a recipe is a table of plain values");
        let path = self.file("config.toml");
        fs::write(&path, text).map_err(Error::file("write", &path))
    }

    /// Writes a JSON document.
    pub(crate) fn write_json(&self, name: &str, document: &Value) -> Result<(), Error> {
        let path = self.file(name);
        fs::write(&path, format!("{document:#}\n")).map_err(Error::file("write", &path))
    }
}

/// What a run was made with: versions, threads, CPU, the command.
pub(crate) fn environment(seed: u64) -> Value {
    let command: Vec<String> = std::env::args().collect();
    json!({
        "xception": env!("CARGO_PKG_VERSION"),
        "libtorch": torch_ext::version(),
        "commit": commit(),
        "command": command,
        "threads": tch::get_num_threads(),
        "bf16_matrix_unit": torch_ext::has_bf16_matrix_unit(),
        "cpu": cpu_model(),
        "cuda": tch::Cuda::is_available(),
        "os": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "seed": seed,
    })
}

/// The commit that is checked out where the program runs, if it runs in its own checkout.
fn commit() -> Option<String> {
    let output = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=40"])
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn cpu_model() -> Option<String> {
    let cpu_info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = cpu_info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        RunFolder::create(Some(folder.path()), "any").expect("an empty folder will do");
        fs::write(folder.path().join("precious"), "").unwrap();
        let error = RunFolder::create(Some(folder.path()), "any").unwrap_err();
        assert!(error.to_string().ends_with("the folder is not empty; give a new one"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn runs_are_numbered() {
        let runs = tempfile::tempdir().unwrap();
        let made: Vec<PathBuf> = (0..3)
            .map(|_| RunFolder::create_numbered(runs.path(), "quick-cifar10").unwrap())
            .collect();
        let names: Vec<&str> =
            made.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["quick-cifar10", "quick-cifar10-2", "quick-cifar10-3"]);
    }
}
