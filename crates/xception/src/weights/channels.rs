//! Weights for images with other channels than they were trained on.

use tch::Kind;

use super::{Error, Tensors};
use crate::preset::ModelSpec;

/// Adapts the first kernel of `tensors`, which is for three channels, to images with the channels of `spec`.
///
/// One channel sums up the three, so a grey image gets the logits of the same image in colour; more channels repeat
/// red, green and blue, scaled down. All other tensors stay as they are. timm: `adapt_input_conv`.
///
/// # Errors
/// A scale or option of `spec` out of range, or a first kernel that is missing or is not for three channels.
pub fn adapt_input(spec: &ModelSpec, tensors: &mut Tensors) -> Result<(), Error> {
    let table = spec.architecture()?;
    let name = format!("{}.weight", table.names.stem_conv(0, table.stem[0].norm));
    let channels =
        |tensors: &Tensors| tensors.get(&name).and_then(|kernel| kernel.size().get(1).copied());
    let (got, c_in) = (channels(tensors), table.c_in);
    if got == Some(c_in) {
        return Ok(());
    }
    let Some(kernel) = tensors.get_mut(&name).filter(|_| got == Some(3)) else {
        return Err(Error::InputKernel { name, got });
    };
    *kernel = match c_in {
        1 => kernel.sum_dim_intlist([1_i64].as_slice(), true, kernel.kind()),
        _ => {
            let repeated = kernel.repeat([1, (c_in + 2) / 3, 1, 1]).narrow(1, 0, c_in);
            (repeated.to_kind(Kind::Float) * (3.0 / c_in as f64)).to_kind(kernel.kind())
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::{Device, Tensor, nn::ModuleT, nn::VarStore};

    use super::*;
    use crate::weights::{load, snapshot};
    use crate::{CifarScale, ModelOptions, Preset, Xception};

    fn network(preset: Preset, c_in: i64) -> (VarStore, Xception, ModelSpec) {
        let scale = CifarScale { width: 0.05, middle_modules: 0, ..CifarScale::default() };
        let options = ModelOptions { c_in: Some(c_in), ..ModelOptions::default() };
        let spec = ModelSpec { scale, options, ..ModelSpec::new(preset) };
        let store = VarStore::new(Device::Cpu);
        let model = Xception::new(store.root(), &spec.architecture().unwrap(), 10).unwrap();
        (store, model, spec)
    }

    #[test]
    fn the_same_image_is_answered_alike_in_grey_and_in_repeated_colours() {
        for preset in [Preset::Cifar, Preset::Xception41] {
            let (store, model, _) = network(preset, 3);
            let grey = Tensor::randn([2, 1, 64, 64], (Kind::Float, Device::Cpu));
            let colours = Tensor::randn([2, 3, 64, 64], (Kind::Float, Device::Cpu));
            for (c_in, before, after) in [
                (1, grey.repeat([1, 3, 1, 1]), grey.shallow_clone()),
                (6, colours.shallow_clone(), colours.repeat([1, 2, 1, 1])),
            ] {
                let (other_store, other, spec) = network(preset, c_in);
                let mut tensors = snapshot(&store);
                adapt_input(&spec, &mut tensors).unwrap();
                load(&other_store, &tensors).unwrap();
                let (before, after) = tch::no_grad(|| {
                    (model.forward_t(&before, false), other.forward_t(&after, false))
                });
                let distance = (&before - after).norm() / before.norm();
                assert!(distance.double_value(&[]) < 1e-5, "{preset}, {c_in}");
            }
        }
    }

    #[test]
    fn other_kernels_are_refused() {
        let (store, _, _) = network(Preset::Cifar, 2);
        let (_, _, spec) = network(Preset::Cifar, 4);
        let error = adapt_input(&spec, &mut snapshot(&store)).unwrap_err().to_string();
        assert_eq!(
            error,
            "conv1.weight is no kernel for 3 channels that could be fitted to others, it has 2"
        );
        let error = adapt_input(&spec, &mut Tensors::new()).unwrap_err().to_string();
        assert_eq!(
            error,
            "conv1.weight is no kernel for 3 channels that could be fitted to others, it is missing"
        );
    }
}
