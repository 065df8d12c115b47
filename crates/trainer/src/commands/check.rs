//! `xception check`: looks for faults in a data set before hours are spent on it.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

mod text;

use std::path::{Path, PathBuf};
use std::thread;

use clap::Args;
use datasets::{AuditOptions, Part};

use super::{output, print};
use crate::commands::{Error, Refusal};
use crate::console::log;
use crate::console::progress::Progress;
use crate::data::{Data, DataSpec};
use crate::label_names;
use crate::report::{self, Checked};

/// Flags of `xception check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The images: folder:DIR, csv:FILE, parquet:DIR, shards:DIR, cifar10[:DIR], cifar100[:DIR], synthetic or
    /// synthetic-multi
    #[arg(value_name = "DATA")]
    pub data: String,
    /// Images with a shorter side than this are tiny: the side of the network's input, in pixels [default: 299, that of
    /// preset xception; 0 for images in memory]
    #[arg(long, value_name = "PIXELS")]
    pub side: Option<u32>,
    /// Bits of 64 in which the difference hashes of near duplicates may differ; 0 finds images of one look only
    #[arg(long, value_name = "BITS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(..=16))]
    pub distance: u32,
    /// Threads that read images [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub workers: Option<u32>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Write a page with the images in question
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// End with exit code 3 if there are faults
    #[arg(long)]
    pub strict: bool,
}

/// The side of the input of preset xception, in pixels.
const SIDE: u32 = 299;

pub(super) fn run(arguments: &CheckArgs) -> Result<(), Error> {
    let html = arguments.html.as_deref().map(|out| output::place(out, [])).transpose()?;
    let spec: DataSpec = arguments.data.parse()?;
    let (data, remark) = Data::to_check(&spec)?;
    let side = arguments.side.unwrap_or(if data.is_files() { SIDE } else { 0 });
    let workers = match arguments.workers {
        Some(workers) => workers as usize,
        None => thread::available_parallelism().map_or(1, usize::from),
    };
    let options = AuditOptions { side: side as usize, distance: arguments.distance, workers };
    let parts: Vec<Part> = data
        .parts()
        .into_iter()
        .filter(|(_, images)| !images.is_empty())
        .map(|(name, images)| Part { name, images })
        .collect();
    let images: usize = parts.iter().map(|part| part.images.len()).sum();
    let progress = Progress::new(images as u64, log::audience());
    progress.prefix("reading images".to_string());
    let findings =
        datasets::audit(&parts, options, &|images| progress.update(images, String::new()));
    drop(progress);
    let labels = label_names::remark(&parts);
    let remarks = data.skipped.iter().cloned().chain(remark).chain(labels).collect();
    let checked =
        Checked { name: data.name.clone(), held: data.held, side, parts, findings, remarks };
    if let Some(out) = &html {
        report::write_check(&checked, out)?;
    }
    if arguments.json {
        print(&format!("{:#}", checked.to_json()))?;
    } else {
        print(&text::table(&checked))?;
        page_line(html.as_deref())?;
    }
    match checked.faults().len() {
        0 => Ok(()),
        _ if !arguments.strict => Ok(()),
        kinds => Err(Refusal::Faults { data: data.name, kinds }.into()),
    }
}

fn page_line(html: Option<&Path>) -> Result<(), Error> {
    html.map_or(Ok(()), |path| print(&format!("page: {}", path.display())))
}
