//! Lines in memory: a run of bytes that is read by the numbers of its lines. Knows no files.

/// Where the lines of a body begin.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub bytes: Vec<u8>,
    /// Where lines end that have no line feed, in ascending order. There are hardly any.
    breaks: Vec<usize>,
    count: u64,
    /// A line's number and offset, from which the next one is found.
    cursor: (u64, usize),
}

impl Lines {
    /// Appends bytes and says how many lines began with them. `ends` says that what has no line feed
    /// at its end is a line, too.
    pub(super) fn append(&mut self, bytes: &[u8], ends: bool) -> u64 {
        let goes_on = match self.bytes.last() {
            None | Some(b'\n') => false,
            Some(_) => self.breaks.last() != Some(&self.bytes.len()),
        };
        let mut added = memchr::memchr_iter(b'\n', bytes).count() as u64;
        let open = bytes.last().is_some_and(|last| *last != b'\n');
        added += u64::from(open);
        if goes_on && !bytes.is_empty() {
            added -= 1;
            // It may stand behind what was the last line until now.
            self.cursor = (0, 0);
        }
        self.bytes.extend_from_slice(bytes);
        if open && ends {
            self.breaks.push(self.bytes.len());
        }
        self.count += added;
        added
    }

    /// How many lines there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Line `number`, counted from 0.
    pub(super) fn get(&mut self, number: u64) -> Option<&[u8]> {
        if number >= self.count {
            return None;
        }
        let start = self.offset_of(number);
        let end = self.end_of(start);
        self.cursor = (number + 1, end);
        Some(&self.bytes[start..end])
    }

    /// Where line `number` begins; the end, where there is none.
    pub(super) fn offset_of(&mut self, number: u64) -> usize {
        if number >= self.count {
            return self.bytes.len();
        }
        let (mut at, mut offset) = match self.cursor {
            (at, offset) if at <= number => (at, offset),
            _ => (0, 0),
        };
        while at < number {
            offset = self.end_of(offset);
            at += 1;
        }
        self.cursor = (at, offset);
        offset
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            let start = offset;
            offset = self.end_of(start);
            (offset > start).then(|| &self.bytes[start..offset])
        })
    }

    /// The end of the line that begins at `offset`.
    fn end_of(&self, offset: usize) -> usize {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).map_or(self.bytes.len(), |at| offset + at + 1);
        let next = self.breaks.partition_point(|at| *at <= offset);
        self.breaks.get(next).map_or(end, |at| end.min(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &Lines) -> Vec<&[u8]> {
        lines.iter().collect()
    }

    #[test]
    fn pieces_make_lines_and_what_ends_without_a_line_feed_is_one() {
        let mut lines = Lines::default();
        assert_eq!(lines.append(b"a\nb", false), 2);
        assert_eq!(lines.append(b"c", false), 0);
        assert_eq!(lines.append(b"\nd", true), 1);
        assert_eq!(lines.append(b"", true), 0);
        assert_eq!(lines.append(b"e\n", true), 1);
        assert_eq!(lines.count(), 4);
        assert_eq!(texts(&lines), [&b"a\n"[..], b"bc\n", b"d", b"e\n"]);
    }

    #[test]
    fn lines_are_found_by_their_numbers_in_any_order() {
        let mut lines = Lines::default();
        lines.append(b"a\nbb\nccc\n", true);
        for (number, text) in [(2, &b"ccc\n"[..]), (0, b"a\n"), (1, b"bb\n"), (2, b"ccc\n")] {
            assert_eq!(lines.get(number), Some(text));
        }
        assert_eq!(lines.get(3), None);
        assert_eq!((lines.offset_of(2), lines.offset_of(9)), (5, 9));
    }

    #[test]
    fn what_is_appended_after_reading_is_read() {
        let mut lines = Lines::default();
        lines.append(b"a", false);
        assert_eq!(lines.get(0), Some(&b"a"[..]));
        lines.append(b"b\nc\n", false);
        assert_eq!(lines.get(1), Some(&b"c\n"[..]));
        assert_eq!(lines.get(0), Some(&b"ab\n"[..]));
    }
}
