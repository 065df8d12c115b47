//! Long lists in messages: the first few entries, and the number of the others.

/// The most entries that a message lists.
pub(crate) const LISTED: usize = 8;

/// The first few of `names`, and the number of the others.
pub(crate) fn first_few<T: AsRef<str>>(names: &[T]) -> String {
    let mut text = names.iter().take(LISTED).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if names.len() > LISTED {
        text += &format!(" and {} more", names.len() - LISTED);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_names_are_all_named() {
        assert_eq!(first_few(&["a", "b"]), "a, b");
        let names: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        assert_eq!(first_few(&names), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
        assert_eq!(first_few::<&str>(&[]), "");
    }
}
