//! A network for inference on a CPU: every layer one packed kernel, no gradients, nothing pending.
//!
//! Built once from trained weights, which it copies. It computes what the network computes in evaluation mode, on
//! fp32 or bf16 images, with the normalisations folded into the weights.

use sepconv::{Activation, BatchNorm2d, Chain, max_pool2d};
use tch::nn::Linear;
use tch::{Kind, Tensor};
use torch_ext::{Factors, FeatureMap, FusedOps, PackedConv, PackedConvConfig};

use crate::residual::{Projected, ResidualModule};
use crate::{GlobalPool, Shortcut, SkipFrom, Watcher, Xception};

/// An [`Xception`] that only looks at images.
#[derive(Debug)]
pub struct Inference {
    /// Each with whether a ReLU follows.
    stem: Vec<(Step, bool)>,
    modules: Vec<PackedModule>,
    /// Which modules, in which order: shared weights are gone through again and again.
    order: Vec<usize>,
    /// Each with whether a ReLU comes ahead of it.
    exit_separables: Vec<(Step, bool)>,
    closes_with_relu: bool,
    global_pool: GlobalPool,
    fully_connected: Vec<Step>,
    head: Step,
    kind: Kind,
}

/// Bytes of a layer's input and output that stay in the third-level cache of a server, which others use too.
const MAPS: i64 = 16 << 20;

/// A kernel and what the layer is called in the checkpoint.
#[derive(Debug)]
struct Step {
    name: String,
    conv: PackedConv,
}

impl Step {
    fn run(&self, xs: &Tensor, ops: FusedOps, watcher: &Watcher) -> Tensor {
        let ys = self.conv.run(xs, ops);
        watcher.computed(&self.name);
        ys
    }
}

/// A residual module.
#[derive(Debug)]
struct PackedModule {
    name: String,
    /// A normalisation that no convolution ahead can take in, because the shortcut reads what it gives, too.
    opening_norm: Option<BatchNorm2d>,
    opens_with_relu: bool,
    skip_relu: bool,
    separables: Vec<Step>,
    shortcut: Option<Step>,
    adds: Shortcut,
    pool_stride: i64,
    pool_padding: sepconv::Padding,
}

impl Inference {
    /// Packs the weights of `model` for images of `kind`.
    ///
    /// `None` where the kernels do not serve: other devices and kinds, and tables with ELU or with an activation at the
    /// end of a separable convolution. The model itself does then.
    pub fn new(model: &Xception, kind: Kind) -> Option<Self> {
        if model.device() != tch::Device::Cpu {
            return None;
        }
        let factors = Factors::suited_to(kind)?;
        let table = &model.table;
        let stem = (1..).zip(model.stem.iter().zip(&table.stem)).map(|(number, (layer, row))| {
            let (conv, norm) = layer;
            let name = table.names.stem_conv(number, row.norm);
            let packed = conv.folded(norm.as_ref()).packed(factors).ok();
            Some((step(name, packed)?, is_relu(row.activation)?))
        });
        let stored = model.entry_flow.iter().chain(&model.middle_flow).chain(&model.exit_flow);
        let exit = &table.exit_separables;
        let openings = std::iter::once(exit.opens_with).chain(std::iter::repeat(Activation::Relu));
        let separables = model.exit_separables.iter().zip(openings);
        let (entry, middle) = (model.entry_flow.len(), model.middle_flow.len());
        let passes = (0..model.middle_passes).flat_map(|_| entry..entry + middle);
        let behind = entry + middle..entry + middle + model.exit_flow.len();
        Some(Self {
            stem: stem.collect::<Option<_>>()?,
            modules: stored.map(|module| pack(module, factors)).collect::<Option<_>>()?,
            order: (0..entry).chain(passes).chain(behind).collect(),
            exit_separables: (3..)
                .zip(separables)
                .map(|(number, ((separable, norm), opening))| {
                    let packed = separable.folded(norm.as_ref()).ok()?.packed(factors).ok();
                    Some((step(format!("conv{number}"), packed)?, is_relu(opening)?))
                })
                .collect::<Option<_>>()?,
            closes_with_relu: is_relu(exit.closes_with)?,
            global_pool: table.global_pool,
            fully_connected: (0..)
                .zip(&model.fully_connected)
                .map(|(index, layer)| pack_linear(table.names.fully_connected(index), layer))
                .collect::<Option<_>>()?,
            head: pack_linear(table.names.head().to_string(), &model.head)?,
            kind,
        })
    }

    /// Images `[N, 3, H, W]` of the kind that it was packed for to logits `[N, classes]`, fp32.
    pub fn logits(&self, xs: &Tensor) -> Tensor {
        let watcher = Watcher::default();
        let logits: Vec<Tensor> =
            self.parts(xs).iter().map(|xs| self.logits_watched(xs, &watcher)).collect();
        Tensor::cat(&logits, 0)
    }

