//! The dialogue: a line editor with history in front of a shell. It must not know how statements are run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};

use super::complete::SqlHelper;
use super::shell::{Flow, Shell};
use super::split::Splitter;

/// Statements that are remembered.
const MAX_HISTORY: usize = 10_000;

/// Until Ctrl-D or `\q`.
pub(super) fn run(shell: &mut Shell) -> Result<()> {
    let config = Config::builder()
        .max_history_size(MAX_HISTORY)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::<SqlHelper, DefaultHistory>::with_config(config).context("cannot use this terminal")?;
    editor.set_helper(Some(SqlHelper::default()));
    let mut history = history_file();
    if let Some(file) = &history {
        // There is none the first time.
        let _ = editor.load_history(file);
    }
    let mut splitter = Splitter::default();
    loop {
        let names = shell.stale_names.then(|| shell.names());
        if let Some(helper) = editor.helper_mut() {
            if let Some(names) = names {
                helper.names = names;
            }
            let waits = if splitter.is_pending() { splitter.waiting() } else { "" };
            waits.clone_into(&mut helper.before);
        }
        let mark = if splitter.is_pending() { "->" } else { "=>" };
        let prompt = format!("{}{mark} ", shell.link.config.get_dbname().unwrap_or("dev"));
        match editor.readline(&prompt) {
            Ok(text) => {
                if !text.trim().is_empty() && !has_secret(&text) {
                    let _ = editor.add_history_entry(text.trim_end());
                    history = history.filter(|file| keep(&mut editor, file));
                }
                splitter.push(&text);
                match shell.feed(&mut splitter) {
                    Flow::Quit => break,
                    Flow::On => {}
                    // The rest of what was typed is not run.
                    Flow::Failed | Flow::Interrupted => drop(splitter.take()),
                }
            }
            Err(ReadlineError::Interrupted) => drop(splitter.take()),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("cannot read from the terminal"),
        }
    }
    Ok(())
}

/// Writes what is new at once: the end may come unasked. `false` when it cannot be written.
fn keep(editor: &mut Editor<SqlHelper, DefaultHistory>, file: &Path) -> bool {
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    let kept = folder.is_ok() && editor.append_history(file).is_ok();
    if !kept {
        eprintln!("the history cannot be kept in {}", file.display());
    }
    kept
}

/// Passwords do not belong into a file.
fn has_secret(text: &str) -> bool {
    let lower = text.to_lowercase();
    ["password", "secret"].iter().any(|word| lower.contains(word))
}

/// `$XDG_STATE_HOME/thalweg/history`, or the same under `~/.local/state`.
fn history_file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("thalweg/history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_remembered() {
        assert!(has_secret("ALTER USER root PASSWORD 'x';"));
        assert!(!has_secret("SELECT 1;"));
    }
}
