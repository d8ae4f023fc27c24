//! `Splitter`: text, as it comes, into statements and backslash commands. It must not know what they mean.

/// A complete part of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A statement without its semicolon.
    Statement(String),
    /// A command from its backslash to the end of the line. What came before it since the last statement is in
    /// [`Splitter::take`].
    Command(String),
}

/// What the next character is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Within {
    Plain,
    /// A string; after `E` a backslash takes away the meaning of what follows.
    Text {
        escapes: bool,
    },
    Name,
    LineComment,
    /// As many comments within each other.
    Comment(usize),
    /// Up to the same tag with both its dollars.
    Dollars(String),
}

/// Splits on `;` outside quotes, dollar quotes and comments.
#[derive(Clone, Debug)]
pub(super) struct Splitter {
    text: String,
    /// What is before this was looked at.
    at: usize,
    within: Within,
    /// There is more than blanks and comments.
    has_content: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self { text: String::new(), at: 0, within: Within::Plain, has_content: false }
    }
}

impl Splitter {
    /// Adds whole lines.
    pub(super) fn push(&mut self, lines: &str) {
        self.text.push_str(lines);
        if !lines.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// The next complete part; call it until there is none.
    pub(super) fn next(&mut self) -> Option<Piece> {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let step = match &mut self.within {
                Within::LineComment => {
                    let end = rest.find('\n').map_or(rest.len(), |n| n + 1);
                    self.within = Within::Plain;
                    end
                }
                Within::Comment(depth) => match rest.find(['*', '/']) {
                    None => rest.len(),
                    Some(at) if rest[at..].starts_with("/*") => {
                        *depth += 1;
                        at + 2
                    }
                    Some(at) if rest[at..].starts_with("*/") => {
                        *depth -= 1;
                        if *depth == 0 {
                            self.within = Within::Plain;
                        }
                        at + 2
                    }
                    Some(at) => at + 1,
                },
                Within::Dollars(tag) => match rest.find(tag.as_str()) {
                    // A tag has no line end, so it is never cut in two.
                    None => rest.len(),
                    Some(at) => {
                        let end = at + tag.len();
                        self.within = Within::Plain;
                        end
                    }
                },
                Within::Name => match rest.find('"') {
                    None => rest.len(),
                    Some(at) => {
                        self.within = Within::Plain;
                        at + 1
                    }
                },
                Within::Text { escapes } => match rest.find(['\'', '\\']) {
                    None => rest.len(),
                    Some(at) if rest[at..].starts_with('\\') => match (*escapes, rest[at + 1..].chars().next()) {
                        (true, Some(next)) => at + 1 + next.len_utf8(),
                        _ => at + 1,
                    },
                    Some(at) if rest[at..].starts_with("''") => at + 2,
                    Some(at) => {
                        self.within = Within::Plain;
                        at + 1
                    }
                },
                Within::Plain => match self.plain() {
                    Ok(step) => step,
                    Err(piece) => match piece {
                        Some(piece) => return Some(piece),
                        None => continue,
                    },
                },
            };
            self.at += step;
        }
        None
    }

    /// Goes over one thing outside quotes, or cuts off a piece; `None` for an empty statement.
    fn plain(&mut self) -> Result<usize, Option<Piece>> {
        let rest = &self.text[self.at..];
        let c = rest.chars().next().unwrap_or(' ');
        let before = self.text[..self.at].chars().next_back();
        let in_word = before.is_some_and(|b| b.is_alphanumeric() || b == '_' || b == '$');
        match c {
            ';' => {
                let statement = self.cut(self.at, self.at + 1);
                return Err(statement.map(Piece::Statement));
            }
            '\\' => {
                let end = rest.find('\n').map_or(rest.len(), |n| n + 1);
                let command = rest[..end].trim().to_owned();
                // A line of its own leaves nothing behind: lines of the statement are counted in errors.
                let before = self.text[..self.at].trim_end_matches([' ', '\t']);
                let left = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
                self.text.replace_range(self.at..self.at + end, left);
                return Err(Some(Piece::Command(command)));
            }
            '-' if rest.starts_with("--") => self.within = Within::LineComment,
            '/' if rest.starts_with("/*") => {
                self.within = Within::Comment(1);
                return Ok(2);
            }
            '\'' => {
                let e = matches!(before, Some('e' | 'E'));
                let word_before_e = self.text[..self.at.saturating_sub(1)].chars().next_back();
                let alone = !word_before_e.is_some_and(|b| b.is_alphanumeric() || b == '_');
                self.within = Within::Text { escapes: e && alone };
                self.has_content = true;
            }
            '"' => {
                self.within = Within::Name;
                self.has_content = true;
            }
            '$' if !in_word => {
                self.has_content = true;
                if let Some(tag) = dollar_tag(rest) {
                    let step = tag.len();
                    self.within = Within::Dollars(tag.to_owned());
                    return Ok(step);
                }
            }
            c if c.is_whitespace() => {}
            _ => self.has_content = true,
        }
        Ok(c.len_utf8())
    }

