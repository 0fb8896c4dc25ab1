//! What changes between two texts, line by line.

/// How many unchanged lines are shown around a change.
const AROUND: usize = 3;

/// How many edits are looked for. Beyond, the texts have little in common, and what differs is shown as one block.
const MAX_EDITS: usize = 1_000;

/// How many lines are shown at most.
const MAX_SHOWN: usize = 2_000;

/// A line of a comparison.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    pub(crate) change: Change,
    /// Its number in the text that it is of; in the new one if it is of both.
    pub(crate) number: usize,
    pub(crate) text: String,
}

/// What happens to a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Added,
    Kept,
    Removed,
}

/// Changes that stand together, with what is around them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Hunk {
    /// How many unchanged lines were left out before it.
    pub(crate) skipped: usize,
    pub(crate) lines: Vec<Line>,
}

/// What changes from one text to another.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct LineChanges {
    pub(crate) hunks: Vec<Hunk>,
    /// How many lines are not shown because there are so many.
    pub(crate) cut: usize,
    /// Whether the texts differ, and only in what ends their lines.
    pub(crate) only_ends: bool,
}

impl LineChanges {
    /// Compares two texts. How a line ends makes no difference to it.
    pub(crate) fn between(old: &str, new: &str) -> Self {
        let (before, after): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
        let mut changes = Self::grouped(numbered(&before, &after));
        changes.only_ends = changes.hunks.is_empty() && old != new;
        changes
    }

    /// Leaves out what is far from any change.
    fn grouped(lines: Vec<Line>) -> Self {
        let places: Vec<usize> = (0..)
            .zip(&lines)
            .filter(|(_, line)| line.change != Change::Kept)
            .map(|(place, _)| place)
            .collect();
        let (mut next, mut left_out, mut shown) = (places.iter().copied().peekable(), 0, 0);
        let mut changes = Self::default();
        let mut last = None;
        for (place, line) in lines.into_iter().enumerate() {
            while next.next_if(|change| *change < place).is_some_and(|change| {
                last = Some(change);
                true
            }) {}
            let is_behind = last.is_some_and(|last: usize| place - last <= AROUND);
            let is_before = next.peek().is_some_and(|change| change - place <= AROUND);
            if !is_behind && !is_before {
                left_out += 1;
                continue;
            }
            if shown == MAX_SHOWN {
                changes.cut += 1;
                continue;
            }
            shown += 1;
            if left_out > 0 || changes.hunks.is_empty() {
                changes.hunks.push(Hunk { skipped: std::mem::take(&mut left_out), lines: Vec::new() });
            }
            if let Some(hunk) = changes.hunks.last_mut() {
                hunk.lines.push(line);
            }
        }
        changes
    }
}

/// Both texts as one, each line with what happens to it.
fn numbered(old: &[&str], new: &[&str]) -> Vec<Line> {
    let common = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let head = old.iter().zip(new).take_while(common).count();
    let (old_rest, new_rest) = (old.get(head..).unwrap_or_default(), new.get(head..).unwrap_or_default());
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(common).count();
    let middle = |rest: &[&str]| rest.len() - tail;
    let (removed, added) = (middle(old_rest), middle(new_rest));
    let inner = edits(old_rest.get(..removed).unwrap_or_default(), new_rest.get(..added).unwrap_or_default());
    let inner =
        inner.unwrap_or_else(|| [vec![Change::Removed; removed], vec![Change::Added; added]].concat());
    let all = [vec![Change::Kept; head], inner, vec![Change::Kept; tail]].concat();
    let (mut old, mut new) = ((1..).zip(old), (1..).zip(new));
    let lines = all.into_iter().filter_map(|change| {
        let (number, text) = match change {
            Change::Added => new.next()?,
            Change::Removed => old.next()?,
            Change::Kept => {
                old.next();
                new.next()?
            }
        };
        Some(Line { change, number, text: (*text).to_owned() })
    });
    lines.collect()
}

/// The fewest edits that lead from one text to the other, or `None` if they are too many: the greedy algorithm of Myers
/// ("An O(ND) Difference Algorithm and Its Variations", 1986).
///
/// After `d` edits the furthest places that can be reached lie on the diagonals `-d, -d + 2, .. d`, where a diagonal is
/// how far the place in the old text is ahead of that in the new one. `rounds[d]` holds them in this order.
fn edits(old: &[&str], new: &[&str]) -> Option<Vec<Change>> {
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for made in 0..=MAX_EDITS {
        let mut reached = Vec::with_capacity(made + 1);
        for diagonal in 0..=made {
            let (mut in_old, _) = step(&rounds, made, diagonal)?;
            while old.get(in_old).is_some_and(|line| new.get(in_old + made - 2 * diagonal) == Some(line)) {
                in_old += 1;
            }
            reached.push(in_old);
            if in_old == old.len() && in_old + made - 2 * diagonal == new.len() {
                rounds.push(reached);
                return way(&rounds, diagonal);
            }
        }
        rounds.push(reached);
    }
    None
}

