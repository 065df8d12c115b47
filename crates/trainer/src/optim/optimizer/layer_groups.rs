//! Layers that a recipe treats apart: their own factor to the learning rate and to the weight decay.

use serde::{Deserialize, Serialize};

use crate::invalid_value::InvalidValue;
use crate::optim::Error;

/// Names that an error lists.
const EXAMPLES: usize = 6;

/// An entry of `[[groups]]`. A parameter belongs to the first entry that matches it; one that none matches has factors
/// of 1.
///
/// PyTorch: `param_groups` of an optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerGroup {
    /// A name or the start of one up to a dot, such as `block1` or `block1.rep.0.conv1.weight`; or a pattern with `*` for
    /// any characters, dots too, and `?` for one, such as `*.skipbn.*`, which the whole name must match.
    pub parameters: String,
    /// To the learning rate of the schedule; 0 leaves the parameters as they are.
    pub learning_rate_factor: f64,
    /// To the weight decay of the optimizer, where it pulls at all.
    pub weight_decay_factor: f64,
}

impl LayerGroup {
    /// Whether this group is meant to have the parameter `name`.
    pub(super) fn matches(&self, name: &str) -> bool {
        if self.parameters.contains(['*', '?']) {
            return glob(self.parameters.as_bytes(), name.as_bytes());
        }
        name.strip_prefix(self.parameters.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// Refuses numbers of `groups` that are out of range.
pub(crate) fn check_numbers(groups: &[LayerGroup]) -> Result<(), InvalidValue> {
    for (index, group) in groups.iter().enumerate() {
        for (key, factor) in [
            ("learning_rate_factor", group.learning_rate_factor),
            ("weight_decay_factor", group.weight_decay_factor),
        ] {
            let fits = factor.is_finite() && factor >= 0.0;
            InvalidValue::unless(fits, format!("groups[{index}].{key}"), "0 or more", factor)?;
        }
    }
    Ok(())
}

/// The group of each of `names`, as its index in `groups`, and `groups.len()` for those of no group.
///
/// # Errors
/// A group that is left with nothing.
pub(super) fn assign(groups: &[LayerGroup], names: &[&str]) -> Result<Vec<usize>, Error> {
    let of = |name: &&str| groups.iter().position(|group| group.matches(name));
    let assigned: Vec<usize> = names.iter().map(|name| of(name).unwrap_or(groups.len())).collect();
    let Some(index) = (0..groups.len()).find(|index| !assigned.contains(index)) else {
        return Ok(assigned);
    };
    let group = &groups[index];
    let pattern = group.parameters.clone();
    Err(match names.iter().find(|name| group.matches(name)) {
        Some(taken) => Error::GroupEmpty { index, pattern, taken: taken.to_string() },
        None => {
            // Spread out, so that they show more of the network than its first layer.
            let stride = names.len().div_ceil(EXAMPLES).max(1);
            let examples = names.iter().step_by(stride).map(ToString::to_string).collect();
            Error::GroupUnmatched { index, pattern, count: names.len(), examples }
        }
    })
}

/// Whether `pattern`, in which `*` is any characters and `?` one, matches the whole of `name`.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob(rest, name) || name.split_first().is_some_and(|(_, name)| glob(pattern, name))
        }
        (Some((b'?', pattern)), Some((_, name))) => glob(pattern, name),
        (Some((wanted, pattern)), Some((found, name))) => wanted == found && glob(pattern, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::ExitCode;

    const NAMES: [&str; 5] =
        ["conv1.weight", "bn1.weight", "block1.skip.weight", "block10.skip.weight", "fc.weight"];

    fn group(parameters: &str) -> LayerGroup {
        let (learning_rate_factor, weight_decay_factor) = (0.5, 0.5);
        LayerGroup { parameters: parameters.into(), learning_rate_factor, weight_decay_factor }
    }

    #[track_caller]
    fn check(parameters: &str, expected: &[&str]) {
        let group = group(parameters);
        let got: Vec<&str> = NAMES.into_iter().filter(|name| group.matches(name)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn prefixes_end_at_a_dot_and_patterns_match_whole_names() {
        check("block1", &["block1.skip.weight"]);
        check("block1.skip.weight", &["block1.skip.weight"]);
        check("block1*", &["block1.skip.weight", "block10.skip.weight"]);
        check("b*1.*", &["bn1.weight", "block1.skip.weight"]);
        check("*.skip.*", &["block1.skip.weight", "block10.skip.weight"]);
        check("b?1.weight", &["bn1.weight"]);
        check("*", &NAMES);
        check("weight", &[]);
        check("skip*", &[]);
    }

    #[test]
    fn the_first_match_wins() {
        let groups = [group("block1"), group("b*"), group("fc")];
        assert_eq!(assign(&groups, &NAMES).unwrap(), [3, 1, 0, 1, 2]);
    }

    #[test]
    fn a_group_of_nothing_is_named() {
        let error = |groups: &[LayerGroup]| assign(groups, &NAMES).unwrap_err();
        let unmatched = error(&[group("fc"), group("bolck1")]);
        assert_eq!(unmatched.exit_code(), ExitCode::Usage);
        assert_eq!(
            unmatched.to_string(),
            "groups[1] with parameters = \"bolck1\" matches no parameter; there are 5 such as conv1.weight, bn1.weight, \
             block1.skip.weight, block10.skip.weight, fc.weight"
        );
        assert_eq!(
            error(&[group("b*"), group("block1")]).to_string(),
            "groups[1] with parameters = \"block1\" is left with nothing: an earlier group has all that it matches, such \
             as block1.skip.weight; put the narrower group first"
        );
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        check_numbers(&[group("fc")]).unwrap();
        let bad = LayerGroup { weight_decay_factor: -1.0, ..group("fc") };
        let expected = "groups[1].weight_decay_factor must be 0 or more, got -1";
        assert_eq!(check_numbers(&[group("fc"), bad]).unwrap_err().to_string(), expected);
    }
}
