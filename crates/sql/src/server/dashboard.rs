//! `CREATE DASHBOARD`, as text: panels, each a query and how it is shown. It must not know relations or who draws.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::names::ObjectName;
use super::statement::{Parsed, object};
use crate::parse::{expect_word, is_word, normalized, parse_plain_options, query, take_word};

/// Panels of a dashboard at most.
const MAX_PANELS: usize = 100;

/// How a panel shows its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PanelKind {
    Line,
    Area,
    Bar,
    Number,
    Table,
    HeatMap,
    Map,
}

impl PanelKind {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Line, "line"),
        (Self::Area, "area"),
        (Self::Bar, "bar"),
        (Self::Number, "number"),
        (Self::Table, "table"),
        (Self::HeatMap, "heatmap"),
        (Self::Map, "map"),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("table", |(_, word)| word)
    }
}

/// Options whose values are columns of the query: one, or for `y` several.
pub(super) const COLUMN_OPTIONS: [&str; 7] = ["x", "y", "by", "lat", "lon", "size", "color"];
/// The other options.
const OTHER_OPTIONS: [&str; 9] = ["title", "unit", "width", "height", "min", "max", "window", "format", "thresholds"];

/// `PANEL name KIND (query) WITH (options)`.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its name within the dashboard.
    pub name: String,
    /// How it shows its rows.
    pub kind: PanelKind,
    /// Its rows.
    pub query: Box<ast::Query>,
    /// How it looks, as written.
    pub options: Vec<(String, String)>,
}

/// `CREATE DASHBOARD name [TITLE '…'] AS PANEL …, …`.
#[derive(Clone, Debug)]
pub struct CreateDashboard {
    /// Its name.
    pub name: ObjectName,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// OR REPLACE.
    pub or_replace: bool,
    /// For people.
    pub title: Option<String>,
    /// From the upper left.
    pub panels: Vec<Panel>,
}

/// `CREATE DASHBOARD`.
#[derive(Clone, Debug)]
pub struct DashboardObject {
    /// For people.
    pub title: Option<String>,
    /// From the upper left.
    pub panels: Vec<Panel>,
}

/// The statement that begins here, if it makes a dashboard; otherwise nothing is taken.
pub(super) fn dashboard(p: &mut Parser) -> Parsed<Option<CreateDashboard>> {
    let word = |i: usize, text: &str| is_word(p.peek_nth_token_ref(i), text);
    let replaces = word(1, "OR") && word(2, "REPLACE") && word(3, "DASHBOARD");
    if !word(0, "CREATE") || !(replaces || word(1, "DASHBOARD")) {
        return Ok(None);
    }
    p.expect_keyword(Keyword::CREATE)?;
    let or_replace = p.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
    expect_word(p, "DASHBOARD")?;
    let if_not_exists = p.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = object(p)?;
    let title = take_word(p, "TITLE").then(|| p.parse_literal_string()).transpose()?;
    p.expect_keyword(Keyword::AS)?;
    let mut panels: Vec<Panel> = Vec::new();
    loop {
        let panel = panel(p)?;
        if panels.iter().any(|other| other.name == panel.name) {
            return Err(ParserError::ParserError(format!("two panels are called {}", panel.name)));
        }
        panels.push(panel);
        if panels.len() > MAX_PANELS {
            return Err(ParserError::ParserError(format!("more than {MAX_PANELS} panels of one dashboard")));
        }
        if !p.consume_token(&Token::Comma) {
            return Ok(Some(CreateDashboard { name, if_not_exists, or_replace, title, panels }));
        }
    }
}

fn panel(p: &mut Parser) -> Parsed<Panel> {
    expect_word(p, "PANEL")?;
    let name = normalized(p.parse_identifier()?);
    let Some((kind, _)) = PanelKind::ALL.into_iter().find(|(_, word)| take_word(p, word)) else {
        return p.expected("LINE, AREA, BAR, NUMBER, TABLE, HEATMAP or MAP", p.peek_token());
    };
    p.expect_token(&Token::LParen)?;
    let query = query(p)?;
    p.expect_token(&Token::RParen)?;
    let options = if p.parse_keyword(Keyword::WITH) { parse_plain_options(p)? } else { Vec::new() };
    let options: Vec<(String, String)> = options.into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect();
    options.iter().try_for_each(|(key, value)| check(&name, key, value))?;
    Ok(Panel { name, kind, query, options })
}