/// Where edit number `made` leads on a diagonal, and which edit that is.
fn step(rounds: &[Vec<usize>], made: usize, diagonal: usize) -> Option<(usize, Change)> {
    if made == 0 {
        return Some((0, Change::Kept));
    }
    let before = rounds.get(made - 1)?;
    let by_removing = diagonal.checked_sub(1).and_then(|from| before.get(from)).map(|in_old| in_old + 1);
    let by_adding = before.get(diagonal).copied();
    match (by_removing, by_adding) {
        (Some(removing), Some(adding)) if removing > adding => Some((removing, Change::Removed)),
        (_, Some(adding)) => Some((adding, Change::Added)),
        (Some(removing), None) => Some((removing, Change::Removed)),
        (None, None) => None,
    }
}

/// What was done on the way to the end, from the last step back to the first.
fn way(rounds: &[Vec<usize>], mut diagonal: usize) -> Option<Vec<Change>> {
    let mut back = Vec::new();
    for made in (0..rounds.len()).rev() {
        let end = rounds.get(made)?.get(diagonal).copied()?;
        let (start, edit) = step(rounds, made, diagonal)?;
        back.extend(std::iter::repeat_n(Change::Kept, end - start));
        if made > 0 {
            back.push(edit);
        }
        if edit == Change::Removed {
            diagonal -= 1;
        }
    }
    back.reverse();
    Some(back)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> Vec<String> {
        let changes = LineChanges::between(old, new);
        let lines = changes.hunks.iter().flat_map(|hunk| {
            let skipped = (hunk.skipped > 0).then(|| format!("..{}", hunk.skipped));
            skipped.into_iter().chain(hunk.lines.iter().map(|line| {
                let sign = match line.change {
                    Change::Added => '+',
                    Change::Kept => ' ',
                    Change::Removed => '-',
                };
                format!("{}{sign}{}", line.number, line.text)
            }))
        });
        lines.collect()
    }

    #[test]
    fn a_change_is_shown_with_its_numbers_and_what_is_around_it() {
        let old = "1\n2\n3\n4\n5\n6\nold\n8\n9\n10\n11\n12";
        let new = "1\n2\n3\n4\n5\n6\nnew\nmore\n8\n9\n10\n11\n12";
        let expected = ["..3", "4 4", "5 5", "6 6", "7-old", "7+new", "8+more", "9 8", "10 9", "11 10"]
            .map(str::to_owned);
        assert_eq!(shown(old, new), expected);
    }

    #[test]
    fn changes_far_apart_are_told_apart_and_close_ones_are_not() {
        let text = |marks: &[usize]| {
            let mark = |line: usize| if marks.contains(&line) { "x" } else { "" };
            (0..30).map(|line| format!("{}{line}", mark(line))).collect::<Vec<_>>().join("\n")
        };
        let hunks = |marks: &[usize]| LineChanges::between(&text(&[]), &text(marks)).hunks;
        assert_eq!(hunks(&[2, 8]).len(), 1);
        let apart = hunks(&[2, 20]);
        assert_eq!(apart.iter().map(|hunk| hunk.skipped).collect::<Vec<_>>(), [0, 11]);
    }

    #[test]
    fn the_same_text_has_no_changes_and_line_ends_are_said_to_be_all() {
        assert_eq!(LineChanges::between("a\nb\n", "a\nb\n"), LineChanges::default());
        let ends = LineChanges::between("a\nb\n", "a\r\nb");
        assert!(ends.only_ends && ends.hunks.is_empty());
        assert_eq!(shown("", "a\n"), ["1+a"]);
        assert_eq!(shown("a", ""), ["1-a"]);
    }

    /// Whatever is found leads from the one text to the other, and no shorter way does for these.
    #[test]
    fn the_edits_lead_from_one_text_to_the_other() {
        let texts: Vec<Vec<&str>> = (0..729_u32)
            .map(|mut seed| {
                let letters = ["a", "b", ""];
                let drawn = (0..6).map(|_| {
                    let letter = letters[(seed % 3) as usize];
                    seed /= 3;
                    letter
                });
                drawn.filter(|letter| !letter.is_empty()).collect()
            })
            .collect();
        for (position, old) in texts.iter().enumerate() {
            let new = &texts[(position * 31 + 7) % texts.len()];
            let edits = edits(old, new).unwrap();
            let kept = edits.iter().filter(|edit| **edit == Change::Kept).count();
            assert_eq!(kept, longest_common(old, new), "{old:?} {new:?}");
            let lines = numbered(old, new);
            let side =
                |gone| lines.iter().filter(move |line| line.change != gone).map(|line| line.text.as_str());
            assert_eq!(side(Change::Added).collect::<Vec<_>>(), *old, "{lines:?}");
            assert_eq!(side(Change::Removed).collect::<Vec<_>>(), *new, "{lines:?}");
        }
    }

    fn longest_common(old: &[&str], new: &[&str]) -> usize {
        let mut row = vec![0; new.len() + 1];
        for line in old {
            let above = row.clone();
            for (place, other) in new.iter().enumerate() {
                row[place + 1] =
                    if line == other { above[place] + 1 } else { above[place + 1].max(row[place]) };
            }
        }
        row[new.len()]
    }

    #[test]
    fn texts_with_nothing_in_common_are_one_block_and_cut_where_it_is_too_long() {
        let text =
            |letter: char| (0..3_000).map(|line| format!("{letter}{line}")).collect::<Vec<_>>().join("\n");
        let changes = LineChanges::between(&text('a'), &text('b'));
        assert_eq!((changes.hunks.len(), changes.cut), (1, 6_000 - MAX_SHOWN));
        assert!(changes.hunks[0].lines.iter().all(|line| line.change == Change::Removed));
    }
}
