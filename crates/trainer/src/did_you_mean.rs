//! The known word that was probably meant by an unknown one.

/// The similarity (Jaro–Winkler) from which on a word is proposed for another one.
const ALIKE: f64 = 0.8;

/// ` (did you mean 'quick'?)` where one of `known` is close to `typed`, else nothing.
pub(crate) fn hint<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let likeness = |word: &str| strsim::jaro_winkler(&typed.to_lowercase(), &word.to_lowercase());
    let closest = known.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match closest.filter(|word| likeness(word) >= ALIKE) {
        Some(word) => format!(" (did you mean '{word}'?)"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_close_is_proposed() {
        let known = ["quick", "cifar10-best", "finetune"];
        assert_eq!(hint("quik", known), " (did you mean 'quick'?)");
        assert_eq!(hint("fine-tune", known), " (did you mean 'finetune'?)");
        assert_eq!(hint("imagenet", known), "");
        assert_eq!(hint("", []), "");
    }
}
