//! The folder of a run: how it was made, what was measured, and the weights.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use datasets::regular_file;
use serde_json::{Value, json};

use crate::file_error::FileError;
use crate::ranks::World;
use crate::recipe::{Recipe, Text};
use crate::run::Error;
use crate::whole_file;

/// An existing folder that belongs to one run, and to this process alone as long as the value lives.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// The lock is released when the file is closed, however the process ends. Rank 0 holds it for all.
    _lock: Option<File>,
}

/// The file that is locked. It contains the number of the process that holds the lock.
const LOCK: &str = ".lock";
/// The time that a restarted run waits for the lock of its previous process.
const LOCK_GOES: Duration = Duration::from_secs(120);
/// The resolved recipe.
pub(crate) const CONFIG: &str = "config.toml";
/// The folder of a run's checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// The log of a run for programs.
pub(crate) const METRICS: &str = "metrics.jsonl";
const ENVIRONMENT: &str = "env.json";

impl RunFolder {
    /// Creates `asked`, which must be new or empty, or else `runs/<name>`, numbered if that is taken.
    pub(crate) fn create(asked: Option<&Path>, name: &str) -> Result<Self, Error> {
        let path = match asked {
            Some(path) if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) => {
                let is_run = path.join(CONFIG).is_file();
                return Err(Error::NotEmpty { path: path.to_path_buf(), is_run });
            }
            Some(path) if path.is_file() => {
                return Err(Error::IsFile { path: path.to_path_buf() });
            }
            Some(path) => {
                fs::create_dir_all(path).map_err(FileError::on("create", path))?;
                path.to_path_buf()
            }
            None => Self::create_numbered(Path::new("runs"), name)?,
        };
        Self::locked(path, Duration::ZERO)
    }

    /// The folder of rank 0, for the log of another rank. On another machine it contains nothing else.
    pub(crate) fn of_rank_0(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(FileError::on("create", path))?;
        Ok(Self { path: path.to_path_buf(), _lock: None })
    }

    /// Opens and locks the folder of a run that was begun.
    pub(crate) fn reopen(path: &Path, world: &World) -> Result<Self, Error> {
        if !world.leads() {
            return Self::of_rank_0(path);
        }
        if !path.join(CONFIG).is_file() {
            return Err(Error::NotARun { path: path.to_path_buf(), config: CONFIG });
        }
        // A file server may take a while to notice that a machine is gone, and to release its lock.
        let patience = if world.restarts() { LOCK_GOES } else { Duration::ZERO };
        Self::locked(path.to_path_buf(), patience)
    }

    fn locked(path: PathBuf, patience: Duration) -> Result<Self, Error> {
        let place = path.join(LOCK);
        if fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_symlink()) {
            let reason = io::Error::new(io::ErrorKind::InvalidInput, "it is a link");
            return Err(FileError::on("lock", &place)(reason).into());
        }
        let mut lock = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&place)
            .map_err(FileError::on("create", &place))?;
        let begun = Instant::now();
        let mut tried = lock.try_lock();
        while matches!(tried, Err(TryLockError::WouldBlock)) && begun.elapsed() < patience {
            thread::sleep(Duration::from_millis(500));
            tried = lock.try_lock();
        }
        match tried {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = regular_file::read_to_string(&place).unwrap_or_default();
                return Err(Error::InUse { path, process: holder.trim().to_string() });
            }
            Err(TryLockError::Error(error)) => {
                return Err(FileError::on("lock", &place)(error).into());
            }
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(FileError::on("write", &place))?;
        Ok(Self { path, _lock: Some(lock) })
    }

    fn create_numbered(runs: &Path, name: &str) -> Result<PathBuf, Error> {
        fs::create_dir_all(runs).map_err(FileError::on("create", runs))?;
        for number in 1.. {
            let path =
                runs.join(if number == 1 { name.to_string() } else { format!("{name}-{number}") });
            match fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(FileError::on("create", &path)(error).into()),
            }
        }
        unreachable!("numbers do not end")
    }

    /// Removes the new folder of a run that failed at once. A folder with a checkpoint stays.
    pub(crate) fn discard(&self) {
        let checkpoints = self.file("checkpoints");
        let has_some = |mut entries: fs::ReadDir| entries.next().is_some();
        if fs::read_dir(&checkpoints).is_ok_and(has_some) {
            return;
        }
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            // A file that cannot be removed keeps the folder; that is no error of the run.
            drop(fs::remove_file(entry.path()).or_else(|_| fs::remove_dir(entry.path())));
        }
        drop(fs::remove_dir(&self.path));
    }

    /// The path of the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file of the run.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes the resolved recipe.
    pub(crate) fn write_config(&self, recipe: &Recipe) -> Result<(), Error> {
        let text = toml::to_string(recipe).expect("a recipe is a table of plain values");
        let path = self.file(CONFIG);
        Ok(whole_file::write(&path, &text)?)
    }

    /// Reads the recipe that [`RunFolder::write_config`] wrote, on rank 0 for all ranks.
    pub(crate) fn read_config(&self, world: &World) -> Result<Text, Error> {
        let path = self.file(CONFIG);
        let text = if world.leads() {
            regular_file::read(&path).map_err(FileError::on("read", &path))?
        } else {
            Vec::new()
        };
        let text = String::from_utf8_lossy(&world.broadcast_bytes(text)?).into_owned();
        Ok(Text { name: path.display().to_string(), text })
    }

    /// Writes how the run is made. `measured` is the set that is measured after every epoch.
    pub(crate) fn write_environment(
        &self,
        seed: u64,
        ranks: usize,
        measured: &str,
    ) -> Result<(), Error> {
        let mut document = environment(seed, ranks);
        document["measured"] = json!(measured);
        self.write_json(ENVIRONMENT, &document)
    }

    /// The number of ranks that the run was begun on.
    pub(crate) fn ranks(&self) -> usize {
        let text = regular_file::read_to_string(&self.file(ENVIRONMENT)).unwrap_or_default();
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        document["ranks"].as_u64().map_or(1, |ranks| ranks as usize)
    }

    /// Adds how the run is made from `step` on to how it was begun.
    pub(crate) fn extend_environment(
        &self,
        seed: u64,
        ranks: usize,
        step: u64,
    ) -> Result<(), Error> {
        let text = regular_file::read_to_string(&self.file(ENVIRONMENT)).unwrap_or_default();
        let mut document = serde_json::from_str(&text).unwrap_or_else(|_| json!({}));
        let mut now = environment(seed, ranks);
        now["from_step"] = json!(step);
        match document["resumed"].as_array_mut() {
            Some(resumed) => resumed.push(now),
            None => document["resumed"] = json!([now]),
        }
        self.write_json(ENVIRONMENT, &document)
    }

    /// Writes a JSON document.
    pub(crate) fn write_json(&self, name: &str, document: &Value) -> Result<(), Error> {
        let path = self.file(name);
        Ok(whole_file::write(&path, &format!("{document:#}\n"))?)
    }
}

