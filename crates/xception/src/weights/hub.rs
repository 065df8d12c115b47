//! Weights as the Hugging Face hub lays them out: a folder with `config.json`, whose fields are timm's, and
//! `model.safetensors`, or parts of it that an index lists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Contents, Description, Dictionary, Error, HubConfig, Tensors, file};
use crate::preprocessing::{Fit, Preprocessing};
use crate::preset::{ModelSpec, Preset};

/// The file that describes the network.
const CONFIG: &str = "config.json";
/// The weights.
const WEIGHTS: &str = "model.safetensors";
/// The files that may hold the weights, in the order in which they are looked for.
const HOLDERS: [&str; 4] =
    [WEIGHTS, "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// The end of the name of an index.
const INDEX: &str = ".index.json";
/// The most files of one index.
const MOST_PARTS: usize = 1000;

/// timm's names of the networks; the first of several is the one to write.
const ARCHITECTURES: [(&str, Preset); 7] = [
    ("legacy_xception", Preset::Xception),
    ("xception", Preset::Xception),
    ("xception41", Preset::Xception41),
    ("xception65", Preset::Xception65),
    ("xception71", Preset::Xception71),
    ("xception41p", Preset::Xception41p),
    ("xception65p", Preset::Xception65p),
];

/// Whether `folder` is laid out as the hub does it: with weights under one of its names.
#[must_use]
pub fn is_hub(folder: &Path) -> bool {
    HOLDERS.iter().any(|name| folder.join(name).is_file())
}

/// The weights in `folder`; `None` for a folder that the hub did not lay out.
pub(super) fn read_folder(folder: &Path) -> Result<Option<Contents>, Error> {
    let held = HOLDERS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    held.map(|path| read_file(&path)).transpose().map(Option::flatten)
}

/// The weights in a file of the hub, with the description beside it; `None` for any other file.
pub(super) fn read_file(path: &Path) -> Result<Option<Contents>, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_index = name.ends_with(INDEX);
    if !is_index && !HOLDERS.contains(&&*name) {
        return Ok(None);
    }
    let mut contents = if is_index { read_parts(path)? } else { file::read_one(path)? };
    contents.config = read_config(&path.with_file_name(CONFIG))?;
    Ok(Some(contents))
}

/// The parts that the index at `path` lists, as one dictionary.
fn read_parts(path: &Path) -> Result<Contents, Error> {
    let refuse = |reason: String| Error::Index { path: path.to_path_buf(), reason };
    let index = json_of(path)?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| refuse("it has no weight_map".to_string()))?;
    let mut parts = BTreeMap::<&str, Vec<&String>>::new();
    for (tensor, part) in map {
        let part = part.as_str().unwrap_or("");
        let is_beside = Path::new(part).components().count() == 1 && part != "..";
        if !is_beside || !Path::new(part).is_relative() {
            return Err(refuse(format!("{tensor} is in {part:?}, which is no file beside it")));
        }
        parts.entry(part).or_default().push(tensor);
    }
    if parts.len() > MOST_PARTS {
        return Err(refuse(format!("it lists {} files, more than {MOST_PARTS}", parts.len())));
    }
    let mut tensors = Tensors::new();
    for (part, names) in parts {
        let mut held = file::read_one(&path.with_file_name(part))?.into_largest();
        for name in names {
            let tensor = held.remove(name);
            let tensor = tensor.ok_or_else(|| refuse(format!("{part} does not hold {name}")))?;
            tensors.insert(name.clone(), tensor);
        }
    }
    let dictionaries = vec![Dictionary { tensors, ..Dictionary::default() }];
    Ok(Contents { dictionaries, ..Contents::default() })
}

fn json_of(path: &Path) -> Result<Value, Error> {
    let bytes = file::bytes_of(path)?;
    serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes))
        .map_err(|error| Error::Index { path: path.to_path_buf(), reason: error.to_string() })
}

/// The description at `path`; `None` where there is none, or one of another program.
fn read_config(path: &Path) -> Result<Option<HubConfig>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    let config = json_of(path)?;
    let reader = ConfigReader { path, config: &config };
    Ok(Some(HubConfig { network: reader.network()?, class_names: class_names(&config) }))
}

/// The names of the classes: timm's list, or the numbered ones of transformers.
fn class_names(config: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_string);
    if let Some(names) = config.get("label_names").and_then(Value::as_array) {
        return names.iter().map(text).collect();
    }
    let numbered = config.get("id2label")?.as_object()?;
    (0..numbered.len()).map(|class| text(numbered.get(&class.to_string())?)).collect()
}

struct ConfigReader<'a> {
    path: &'a Path,
    config: &'a Value,
}