    /// `xs` in parts small enough for a layer to find in the cache what the one before it wrote.
    pub fn parts(&self, xs: &Tensor) -> Vec<Tensor> {
        // The maps ahead of the first pool are the largest.
        let stem = self.stem.iter().map(|(step, _)| step);
        let convs = stem.chain(&self.modules[self.order[0]].separables);
        let (mut size, mut largest) = (xs.size(), 1_i64);
        size[0] = 1;
        for Step { conv, .. } in convs {
            let output = conv.output_size(&size);
            let numbers = size.iter().product::<i64>() + output.iter().product::<i64>();
            largest = largest.max(numbers);
            size = output.to_vec();
        }
        let most = (MAPS / (largest * self.kind.elt_size_in_bytes() as i64)).max(1);
        // Parts of one size, as far as that goes.
        let (count, parts) = (xs.size()[0], (xs.size()[0] as u64).div_ceil(most as u64).max(1));
        xs.split((count as u64).div_ceil(parts).max(1) as i64, 0)
    }

    /// As [`Self::logits`], telling `watcher` of every layer, and all images at once.
    pub fn logits_watched(&self, xs: &Tensor, watcher: &Watcher) -> Tensor {
        assert!(
            xs.kind() == self.kind,
            "expected {:?} images, as the weights were packed for, got {:?}",
            self.kind,
            xs.kind()
        );
        tch::no_grad(|| {
            let mut ys = xs.shallow_clone();
            for &(ref conv, closes_with_relu) in &self.stem {
                ys = conv.run(&ys, FusedOps { closes_with_relu, ..FusedOps::default() }, watcher);
            }
            for &index in &self.order {
                ys = self.modules[index].run(&ys, watcher);
            }
            let last = self.exit_separables.len();
            for (number, (conv, opens_with_relu)) in (1..).zip(&self.exit_separables) {
                let closes_with_relu = number == last && self.closes_with_relu;
                let ops = FusedOps { closes_with_relu, ..opening(*opens_with_relu) };
                ys = conv.run(&ys, ops, watcher);
            }
            if last == 0 && self.closes_with_relu {
                ys = ys.relu();
            }
            let features = self.global_pool.of(&ys, Kind::Float);
            let mut ys = features.unsqueeze(-1).unsqueeze(-1);
            for layer in &self.fully_connected {
                let ops = FusedOps { closes_with_relu: true, ..FusedOps::default() };
                ys = layer.run(&ys, ops, watcher);
            }
            self.head.run(&ys, FusedOps::default(), watcher).flatten(1, 3)
        })
    }
}

/// Nothing but a ReLU on the way in, or not even that.
fn opening(opens_with_relu: bool) -> FusedOps<'static> {
    FusedOps { opens_with_relu, ..FusedOps::default() }
}

impl PackedModule {
    fn run(&self, xs: &Tensor, watcher: &Watcher) -> Tensor {
        let normalized = self.opening_norm.as_ref().map(|norm| {
            let ys = FeatureMap::from(xs).through(norm, false);
            if self.opens_with_relu { ys.relu().resolve() } else { ys.resolve() }
        });
        // What is activated here has not to be again.
        let is_open = normalized.is_some();
        let xs = normalized.as_ref().unwrap_or(xs);
        let (last, others) = self.separables.split_last().expect("a module has a convolution");
        let mut ys = xs.shallow_clone();
        let mut opens_with_relu = self.opens_with_relu && !is_open;
        for separable in others {
            // The next one's ReLU, on the way out, where it costs nothing.
            let ops = FusedOps { closes_with_relu: true, ..opening(opens_with_relu) };
            ys = separable.run(&ys, ops, watcher);
            opens_with_relu = false;
        }
        let skip_relu = self.skip_relu && !is_open;
        let (opened, projected) = (opening(opens_with_relu), opening(skip_relu));
        let pooled = |ys: Tensor| {
            let ys = max_pool2d(&FeatureMap::from(ys), 3, self.pool_stride, self.pool_padding);
            watcher.computed(&self.name);
            ys
        };
        // The sum is formed by whichever kernel comes last.
        match (self.adds, &self.shortcut) {
            (Shortcut::None, _) => {
                let ys = last.run(&ys, opened, watcher);
                if self.pool_stride != 1 { pooled(ys) } else { ys }
            }
            (Shortcut::Sum, Some(shortcut)) if self.pool_stride != 1 => {
                let ys = pooled(last.run(&ys, opened, watcher));
                shortcut.run(xs, FusedOps { residual: Some(&ys), ..projected }, watcher)
            }
            (Shortcut::Sum, Some(shortcut)) => {
                let residual = shortcut.run(xs, projected, watcher);
                last.run(&ys, FusedOps { residual: Some(&residual), ..opened }, watcher)
            }
            (Shortcut::Sum, None) => {
                let ops = FusedOps { residual: Some(xs), residual_relu: skip_relu, ..opened };
                last.run(&ys, ops, watcher)
            }
        }
    }
}

