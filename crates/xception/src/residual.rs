//! A residual module built from its row of the table.

use sepconv::{
    Activation, BatchNorm2d, Chain, PointwiseConv2d, PointwiseConv2dConfig, SeparableConv2d,
    max_pool2d,
};
use tch::{Kind, Tensor, nn};
use torch_ext::{FeatureMap, add};

use crate::names::at;
use crate::{
    Architecture, Downsampling, Error, Norm, NormPlace, Projection, ResidualRow, Shortcut,
    SkipFrom, Watcher,
};

/// Separable convolutions around which a shortcut leads.
#[derive(Debug)]
pub(crate) struct ResidualModule {
    /// `blockN` or `blocks.N`, as in the checkpoint.
    pub(crate) name: String,
    pub(crate) opens_with: Activation,
    pub(crate) steps: Vec<SeparableStep>,
    pub(crate) shortcut: Option<Projected>,
    pub(crate) adds: Shortcut,
    pub(crate) skip_from: SkipFrom,
    /// Of the max-pool at the end; 1 where there is none.
    pub(crate) pool_stride: i64,
    pub(crate) pool_padding: sepconv::Padding,
    /// What of this module is a level of the feature pyramid.
    level: Option<Level>,
    /// Probability with which training leaves the separable convolutions of an image out.
    pub(crate) drop_path: f64,
}

/// A separable convolution and its normalisation.
#[derive(Debug)]
pub(crate) struct SeparableStep {
    /// What it is called in the checkpoint.
    pub(crate) name: String,
    pub(crate) norm_ahead: Option<BatchNorm2d>,
    pub(crate) separable: SeparableConv2d,
    pub(crate) norm_after: Option<BatchNorm2d>,
}

/// A shortcut that changes shape.
#[derive(Debug)]
pub(crate) struct Projected {
    /// What its convolution is called in the checkpoint.
    pub(crate) name: String,
    pub(crate) conv: PointwiseConv2d,
    pub(crate) norm: Option<BatchNorm2d>,
}

/// What of a module is a level of the feature pyramid: the last that is seen at the size of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// What its first separable convolution reads.
    FirstInput,
    /// What its last one is made from: activated, or not yet normalised where norms stand ahead.
    LastInput,
}

impl ResidualModule {
    /// The module of the table's `number`-th stored row.
    pub(crate) fn new(
        path: &nn::Path,
        number: usize,
        c_in: i64,
        row: &ResidualRow,
        table: &Architecture,
    ) -> Result<Self, Error> {
        let name = table.names.module(number);
        let inputs = std::iter::once(&c_in).chain(&row.widths);
        let step = |(index, (&c_in, &c_out)): (usize, (&i64, &i64))| -> Result<_, Error> {
            let separable_name = table.names.separable(&name, row, index);
            let norm = |place: NormPlace, channels: i64| {
                if row.norm == Norm::None || table.norm_place != place {
                    return Ok(None);
                }
                let name = table.names.separable_norm(&name, row, index, place);
                BatchNorm2d::new(&at(path, &name), channels, table.batch_norm).map(Some)
            };
            let config = row.separable(index, table);
            Ok(SeparableStep {
                norm_ahead: norm(NormPlace::Ahead, c_in)?,
                separable: SeparableConv2d::new(&at(path, &separable_name), c_in, c_out, config)?,
                norm_after: norm(NormPlace::After, c_out)?,
                name: separable_name,
            })
        };
        let steps = inputs.zip(&row.widths).enumerate().map(step).collect::<Result<Vec<_>, _>>()?;
        let shortcut = match row.projects(c_in) {
            true => Some(Projected::new(path, &name, c_in, row, table)?),
            false => None,
        };
        let level = row.ends_level.then_some(match table.downsampling {
            Downsampling::MaxPool => Level::FirstInput,
            Downsampling::LastSeparable => Level::LastInput,
        });
        Ok(Self {
            name,
            opens_with: row.opens_with,
            steps,
            shortcut,
            adds: row.shortcut,
            skip_from: table.skip_from,
            pool_stride: match table.downsampling {
                Downsampling::MaxPool => row.stride,
                Downsampling::LastSeparable => 1,
            },
            pool_padding: table.pool_padding,
            level,
            drop_path: 0.0,
        })
    }

