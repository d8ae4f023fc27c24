//! Rows as text: aligned like psql's tables, or one value a line. It must not know where rows come from.

use std::borrow::Cow;
use std::io::{self, Write};

use ratatui::text::Span;
use tokio_postgres::SimpleQueryRow;

/// A row whose values are text.
pub(super) trait TextRow {
    /// `None` is NULL.
    fn cell(&self, column: usize) -> Option<&str>;
}

impl TextRow for SimpleQueryRow {
    fn cell(&self, column: usize) -> Option<&str> {
        self.try_get(column).ok().flatten()
    }
}

/// Rows with their titles.
pub(super) struct Grid<'a, R> {
    pub(super) titles: &'a [String],
    pub(super) rows: &'a [R],
    /// What NULL looks like.
    pub(super) null: &'a str,
    /// Says how many rows there are.
    pub(super) foot: bool,
}

/// Columns of a terminal that the text takes.
pub(crate) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// The text without what would move the cursor, except line ends.
fn clean(text: &str) -> Cow<'_, str> {
    const TAB: usize = 8;
    if !text.chars().any(|c| c.is_control() && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + TAB);
    let mut line = 0;
    for c in text.chars() {
        match c {
            '\n' => {
                out.push(c);
                line = out.len();
            }
            '\t' => {
                let at = width(&out[line..]);
                out.extend(std::iter::repeat_n(' ', TAB - at % TAB));
            }
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\x{:02X}", u32::from(c))),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Numbers as PostgreSQL writes them; a code as `007` is none.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if matches!(digits, "NaN" | "Infinity") {
        return true;
    }
    let zeros = digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit());
    digits.starts_with(|c: char| c.is_ascii_digit()) && !zeros && digits.len() < 400 && digits.parse::<f64>().is_ok()
}

