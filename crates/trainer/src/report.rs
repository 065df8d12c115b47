//! Reports of runs: each is one HTML page that needs only a browser.

mod advice;
mod axis;
mod chart;
mod check_page;
mod checked;
mod classes;
mod comparison;
mod confusion;
mod curves;
mod error;
mod evaluation_page;
mod first_layer;
mod header;
mod mistakes;
mod number_format;
mod page;
mod provenance;
mod ranking;
mod rates_page;
mod reliability;
mod run_files;
mod run_page;
mod several;
mod spread;

use std::path::{Path, PathBuf};

use self::run_files::Run;
use crate::evaluation::Details;
use crate::whole_file;

pub(crate) use self::checked::{Checked, Fault};
pub(crate) use self::error::Error;
pub(crate) use self::evaluation_page::Measured;
pub(crate) use self::spread::Spread;

/// The name of the page in the folder of a run.
pub(crate) const FILE: &str = "report.html";

/// Writes the report of the run in `folder` to `out`, or else into the folder. Returns its path.
pub(crate) fn write(folder: &Path, out: Option<&Path>) -> Result<PathBuf, Error> {
    let page = run_page::page(&Run::read(folder)?);
    let path = out.map_or_else(|| folder.join(FILE), Path::to_path_buf);
    whole_file::write(&path, &page)?;
    Ok(path)
}

/// Writes the page of weights that were measured into `folder`. Returns its path.
pub(crate) fn write_evaluation(
    details: &Details,
    measured: &Measured,
    folder: &Path,
) -> Result<PathBuf, Error> {
    let path = folder.join(FILE);
    whole_file::write(&path, &evaluation_page::page(details, measured))?;
    Ok(path)
}

/// Writes the page of a search for the learning rate to `out`: the loss at each rate, and the rate where it falls fastest.
pub(crate) fn write_rates(
    points: &[(f64, f64)],
    best: Option<f64>,
    out: &Path,
) -> Result<(), Error> {
    Ok(whole_file::write(out, &rates_page::page(points, best))?)
}

/// Writes the page of a set that was checked to `out`.
pub(crate) fn write_check(checked: &Checked, out: &Path) -> Result<(), Error> {
    Ok(whole_file::write(out, &check_page::page(checked))?)
}

/// Writes the runs in `folders`, side by side, to `out`.
pub(crate) fn compare(folders: &[PathBuf], out: &Path) -> Result<(), Error> {
    let mut runs = folders.iter().map(|folder| Run::read(folder)).collect::<Result<Vec<_>, _>>()?;
    run_files::tell_apart(&mut runs, folders);
    Ok(whole_file::write(out, &comparison::page(&runs, &[]))?)
}

/// Writes the runs of a cross-validation, in `folders`, to `out`, with the spread of each figure.
pub(crate) fn cross_validation(
    folders: &[PathBuf],
    spreads: &[Spread],
    out: &Path,
) -> Result<(), Error> {
    let runs = folders.iter().map(|folder| Run::read(folder)).collect::<Result<Vec<_>, _>>()?;
    Ok(whole_file::write(out, &comparison::page(&runs, spreads))?)
}
