//! The registry of error codes.
//!
//! A code is given once: a number is never reused for another meaning, and a code that no longer occurs stays here.
//! One file holds one range:
//!
//! | range | file | about |
//! |---|---|---|
//! | E00xx | [`lex`] | characters and literals |
//! | E01xx | [`syntax`] | the shape of the program |
//! | E02xx | [`names`] | names and modules |
//! | E03xx | [`types`] | types and ranges of numbers |
//! | E04xx | [`packets`] | headers and packets |
//! | E05xx | [`state`] | state, tables and params |
//! | E06xx | [`results`] | filters, results and events |
//! | E07xx | [`tests`] | tests, and the packets that they build |
//!
//! E09xx were parts of Oko that earlier compilers did not have.

use std::fmt;

/// Declares the codes of one range, in rising order: the constant's name, number, title and explanation. The
/// explanation is Markdown with at least one example.
macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal, $explanation:literal;)*) => {
        $(
            #[doc = $title]
            pub const $name: $crate::Code =
                $crate::Code { number: $number, title: $title, explanation: $explanation };
        )*

        /// All codes of this range, in rising order.
        pub const ALL: &[$crate::Code] = &[$($name),*];
    };
}

pub mod lex;
pub mod names;
pub mod packets;
pub mod results;
pub mod state;
pub mod syntax;
pub mod tests;
pub mod types;

/// A stable error code: `E0101` and what it means. Two codes are equal when their numbers are.
#[derive(Clone, Copy)]
pub struct Code {
    number: u16,
    title: &'static str,
    explanation: &'static str,
}

impl Code {
    /// The number without the `E`.
    pub fn number(self) -> u16 {
        self.number
    }

    /// What the code means, in a few words.
    pub fn title(self) -> &'static str {
        self.title
    }

    /// What the code means, at length, in Markdown with an example.
    pub fn explanation(self) -> &'static str {
        self.explanation
    }

    /// The code written `E0101` or `101`; `None` where there is no such code.
    pub fn find(text: &str) -> Option<Code> {
        let digits = text.strip_prefix(['E', 'e']).unwrap_or(text);
        let number: u16 = digits.parse().ok()?;
        all().find(|code| code.number == number)
    }
}

/// All codes, in rising order.
pub fn all() -> impl Iterator<Item = Code> {
    RANGES.iter().flat_map(|&(_, codes)| codes.iter().copied())
}

/// The ranges: the number divided by 100, and its codes.
const RANGES: &[(u16, &[Code])] = &[
    (0, lex::ALL),
    (1, syntax::ALL),
    (2, names::ALL),
    (3, types::ALL),
    (4, packets::ALL),
    (5, state::ALL),
    (6, results::ALL),
    (7, tests::ALL),
];

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{:04}", self.number)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Code {}

impl PartialOrd for Code {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Code {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number.cmp(&other.number)
    }
}

impl std::hash::Hash for Code {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

#[cfg(test)]
mod registry {
    use super::*;

    #[test]
    fn numbers_are_unique_rising_and_in_the_range_of_their_file() {
        let numbers: Vec<u16> = all().map(Code::number).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "not rising: {numbers:?}");
        for &(range, codes) in RANGES {
            assert!(codes.iter().all(|code| code.number / 100 == range), "E{range:02}xx: {codes:?}");
        }
    }

    #[test]
    fn every_file_of_codes_is_a_range() {
        let modules = include_str!("codes.rs").lines().filter_map(|line| line.strip_prefix("pub mod "));
        let mut modules: Vec<&str> = modules.map(|name| name.trim_end_matches(';')).collect();
        let table = include_str!("codes.rs").lines().filter_map(|line| line.split(", ").nth(1));
        let mut ranges: Vec<&str> = table.filter_map(|cell| cell.strip_suffix("::ALL),")).collect();
        modules.sort_unstable();
        ranges.sort_unstable();
        assert_eq!(modules, ranges);
    }

    #[test]
    fn every_code_is_explained_with_an_example() {
        for code in all() {
            let (title, text) = (code.title(), code.explanation());
            assert!(
                !title.is_empty() && title.len() <= 72 && !title.ends_with('.'),
                "{code}: title `{title}`"
            );
            let fences = text.lines().filter(|line| line.starts_with("```")).count();
            assert!(fences >= 2 && fences.is_multiple_of(2), "{code}: no example, or one without an end");
            assert!(text.len() > title.len() + 40, "{code}: says no more than its title");
        }
    }

    #[test]
    fn a_code_is_found_by_its_text() {
        let code = syntax::UNEXPECTED;
        assert_eq!(Code::find("E0101"), Some(code));
        assert_eq!(Code::find("101"), Some(code));
        for unknown in ["", "E", "E9999", "x101", "E99999999"] {
            assert_eq!(Code::find(unknown), None, "{unknown}");
        }
    }
}