/// What can be seen of an option without the query's columns.
fn check(panel: &str, key: &str, value: &str) -> Parsed<()> {
    let wrong = |what: String| Err(ParserError::ParserError(format!("panel {panel}: {what}")));
    let is_number = |text: &str| text.trim().parse::<f64>().is_ok_and(f64::is_finite);
    match key {
        "width" if !value.parse().is_ok_and(|width: u32| (1..=12).contains(&width)) => {
            wrong(format!("width is {value}; a row has 12 columns"))
        }
        "height" if !value.parse().is_ok_and(|height: u32| (1..=24).contains(&height)) => {
            wrong(format!("height is {value}, not 1 to 24 rows"))
        }
        "min" | "max" if !is_number(value) => wrong(format!("{key} is {value}, not a number")),
        "thresholds" if !value.split(',').all(is_number) => {
            wrong(format!("thresholds are {value}, not numbers with commas between"))
        }
        _ if COLUMN_OPTIONS.contains(&key) || OTHER_OPTIONS.contains(&key) => Ok(()),
        _ => {
            wrong(format!("{key} is no option; there are {}, {}", OTHER_OPTIONS.join(", "), COLUMN_OPTIONS.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{StatementKind, parse};

    fn parsed(text: &str) -> Result<CreateDashboard, String> {
        match parse(text).map_err(|e| e.message)?[0].kind.as_ref() {
            StatementKind::CreateDashboard(dashboard) => Ok(dashboard.clone()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn panels_have_names_kinds_queries_and_options() {
        let text = "CREATE OR REPLACE DASHBOARD ops.fleet TITLE 'Fleet' AS
            PANEL speed LINE (SELECT ts, (speed), truck FROM s, t WHERE a IN (1, 2)) WITH (x = ts, y = 'speed', Width = 6),
            PANEL \"Now\" number (SELECT count(*) AS n FROM t)";
        let made = parsed(text).expect("read");
        assert_eq!((made.or_replace, made.title.as_deref(), made.panels.len()), (true, Some("Fleet"), 2));
        let first = &made.panels[0];
        assert_eq!((first.name.as_str(), first.kind), ("speed", PanelKind::Line));
        assert!(first.query.to_string().ends_with("WHERE a IN (1, 2)"));
        assert_eq!(first.options[2], ("width".to_owned(), "6".to_owned()));
        assert_eq!((made.panels[1].name.as_str(), made.panels[1].kind.word()), ("Now", "number"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let panel = |what: &str| format!("CREATE DASHBOARD d AS PANEL p {what}");
        let wrong = [
            (panel("PIE (SELECT 1 AS x)"), "LINE, AREA"),
            (panel("LINE (SELECT 1 AS x) WITH (width = 13)"), "12 columns"),
            (panel("LINE (SELECT 1 AS x) WITH (height = 0)"), "height is 0"),
            (panel("LINE (SELECT 1 AS x) WITH (max = high)"), "not a number"),
            (panel("LINE (SELECT 1 AS x) WITH (thresholds = '1,b')"), "thresholds"),
            (panel("LINE (SELECT 1 AS x) WITH (colour = red)"), "no option"),
            (panel("LINE (SELECT 1 AS x), PANEL p BAR (SELECT 1 AS x)"), "two panels are called p"),
            (panel("LINE SELECT 1 AS x"), "("),
            ("CREATE DASHBOARD d".to_owned(), "AS"),
        ];
        for (text, says) in wrong {
            let message = parsed(&text).expect_err(&text);
            assert!(message.contains(says), "{text}: {message}");
        }
    }
}
