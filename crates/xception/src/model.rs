//! The one model definition: builds what an [`Architecture`] says, under the published checkpoint's names.

use sepconv::{BatchNorm2d, Chain, Conv2d, Conv2dConfig, Padding, SeparableConv2d};
use tch::{Device, Kind, Tensor, nn, nn::ModuleT};
use torch_ext::FeatureMap;

use crate::names::at;
use crate::residual::ResidualModule;
use crate::{
    Architecture, Error, FullyConnected, MiddleWeights, Norm, NormPlace, StemConv, Watcher,
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
    pub(crate) exit_flow: Vec<ResidualModule>,
    pub(crate) exit_separables: Vec<Normed<SeparableConv2d>>,
    /// Each with a ReLU behind it.
    pub(crate) fully_connected: Vec<nn::Linear>,
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
            Norm::Batch => BatchNorm2d::new(&at(path, name), channels, table.batch_norm).map(Some),
            Norm::None => Ok(None),
        };
        let names = table.names;

        let mut c_in = table.c_in;
        let mut stem = Vec::new();
        for (number, conv) in (1..).zip(&table.stem) {
            let name = names.stem_conv(number, conv.norm);
            let layer = Conv2d::new(&at(path, &name), c_in, conv.c_out, stem_config(conv, table))?;
            stem.push((layer, norm(&names.stem_norm(number), conv.norm, conv.c_out)?));
            c_in = conv.c_out;
        }

        let mut modules = Vec::new();
        for (number, row) in table.stored_rows() {
            modules.push(ResidualModule::new(path, number, c_in, row, table)?);
            c_in = row.c_out();
        }
        let exit_flow = modules.split_off(modules.len() - table.exit_flow.len());
        let middle_flow = modules.split_off(table.entry_flow.len());

        let mut exit_separables = Vec::new();
        for (number, &c_out) in (3..).zip(&table.exit_separables.widths) {
            let path = path / format!("conv{number}");
            let layer = SeparableConv2d::new(&path, c_in, c_out, table.separable)?;
            let norm = norm(&format!("bn{number}"), table.exit_separables.norm, c_out)?;
            exit_separables.push((layer, norm));
            c_in = c_out;
        }

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
                fully_connected.push(linear(&names.fully_connected(index), c_in, width));
                c_in = width;
            }
        }
        let head = linear(names.head(), c_in, classes);
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
            fully_connected,
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

    /// The same network, which in training leaves the separable convolutions of a module out for some of the images:
    /// for none in the first module, for a part of `probability` in the last, and in between in proportion.
    ///
    /// Stochastic depth (Huang et al. 2016). timm: `drop_path_rate` of the aligned networks.
    ///
    /// # Errors
    /// A probability outside [0, 1), or modules that share their weights, which no two probabilities fit.
    pub fn with_drop_path(mut self, probability: f64) -> Result<Self, Error> {
        let refuse = |accepted| {
            Err(Error::Option { option: "drop_path", accepted, value: probability.to_string() })
        };
        if !(0.0..1.0).contains(&probability) {
            return refuse("at least 0 and below 1");
        }
        if self.middle_passes > 1 && probability > 0.0 {
            return refuse("0 where the middle modules share their weights");
        }
        let modules = self.entry_flow.len() + self.middle_flow.len() + self.exit_flow.len();
        let all =
            self.entry_flow.iter_mut().chain(&mut self.middle_flow).chain(&mut self.exit_flow);
        for (index, module) in all.enumerate() {
            module.drop_path = probability * index as f64 / (modules - 1).max(1) as f64;
        }
        Ok(self)
    }

    /// The feature map ahead of the global pool: `[N, C, H, W]` to `[N, C', H / 32, W / 32]` in the published network.
    pub fn features_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.features_watched(xs, train, &Watcher::default())
    }

    /// As [`Self::features_t`], telling `watcher` of every layer, now and in the backward pass.
    pub fn features_watched(&self, xs: &Tensor, train: bool, watcher: &Watcher) -> Tensor {
        let features = self.walked(xs, train, watcher, &mut |_| {});
        self.table.exit_separables.closes_with.on(features).resolve()
    }

    /// The feature pyramid: what the network last makes of the image at every size, largest first, and at the end
    /// what [`Self::features_t`] gives. In the published network five maps of 64, 128, 256, 728 and 2048 channels, 2,
    /// 4, 8, 16 and 32 times smaller than the image.
    ///
    /// timm: `features_only=True`. Where norms stand ahead, the maps are not yet normalised nor activated, the last one
    /// too.
    pub fn pyramid_t(&self, xs: &Tensor, train: bool) -> Vec<Tensor> {
        let mut levels = Vec::new();
        let features =
            self.walked(xs, train, &Watcher::default(), &mut |map| levels.push(map.resolve()));
        levels.push(match self.table.norm_place {
            NormPlace::After => self.table.exit_separables.closes_with.on(features).resolve(),
            NormPlace::Ahead => features.resolve(),
        });
        levels
    }

    /// From images to the features but for the activation that closes them, which a level of the pyramid may lack.
    fn walked(
        &self,
        xs: &Tensor,
        train: bool,
        watcher: &Watcher,
        level: &mut impl FnMut(FeatureMap),
    ) -> FeatureMap {
        let middle = (0..self.middle_passes).flat_map(|_| &self.middle_flow);
        let modules = self.entry_flow.iter().chain(middle).chain(&self.exit_flow);
        let stem = (1..).zip(self.stem.iter().zip(&self.table.stem));
        let xs = stem.fold(FeatureMap::from(xs), |xs, (number, ((conv, norm), row))| {
            let ys = xs.through(conv, train).through(norm, train);
            let ys = watcher.hears(|| self.table.names.stem_conv(number, row.norm), ys);
            row.activation.on(ys)
        });
        let xs = modules.fold(xs, |xs, module| module.forward(xs, train, watcher, level));
        let openings = std::iter::once(self.table.exit_separables.opens_with)
            .chain(std::iter::repeat(sepconv::Activation::Relu));
        let separables = (3..).zip(self.exit_separables.iter().zip(openings));
        separables.fold(xs, |xs, (number, ((separable, norm), activation))| {
            let ys = activation.on(xs).through(separable, train).through(norm, train);
            watcher.hears(|| format!("conv{number}"), ys)
        })
    }

    /// Global pool and linear layer: `[N, C, h, w]` to logits `[N, classes]`, in the weights' kind.
    pub fn logits(&self, features: &Tensor) -> Tensor {
        self.logits_t(features, false)
    }

    /// As [`Self::logits`], in training with the dropout that the network was given.
    pub fn logits_t(&self, features: &Tensor, train: bool) -> Tensor {
        let pooled = self.pooled(features);
        let kept = if self.dropout > 0.0 { pooled.dropout(self.dropout, train) } else { pooled };
        let layers = self.fully_connected.iter();
        layers.fold(kept, |xs, layer| xs.apply(layer).relu()).apply(&self.head)
    }

    /// The global pool: `[N, C, h, w]` to `[N, C]`, in the weights' kind. timm: `forward_head(pre_logits=True)`.
    pub fn pooled(&self, features: &Tensor) -> Tensor {
        self.table.global_pool.of(features, self.kind())
    }

    /// Where the weights live, and the images must.
    pub fn device(&self) -> Device {
        self.head.ws.device()
    }

    /// The kind of the weights.
    pub fn kind(&self) -> Kind {
        self.head.ws.kind()
    }
}

impl ModuleT for Xception {
    /// Images `[N, 3, H, W]` to logits `[N, classes]`.
    ///
    /// The feature maps are of the kind of the images: bf16 images compute in bf16 on fp32 weights.
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.logits_t(&self.features_t(xs, train), train)
    }
}

/// The convolution that a stem row asks for.
fn stem_config(conv: &StemConv, table: &Architecture) -> Conv2dConfig {
    Conv2dConfig {
        stride: conv.stride,
        padding: Padding::Explicit(conv.padding),
        bias: conv.bias,
        init: table.init,
        ..Default::default()
    }
}
