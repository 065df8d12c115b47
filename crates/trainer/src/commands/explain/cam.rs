//! Class activation maps: the places of a feature map that an answer rests on, by three published methods.
//!
//! All of them weigh the maps `A_k` of the channels `k` of a layer and add them up. `S` is the logit of the class, sums
//! without a range are over the places `(i, j)`, and `g_k = ∂S / ∂A_k`. The values were compared with the Python package
//! grad-cam (`golden/make.py`).

use clap::ValueEnum;
use tch::{Device, Kind, Tensor};
use xception::Xception;
use xception::weights::Labels;

use super::layer::Layer;
use crate::commands::Error;
use crate::network;

/// Method of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// The maps weighted by their mean gradients of the class (Selvaraju et al. 2017)
    #[value(name = "gradcam")]
    GradCam,
    /// Gradients above zero, divided among the places that a class stands at (Chattopadhay et al. 2018)
    #[value(name = "gradcam++")]
    GradCamPlusPlus,
    /// The first principal component of the maps, the same for every class (Muhammad and Yeasin 2020)
    #[value(name = "eigen")]
    Eigen,
}

impl Method {
    /// The method's name in its paper.
    pub(super) fn title(self) -> &'static str {
        match self {
            Method::GradCam => "Grad-CAM",
            Method::GradCamPlusPlus => "Grad-CAM++",
            Method::Eigen => "EigenCAM",
        }
    }

    /// The map `[h, w]` of `activations` and `gradients`, both `[C, h, w]`; values below 0 are set to 0.
    fn map(self, activations: &Tensor, gradients: &Tensor) -> Result<Tensor, Error> {
        let map = match self {
            Method::GradCam => weighted(activations, &grad_cam_weights(gradients)),
            Method::GradCamPlusPlus => {
                weighted(activations, &grad_cam_plus_plus_weights(activations, gradients))
            }
            Method::Eigen => principal_component(activations)?,
        };
        Ok(map.relu())
    }
}

/// The classes to explain.
#[derive(Debug, Clone, Copy)]
pub(super) enum Classes {
    /// The one of this number.
    One(i64),
    /// As many of the likeliest.
    Likeliest(i64),
}

/// A class and its map.
pub(super) struct Explained {
    pub(super) class: i64,
    pub(super) probability: f64,
    /// `[h, w]` of the layer, from 0 to 1, on the CPU. All 0 where no place supports the class.
    pub(super) map: Tensor,
}

/// The maps of `classes` for one `image` `[1, 3, H, W]`, the likeliest class first.
pub(super) fn explain(
    model: &Xception,
    labels: &Labels,
    image: &Tensor,
    layer: &Layer,
    method: Method,
    classes: Classes,
) -> Result<Vec<Explained>, Error> {
    let (maps, features) = match layer {
        Layer::Features => {
            let features = tch::no_grad(|| model.features_t(image, false)).detach();
            let features = features.set_requires_grad(true);
            (features.shallow_clone(), features)
        }
        Layer::Inner(name) => {
            model.features_from(image, name).expect("the layer is one of the network's")
        }
    };
    let logits = model.head(&features);
    let probabilities = labels.probabilities(&logits.detach().get(0));
    if probabilities.isfinite().all().int64_value(&[]) == 0 {
        return Err(network::Error::NoAnswer.into());
    }
    let numbers = match classes {
        Classes::One(class) => vec![class],
        Classes::Likeliest(count) => {
            let (_, numbers) = probabilities.topk(count.min(model.classes()), -1, true, true);
            Vec::<i64>::try_from(numbers)?
        }
    };
    let of_class = |class: i64| {
        let score = logits.get(0).get(class);
        let gradients = Tensor::f_run_backward(&[score], &[&maps], true, false)?;
        let map = tch::no_grad(|| method.map(&maps.get(0), &gradients[0].get(0)))?;
        let map = &map / map.max().clamp_min(1e-12);
        let map = map.to_kind(Kind::Float).to_device(Device::Cpu);
        Ok(Explained { class, probability: probabilities.double_value(&[class]), map })
    };
    numbers.into_iter().map(of_class).collect()
}

/// `Σ_k w_k A_k` of activations `[C, h, w]` and weights `[C]`.
fn weighted(activations: &Tensor, weights: &Tensor) -> Tensor {
    (activations * weights.view([-1, 1, 1])).sum_dim_intlist([0_i64].as_slice(), false, None)
}

/// Grad-CAM: `w_k = Σ g_k / (h w)` (Selvaraju et al. 2017, equation 1).
fn grad_cam_weights(gradients: &Tensor) -> Tensor {
    gradients.mean_dim([1_i64, 2].as_slice(), false, None)
}

/// Grad-CAM++: `w_k = Σ α_k relu(g_k)` with `α_k = g_k² / (2 g_k² + (Σ A_k) g_k³)` (Chattopadhay et al. 2018, equations 7
/// and 19, where the score of the class is exp(S); its factor cancels when the map is scaled).
///
/// The paper's maps are activated. Of one that is not, the sum in `α_k` is over relu(A_k): otherwise the denominator may be
/// close to 0, and one channel outweighs all others. As in the authors' code, a denominator of 0 counts as 1. The package
/// grad-cam adds 1e-6 to it instead, which is larger than the squares of most gradients here.
fn grad_cam_plus_plus_weights(activations: &Tensor, gradients: &Tensor) -> Tensor {
    // In fp32, the third power of a gradient of 1e-13 would be 0.
    let [activations, gradients] = [activations, gradients].map(|xs| xs.to_kind(Kind::Double));
    let places = [1_i64, 2];
    let sums = activations.relu().sum_dim_intlist(places.as_slice(), true, None);
    let squares = gradients.square();
    let below = &squares * 2.0 + sums * &squares * &gradients;
    let alphas = squares / below.where_self(&below.not_equal(0.0), &below.ones_like());
    (alphas * gradients.relu()).sum_dim_intlist(places.as_slice(), false, None)
}

