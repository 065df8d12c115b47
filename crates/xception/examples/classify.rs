//! Loads weights and says what is in an image.
//!
//! ```console
//! $ cargo run --release -p xception --example classify -- runs/quick-cifar10/last.safetensors frog.png
//! ```
//!
//! Without arguments it makes weights and an image up, to show that it runs.
#![allow(clippy::print_stdout, reason = "what it prints is what it shows")]

use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use tch::{Device, Kind, Tensor, nn};
use xception::weights::{self, Description, Interpolation};
use xception::{CifarScale, Inference, ModelSpec, Preset, Xception};

type Problem = Box<dyn std::error::Error>;

fn main() -> Result<(), Problem> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let folder = tempfile::tempdir()?;
    let (weights, image) = match &arguments[..] {
        [weights, image] => (weights.clone(), image.clone()),
        _ => made_up(folder.path())?,
    };

    // The file says which network it belongs to, and what its images were like.
    let (tensors, metadata) = weights::read(&weights)?;
    let description = Description::from_metadata(&weights, &metadata)?
        .ok_or("these weights do not say what they are; see `xception import`")?;
    let Description { spec, class_names, input: side, mean, std, .. } = &description;
    let store = nn::VarStore::new(Device::Cpu);
    let model = Xception::new(&store.root(), &spec.architecture()?, spec.classes)?;
    weights::load(&store, &tensors)?;

    let pixels =
        image::open(&image)?.resize_to_fill(*side as u32, *side as u32, FilterType::Triangle);
    let numbers: Vec<f32> = pixels
        .to_rgb8()
        .pixels()
        .flat_map(|pixel| {
            [0, 1, 2].map(|colour| {
                ((f64::from(pixel[colour]) / 255.0 - mean[colour]) / std[colour]) as f32
            })
        })
        .collect();
    let image = Tensor::from_slice(&numbers).view([1, *side, *side, 3]).permute([0, 3, 1, 2]);

    let network = Inference::new(&model, Kind::Float).ok_or("this network has no packed form")?;
    let probabilities = network.logits(&image).softmax(-1, Kind::Float).squeeze();
    let (best, classes) = probabilities.topk(class_names.len().min(5) as i64, 0, true, true);
    for rank in 0..best.size()[0] {
        let class = classes.int64_value(&[rank]) as usize;
        println!("{:6.2} %  {}", 100.0 * best.double_value(&[rank]), class_names[class]);
    }
    Ok(())
}

/// Weights that nobody trained, and a grey image.
fn made_up(folder: &Path) -> Result<(PathBuf, PathBuf), Problem> {
    let (weights, image) = (folder.join("weights.safetensors"), folder.join("grey.png"));
    let scale = CifarScale { width: 0.1, middle_modules: 1, ..CifarScale::default() };
    let spec = ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) };
    let store = nn::VarStore::new(Device::Cpu);
    Xception::new(&store.root(), &spec.architecture()?, spec.classes)?;
    let description = Description {
        spec,
        class_names: (0..spec.classes).map(|class| format!("class {class}")).collect(),
        input: 32,
        crop_fraction: 1.0,
        interpolation: Interpolation::Bilinear,
        mean: [0.5; 3],
        std: [0.5; 3],
        data: "nothing".to_string(),
    };
    weights::write(&weights, &weights::snapshot(&store), &description.to_metadata())?;
    image::RgbImage::from_pixel(40, 30, image::Rgb([99; 3])).save(&image)?;
    Ok((weights, image))
}
