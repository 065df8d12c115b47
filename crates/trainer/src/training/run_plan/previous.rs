//! The run that is resumed: its folder, and the recipe that it was begun with.

use std::fs;
use std::path::{Path, PathBuf};

use super::RunRequest;
use crate::ranks::World;
use crate::recipe::{Recipe, Text};
use crate::run::run_folder::{CHECKPOINTS, CONFIG, METRICS, RunFolder};
use crate::training::Error;

/// A run that was begun.
pub(super) struct Previous {
    /// Its folder, locked.
    pub(super) folder: RunFolder,
    /// Its recipe as text.
    pub(super) text: Text,
    /// Its recipe.
    pub(super) recipe: Recipe,
}

impl Previous {
    /// The run that `request` resumes, if it resumes one.
    pub(super) fn find(request: &RunRequest, world: &World) -> Result<Option<Self>, Error> {
        let Some(path) = agreed(request, world)? else { return Ok(None) };
        // Locked before it is read: it must stay as it is.
        let folder = RunFolder::reopen(&path, world)?;
        if world.leads() {
            check_checkpoints(&path)?;
        }
        let text = folder.read_config(world)?;
        let recipe = Recipe::parse(&text)?;
        Ok(Some(Self { folder, text, recipe }))
    }
}

/// Refuses the run in `path` where its folder of checkpoints is gone: it would be trained again from the start. A run
/// that has logged no step has none yet.
fn check_checkpoints(path: &Path) -> Result<(), Error> {
    let trained = fs::metadata(path.join(METRICS)).is_ok_and(|metrics| metrics.len() > 0);
    if trained && !path.join(CHECKPOINTS).is_dir() {
        return Err(Error::CheckpointsGone { run: path.to_path_buf() });
    }
    Ok(())
}

/// The folder to resume on which all ranks agree. Rank 0 decides.
fn agreed(request: &RunRequest, world: &World) -> Result<Option<PathBuf>, Error> {
    if world.restarts_together() && request.out.is_none() && request.resume.is_none() {
        return Err(Error::RestartWithoutFolder);
    }
    let agreed = world.follow_rank_0("folder", wanted(request, world.restarts()))?;
    // After a restart, only rank 0 may find a folder. Otherwise all ranks were typed the same command.
    if agreed.is_some() != request.resume.is_some() && !world.restarts() {
        let begins = |resumes: bool| if resumes { "resumes (--resume)" } else { "begins anew" };
        let (of_rank_0, own) = (begins(agreed.is_some()), begins(request.resume.is_some()));
        return Err(Error::OtherRank(vec![format!("rank 0 {of_rank_0}, this rank {own}")]));
    }
    Ok(agreed)
}

/// The folder that this rank would resume: the one that was typed, or, where a launcher `restarts` runs, the new run's if
/// it has been begun.
fn wanted(request: &RunRequest, restarts: bool) -> Option<PathBuf> {
    let begun = request.out.as_ref().filter(|out| restarts && out.join(CONFIG).is_file());
    request.resume.as_ref().or(begun).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::ExitCode;

    #[test]
    fn a_run_whose_checkpoints_are_gone_is_not_trained_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path();
        check_checkpoints(path).unwrap();
        fs::write(path.join(METRICS), "{}\n").unwrap();
        let error = check_checkpoints(path).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::NoCheckpoint);
        assert!(error.to_string().contains("is not there any more"), "{error}");
        fs::create_dir(path.join(CHECKPOINTS)).unwrap();
        check_checkpoints(path).unwrap();
    }

    #[test]
    fn a_restart_finds_the_folder_of_the_run_that_it_began() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().to_path_buf();
        let request = RunRequest { out: Some(out.clone()), ..RunRequest::default() };
        assert_eq!(wanted(&request, true), None, "the first start");
        fs::write(out.join(CONFIG), "").unwrap();
        assert_eq!(wanted(&request, true), Some(out.clone()));
        assert_eq!(
            wanted(&request, false),
            None,
            "a person who repeats a command is refused later"
        );
        let request = RunRequest { resume: Some("other".into()), ..request };
        assert_eq!(wanted(&request, true), Some("other".into()));
    }
}