impl<R: TextRow> Grid<'_, R> {
    fn text<'r>(&'r self, row: &'r R, column: usize) -> Cow<'r, str> {
        clean(row.cell(column).unwrap_or(self.null))
    }

    /// A table with a head, and the number of rows below it.
    pub(super) fn aligned(&self, out: &mut dyn Write) -> io::Result<()> {
        let titles: Vec<String> = self.titles.iter().map(|t| clean(t).replace('\n', " ")).collect();
        let mut widths: Vec<usize> = titles.iter().map(|t| width(t)).collect();
        // The protocol's plain form has no types here: a column is numeric when all its values are.
        let mut numeric: Vec<Option<bool>> = vec![None; titles.len()];
        for row in self.rows {
            for column in 0..titles.len() {
                let text = self.text(row, column);
                let widest = text.split('\n').map(width).max().unwrap_or(0);
                widths[column] = widths[column].max(widest);
                if let Some(value) = row.cell(column).filter(|_| numeric[column] != Some(false)) {
                    numeric[column] = Some(is_number(value));
                }
            }
        }
        for (column, title) in titles.iter().enumerate() {
            let free = widths[column] - width(title);
            let bar = if column == 0 { "" } else { "|" };
            write!(out, "{bar} {:2$}{title}{:3$} ", "", "", free / 2, free - free / 2)?;
        }
        writeln!(out)?;
        for (column, width) in widths.iter().enumerate() {
            let plus = if column == 0 { "" } else { "+" };
            write!(out, "{plus}{:-<1$}", "", width + 2)?;
        }
        writeln!(out)?;
        for row in self.rows {
            let texts: Vec<_> = (0..titles.len()).map(|c| self.text(row, c)).collect();
            let mut lines: Vec<_> = texts.iter().map(|t| t.split('\n').peekable()).collect();
            loop {
                let mut more = false;
                for (column, lines) in lines.iter_mut().enumerate() {
                    let text = lines.next().unwrap_or_default();
                    let follows = lines.peek().is_some();
                    more |= follows;
                    let free = widths[column] - width(text);
                    let (left, right) = if numeric[column] == Some(true) { (free, 0) } else { (0, free) };
                    let bar = if column == 0 { "" } else { "|" };
                    write!(out, "{bar} {:left$}{text}", "")?;
                    match (follows, column + 1 == titles.len()) {
                        (true, _) => write!(out, "{:right$}+", "")?,
                        (false, false) => write!(out, "{:right$} ", "")?,
                        (false, true) => {}
                    }
                }
                writeln!(out)?;
                if !more {
                    break;
                }
            }
        }
        self.foot(out)
    }

    /// A line for each value.
    pub(super) fn expanded(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            return self.foot(out);
        }
        let titles: Vec<String> = self.titles.iter().map(|t| clean(t).replace('\n', " ")).collect();
        let names = titles.iter().map(|t| width(t)).max().unwrap_or(0);
        let values = self.rows.iter().flat_map(|row| (0..titles.len()).map(|c| self.text(row, c)));
        let widest = values.map(|t| t.split('\n').map(width).max().unwrap_or(0)).max().unwrap_or(0);
        for (n, row) in (1..).zip(self.rows) {
            let head = format!("-[ RECORD {n} ]");
            match (names + 1).checked_sub(head.len()) {
                Some(free) => writeln!(out, "{head}{:-<free$}+{:-<2$}", "", "", widest + 1)?,
                None => writeln!(out, "{head:-<0$}", names + widest + 3)?,
            }
            for (column, title) in titles.iter().enumerate() {
                let text = self.text(row, column);
                let mut lines = text.split('\n').peekable();
                let mut name = title.as_str();
                while let Some(line) = lines.next() {
                    let free = names - width(name);
                    match lines.peek() {
                        Some(_) => writeln!(out, "{name}{:free$} | {line}{:2$}+", "", "", widest - width(line))?,
                        None => writeln!(out, "{}", format!("{name}{:free$} | {line}", "").trim_end())?,
                    }
                    name = "";
                }
            }
        }
        writeln!(out)
    }

    fn foot(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.rows.len() {
            _ if !self.foot => Ok(()),
            1 => writeln!(out, "(1 row)\n"),
            n => writeln!(out, "({n} rows)\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl TextRow for Vec<Option<&str>> {
        fn cell(&self, column: usize) -> Option<&str> {
            self[column]
        }
    }

    fn shown(titles: &[&str], rows: &[Vec<Option<&str>>], expanded: bool) -> String {
        let titles: Vec<String> = titles.iter().map(|t| (*t).to_owned()).collect();
        let grid = Grid { titles: &titles, rows, null: "∅", foot: true };
        let mut out = Vec::new();
        if expanded { grid.expanded(&mut out) } else { grid.aligned(&mut out) }.expect("memory takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn numbers_stand_right_and_words_left() {
        let rows = [vec![Some("1"), Some("a"), None], vec![Some("-200"), Some("日本"), Some("2.5")]];
        let expected = "  id  | name |  x  \n------+------+-----\n    1 | a    |   ∅\n -200 | 日本 | 2.5\n(2 rows)\n\n";
        assert_eq!(shown(&["id", "name", "x"], &rows, false), expected);
        let codes = [vec![Some("007")], vec![Some("12")]];
        assert_eq!(shown(&["code"], &codes, false), " code \n------\n 007\n 12\n(2 rows)\n\n");
    }

    #[test]
    fn lines_in_values_are_continued() {
        let rows = [vec![Some("a\nbb"), Some("1")]];
        assert_eq!(shown(&["t", "n"], &rows, false), " t  | n \n----+---\n a +| 1\n bb |  \n(1 row)\n\n");
        assert_eq!(shown(&["t"], &[], false), " t \n---\n(0 rows)\n\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let rows = [vec![Some("a\tb\u{1b}[31m")]];
        assert_eq!(shown(&["t"], &rows, true), "-[ RECORD 1 ]--------\nt | a       b\\x1B[31m\n\n");
    }

    #[test]
    fn expanded_has_a_line_a_value() {
        let rows = [vec![Some("1"), None], vec![Some("2"), Some("x\ny")]];
        let expected = "-[ RECORD 1 ]-----+--\na_rather_long_one | 1\nb                 | ∅\n-[ RECORD 2 ]-----+--\n\
                        a_rather_long_one | 2\nb                 | x+\n                  | y\n\n";
        assert_eq!(shown(&["a_rather_long_one", "b"], &rows, true), expected);
    }
}