/// EigenCAM: `A v`, with `A` as a matrix of a row for each place and a column for each channel, and `v` its first right
/// singular vector (Muhammad and Yeasin 2020, section III).
///
/// As in the package grad-cam, each column's mean is subtracted first. The decomposition leaves the sign open: the value
/// furthest from 0 is made positive (Chung and Ying 2025, equation 13).
fn principal_component(activations: &Tensor) -> Result<Tensor, Error> {
    let size = activations.size();
    let matrix = activations.to_kind(Kind::Double).flatten(1, 2).transpose(0, 1);
    let matrix = &matrix - matrix.mean_dim([0_i64].as_slice(), true, None);
    let (_, _, vectors) = matrix.f_svd(true, true)?;
    let map = matrix.matmul(&vectors.select(1, 0)).view([size[1], size[2]]);
    let (least, most) = (map.min().double_value(&[]), map.max().double_value(&[]));
    Ok(if least.abs() > most.abs() { -map } else { map })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tch::nn::VarStore;
    use xception::{CifarScale, ModelSpec, Preset};

    use super::*;

    /// Row by row, channel by channel.
    fn tensor(value: &Value) -> Tensor {
        fn flat(value: &Value, shape: &mut Vec<i64>, depth: usize, into: &mut Vec<f64>) {
            let Some(rows) = value.as_array() else { return into.push(value.as_f64().unwrap()) };
            if shape.len() == depth {
                shape.push(rows.len() as i64);
            }
            rows.iter().for_each(|row| flat(row, shape, depth + 1, into));
        }
        let (mut shape, mut numbers) = (Vec::new(), Vec::new());
        flat(value, &mut shape, 0, &mut numbers);
        Tensor::from_slice(&numbers).view(shape.as_slice())
    }

    /// The package stores EigenCAM in float32, and adds 1e-6 to a denominator of Grad-CAM++.
    #[test]
    fn maps_are_those_of_the_package_grad_cam() {
        let cases: Vec<Value> = serde_json::from_str(include_str!("golden/grad-cam.json")).unwrap();
        assert_eq!(cases.len(), 4);
        for case in &cases {
            let [activations, gradients] = ["activations", "gradients"].map(|of| tensor(&case[of]));
            for method in Method::value_variants() {
                let name = method.to_possible_value().unwrap().get_name().to_string();
                let expected = tensor(&case["maps"][&name]);
                let map = method.map(&activations, &gradients).unwrap();
                assert_eq!(map.size(), expected.size(), "{} {name}", case["name"]);
                let off = ((map - &expected).abs().max() / expected.max()).double_value(&[]);
                assert!(off < 1e-6, "{} {name}: off by {off}", case["name"]);
            }
        }
    }

    fn model() -> (VarStore, Xception) {
        tch::manual_seed(0);
        let store = VarStore::new(Device::Cpu);
        let scale = CifarScale { width: 0.05, middle_modules: 0, ..CifarScale::default() };
        let spec = ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) };
        let model = Xception::new(store.root(), &spec.architecture().unwrap(), 10).unwrap();
        (store, model)
    }

    /// The head reads one channel of the features only: the map is that channel, by either method of gradients.
    #[test]
    fn the_map_is_what_the_head_looks_at() {
        let (store, model) = model();
        let image = Tensor::randn([1, 3, 64, 64], (Kind::Float, Device::Cpu));
        let features = tch::no_grad(|| model.features_t(&image, false));
        let means = features.mean_dim([2_i64, 3].as_slice(), false, Kind::Float);
        let channel = means.argmax(-1, false).int64_value(&[0]);
        tch::no_grad(|| {
            let head = &store.variables()["fc.weight"];
            drop(head.shallow_clone().zero_());
            drop(head.get(7).get(channel).fill_(1.0));
        });
        let map = features.get(0).get(channel);
        let expected = &map / map.max();
        for method in [Method::GradCam, Method::GradCamPlusPlus] {
            let explained =
                explain(&model, &Labels::One, &image, &Layer::Features, method, Classes::One(7))
                    .unwrap();
            assert!((&explained[0].map - &expected).abs().max().double_value(&[]) < 1e-5);
            assert_eq!(explained[0].class, 7);
        }
    }

    #[test]
    fn classes_come_likeliest_first_and_each_has_its_map() {
        let (_store, model) = model();
        let image = Tensor::randn([1, 3, 64, 64], (Kind::Float, Device::Cpu));
        for layer in [Layer::Features, Layer::Inner("block1".to_string())] {
            let of = |classes| {
                explain(&model, &Labels::One, &image, &layer, Method::GradCam, classes).unwrap()
            };
            let all = of(Classes::Likeliest(99));
            assert_eq!(all.len(), 10, "no more than there are");
            assert!(all.is_sorted_by(|a, b| a.probability >= b.probability));
            assert!((all.iter().map(|one| one.probability).sum::<f64>() - 1.0).abs() < 1e-9);
            for one in &all[..3] {
                let alone = &of(Classes::One(one.class))[0];
                assert!((&alone.map - &one.map).abs().max().double_value(&[]) < 1e-5);
            }
            assert!((&all[0].map - &all[1].map).abs().max().double_value(&[]) > 1e-3);
        }
    }
}
