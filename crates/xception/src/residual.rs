//! A residual module built from its row of the table.

use sepconv::{
    Activation, BatchNorm2d, Chain, ConvBn, PointwiseConv2d, SeparableConv2d, max_pool2d,
};
use tch::{Kind, Tensor, nn};
use torch_ext::{FeatureMap, add};

use crate::architecture::{Architecture, ResidualRow};
use crate::hook::Hook;
use crate::names::at;
use crate::vocabulary::{Downsampling, Norm, NormPlace, Projection, Shortcut, SkipFrom};

/// Separable convolutions with a shortcut around them.
#[derive(Debug)]
pub(crate) struct ResidualModule {
    /// `blockN` or `blocks.N`, as in the checkpoint.
    name: String,
    opens_with: Activation,
    steps: Vec<SeparableStep>,
    projection: Option<ConvBn<PointwiseConv2d>>,
    shortcut: Shortcut,
    skip_from: SkipFrom,
    /// Stride of the max-pool at the end; 1 where there is none.
    pool_stride: i64,
    pool_padding: sepconv::Padding,
    /// The map of this module that is a level of the feature pyramid.
    level: Option<Level>,
    /// Probability with which training drops the separable convolutions of an image.
    pub(crate) drop_path: f64,
}

/// A separable convolution and its normalisation, which stands before or after it.
#[derive(Debug)]
struct SeparableStep {
    norm_before: Option<BatchNorm2d>,
    separable: ConvBn<SeparableConv2d>,
}

/// The map of a module that is a level of the feature pyramid: the last one of the size of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The input of its first separable convolution.
    FirstInput,
    /// The input of its last one: activated, or not yet normalised where norms stand before convolutions.
    LastInput,
}

impl ResidualModule {
    /// The module of the table's `number`-th stored row, from 1.
    pub(crate) fn new(
        path: &nn::Path,
        number: usize,
        c_in: i64,
        row: &ResidualRow,
        table: &Architecture,
    ) -> Result<Self, sepconv::Error> {
        let name = table.names.module(number);
        let inputs = std::iter::once(&c_in).chain(&row.widths);
        let steps = inputs.zip(&row.widths).enumerate().map(|(index, (&c_in, &c_out))| {
            SeparableStep::new(path, &name, (index, c_in, c_out), row, table)
        });
        let steps = steps.collect::<Result<_, _>>()?;
        let projection = row.projects(c_in).then(|| projection(path, &name, c_in, row, table));
        let level = row.ends_level.then_some(match table.downsampling {
            Downsampling::MaxPool => Level::FirstInput,
            Downsampling::LastSeparable => Level::LastInput,
        });
        Ok(Self {
            name,
            opens_with: row.opens_with,
            steps,
            projection: projection.transpose()?,
            shortcut: row.shortcut,
            skip_from: table.skip_from,
            pool_stride: row.pool_stride(table),
            pool_padding: table.pool_padding,
            level,
            drop_path: 0.0,
        })
    }

    /// `[N, c_in, H, W]` to `[N, c_out, H / stride, W / stride]`; `level` is called with the module's level of the
    /// pyramid, if it has one.
    pub(crate) fn forward(
        &self,
        xs: FeatureMap,
        train: bool,
        hook: &Hook,
        level: &mut impl FnMut(FeatureMap),
    ) -> FeatureMap {
        let first = &self.steps[0];
        let opened = self.opens_with.on(xs.shallow_clone().through(&first.norm_before, train));
        let skip = match self.skip_from {
            SkipFrom::Input => xs,
            SkipFrom::Activated => opened.shallow_clone(),
        };
        let skip = match &self.projection {
            Some(projection) => hook.on(&projection.name, skip.through(projection, train)),
            None => skip,
        };
        if self.level == Some(Level::FirstInput) {
            level(opened.shallow_clone());
        }
        let last = self.steps.len() - 1;
        let mut ys = opened;
        for (index, step) in self.steps.iter().enumerate() {
            let ends = self.level == Some(Level::LastInput) && index == last;
            if ends && step.norm_before.is_some() {
                level(ys.shallow_clone());
            }
            if index > 0 {
                ys = Activation::Relu.on(ys.through(&step.norm_before, train));
            }
            if ends && step.norm_before.is_none() {
                level(ys.shallow_clone());
            }
            ys = hook.on(&step.separable.name, ys.through(&step.separable, train));
        }
        if self.pool_stride != 1 {
            ys = max_pool2d(&ys, 3, self.pool_stride, self.pool_padding).into();
        }
        match self.shortcut {
            Shortcut::Sum => hook.on(&self.name, add(&self.dropped(ys, train), &skip).into()),
            Shortcut::None if self.pool_stride != 1 => hook.on(&self.name, ys),
            Shortcut::None => ys,
        }
    }

    /// In training, zeros in place of `ys` for some of the images, and the others scaled up: stochastic depth (Huang
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

impl SeparableStep {
    /// The module's `index`-th separable convolution, from 0.
    fn new(
        path: &nn::Path,
        module: &str,
        (index, c_in, c_out): (usize, i64, i64),
        row: &ResidualRow,
        table: &Architecture,
    ) -> Result<Self, sepconv::Error> {
        let name = table.names.separable(module, row.opens_with, index);
        let norm = |place: NormPlace, channels: i64| {
            if row.norm == Norm::None || table.norm_place != place {
                return Ok(None);
            }
            let name = table.names.separable_norm(module, row.opens_with, index, place);
            BatchNorm2d::new(at(path, &name), channels, table.batch_norm).map(Some)
        };
        let config = row.separable(index, table);
        let norm_before = norm(NormPlace::Before, c_in)?;
        let separable = SeparableConv2d::new(at(path, &name), c_in, c_out, config)?;
        let separable = ConvBn::new(name, separable, norm(NormPlace::After, c_out)?);
        Ok(Self { norm_before, separable })
    }
}

/// A shortcut that changes the shape.
fn projection(
    path: &nn::Path,
    module: &str,
    c_in: i64,
    row: &ResidualRow,
    table: &Architecture,
) -> Result<ConvBn<PointwiseConv2d>, sepconv::Error> {
    let norm = match table.projection {
        Projection::Normalized => {
            let path = at(path, &table.names.shortcut_norm(module));
            Some(BatchNorm2d::new(path, row.c_out(), table.batch_norm)?)
        }
        Projection::Biased | Projection::Bare => None,
    };
    let name = table.names.shortcut(module, table.projection);
    let conv = PointwiseConv2d::new(at(path, &name), c_in, row.c_out(), row.projection(table))?;
    Ok(ConvBn::new(name, conv, norm))
}
