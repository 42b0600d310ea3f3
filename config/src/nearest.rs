//! The known word that the owner most likely meant.

/// Longest word that a suggestion is sought for, in bytes: all known ones are shorter, and it bounds the work.
const WORD_BYTES: usize = 40;
/// Shortest beginning that is taken for the whole word, in bytes.
const BEGINNING_BYTES: usize = 3;

/// The nearest of the known words: one that the word begins, else the nearest by edit distance unless they are
/// all too far, which is more than a third of the letters.
pub(crate) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if word.len() > WORD_BYTES {
        return None;
    }
    let word = word.to_lowercase();
    let known: Vec<&str> = known.into_iter().collect();
    let is_begun = |known: &&&str| word.len() >= BEGINNING_BYTES && known.starts_with(&word);
    if let Some(known) = known.iter().find(is_begun) {
        return Some(known);
    }
    known
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with their neighbour (Damerau and Levenshtein, restricted).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut two_above: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut left = row + 1;
        let mut line = vec![left];
        for (column, (other, pair)) in to.iter().zip(above.windows(2)).enumerate() {
            let [diagonal, up] = pair else { continue };
            left = (diagonal + usize::from(letter != other)).min(up + 1).min(left + 1);
            let before = |column: usize, row: usize| Some((to.get(column)?, from.get(row)?));
            let neighbours = column.checked_sub(1).zip(row.checked_sub(1));
            if let Some((column, row)) = neighbours
                && before(column, row) == Some((letter, other))
                && let Some(swapped) = two_above.get(column)
            {
                left = left.min(swapped + 1);
            }
            line.push(left);
        }
        two_above = std::mem::replace(&mut above, line);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered() {
        let known = ["name", "sample_interval", "repeat_interval", "disk_used_percent", "url"];
        let check = |word, expected| assert_eq!(nearest(word, known), expected, "{word}");
        check("nmae", Some("name"));
        check("nam", Some("name"));
        check("Sample-Interval", Some("sample_interval"));
        check("disk_usage_percent", Some("disk_used_percent"));
        check("uri", Some("url"));
        check("queue", None);
        check("disk", Some("disk_used_percent"));
        check("d", None);
        check("", None);
        check(&"n".repeat(5000), None);
    }

    #[test]
    fn distance_counts_letters() {
        let check = |from, to, expected| assert_eq!(distance(from, to), expected, "{from} {to}");
        check("kitten", "sitting", 3);
        check("", "abc", 3);
        check("abc", "", 3);
        check("schön", "schon", 1);
        check("ab", "ba", 1);
        check("abcd", "acbd", 1);
    }
}
