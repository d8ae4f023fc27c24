//! From `path` to the files that are there, in name order. It must not know what is in them.

use std::fs;
use std::path::{Path, PathBuf};

use thalweg_core::{Error, Result};

use super::options::{FileOptions, by_extension};

/// Standard input, as a path.
pub(crate) const STDIN: &str = "-";

/// The files that `options.path` names now, each once, in name order. Missing files and globs without a match are
/// errors unless files are awaited: then they may still come.
pub(crate) fn list(options: &FileOptions) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for pattern in &options.paths {
        let before = files.len();
        let path = Path::new(pattern);
        if pattern == STDIN {
            files.push(path.to_path_buf());
        } else if path.is_dir() {
            directory(path, options, &mut files)?;
        } else if path.exists() {
            files.push(path.to_path_buf());
        } else if is_glob(pattern) {
            matches(pattern, options, &mut files)?;
        }
        if files.len() == before && !options.awaits() {
            return Err(nothing(pattern));
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

fn matches(pattern: &str, options: &FileOptions, files: &mut Vec<PathBuf>) -> Result<()> {
    // What starts with a dot is hidden, as in a shell: half-written files among them.
    let rules = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let paths = glob::glob_with(pattern, rules)
        .map_err(|e| Error::invalid(format!("option path = '{pattern}' is not a valid pattern: {}", e.msg)))?;
    for path in paths {
        match path {
            Ok(path) if path.is_dir() => directory(&path, options, files)?,
            Ok(path) => files.push(path),
            Err(e) => return Err(Error::io(e.path().to_path_buf(), e.into())),
        }
    }
    Ok(())
}

/// Every file below `root` that is not hidden and, where names tell a format, is of the wanted one.
fn directory(root: &Path, options: &FileOptions, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| Error::io(&folder, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| Error::io(&folder, e))?;
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
                continue;
            }
            let kind = entry.file_type().map_err(|e| Error::io(&path, e))?;
            if kind.is_dir() {
                open.push(path);
                continue;
            }
            let known = by_extension(&path).0;
            if options.format.is_none_or(|wanted| known.is_none_or(|k| k == wanted)) && path.is_file() {
                files.push(path);
            }
        }
    }
    Ok(())
}

fn nothing(pattern: &str) -> Error {
    if is_glob(pattern) {
        return Error::invalid_with_hint(
            format!("no file matches path = '{pattern}'"),
            "Check the pattern; it is relative to the working directory.",
        );
    }
    if Path::new(pattern).is_dir() {
        return Error::invalid(format!("the directory '{pattern}' has no files to read"));
    }
    Error::invalid_with_hint(
        format!("file '{pattern}' does not exist"),
        "Paths are relative to the working directory; a comma separates several.",
    )
}

#[cfg(test)]
mod tests {
    use thalweg_core::Options;

    use super::*;

    fn parse(path: &str, more: &[(&str, &str)]) -> FileOptions {
        let pairs = [("path", path)].into_iter().chain(more.iter().copied());
        FileOptions::parse(Options::new(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())))).expect("valid options")
    }

    #[test]
    fn files_globs_and_directories_in_name_order() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["b.csv", "a.csv", ".hidden.csv", "_SUCCESS", "sub/c.csv", "d.json"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("has one")).expect("created");
            fs::write(&path, "x\n").expect("written");
        }
        let at = |name: &str| dir.path().join(name);
        let root = dir.path().display().to_string();
        assert_eq!(list(&parse(&format!("{root}/*.csv"), &[])).expect("listed"), [at("a.csv"), at("b.csv")]);
        let all = list(&parse(&root, &[("format", "csv")])).expect("listed");
        assert_eq!(all, [at("a.csv"), at("b.csv"), at("sub/c.csv")]);
        let twice = list(&parse(&format!("{root}/b.csv,{root}/a.csv,{root}/b.csv"), &[])).expect("listed");
        assert_eq!(twice, [at("a.csv"), at("b.csv")]);
    }

    #[test]
    fn what_is_not_there_is_an_error_unless_it_is_awaited() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path().display().to_string();
        for (path, part) in [
            (format!("{root}/none.csv"), "does not exist"),
            (format!("{root}/*.csv"), "no file matches"),
            (root, "has no files"),
        ] {
            let message = list(&parse(&path, &[])).expect_err("nothing there").to_string();
            assert!(message.contains(part), "{message}");
            for mode in ["follow", "watch"] {
                assert!(list(&parse(&path, &[("mode", mode)])).expect("awaited").is_empty());
            }
        }
    }
}