    /// `[N, c_in, H, W]` to `[N, c_out, H / stride, W / stride]`; `level` is given what is a level of the pyramid.
    pub(crate) fn forward(
        &self,
        xs: FeatureMap,
        train: bool,
        watcher: &Watcher,
        level: &mut impl FnMut(FeatureMap),
    ) -> FeatureMap {
        let first = &self.steps[0];
        let opened = self.opens_with.on(xs.shallow_clone().through(&first.norm_ahead, train));
        let skip = match self.skip_from {
            SkipFrom::Input => xs,
            SkipFrom::Activated => opened.shallow_clone(),
        };
        let skip = match &self.shortcut {
            Some(Projected { name, conv, norm }) => {
                let skip = skip.through(conv, train).through(norm, train);
                watcher.hears(|| name.clone(), skip)
            }
            None => skip,
        };
        if self.level == Some(Level::FirstInput) {
            level(opened.shallow_clone());
        }
        let last = self.steps.len() - 1;
        let mut ys = opened;
        for (index, step) in self.steps.iter().enumerate() {
            let ends = self.level == Some(Level::LastInput) && index == last;
            if ends && step.norm_ahead.is_some() {
                level(ys.shallow_clone());
            }
            if index > 0 {
                ys = Activation::Relu.on(ys.through(&step.norm_ahead, train));
            }
            if ends && step.norm_ahead.is_none() {
                level(ys.shallow_clone());
            }
            ys = ys.through(&step.separable, train).through(&step.norm_after, train);
            ys = watcher.hears(|| step.name.clone(), ys);
        }
        if self.pool_stride != 1 {
            ys = max_pool2d(&ys, 3, self.pool_stride, self.pool_padding).into();
        }
        match self.adds {
            Shortcut::Sum => {
                let ys = self.dropped(ys, train);
                watcher.hears(|| self.name.clone(), add(&ys, &skip).into())
            }
            Shortcut::None if self.pool_stride != 1 => watcher.hears(|| self.name.clone(), ys),
            Shortcut::None => ys,
        }
    }

    /// In training, nothing in place of `ys` for some of the images, and the others scaled up: stochastic depth (Huang
    /// et al. 2016). timm: `DropPath`.
    fn dropped(&self, ys: FeatureMap, train: bool) -> FeatureMap {
        if self.drop_path == 0.0 || !train {
            return ys;
        }
        let ys = ys.resolve();
        let kept = 1.0 - self.drop_path;
        let shape = [ys.size()[0], 1, 1, 1];
        let mask = Tensor::empty(shape, (Kind::Float, ys.device())).bernoulli_p(kept) / kept;
        (&ys * mask.to_kind(ys.kind())).into()
    }
}

impl Projected {
    fn new(
        path: &nn::Path,
        module: &str,
        c_in: i64,
        row: &ResidualRow,
        table: &Architecture,
    ) -> Result<Self, Error> {
        let config = PointwiseConv2dConfig {
            stride: row.stride,
            bias: table.projection.bias(),
            init: table.init,
        };
        let norm = match table.projection {
            Projection::Normalized => {
                let path = at(path, &table.names.shortcut_norm(module));
                Some(BatchNorm2d::new(&path, row.c_out(), table.batch_norm)?)
            }
            Projection::Biased | Projection::Bare => None,
        };
        let name = table.names.shortcut(module, table.projection);
        let conv = PointwiseConv2d::new(&at(path, &name), c_in, row.c_out(), config)?;
        Ok(Self { name, conv, norm })
    }
}