impl ConfigReader<'_> {
    fn problem(&self, key: &'static str, problem: &str) -> Error {
        Error::Metadata { path: self.path.to_path_buf(), key, problem: problem.to_string() }
    }

    /// timm's field `key`, in `pretrained_cfg` or, as early versions wrote it, beside it.
    fn field<T: serde::de::DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>, Error> {
        let inner = self.config.get("pretrained_cfg").and_then(|inner| inner.get(key));
        match inner.or_else(|| self.config.get(key)).filter(|value| !value.is_null()) {
            None => Ok(None),
            Some(value) => serde_json::from_value(value.clone())
                .map(Some)
                .map_err(|error| self.problem(key, &format!("cannot be read: {error}"))),
        }
    }

    fn network(&self) -> Result<Option<(Preset, Preprocessing)>, Error> {
        let Some(architecture) = self.config.get("architecture").and_then(Value::as_str) else {
            return Ok(None);
        };
        // timm writes the tag of the weights after a dot.
        let plain = architecture.split('.').next().unwrap_or(architecture);
        let known = ARCHITECTURES.iter().find(|(name, _)| *name == plain);
        let preset = known.map(|(_, preset)| *preset).ok_or_else(|| {
            let known: Vec<&str> = ARCHITECTURES.iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            self.problem("architecture", &format!("is '{architecture}'; known are {known}"))
        })?;
        self.check_arguments()?;
        Ok(Some((preset, self.preprocessing(preset.preprocessing())?)))
    }

    /// Refuses arguments of timm's constructor that make another network.
    fn check_arguments(&self) -> Result<(), Error> {
        let arguments = self.config.get("model_args").and_then(Value::as_object);
        for (name, value) in arguments.into_iter().flatten() {
            let is_plain = match name.as_str() {
                "num_classes" | "drop_rate" | "drop_path_rate" => true,
                "in_chans" => *value == 3,
                "global_pool" => *value == "avg",
                _ => false,
            };
            if !is_plain {
                let problem = format!(
                    "has {name} = {value}, with which timm makes a network that is not known here"
                );
                return Err(self.problem("model_args", &problem));
            }
        }
        Ok(())
    }

    fn preprocessing(&self, own: Preprocessing) -> Result<Preprocessing, Error> {
        let mut found = own;
        if let Some([channels, rows, columns]) = self.field::<[i64; 3]>("input_size")? {
            if channels != 3 {
                let problem =
                    format!("has {channels} channels; images here have 3, red, green and blue");
                return Err(self.problem("input_size", &problem));
            }
            if rows != columns || rows < 1 {
                let problem = format!("is {rows}×{columns}; only squares are fitted");
                return Err(self.problem("input_size", &problem));
            }
            found.side = rows;
        }
        found.crop_fraction = self.field("crop_pct")?.unwrap_or(own.crop_fraction);
        found.interpolation = self.field("interpolation")?.unwrap_or(own.interpolation);
        found.mean = self.field("mean")?.unwrap_or(own.mean);
        if found.mean.iter().any(|mean| !(-1.0..=1.0).contains(mean)) {
            let problem = format!("is {:?}, expected numbers on the scale of 0 to 1", found.mean);
            return Err(self.problem("mean", &problem));
        }
        if let Some(pool) = self.field::<String>("global_pool")?.filter(|pool| pool != "avg") {
            let problem = format!("is '{pool}'; the weights of this network use 'avg'");
            return Err(self.problem("global_pool", &problem));
        }
        found.std = self.field("std")?.unwrap_or(own.std);
        found.fit = match self.field::<String>("crop_mode")?.as_deref() {
            None | Some("center") => Fit::Crop,
            Some("squash") => Fit::Squash,
            Some(other) => {
                let problem = format!("is '{other}'; known are center and squash");
                return Err(self.problem("crop_mode", &problem));
            }
        };
        Ok(found)
    }
}

/// Writes `tensors` and their description to `folder` as timm reads them: `timm.create_model("local-dir:FOLDER",
/// pretrained=True)`.
///
/// # Errors
/// A network that timm does not have, or files that cannot be written.
pub fn write_hub(
    folder: &Path,
    tensors: &Tensors,
    description: &Description,
) -> Result<Vec<PathBuf>, Error> {
    let spec = &description.spec;
    let plain = ModelSpec { classes: spec.classes, ..ModelSpec::new(spec.preset) };
    let known = ARCHITECTURES.iter().find(|(_, preset)| *preset == spec.preset && *spec == plain);
    let Some((architecture, preset)) = known else {
        return Err(Error::NotOfTimm { preset: spec.preset });
    };
    let table = spec.architecture()?;
    let head = table.names.head().to_string();
    let first = table.names.stem_conv(0, table.stem[0].norm);
    let features = tensors.get(&format!("{head}.weight")).map_or(2048, |weight| weight.size()[1]);
    let side = description.input;
    let config = json!({
        "architecture": architecture,
        "num_classes": spec.classes,
        "num_features": features,
        "global_pool": "avg",
        "label_names": description.class_names,
        "pretrained_cfg": {
            "custom_load": false,
            "input_size": [3, side, side],
            "fixed_input_size": false,
            "interpolation": description.interpolation,
            "crop_pct": description.crop_fraction,
            "crop_mode": match description.fit {
                Fit::Crop => "center",
                Fit::Squash => "squash",
            },
            "mean": description.mean,
            "std": description.std,
            "num_classes": spec.classes,
            "pool_size": [10, 10],
            "first_conv": first,
            "classifier": head,
        },
        "xception": { "preset": preset.to_string(), "data": description.data },
    });
    let write_error =
        |path: &Path, source| Error::File { action: "write", path: path.to_path_buf(), source };
    std::fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
    let (weights, about) = (folder.join(WEIGHTS), folder.join(CONFIG));
    file::write(&weights, tensors, &description.to_metadata())?;
    let text = format!("{config:#}\n");
    file::write_whole(&about, text.as_bytes()).map_err(|source| write_error(&about, source))?;
    Ok(vec![weights, about])
}
