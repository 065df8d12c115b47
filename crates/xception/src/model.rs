//! The one model definition: builds the layers of an [`Architecture`] under the published checkpoint's names.

mod build;
mod maps;

use std::collections::BTreeMap;

use sepconv::{Activation, Chain, Conv2d, ConvBn, Layer, SeparableConv2d};
use tch::{Device, Kind, Tensor, nn, nn::ModuleT};
use torch_ext::FeatureMap;

use crate::architecture::Architecture;
use crate::hook::Hook;
use crate::images::{Images, check_maps};
use crate::out_of_range::OutOfRange;
use crate::residual::ResidualModule;
use crate::vocabulary::NormPlace;

pub use build::BuildError;

/// An Xception (Chollet, CVPR 2017).
///
/// On a CPU there is no second derivative: its kernels have a backward pass, and that has none. timm:
/// `legacy_xception`, `xception41`, …; Keras: `applications.Xception`.
#[derive(Debug)]
pub struct Xception {
    stem: Vec<Stage<Conv2d>>,
    entry_flow: Vec<ResidualModule>,
    middle_flow: Vec<ResidualModule>,
    /// Number of times that the stored middle modules are applied.
    middle_passes: usize,
    exit_flow: Vec<ResidualModule>,
    exit_separables: Vec<Stage<SeparableConv2d>>,
    /// Each with a ReLU after it.
    fully_connected: Vec<nn::Linear>,
    head: nn::Linear,
    /// Probability with which training drops each of the head's inputs.
    dropout: f64,
    table: Architecture,
    images: Images,
    /// Every variable by its name, as the layers hold it.
    variables: BTreeMap<String, Tensor>,
}

/// A convolution in no module, with the activations before and after it.
#[derive(Debug)]
struct Stage<C> {
    opens_with: Activation,
    conv: ConvBn<C>,
    closes_with: Activation,
}

impl<C: Layer> Stage<C> {
    fn forward(&self, xs: FeatureMap, train: bool, hook: &Hook) -> FeatureMap {
        let ys = self.opens_with.on(xs).through(&self.conv, train);
        self.closes_with.on(hook.on(&self.conv.name, ys))
    }
}

impl Xception {
    /// The same network, which in training drops each input of its head with `probability` and scales the others up.
    ///
    /// The paper trains with 0.5 on ImageNet and with none on JFT (section 4.3). PyTorch: `nn.Dropout` before `fc`.
    ///
    /// # Errors
    /// A probability outside [0, 1).
    pub fn with_dropout(self, probability: f64) -> Result<Self, OutOfRange> {
        check_probability("dropout", probability)?;
        Ok(Self { dropout: probability, ..self })
    }

    /// The same network, which in training drops the separable convolutions of a module for some of the images. The
    /// probability is 0 in the first module, `probability` in the last, and linear in between.
    ///
    /// Stochastic depth (Huang et al. 2016). timm: `drop_path_rate` of the aligned networks.
    ///
    /// # Errors
    /// A probability outside [0, 1); one above 0 where modules share their weights, since no single one fits them all.
    pub fn with_drop_path(mut self, probability: f64) -> Result<Self, OutOfRange> {
        check_probability("drop_path", probability)?;
        if self.middle_passes > 1 && probability > 0.0 {
            let accepted = "0 where the middle modules share their weights";
            return Err(OutOfRange::new("drop_path", accepted, probability));
        }
        let modules = self.entry_flow.len() + self.middle_flow.len() + self.exit_flow.len();
        let all =
            self.entry_flow.iter_mut().chain(&mut self.middle_flow).chain(&mut self.exit_flow);
        for (index, module) in all.enumerate() {
            module.drop_path = probability * index as f64 / (modules - 1).max(1) as f64;
        }
        Ok(self)
    }

    /// Images `[N, c_in, H, W]` to logits `[N, classes]`, in evaluation mode and without gradients.
    ///
    /// # Panics
    /// As [`Self::features_t`].
    pub fn logits(&self, images: &Tensor) -> Tensor {
        tch::no_grad(|| self.forward_t(images, false))
    }

    /// Images `[N, c_in, H, W]` to the feature map before the global pool, of the same kind: `[N, 2048, H / 32, W / 32]`
    /// in the published network. timm: `forward_features`.
    ///
    /// On a CPU the map is channels-last in memory.
    ///
    /// # Panics
    /// Images that are not floating-point numbers, have other channels, are too small, or are on another device than the
    /// weights; the message says what was expected.
    pub fn features_t(&self, images: &Tensor, train: bool) -> Tensor {
        self.features_with_hook(images, train, &Hook::default())
    }

    /// As [`Self::features_t`]; calls `hook` for every layer, now and in the backward pass.
    ///
    /// # Panics
    /// As [`Self::features_t`].
    pub fn features_with_hook(&self, images: &Tensor, train: bool, hook: &Hook) -> Tensor {
        let features = self.unclosed_features(images, train, hook, &mut |_| {});
        self.table.exit_separables.closes_with.on(features).resolve()
    }