    /// Takes the text up to `end`, and what follows it up to `next` away.
    fn cut(&mut self, end: usize, next: usize) -> Option<String> {
        let has_content = std::mem::take(&mut self.has_content);
        let statement = has_content.then(|| self.text[..end].trim().to_owned());
        self.text.drain(..next);
        self.at = 0;
        statement
    }

    /// A statement has begun and waits for its end.
    pub(super) fn is_pending(&self) -> bool {
        self.has_content || !matches!(self.within, Within::Plain | Within::LineComment)
    }

    /// What is there of the statement that has not ended; the next one begins.
    pub(super) fn take(&mut self) -> Option<String> {
        self.within = Within::Plain;
        self.cut(self.text.len(), self.text.len())
    }

    /// What [`take_before_command`](Self::take_before_command) would take.
    pub(super) fn peek(&self) -> Option<&str> {
        self.has_content.then(|| self.text[..self.at].trim())
    }

    /// The text that waits for its end.
    pub(super) fn waiting(&self) -> &str {
        &self.text
    }

    /// The statement before a command; what follows the command's line stays.
    pub(super) fn take_before_command(&mut self) -> Option<String> {
        self.cut(self.at, self.at)
    }
}

/// `$tag$` at the start.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let tag = &text[1..end];
    let fits = tag.chars().all(|c| c.is_alphanumeric() || c == '_') && !tag.starts_with(|c: char| c.is_ascii_digit());
    fits.then(|| &text[..=end])
}

/// The text ends where a statement or a command ends: nothing more is needed to run it.
pub(super) fn is_complete(text: &str) -> bool {
    let mut splitter = Splitter::default();
    splitter.push(text);
    while let Some(piece) = splitter.next() {
        if let Piece::Command(_) = piece {
            splitter.take_before_command();
        }
    }
    !splitter.is_pending()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (Vec<Piece>, bool) {
        let mut splitter = Splitter::default();
        let mut pieces = Vec::new();
        // Line by line, as they come.
        for line in text.split_inclusive('\n') {
            splitter.push(line);
            while let Some(piece) = splitter.next() {
                pieces.push(piece);
            }
        }
        (pieces, splitter.is_pending())
    }

    fn statements(texts: &[&str]) -> Vec<Piece> {
        texts.iter().map(|t| Piece::Statement((*t).to_owned())).collect()
    }

    #[test]
    fn semicolons_split_only_outside_quotes_and_comments() {
        for whole in [
            "SELECT ';'",
            "SELECT 'it''s;'",
            "SELECT E'\\';'",
            "SELECT E'a''\\';'",
            "SELECT \"a;b\"",
            "SELECT 1 -- one; two\n + 2",
            "SELECT /* a; /* b; */ c; */ 1",
            "SELECT $$a;'b$$",
            "SELECT $x$ $$;\n$y$ $x$",
            "SELECT $1, a$b$c",
            "SELECT '\\'",
        ] {
            assert_eq!(split(&format!("{whole}; SELECT 2;")), (statements(&[whole, "SELECT 2"]), false), "{whole}");
        }
        assert_eq!(split("SELECT name'\\';"), (statements(&["SELECT name'\\'"]), false), "no E string");
    }

    #[test]
    fn empty_statements_are_none() {
        assert_eq!(split(";; -- nothing\n /* or this */ ;\n"), (Vec::new(), false));
    }

    #[test]
    fn what_has_no_end_waits() {
        assert_eq!(split("SELECT 1; SELECT '"), (statements(&["SELECT 1"]), true));
        assert!(split("/* open").1);
        assert!(!split("-- a comment").1);
        assert!(!is_complete("SELECT 1") && is_complete("SELECT 1;") && is_complete("  "));
        assert!(is_complete("\\d") && is_complete("SELECT 1 \\watch 2"));
    }

    #[test]
    fn commands_take_their_line() {
        let mut splitter = Splitter::default();
        splitter.push("SELECT 1 \\watch 2\n\\x\nSELECT 2;");
        assert_eq!(splitter.next(), Some(Piece::Command("\\watch 2".to_owned())));
        assert_eq!(splitter.take_before_command().as_deref(), Some("SELECT 1"));
        assert_eq!(splitter.next(), Some(Piece::Command("\\x".to_owned())));
        assert_eq!(splitter.next(), Some(Piece::Statement("SELECT 2".to_owned())));
        assert_eq!(splitter.next(), None);
        splitter.push("SELECT 3\n\\p\n+ 4;");
        assert_eq!((splitter.next(), splitter.peek()), (Some(Piece::Command("\\p".to_owned())), Some("SELECT 3")));
        assert_eq!(splitter.next(), Some(Piece::Statement("SELECT 3\n+ 4".to_owned())));
        splitter.push("SELECT 3");
        assert_eq!((splitter.next(), splitter.take().as_deref()), (None, Some("SELECT 3")));
    }
}