/// The environment of a run: versions, threads, CPU, the command.
fn environment(seed: u64, ranks: usize) -> Value {
    let command: Vec<String> = std::env::args().collect();
    json!({
        "xception": env!("CARGO_PKG_VERSION"),
        "libtorch": torch_ext::version(),
        "commit": commit(),
        "command": command,
        "ranks": ranks,
        "threads": tch::get_num_threads(),
        "bf16_matrix_unit": torch_ext::has_bf16_matrix_unit(),
        "cpu": cpu_model(),
        "cuda": tch::Cuda::is_available(),
        "os": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "seed": seed,
    })
}

/// The commit of a program that was packed to run elsewhere (`cargo xtask dist`).
const PACKED: Option<&str> = option_env!("XCEPTION_COMMIT");

/// The checkout in which the program was built. A packed program names no path of its build.
const CHECKOUT: &str = if PACKED.is_some() { "" } else { env!("CARGO_MANIFEST_DIR") };

/// The commit of a packed program; else the present one of the checkout, if it is still there.
fn commit() -> Option<String> {
    if let Some(commit) = PACKED {
        return Some(commit.to_string());
    }
    let output = std::process::Command::new("git")
        .args(["-C", CHECKOUT])
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
    use crate::exit_code::ExitCode;

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        RunFolder::create(Some(folder.path()), "any").expect("an empty folder will do");
        fs::write(folder.path().join("precious"), "").unwrap();
        let error = RunFolder::create(Some(folder.path()), "any").unwrap_err();
        assert!(error.to_string().ends_with("the folder is not empty; give a new one"), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Usage);
    }

    #[test]
    fn a_run_has_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunFolder::create(Some(folder.path()), "any").unwrap();
        fs::write(first.file(CONFIG), "").unwrap();
        let reopen = || RunFolder::reopen(folder.path(), &World::single());
        let error = reopen().unwrap_err().to_string();
        let own = std::process::id();
        assert!(
            error.ends_with(&format!("is in use by process {own}; wait for it or end it")),
            "{error}"
        );
        drop(first);
        reopen().expect("the lock went with the value");
    }

    #[test]
    fn what_was_never_a_run_cannot_be_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let error = RunFolder::reopen(folder.path(), &World::single()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("there is no config.toml, so it is not the folder of a run"),
            "{error}"
        );
        assert_eq!(error.exit_code(), ExitCode::Usage);
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
