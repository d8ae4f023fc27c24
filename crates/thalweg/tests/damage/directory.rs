//! Folders of files, copied and listed. It must not know what is in them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Paths of all files below `folder`, relative to it, in order.
pub fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(at) = folders.pop() {
        // A folder may go while it is looked at.
        let Ok(entries) = std::fs::read_dir(folder.join(&at)) else { continue };
        for entry in entries {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("UTF-8");
            let path = if at.is_empty() { name } else { format!("{at}/{name}") };
            if entry.file_type().expect("a type").is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort_unstable();
    found
}

/// Makes `to` hold what `from` holds, and nothing else.
pub fn copy(from: &Path, to: &Path) {
    try_copy(from, to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
}

/// As [`copy`], of a folder in which threads are just tidying up: as it is when they have done so.
pub fn copy_at_rest(from: &Path, to: &Path) {
    for _ in 0..1_000 {
        if try_copy(from, to).is_ok() && contents(from).is_ok_and(|found| contents(to).is_ok_and(|copy| found == copy))
        {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    panic!("{} does not come to rest", from.display());
}

fn try_copy(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    std::fs::create_dir_all(to)?;
    for file in files(from) {
        let target = to.join(&file);
        std::fs::create_dir_all(target.parent().expect("a folder"))?;
        std::fs::copy(from.join(&file), target)?;
    }
    Ok(())
}

/// The bytes of all files below `folder`.
pub fn contents(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    files(folder).into_iter().map(|file| std::fs::read(folder.join(&file)).map(|bytes| (file, bytes))).collect()
}
