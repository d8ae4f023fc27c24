//! A password from the terminal, unseen. It must not know what it opens.

use std::io::Write as _;

use anyhow::{Result, bail};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

/// Puts the terminal back.
struct Raw;

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
        eprintln!();
    }
}

/// Asks for a password.
pub(super) fn ask(prompt: &str) -> Result<String> {
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    enable_raw_mode()?;
    let raw = Raw;
    let mut password = String::new();
    loop {
        let event = read()?;
        if let Event::Paste(text) = &event {
            password.push_str(text);
        }
        let Event::Key(key) = event else { continue };
        if key.kind != KeyEventKind::Press {
            continue;
        }
        match key.code {
            KeyCode::Enter => break,
            KeyCode::Backspace => {
                password.pop();
            }
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => bail!("no password was given"),
            KeyCode::Char(c) => password.push(c),
            _ => {}
        }
    }
    drop(raw);
    Ok(password)
}
