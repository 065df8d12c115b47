//! A request for a recipe: from the command line, a study or a test.

/// A recipe by name, with changes.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// A recipe by name or the path of a TOML file; the default recipe where it is `None`.
    pub recipe: Option<String>,
    /// The network, instead of the recipe's.
    pub preset: Option<String>,
    /// The data set, instead of the recipe's.
    pub data: Option<String>,
    /// The weights to start from, instead of the recipe's.
    pub weights: Option<String>,
    /// The learning rate, or the highest one of a schedule that goes up, instead of the recipe's.
    pub learning_rate: Option<f64>,
    /// Changes to single values, `key.sub=value`.
    pub set: Vec<String>,
}

impl Request {
    /// The default recipe.
    pub const DEFAULT_RECIPE: &'static str = "quick";

    /// The recipe that is asked for.
    pub fn recipe_name(&self) -> &str {
        self.recipe.as_deref().unwrap_or(Self::DEFAULT_RECIPE)
    }

    /// Whether `key`, or something inside it, is changed by `set`.
    pub(crate) fn sets(&self, key: &str) -> bool {
        self.set.iter().filter_map(|change| Some(change.split_once('=')?.0.trim())).any(|set| {
            set.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}
