//! The live view: a terminal redrawn each second. It must not know metrics.

use std::time::Duration;

use anyhow::{Context, Result};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Row, Table};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::super::http::HttpAddress;
use super::figures::{Figures, SortKey};
use super::sample::Sample;
use super::text::{COLUMNS, cells, header};

/// What a key asks for.
enum Wish {
    Quit,
    NextKey,
    Redraw,
}

/// Shows figures until `q`.
pub(super) async fn run(address: &HttpAddress, first: Sample, every: Duration, sort: SortKey) -> Result<()> {
    // It restores the terminal in a panic, too.
    let mut terminal = ratatui::try_init().context("cannot draw on this terminal; give --once")?;
    let outcome = watch(&mut terminal, address, first, every, sort).await;
    ratatui::restore();
    outcome
}

async fn watch(
    terminal: &mut DefaultTerminal,
    address: &HttpAddress,
    mut before: Sample,
    every: Duration,
    mut sort: SortKey,
) -> Result<()> {
    let mut wishes = keys();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut figures = Figures::between(&before, &before, sort);
    let mut trouble: Option<String> = None;
    loop {
        terminal.draw(|frame| draw(frame, &figures, trouble.as_deref()))?;
        tokio::select! {
            wish = wishes.recv() => match wish {
                None | Some(Wish::Quit) => return Ok(()),
                Some(Wish::NextKey) => {
                    sort = sort.next();
                    figures.sort_by(sort);
                }
                Some(Wish::Redraw) => {}
            },
            _ = ticks.tick() => match super::sample(address).await {
                Ok(now) => {
                    figures = Figures::between(&before, &now, sort);
                    before = now;
                    trouble = None;
                }
                // The last figures stay: the server may come back.
                Err(error) => trouble = Some(format!("{error:#}")),
            },
        }
    }
}

/// The wishes of who sits at the terminal. The thread ends with the process: a read from a terminal cannot be stopped.
fn keys() -> mpsc::Receiver<Wish> {
    let (send, receive) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let wish = match event {
                Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => Wish::Quit,
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Quit,
                    KeyCode::Char('s') => Wish::NextKey,
                    _ => continue,
                },
                Event::Resize(..) => Wish::Redraw,
                _ => continue,
            };
            if send.blocking_send(wish).is_err() {
                return;
            }
        }
    });
    receive
}

fn draw(frame: &mut Frame<'_>, figures: &Figures, trouble: Option<&str>) {
    let [above, body, below] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    frame.render_widget(Line::from(header(figures)), above);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let titles = COLUMNS.iter().enumerate().map(|(i, (title, key))| {
        let mark = if *key == Some(figures.sort) { format!("{title}▾") } else { (*title).to_owned() };
        cell(i, mark)
    });
    let rows = figures.jobs.iter().map(|job| {
        let style = match (job.failed, job.bottleneck) {
            (true, _) => Style::new().red(),
            (false, true) => Style::new().yellow(),
            (false, false) => Style::new(),
        };
        Row::new(cells(job).into_iter().enumerate().map(|(i, text)| cell(i, text))).style(style)
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(11),
        Constraint::Length(14),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(10),
    ];
    let table = Table::new(rows, widths).header(Row::new(titles).style(bold)).column_spacing(1);
    frame.render_widget(table, body);
    let foot = match trouble {
        Some(trouble) => Line::styled(trouble.to_owned(), Style::new().red()),
        None => Line::styled("s sort   q quit", Style::new().add_modifier(Modifier::DIM)),
    };
    frame.render_widget(foot, below);
}

/// The first and the last column are words, the others numbers.
fn cell(column: usize, text: String) -> Cell<'static> {
    let side = if column == 0 || column == COLUMNS.len() - 1 { Alignment::Left } else { Alignment::Right };
    Cell::from(Text::from(text).alignment(side))
}
