//! A residual module built from its row of the table.

use sepconv::{
    Activation, BatchNorm2d, Chain, PointwiseConv2d, PointwiseConv2dConfig, SeparableConv2d,
    max_pool2d,
};
use tch::nn;
use torch_ext::{FeatureMap, add};

use crate::{Architecture, Error, Norm, Projection, ResidualRow, SkipFrom, Watcher};

/// Separable convolutions around which a shortcut leads.
#[derive(Debug)]
pub(crate) struct ResidualModule {
    /// `blockN`, as in the checkpoint.
    pub(crate) name: String,
    pub(crate) opens_with: Activation,
    pub(crate) separables: Vec<(SeparableConv2d, Option<BatchNorm2d>)>,
    pub(crate) shortcut: Option<(PointwiseConv2d, Option<BatchNorm2d>)>,
    pub(crate) skip_from: SkipFrom,
    pub(crate) stride: i64,
    pub(crate) pool_padding: sepconv::Padding,
}

/// The place of the `index`-th separable convolution in a module's `rep` list; its norm has the place after.
///
/// The published class lays ReLU, convolution and norm out in threes and cuts the first ReLU off where a module
/// does not open with one.
pub(crate) fn rep_place(opens_with: Activation, index: usize) -> usize {
    3 * index + if opens_with == Activation::None { 0 } else { 1 }
}

impl ResidualModule {
    /// The module of the table's `number`-th stored row, its variables under `path / "blockN"`.
    pub(crate) fn new(
        path: &nn::Path,
        number: usize,
        c_in: i64,
        row: &ResidualRow,
        table: &Architecture,
    ) -> Result<Self, Error> {
        let name = format!("block{number}");
        let path = &(path / &name);
        let rep = path / "rep";
        let inputs = std::iter::once(&c_in).chain(&row.widths);
        let mut separables = Vec::new();
        for (index, (&c_in, &c_out)) in inputs.zip(&row.widths).enumerate() {
            let place = rep_place(row.opens_with, index);
            let norm = match row.norm {
                Norm::Batch => {
                    Some(BatchNorm2d::new(&(&rep / (place + 1)), c_out, table.batch_norm)?)
                }
                Norm::None => None,
            };
            separables
                .push((SeparableConv2d::new(&(&rep / place), c_in, c_out, table.separable)?, norm));
        }
        let shortcut =
            if row.projects(c_in) { Some(project(path, c_in, row, table)?) } else { None };
        Ok(Self {
            name,
            opens_with: row.opens_with,
            separables,
            shortcut,
            skip_from: table.skip_from,
            stride: row.stride,
            pool_padding: table.pool_padding,
        })
    }

    /// What the `index`-th separable convolution is called in the checkpoint.
    pub(crate) fn separable_name(&self, index: usize) -> String {
        format!("{}.rep.{}", self.name, rep_place(self.opens_with, index))
    }

    /// What the shortcut is called in the checkpoint.
    pub(crate) fn shortcut_name(&self) -> String {
        format!("{}.skip", self.name)
    }

    /// `[N, c_in, H, W]` to `[N, c_out, H / stride, W / stride]`.
    pub(crate) fn forward(&self, xs: FeatureMap, train: bool, watcher: &Watcher) -> FeatureMap {
        let opened = self.opens_with.on(xs.shallow_clone());
        let skip = match self.skip_from {
            SkipFrom::Input => xs,
            SkipFrom::Activated => opened.shallow_clone(),
        };
        let skip = match &self.shortcut {
            Some((conv, norm)) => {
                let skip = skip.through(conv, train).through(norm, train);
                watcher.hears(|| self.shortcut_name(), skip)
            }
            None => skip,
        };
        let mut ys = opened;
        for (index, (separable, norm)) in self.separables.iter().enumerate() {
            let activation = if index == 0 { Activation::None } else { Activation::Relu };
            ys = activation.on(ys).through(separable, train).through(norm, train);
            ys = watcher.hears(|| self.separable_name(index), ys);
        }
        if self.stride != 1 {
            ys = max_pool2d(&ys, 3, self.stride, self.pool_padding).into();
        }
        watcher.hears(|| self.name.clone(), add(&ys, &skip).into())
    }
}

fn project(
    path: &nn::Path,
    c_in: i64,
    row: &ResidualRow,
    table: &Architecture,
) -> Result<(PointwiseConv2d, Option<BatchNorm2d>), Error> {
    let config = PointwiseConv2dConfig {
        stride: [row.stride; 2],
        bias: table.projection.bias(),
        init: table.init,
    };
    let norm = match table.projection {
        Projection::Normalized => {
            Some(BatchNorm2d::new(&(path / "skipbn"), row.c_out(), table.batch_norm)?)
        }
        Projection::Biased => None,
    };
    Ok((PointwiseConv2d::new(&(path / "skip"), c_in, row.c_out(), config)?, norm))
}
