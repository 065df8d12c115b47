//! The way from a recipe's text, and what was typed beside it, to a recipe.

use std::path::Path;

use datasets::regular_file;
use toml::{Table, Value};
use xception::Preset;

use super::error::{ChangeProblem, Error, Problem};
use super::{
    EarlyStopping, ImbalanceRecipe, InputRecipe, MultiLabelRecipe, NAMED, Recipe, Request, Text,
    TrainingSetRecipe, named,
};
use crate::did_you_mean;

impl Recipe {
    /// The recipe that `request` names, with its changes.
    pub fn resolve(request: &Request) -> Result<Self, Error> {
        Self::resolve_on(None, request)
    }

    /// The same, where `resumed` is the recipe of a run that is resumed and stands in for a name.
    pub(crate) fn resolve_on(resumed: Option<&Text>, request: &Request) -> Result<Self, Error> {
        let name = &match resumed {
            Some(resumed) if request.recipe.is_none() => resumed.name.clone(),
            _ => request.recipe_name().to_string(),
        };
        let refuse = |problem| Error::Invalid { name: name.clone(), problem };
        let complain = |error| refuse(Problem::Toml(Box::new(error)));
        let text = match resumed {
            Some(resumed) if request.recipe.is_none() => resumed.text.clone(),
            _ => text_of(name).map_err(refuse)?,
        };
        let Request { preset, data, weights, learning_rate, set, .. } = request;
        let as_it_is = preset.is_none()
            && data.is_none()
            && weights.is_none()
            && learning_rate.is_none()
            && set.is_empty();
        let recipe: Recipe = if as_it_is {
            // Straight from the text, so that a complaint shows the line.
            toml::from_str(&text).map_err(complain)?
        } else {
            let mut table: Table = toml::from_str(&text).map_err(complain)?;
            if let Some(preset) = preset {
                apply(&mut table, &typed("model.preset", preset))?;
                forget_scale(&mut table, preset.parse()?);
            }
            if weights.is_some() && !table.contains_key("transfer") {
                return Err(Error::NoTransfer { recipe: name.clone() });
            }
            if let Some(rate) = learning_rate {
                let change = format!("{}={rate:e}", rate_key(&table));
                apply(&mut table, &change)?;
            }
            let data = data.iter().map(|data| typed("data", data));
            let weights = weights.iter().map(|weights| typed("transfer.weights", weights));
            let is_of_input = |change: &String| change.trim_start().starts_with("input.");
            let (of_input, set): (Vec<_>, Vec<_>) = set.iter().cloned().partition(is_of_input);
            for change in data.chain(weights).chain(set) {
                complete(&mut table, &change);
                apply(&mut table, &change)?;
            }
            if !of_input.is_empty() {
                complete_input(&mut table);
            }
            for change in of_input {
                apply(&mut table, &change)?;
            }
            table.try_into().map_err(complain)?
        };
        recipe.validate().map_err(refuse)?;
        Ok(recipe)
    }
}

/// The text of a recipe: a named one's, or a file's.
pub(super) fn text_of(name: &str) -> Result<String, Problem> {
    if let Some(text) = named(name) {
        return Ok(text.to_string());
    }
    if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        return regular_file::read_to_string(Path::new(name)).map_err(Problem::Unreadable);
    }
    let known = NAMED.map(|(name, _)| name);
    Err(Problem::Unknown { hint: did_you_mean::hint(name, known), known: known.to_vec() })
}

/// The change that gives a key the text that was typed for it.
fn typed(key: &str, text: impl AsRef<str>) -> String {
    format!("{key}={}", Value::from(text.as_ref()))
}

/// The key of the schedule's learning rate: the highest one.
fn rate_key(table: &Table) -> &'static str {
    let schedule = table.get("schedule").and_then(Value::as_table);
    match schedule.is_some_and(|schedule| schedule.contains_key("peak")) {
        true => "schedule.peak",
        false => "schedule.learning_rate",
    }
}

/// Removes the scale, which belongs to the recipe's own preset, where another preset was typed.
fn forget_scale(table: &mut Table, preset: Preset) {
    let model = table.get_mut("model").and_then(Value::as_table_mut);
    if let Some(model) = model.filter(|_| preset != Preset::Cifar) {
        model.remove("scale");
    }
}

/// Adds the table `[input]` of the preset, where there is none: one key of it is enough to type.
fn complete_input(table: &mut Table) {
    let preset = table.get("model").and_then(|model| model.get("preset")).and_then(Value::as_str);
    let Some(preset) = preset.and_then(|preset| preset.parse::<Preset>().ok()) else { return };
    let input = InputRecipe::of(&preset.preprocessing());
    if let Ok(input) = Value::try_from(input) {
        table.entry("input").or_insert(input);
    }
}

/// Adds an optional table as it is without effect, or with usual numbers, where there is none and `change` is of a key of it:
/// one key is enough to type.
fn complete(table: &mut Table, change: &str) {
    let Some((name, _)) = change.trim_start().split_once('.') else { return };
    let usual = match name {
        "imbalance" => Value::try_from(ImbalanceRecipe::NOTHING),
        "multi_label" => Value::try_from(MultiLabelRecipe::USUAL),
        "early_stopping" => Value::try_from(EarlyStopping::USUAL),
        "training_set" => Value::try_from(TrainingSetRecipe::WHOLE),
        _ => return,
    };
    if let Ok(usual) = usual {
        table.entry(name).or_insert(usual);
    }
}

/// Sets one value, `key.sub=value`. A value that is not TOML is taken as a string.
fn apply(table: &mut Table, change: &str) -> Result<(), Error> {
    let refuse = |problem| Error::Change { change: change.to_string(), problem };
    let (key, value) = change.split_once('=').ok_or_else(|| refuse(ChangeProblem::NoValue))?;
    let (key, value) = (key.trim(), value.trim());
    let parsed = toml::from_str::<Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"));
    let digits = value.trim_start_matches(['-', '+']);
    let is_whole = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if parsed.is_none() && is_whole && !digits.starts_with('0') {
        return Err(refuse(ChangeProblem::OutOfRange(value.to_string())));
    }
    let value = parsed.unwrap_or_else(|| Value::String(value.to_string()));
    let mut path: Vec<&str> = key.split('.').collect();
    let last =
        path.pop().filter(|last| !last.is_empty()).ok_or_else(|| refuse(ChangeProblem::NoKey))?;
    let mut place = table;
    for step in path {
        let next = place.entry(step).or_insert_with(|| Value::Table(Table::new()));
        place = next
            .as_table_mut()
            .ok_or_else(|| refuse(ChangeProblem::NotATable(step.to_string())))?;
    }
    place.insert(last.to_string(), value);
    Ok(())
}