    /// The feature pyramid: the last map of each resolution, largest first, and at the end the map of
    /// [`Self::features_t`]. In the published network these are five maps of 64, 128, 256, 728 and 2048 channels, 2, 4,
    /// 8, 16 and 32 times smaller than the image.
    ///
    /// timm: `features_only=True`. In networks with [`NormPlace::Before`] the maps, the last one included, are neither
    /// normalised nor activated.
    ///
    /// # Panics
    /// As [`Self::features_t`].
    #[must_use]
    pub fn pyramid_t(&self, images: &Tensor, train: bool) -> Vec<Tensor> {
        let mut levels = Vec::new();
        let features = self.unclosed_features(images, train, &Hook::default(), &mut |map| {
            levels.push(map.resolve());
        });
        levels.push(match self.table.norm_place {
            NormPlace::After => self.table.exit_separables.closes_with.on(features).resolve(),
            NormPlace::Before => features.resolve(),
        });
        levels
    }

    /// The features without the activation that closes them, which a level of the pyramid may lack.
    fn unclosed_features(
        &self,
        images: &Tensor,
        train: bool,
        hook: &Hook,
        level: &mut impl FnMut(FeatureMap),
    ) -> FeatureMap {
        self.images.check(images, self.device());
        let middle = (0..self.middle_passes).flat_map(|_| &self.middle_flow);
        let modules = self.entry_flow.iter().chain(middle).chain(&self.exit_flow);
        let xs = FeatureMap::from(images);
        let xs = self.stem.iter().fold(xs, |xs, conv| conv.forward(xs, train, hook));
        let xs = modules.fold(xs, |xs, module| module.forward(xs, train, hook, level));
        self.exit_separables.iter().fold(xs, |xs, separable| separable.forward(xs, train, hook))
    }

    /// Features `[N, C, h, w]` to logits `[N, classes]` in the weights' kind: global pool and linear layers, in evaluation
    /// mode.
    ///
    /// # Panics
    /// As [`Self::pooled`].
    pub fn head(&self, features: &Tensor) -> Tensor {
        self.head_t(features, false)
    }

    /// As [`Self::head`], in training with the dropout of [`Self::with_dropout`]. timm: `forward_head`.
    ///
    /// # Panics
    /// As [`Self::pooled`].
    pub fn head_t(&self, features: &Tensor, train: bool) -> Tensor {
        let pooled = self.pooled(features);
        let kept = if self.dropout > 0.0 { pooled.dropout(self.dropout, train) } else { pooled };
        let layers = self.fully_connected.iter();
        layers.fold(kept, |xs, layer| xs.apply(layer).relu()).apply(&self.head)
    }

    /// Features `[N, C, h, w]` to `[N, C]` in the weights' kind, by the global pool. timm:
    /// `forward_head(pre_logits=True)`.
    ///
    /// # Panics
    /// Features that are not floating-point numbers, have other channels than the last layer gives or no pixels, or are
    /// on another device than the weights.
    pub fn pooled(&self, features: &Tensor) -> Tensor {
        let channels = self.fully_connected.first().unwrap_or(&self.head).ws.size()[1];
        check_maps(features, "features", channels, self.device());
        let size = features.size();
        assert!(size[2] > 0 && size[3] > 0, "expected features of one pixel or more, got {size:?}");
        self.table.global_pool.apply(features, self.kind())
    }

    /// The table that the network was built from.
    #[must_use]
    pub fn architecture(&self) -> &Architecture {
        &self.table
    }

    /// Number of classes: the length of the logits.
    #[must_use]
    pub fn classes(&self) -> i64 {
        self.head.ws.size()[0]
    }

    /// The device of the weights, which the images must be on.
    #[must_use]
    pub fn device(&self) -> Device {
        self.head.ws.device()
    }

    /// The kind of the weights.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.head.ws.kind()
    }

    /// The variable of this name.
    ///
    /// # Panics
    /// A name that the network's outline does not have.
    pub(crate) fn variable(&self, name: &str) -> &Tensor {
        let variable = self.variables.get(name);
        variable.unwrap_or_else(|| panic!("the network has no variable {name}"))
    }

    /// The images that the network takes.
    pub(crate) fn images(&self) -> Images {
        self.images
    }
}

impl ModuleT for Xception {
    /// Images `[N, c_in, H, W]` to logits `[N, classes]` in the weights' kind.
    ///
    /// The feature maps are of the kind of the images: bf16 images compute in bf16 on fp32 weights. An empty batch gives
    /// `[0, classes]`. Panics as [`Xception::features_t`].
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        self.head_t(&self.features_t(xs, train), train)
    }
}

fn check_probability(name: &str, probability: f64) -> Result<(), OutOfRange> {
    if (0.0..1.0).contains(&probability) {
        return Ok(());
    }
    Err(OutOfRange::new(name, "at least 0 and below 1", probability))
}