fn step(name: String, packed: Option<PackedConv>) -> Option<Step> {
    packed.map(|conv| Step { name, conv })
}

fn pack(module: &ResidualModule, factors: Factors) -> Option<PackedModule> {
    let opens_with_relu = is_relu(module.opens_with)?;
    let separables = module.steps.iter().enumerate().map(|(index, layer)| {
        // The norm ahead of the next one belongs to nobody else.
        let next = module.steps.get(index + 1).and_then(|next| next.norm_ahead.as_ref());
        let norm = layer.norm_after.as_ref().or(next);
        step(layer.name.clone(), layer.separable.folded(norm).ok()?.packed(factors).ok())
    });
    let separables = separables.collect::<Option<_>>()?;
    let shortcut = match &module.shortcut {
        Some(Projected { name, conv, norm }) => {
            Some(step(name.clone(), conv.folded(norm.as_ref()).packed(factors).ok())?)
        }
        None => None,
    };
    Some(PackedModule {
        opening_norm: module.steps[0].norm_ahead.as_ref().map(BatchNorm2d::snapshot),
        opens_with_relu,
        skip_relu: opens_with_relu && module.skip_from == SkipFrom::Activated,
        separables,
        shortcut,
        adds: module.adds,
        pool_stride: module.pool_stride,
        pool_padding: module.pool_padding,
        name: module.name.clone(),
    })
}

/// A linear layer as a 1×1 convolution. In fp32 whatever the maps are: logits are compared with one another.
fn pack_linear(name: String, layer: &Linear) -> Option<Step> {
    let config = PackedConvConfig {
        depthwise: None,
        weight: layer.ws.detach().unsqueeze(-1).unsqueeze(-1),
        bias: layer.bs.as_ref()?.detach(),
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
    };
    step(name, PackedConv::new(&config, Factors::Fp32).ok())
}

/// Whether the activation is a ReLU, if it is one that the kernels know.
fn is_relu(activation: Activation) -> Option<bool> {
    match activation {
        Activation::None => Some(false),
        Activation::Relu => Some(true),
        Activation::Elu => None,
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, nn, nn::ModuleT};

    use super::*;
    use crate::{ModelSpec, Preset};

    /// A network whose norms have seen images, and its logits for more of them.
    fn compared(preset: Preset, side: i64) -> (Xception, Tensor, Tensor) {
        tch::manual_seed(3);
        let store = nn::VarStore::new(Device::Cpu);
        let spec = ModelSpec::new(preset);
        let model = Xception::new(&store.root(), &spec.architecture().unwrap(), 10).unwrap();
        let images = || Tensor::randn([4, 3, side, side], (Kind::Float, Device::Cpu));
        tch::no_grad(|| {
            for _ in 0..3 {
                drop(model.forward_t(&images(), true));
            }
            let xs = images();
            let expected = model.forward_t(&xs, false);
            (model, xs, expected)
        })
    }

    #[track_caller]
    fn check(preset: Preset, side: i64) {
        let (model, xs, expected) = compared(preset, side);
        let spread = expected.std(false).double_value(&[]);
        for (kind, bound) in [(Kind::Float, 1e-4), (Kind::BFloat16, 0.1)] {
            let logits = Inference::new(&model, kind).unwrap().logits(&xs.to_kind(kind));
            let off = (logits - &expected).abs().max().double_value(&[]) / spread;
            assert!(off < bound, "{preset} in {kind:?}: off by {off:e} of the logits' spread");
        }
    }

    #[test]
    fn packed_networks_give_the_logits_of_the_model() {
        check(Preset::Xception, 75);
        check(Preset::XceptionKeras, 74);
        check(Preset::Xception41, 65);
        check(Preset::Xception41p, 64);
        check(Preset::NotebookCifar10, 32);
        check(Preset::PlainShared, 32);
        check(Preset::Cifar, 32);
    }

    #[test]
    fn a_batch_goes_in_parts_that_fit_a_cache() {
        let (model, _, _) = compared(Preset::Cifar, 32);
        let packed = Inference::new(&model, Kind::Float).unwrap();
        let images = |side| Tensor::randn([3, 3, side, side], (Kind::Float, Device::Cpu));
        assert_eq!(packed.parts(&images(32)).len(), 1);
        let large = images(224);
        assert_eq!(packed.parts(&large).len(), 3);
        let whole = packed.logits_watched(&large, &Watcher::default());
        let off = (packed.logits(&large) - &whole).abs().max().double_value(&[]);
        assert!(off < 1e-5 * whole.abs().max().double_value(&[]), "{off:e}");
    }

    #[test]
    fn what_cannot_be_packed_is_left_to_the_model() {
        let (model, xs, _) = compared(Preset::DenseCifar100Depthwise, 32);
        assert!(Inference::new(&model, Kind::Float).is_none());
        assert!(Inference::new(&compared(Preset::Cifar, 32).0, Kind::Double).is_none());
        drop((xs, model));
    }
}
