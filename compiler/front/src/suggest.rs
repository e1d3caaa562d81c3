//! Spelling suggestions: the known name nearest to an unknown one.

use std::cmp::Reverse;

/// The candidate that the unknown name was probably meant to be, if one is near enough: at most a third of the name
/// differs, or only case does.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .map(|candidate| {
            let same = candidate.eq_ignore_ascii_case(name);
            (if same { 0 } else { distance(name, candidate, limit) }, candidate)
        })
        // A name of one letter is not near to all others.
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        // A letter is left out more easily than put in.
        .min_by_key(|(distance, candidate)| (*distance, Reverse(candidate.len()), *candidate))
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out, changed or swapped with their neighbour; `limit + 1` where it is more
/// than `limit`.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = last;
        last = row;
    }
    last[b.len()].min(limit + 1)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let names = ["ipv4", "tcp", "total_len", "src_port", "dst_port"];
        let cases = [
            ("ipv5", Some("ipv4")),
            ("TCP", Some("tcp")),
            ("tpc", Some("tcp")),
            ("totl_len", Some("total_len")),
            ("scr_port", Some("src_port")),
            ("udp", None),
            ("window", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, names), expected, "{name}");
        }
    }
}
