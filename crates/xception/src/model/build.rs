//! From the table to the layers.

use std::borrow::Borrow;

use sepconv::{Activation, BatchNorm2d, Conv2d, ConvBn, SeparableConv2d};
use tch::nn;

use super::{Stage, Xception};
use crate::architecture::Architecture;
use crate::images::Images;
use crate::names::at;
use crate::out_of_range::OutOfRange;
use crate::outline::Outline;
use crate::residual::ResidualModule;
use crate::vocabulary::{FullyConnected, Norm};

/// A network that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A value of the table or an option out of range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// A layer that refuses its options.
    #[error(transparent)]
    Layer(#[from] sepconv::Error),
    /// A path that another network has taken. tch would give the second one's variables other names.
    #[error("the path has a variable {name} already; build each network under a path of its own")]
    PathTaken {
        /// The first variable that is there.
        name: String,
    },
}

impl Xception {
    /// Builds the network of `table` with `classes` logits, its variables under `path`.
    ///
    /// # Errors
    /// A table that [`Architecture::validate`] refuses, fewer classes than 1, a layer that cannot be built, or a path with
    /// variables of these names.
    pub fn new<'a>(
        path: impl Borrow<nn::Path<'a>>,
        table: &Architecture,
        classes: i64,
    ) -> Result<Self, BuildError> {
        let path = path.borrow();
        let outline = Outline::new(table, classes)?;
        let names: Vec<String> = outline.variables().into_keys().collect();
        if let Some(name) = names.iter().find(|name| at_variable(path, name).is_some()) {
            return Err(BuildError::PathTaken { name: name.clone() });
        }
        let stem = stem(path, table)?;
        let mut c_in = table.stem[1].c_out;
        let mut modules = Vec::new();
        for (number, row) in table.stored_rows() {
            modules.push(ResidualModule::new(path, number, c_in, row, table)?);
            c_in = row.c_out();
        }
        let exit_flow = modules.split_off(modules.len() - table.exit_flow.len());
        let middle_flow = modules.split_off(table.entry_flow.len());
        let exit_separables = exit_separables(path, table, c_in)?;
        c_in = table.exit_separables.widths.last().copied().unwrap_or(c_in);

        let linear = |name: &str, c_in: i64, c_out: i64| {
            let path = at(path, name);
            nn::Linear {
                ws: table.head_init.weight(&path, "weight", &[c_out, c_in]),
                bs: Some(table.head_init.bias(&path, "bias", c_out, c_in)),
            }
        };
        let mut fully_connected = Vec::new();
        if let Some(FullyConnected { layers, width }) = table.fully_connected {
            for index in 0..layers {
                fully_connected.push(linear(&table.names.fully_connected(index), c_in, width));
                c_in = width;
            }
        }
        let head = linear(table.names.head(), c_in, classes);
        let variable = |name: String| {
            let variable = at_variable(path, &name).expect("the outline names what was built");
            (name, variable)
        };
        Ok(Self {
            stem,
            entry_flow: modules,
            middle_flow,
            middle_passes: table.middle_flow.passes(),
            exit_flow,
            exit_separables,
            fully_connected,
            head,
            dropout: 0.0,
            table: table.clone(),
            images: Images { c_in: table.c_in, smallest_side: outline.smallest_side() },
            variables: names.into_iter().map(variable).collect(),
        })
    }
}

fn stem(path: &nn::Path, table: &Architecture) -> Result<Vec<Stage<Conv2d>>, sepconv::Error> {
    let mut c_in = table.c_in;
    let stages = table.stem.iter().enumerate().map(|(index, row)| {
        let name = table.names.stem_conv(index, row.norm);
        let conv = Conv2d::new(at(path, &name), c_in, row.c_out, row.config(table.init))?;
        let norm = norm(path, &table.names.stem_norm(index), row.norm, row.c_out, table)?;
        c_in = row.c_out;
        let (opens_with, closes_with) = (Activation::None, row.activation);
        Ok(Stage { opens_with, conv: ConvBn::new(name, conv, norm), closes_with })
    });
    stages.collect()
}

fn exit_separables(
    path: &nn::Path,
    table: &Architecture,
    mut c_in: i64,
) -> Result<Vec<Stage<SeparableConv2d>>, sepconv::Error> {
    let exit = &table.exit_separables;
    let stages = exit.widths.iter().enumerate().map(|(index, &c_out)| {
        let name = table.names.exit_separable(index);
        let conv = SeparableConv2d::new(at(path, &name), c_in, c_out, table.separable)?;
        let norm = norm(path, &table.names.exit_norm(index), exit.norm, c_out, table)?;
        c_in = c_out;
        let (opens_with, closes_with) = (exit.opening(index), Activation::None);
        Ok(Stage { opens_with, conv: ConvBn::new(name, conv, norm), closes_with })
    });
    stages.collect()
}

fn norm(
    path: &nn::Path,
    name: &str,
    norm: Norm,
    channels: i64,
    table: &Architecture,
) -> Result<Option<BatchNorm2d>, sepconv::Error> {
    match norm {
        Norm::Batch => BatchNorm2d::new(at(path, name), channels, table.batch_norm).map(Some),
        Norm::None => Ok(None),
    }
}

/// The variable of this name under `path`, the last part of which is the variable's own.
fn at_variable(path: &nn::Path, name: &str) -> Option<tch::Tensor> {
    let (module, variable) = name.rsplit_once('.')?;
    at(path, module).get(variable)
}
