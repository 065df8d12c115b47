//! `xception compare`: Xception and Inception V3 under one recipe on the same images, as in the paper's table 1 and 3.
//!
//! Both take the training step of `xception train`, in fp32, without checkpoints: the two differ in the network alone.

mod contender;
mod inception;
mod table;
mod terms;
mod trial;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use self::contender::Contender;
use super::print;
use crate::commands::{Error, Refusal};
use crate::data::{Data, DataSpec, stand_in_banner};
use crate::ranks::World;
use crate::recipe::{Recipe, Request};
use crate::whole_file;

/// Flags of `xception compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The recipe of both; images must have 75 pixels or more, which [[progressive]] can bring them to
    #[arg(long, value_name = "NAME|FILE", default_value = "compare")]
    pub recipe: String,
    /// As for `xception train`
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// Runs of each network, from seed 0 on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: u64,
    /// Change one value of the recipe; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Keep the figures here
    #[arg(short, long, value_name = "OUT.json")]
    pub out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(arguments: &CompareArgs) -> Result<(), Error> {
    let recipe = Recipe::resolve(&Request {
        recipe: Some(arguments.recipe.clone()),
        data: arguments.data.clone(),
        set: arguments.set.clone(),
        ..Request::default()
    })?;
    terms::check(&recipe, &arguments.recipe, arguments.out.as_deref())?;
    let data = Data::load(&recipe.data.parse::<DataSpec>()?, &World::single())?;
    if data.train.is_multi_label() {
        return Err(Refusal::ComparesOneLabel { data: data.name }.into());
    }
    terms::check_sides(&recipe, data.train.size())?;
    if data.stands_in {
        tracing::warn!("\n{}", stand_in_banner());
    }
    let mut rows = Vec::new();
    for contender in Contender::BOTH {
        let mut measured = Vec::new();
        for seed in 0..arguments.seeds {
            let recipe = Recipe { seed, ..recipe.clone() };
            measured.push(trial::run(contender, &recipe, &data)?);
        }
        rows.push(table::row(contender, &measured));
    }
    let document = json!({ "data": data.name, "epochs": recipe.epochs, "networks": rows });
    if let Some(out) = &arguments.out {
        whole_file::write(&super::output::place(out, [])?, &format!("{document:#}\n"))?;
    }
    print(&if arguments.json { format!("{document:#}") } else { table::text(&document) })
}
