//! Compares an exported ONNX file with `predict`, image by image, by ONNX Runtime in Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use datasets::{Decoded, decode_file};
use serde_json::json;
use tch::Tensor;

use super::Contents;
use crate::file_error::FileError;
use crate::network::Error;
use crate::network::forward::{Forward, Views};
use crate::network::images::prepare;
use crate::network::model_file::Loaded;
use crate::precision::Precision;

/// The largest difference of a probability that rounding explains.
pub(crate) const TOLERANCE: f64 = 1e-3;

const SCRIPT: &str = include_str!("verify.py");

/// An image whose answers were compared.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) path: PathBuf,
    /// The likeliest class.
    pub(crate) label: String,
    /// The largest difference of a probability.
    pub(crate) away: f64,
}

/// Compares the answers of the file `model` with those of the network that it was made from.
///
/// # Errors
/// Images that cannot be read, a Python without ONNX Runtime, a file that ONNX Runtime refuses.
pub(crate) fn verify(
    loaded: &Loaded,
    contents: Contents,
    model: &Path,
    images: &[PathBuf],
    python: &Path,
) -> Result<Vec<Verified>, Error> {
    let folder = tempfile::tempdir().map_err(FileError::on("create", &std::env::temp_dir()))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).map_err(FileError::on("write", &path))
    };
    let labels = &loaded.description.labels;
    let mut forward = Forward::new(&loaded.model, Precision::Fp32, 1);
    let (mut shapes, mut ours) = (Vec::new(), Vec::new());
    for (place, path) in images.iter().enumerate() {
        let image = prepare(path, &loaded.description)?.image;
        let (bytes, shape) = match contents {
            Contents::Network => {
                let numbers: Vec<f32> = image.contiguous().view([-1]).try_into()?;
                let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                (bytes, json!([image.size(), "<f4"]))
            }
            Contents::WithPreprocessing => {
                let mut room = Decoded::default();
                let image = decode_file(path, &mut room)?;
                let bytes: Vec<u8> = image.pixels.as_flattened().to_vec();
                (bytes, json!([[1, image.height, image.width, 3], "u1"]))
            }
        };
        write(&place.to_string(), &bytes)?;
        shapes.push(shape);
        let logits = forward.logits(&image, Views::One)?;
        let probabilities: Vec<f64> = labels.probabilities(&logits).view([-1]).try_into()?;
        ours.push(probabilities);
    }
    write("inputs.json", json!(shapes).to_string().as_bytes())?;
    write("verify.py", SCRIPT.as_bytes())?;
    let theirs = answers(python, model, folder.path())?;
    let compared = images.iter().zip(ours).zip(theirs);
    compared
        .map(|((path, ours), theirs)| {
            let theirs = match contents {
                Contents::Network => {
                    Vec::try_from(labels.probabilities(&Tensor::from_slice(&theirs)))?
                }
                Contents::WithPreprocessing => theirs,
            };
            let away = ours.iter().zip(&theirs).map(|(ours, theirs)| (ours - theirs).abs());
            // A NaN is no small difference.
            let away = away.fold(0.0, |most: f64, away| if away <= most { most } else { away });
            let best = (0..ours.len()).max_by(|&one, &other| ours[one].total_cmp(&ours[other]));
            let label = best.map_or("?", |best| loaded.description.class_names[best].as_str());
            Ok(Verified { path: path.clone(), label: label.to_string(), away })
        })
        .collect()
}

/// ONNX Runtime's answers for the inputs in `folder`.
fn answers(python: &Path, model: &Path, folder: &Path) -> Result<Vec<Vec<f64>>, Error> {
    let refuse = |reason: String| Error::OnnxRuntime { python: python.to_path_buf(), reason };
    let output = Command::new(python)
        .arg(folder.join("verify.py"))
        .args([model, folder])
        .output()
        .map_err(|error| refuse(error.to_string()))?;
    if !output.status.success() {
        // The last line of a traceback is its reason.
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed");
        return Err(refuse(reason.to_string()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| refuse(error.to_string()))
}
