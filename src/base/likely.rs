//! Which of several names was probably meant.

/// The name that is nearest to this one, where one is near: a letter too many, too few, another one, or two in
/// each other's place, and one such slip for every four letters at most.
pub(crate) fn likely<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 4).clamp(1, 3);
    let near = known.into_iter().map(|known| (slips(name, known), known));
    let near = near.filter(|(slips, _)| *slips > 0 && *slips <= most);
    near.min_by_key(|(slips, _)| *slips).map(|(_, known)| known)
}

/// The distance of Damerau and Levenshtein, with neighbours that are swapped at most once.
fn slips(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut now = vec![row + 1];
        for (column, against) in other.iter().enumerate() {
            let changed = last[column] + usize::from(letter != against);
            let mut least = changed.min(last[column + 1] + 1).min(now[column] + 1);
            let swapped =
                row > 0 && column > 0 && one[row - 1] == *against && *letter == other[column - 1];
            if swapped {
                least = least.min(before[column - 1] + 1);
            }
            now.push(least);
        }
        before = std::mem::replace(&mut last, now);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_slip_is_known_again() {
        let known = ["hook_rcpt", "hook_data", "hook_data_post"];
        assert_eq!(likely("hook_rcptt", known), Some("hook_rcpt"));
        assert_eq!(likely("hook_dtaa", known), Some("hook_data"));
        assert_eq!(likely("hook_datapost", known), Some("hook_data_post"));
        assert_eq!(likely("hook_rcpt", known), None);
        assert_eq!(likely("something_else", known), None);
    }

    #[test]
    fn two_letters_in_each_others_place_are_one_slip() {
        assert_eq!(slips("rcpthosts", "rcpthotss"), 1);
        assert_eq!(slips("", "ab"), 2);
        assert_eq!(slips("same", "same"), 0);
    }
}
