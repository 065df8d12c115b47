//! The letters of captions: a bitmap font of our own for ASCII, so that no font has to be found on a machine or shipped.
//!
//! `font.txt` has the letters from the space to `~` and a box, sixteen in a strip, each five columns by nine rows: seven
//! rows above the baseline and two below.

use std::sync::LazyLock;

/// Rows of a letter.
pub(super) const ROWS: usize = 9;
/// Columns of the widest letter.
const COLUMNS: usize = 5;
/// Columns of a space.
const SPACE: usize = 3;
/// Letters beside each other in `font.txt`.
const IN_A_STRIP: usize = 16;

/// A letter: its columns, and for each row whether a column is inked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter {
    pub(super) columns: usize,
    pub(super) ink: [[bool; COLUMNS]; ROWS],
}

static LETTERS: LazyLock<Vec<Letter>> = LazyLock::new(|| {
    let lines: Vec<&[u8]> = include_str!("font.txt").lines().map(str::as_bytes).collect();
    let strips = lines.chunks(ROWS + 1);
    strips.flat_map(|strip| (0..IN_A_STRIP).map(|place| Letter::new(strip, place))).collect()
});

impl Letter {
    fn new(strip: &[&[u8]], place: usize) -> Self {
        let ink = std::array::from_fn(|row| {
            std::array::from_fn(|column| strip[row][place * (COLUMNS + 1) + column] == b'#')
        });
        let inked = |column: &usize| ink.iter().any(|row: &[bool; COLUMNS]| row[*column]);
        let columns = (0..COLUMNS).rev().find(inked).map_or(SPACE, |last| last + 1);
        Self { columns, ink }
    }

    /// The letter of an ASCII character; a box for any other.
    fn of(character: char) -> Self {
        let place = (character as usize).checked_sub(usize::from(b' '));
        place.and_then(|place| LETTERS.get(place)).copied().unwrap_or(LETTERS[LETTERS.len() - 1])
    }
}

/// The letters of `text`; accents are dropped from Latin letters.
pub(super) fn letters(text: &str) -> Vec<Letter> {
    let plain = |character| match plain(character) {
        Some(plain) => plain.chars().map(Letter::of).collect(),
        None => vec![Letter::of(character)],
    };
    text.chars().flat_map(plain).collect()
}

/// Whether half of the letters of `text` or more can be drawn.
pub(super) fn is_legible(text: &str) -> bool {
    let drawn = |character: &char| (' '..='~').contains(character) || plain(*character).is_some();
    2 * text.chars().filter(drawn).count() >= text.chars().count()
}

/// Columns of `letters`, with one between each two.
pub(super) fn columns(letters: &[Letter]) -> usize {
    letters.iter().map(|letter| letter.columns + 1).sum::<usize>().saturating_sub(1)
}

/// The longest start of `text` that fits into `room` columns, ended by dots where something is missing.
pub(super) fn fitted(text: &str, room: usize) -> Vec<Letter> {
    let whole = letters(text);
    if columns(&whole) <= room {
        return whole;
    }
    let ended = |count: usize| [&whole[..count], &letters("...")].concat();
    let fits = |letters: &Vec<Letter>| columns(letters) <= room;
    (0..whole.len()).rev().map(ended).find(fits).unwrap_or_default()
}

/// A Latin letter without its accent, and the like.
fn plain(character: char) -> Option<&'static str> {
    const ALIKE: [(&str, &str); 34] = [
        ("ÀÁÂÃÄÅĀĂĄ", "A"),
        ("ÇĆČ", "C"),
        ("ĎĐÐ", "D"),
        ("ÈÉÊËĒĖĘĚ", "E"),
        ("Ğ", "G"),
        ("ÌÍÎÏĪİ", "I"),
        ("Ł", "L"),
        ("ÑŃŇ", "N"),
        ("ÒÓÔÕÖØŐ", "O"),
        ("Ř", "R"),
        ("ŚŠŞ", "S"),
        ("ÙÚÛÜŪŮŰ", "U"),
        ("Ý", "Y"),
        ("ŹŻŽ", "Z"),
        ("Æ", "AE"),
        ("àáâãäåāăą", "a"),
        ("çćč", "c"),
        ("ďđð", "d"),
        ("èéêëēėęě", "e"),
        ("ğ", "g"),
        ("ìíîïīı", "i"),
        ("ł", "l"),
        ("ñńň", "n"),
        ("òóôõöøő", "o"),
        ("ř", "r"),
        ("śšş", "s"),
        ("ťţ", "t"),
        ("ùúûüūůű", "u"),
        ("ýÿ", "y"),
        ("źżž", "z"),
        ("æ", "ae"),
        ("ß", "ss"),
        ("‘’", "'"),
        ("–—", "-"),
    ];
    ALIKE.iter().find(|(letters, _)| letters.contains(character)).map(|(_, plain)| *plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str) -> Vec<String> {
        let letters = letters(text);
        let row = |row: usize| {
            let of = |letter: &Letter| {
                let inked = |inked: &bool| if *inked { '#' } else { '.' };
                letter.ink[row][..letter.columns].iter().map(inked).collect::<String>()
            };
            letters.iter().map(of).collect::<Vec<_>>().join(" ")
        };
        (0..ROWS).map(row).collect()
    }

    #[test]
    fn letters_are_drawn_on_a_baseline() {
        let expected = [
            "##### ..... #",
            "....# ..... #",
            "...#. .#### #",
            "..#.. #...# #",
            ".#... #...# #",
            "#.... #...# .",
            "##### .#### #",
            "..... ....# .",
            "..... .###. .",
        ];
        assert_eq!(drawn("Zg!"), expected);
    }

    #[test]
    fn every_letter_has_its_own_form() {
        assert_eq!(LETTERS.len(), 96);
        for (place, letter) in LETTERS.iter().enumerate() {
            let same = |other: &Letter| other.ink == letter.ink;
            assert_eq!(LETTERS.iter().position(same), Some(place), "{place}");
        }
    }

    #[test]
    fn other_letters_lose_their_accent_or_become_a_box() {
        assert_eq!(drawn("é"), drawn("e"));
        assert_eq!(drawn("Weiß"), drawn("Weiss"));
        assert_eq!(drawn("개")[0], "#####");
        assert_eq!(drawn("\n"), drawn("개"));
        assert!(is_legible("café") && is_legible("개 (dog)") && is_legible(""));
        assert!(!is_legible("강아지"));
    }

    #[test]
    fn long_text_ends_in_dots() {
        let room = columns(&letters("a long name"));
        assert_eq!(fitted("a long name", room).len(), 11);
        let cut = fitted("a long name", room - 1);
        assert!(columns(&cut) < room && cut.len() < 11 + 3);
        assert!(fitted("a long name", 2).is_empty(), "not even dots fit");
    }
}
