//! The one model definition: builds what an [`Architecture`] says, under the published checkpoint's names.

use sepconv::{BatchNorm2d, Chain, Conv2d, Conv2dConfig, Padding, SeparableConv2d};
use tch::{Device, Kind, Tensor, nn, nn::ModuleT};
use torch_ext::FeatureMap;

use crate::{
    Architecture, Error, MiddleWeights, Norm, StemConv, Watcher, residual::ResidualModule,
};

/// A convolution and the normalisation after it.
pub(crate) type Normed<Conv> = (Conv, Option<BatchNorm2d>);

/// An Xception.
#[derive(Debug)]
pub struct Xception {
    pub(crate) stem: Vec<Normed<Conv2d>>,
    pub(crate) entry_flow: Vec<ResidualModule>,
    pub(crate) middle_flow: Vec<ResidualModule>,
    /// Times that the stored middle modules are gone through.
    pub(crate) middle_passes: usize,
    pub(crate) exit_flow: ResidualModule,
    pub(crate) exit_separables: Vec<Normed<SeparableConv2d>>,
    pub(crate) head: nn::Linear,
    /// Probability with which training blanks each of the head's inputs.
    dropout: f64,
    pub(crate) table: Architecture,
}

impl Xception {
    /// Builds the network with `classes` logits, its variables under `path`.
    pub fn new(path: &nn::Path, table: &Architecture, classes: i64) -> Result<Self, Error> {
        if classes < 1 {
            return Err(Error::Option {
                option: "classes",
                accepted: "at least 1",
                value: classes.to_string(),
            });
        }
        let norm = |name: &str, norm: Norm, channels: i64| match norm {
            Norm::Batch => BatchNorm2d::new(&(path / name), channels, table.batch_norm).map(Some),
            Norm::None => Ok(None),
        };

        let mut c_in = 3;
        let mut stem = Vec::new();
        for (number, conv) in (1..).zip(&table.stem) {
            let layer = Conv2d::new(
                &(path / format!("conv{number}")),
                c_in,
                conv.c_out,
                stem_config(conv, table),
            )?;
            stem.push((layer, norm(&format!("bn{number}"), conv.norm, conv.c_out)?));
            c_in = conv.c_out;
        }

        let mut modules = Vec::new();
        for (number, row) in table.stored_rows() {
            modules.push(ResidualModule::new(path, number, c_in, row, table)?);
            c_in = row.c_out();
        }
        let exit_flow = modules.pop().expect("the exit flow is a stored row");
        let middle_flow = modules.split_off(table.entry_flow.len());

        let exit = table.exit_separables;
        let mut exit_separables = Vec::new();
        for (number, c_out) in (3..).zip(exit.widths) {
            let layer = SeparableConv2d::new(
                &(path / format!("conv{number}")),
                c_in,
                c_out,
                table.separable,
            )?;
            exit_separables.push((layer, norm(&format!("bn{number}"), exit.norm, c_out)?));
            c_in = c_out;
        }

        let fc = path / "fc";
        let head = nn::Linear {
            ws: table.head_init.weight(&fc, "weight", &[classes, c_in]),
            bs: Some(table.head_init.bias(&fc, "bias", classes, c_in)),
        };
        let middle_passes = match table.middle_flow.weights {
            MiddleWeights::Separate => 1,
            MiddleWeights::Shared => table.middle_flow.repeats as usize,
        };
        let table = table.clone();
        Ok(Self {
            stem,
            entry_flow: modules,
            middle_flow,
            middle_passes,
            exit_flow,
            exit_separables,
            head,
            dropout: 0.0,
            table,
        })
    }

    /// The same network, which in training blanks each input of its head with `probability` and scales the others up.
    ///
    /// The paper trains with 0.5 on ImageNet and with none on JFT (section 4.3). PyTorch: `nn.Dropout` ahead of `fc`.
    pub fn with_dropout(self, probability: f64) -> Result<Self, Error> {
        if !(0.0..1.0).contains(&probability) {
            return Err(Error::Option {
                option: "dropout",
                accepted: "at least 0 and below 1",
                value: probability.to_string(),
            });
        }
        Ok(Self { dropout: probability, ..self })
    }

    /// The feature map ahead of the global pool: `[N, 3, H, W]` to `[N, C, H / 32, W / 32]` in the published network.
    pub fn features_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.features_watched(xs, train, &Watcher::default())
    }

    /// As [`Self::features_t`], telling `watcher` of every layer, now and in the backward pass.
    pub fn features_watched(&self, xs: &Tensor, train: bool, watcher: &Watcher) -> Tensor {
        let middle = (0..self.middle_passes).flat_map(|_| &self.middle_flow);
        let modules = self.entry_flow.iter().chain(middle).chain([&self.exit_flow]);
        let stem = (1..).zip(&self.stem);
        let xs = stem.fold(FeatureMap::from(xs), |xs, (number, (conv, norm))| {
            let ys = xs.through(conv, train).through(norm, train);
            watcher.hears(|| format!("conv{number}"), ys).relu()
        });
        let xs = modules.fold(xs, |xs, module| module.forward(xs, train, watcher));
        let exit = self.table.exit_separables;
        let activations = [exit.opens_with, sepconv::Activation::Relu];
        let separables = (3..).zip(self.exit_separables.iter().zip(activations));
        let xs = separables.fold(xs, |xs, (number, ((separable, norm), activation))| {
            let ys = activation.on(xs).through(separable, train).through(norm, train);
            watcher.hears(|| format!("conv{number}"), ys)
        });
        exit.closes_with.on(xs).resolve()
    }

    /// Global average pool and linear layer: `[N, C, h, w]` to logits `[N, classes]`, in the weights' kind.
    pub fn logits(&self, features: &Tensor) -> Tensor {
        self.logits_t(features, false)
    }

    /// As [`Self::logits`], in training with the dropout that the network was given.
    pub fn logits_t(&self, features: &Tensor, train: bool) -> Tensor {
        let pooled = features.mean_dim([2_i64, 3].as_slice(), false, self.kind());
        let kept = if self.dropout > 0.0 { pooled.dropout(self.dropout, train) } else { pooled };
        kept.apply(&self.head)
    }

    /// Where the weights live, and the pictures must.
    pub fn device(&self) -> Device {
        self.head.ws.device()
    }

    /// The kind of the weights.
    pub fn kind(&self) -> Kind {
        self.head.ws.kind()
    }
}

impl ModuleT for Xception {
    /// Pictures `[N, 3, H, W]` to logits `[N, classes]`.
    ///
    /// The feature maps are of the kind of the pictures: bf16 pictures compute in bf16 on fp32 weights.
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.logits_t(&self.features_t(xs, train), train)
    }
}

/// The convolution that a stem row asks for.
fn stem_config(conv: &StemConv, table: &Architecture) -> Conv2dConfig {
    Conv2dConfig {
        stride: [conv.stride; 2],
        padding: Padding::Explicit([conv.padding; 2]),
        bias: conv.bias,
        init: table.init,
        ..Default::default()
    }
}
