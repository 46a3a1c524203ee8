//! Lines of two runs side by side: the hunks in which they differ, and a view of both for people.

/// A run of lines that only one side has, with what the other has in that place.
#[derive(Debug, PartialEq, Eq)]
pub struct Hunk {
    pub original: Vec<String>,
    pub camelpost: Vec<String>,
}

enum Row<'a> {
    Same(&'a str),
    Differ(&'a [String], &'a [String]),
}

pub fn hunks(original: &[String], camelpost: &[String]) -> Vec<Hunk> {
    rows(original, camelpost)
        .into_iter()
        .filter_map(|row| match row {
            Row::Same(_) => None,
            Row::Differ(a, b) => Some(Hunk {
                original: a.to_vec(),
                camelpost: b.to_vec(),
            }),
        })
        .collect()
}

/// Both in two columns; `!` marks the lines that differ.
pub fn side_by_side(original: &[String], camelpost: &[String]) -> String {
    let widest = original
        .iter()
        .map(|l| l.chars().count())
        .max()
        .unwrap_or(0);
    let width = widest.clamp(20, 72);
    let mut out = format!("  {:width$} | CAMELPOST\n", "ORIGINAL");
    let mut put = |mark: char, left: &str, right: &str| {
        let (left, right) = (pieces(left, width), pieces(right, 72));
        for index in 0..left.len().max(right.len()) {
            let (l, r) = (left.get(index), right.get(index));
            let (l, r) = (l.map_or("", String::as_str), r.map_or("", String::as_str));
            out.push_str(format!("{mark} {l:width$} | {r}").trim_end());
            out.push('\n');
        }
    };
    for row in rows(original, camelpost) {
        match row {
            Row::Same(line) => put(' ', line, line),
            Row::Differ(a, b) => {
                for index in 0..a.len().max(b.len()) {
                    let (l, r) = (a.get(index), b.get(index));
                    put(
                        '!',
                        l.map_or("", String::as_str),
                        r.map_or("", String::as_str),
                    );
                }
            }
        }
    }
    out
}

fn pieces(text: &str, width: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks(width)
        .map(|chunk| chunk.iter().collect())
        .collect()
}

/// The longest common subsequence, by the table: transcripts are short.
fn rows<'a>(a: &'a [String], b: &'a [String]) -> Vec<Row<'a>> {
    let mut longest = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i][j] = if a[i] == b[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let (mut from_i, mut from_j) = (0, 0);
    let mut rows = Vec::new();
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            if from_i < i || from_j < j {
                rows.push(Row::Differ(&a[from_i..i], &b[from_j..j]));
            }
            rows.push(Row::Same(&a[i]));
            (i, j) = (i + 1, j + 1);
            (from_i, from_j) = (i, j);
        } else if j == b.len() || (i < a.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            i += 1;
        } else {
            j += 1;
        }
    }
    if from_i < i || from_j < j {
        rows.push(Row::Differ(&a[from_i..i], &b[from_j..j]));
    }
    rows
}
