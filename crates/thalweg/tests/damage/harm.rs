//! `Harm`: a damage to some file of a directory. It must not know what the files mean.

use std::fmt;
use std::path::Path;

use thalweg_disk::Rng;

use super::directory::files;

/// Bytes that are zeroed at a time.
const BLOCK: usize = 4096;

/// What was done.
pub struct Harm {
    /// To which file.
    pub file: String,
    what: String,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

impl Harm {
    /// The kind of the file.
    pub fn kind(&self) -> String {
        kind(&self.file)
    }

    /// Does one to a file below `data`. `older` holds former states of some of its files.
    pub fn random(data: &Path, older: &Path, rng: &mut Rng) -> Self {
        let all: Vec<String> = files(data);
        // Every kind as often as any other, whatever the number of its files.
        let mut kinds: Vec<String> = all.iter().map(|file| kind(file)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let wanted = &kinds[rng.below(kinds.len())];
        let of_kind: Vec<&String> = all.iter().filter(|file| kind(file) == *wanted).collect();
        let file = of_kind[rng.below(of_kind.len())].clone();
        let path = data.join(&file);
        let mut bytes = std::fs::read(&path).expect("readable");
        let at = rng.below(bytes.len().max(1));
        let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).expect("room");
        let what = match rng.below(20) {
            0..=7 if !bytes.is_empty() => {
                let bit = rng.below(8);
                bytes[at] ^= 1 << bit;
                write(&path, &bytes);
                format!("bit {bit} of byte {at} of {} flipped", bytes.len())
            }
            8..=12 if !bytes.is_empty() => {
                // Where a sector ends now and then, at the end often.
                let length = match rng.below(4) {
                    0 => at - at % 512,
                    1 => bytes.len() - 1 - rng.below(bytes.len().min(40)),
                    _ => at,
                };
                write(&path, &bytes[..length]);
                format!("cut at {length} of {}", bytes.len())
            }
            13..=14 if !bytes.is_empty() => {
                let from = at - at % BLOCK.min(at.max(1));
                let to = (from + BLOCK).min(bytes.len());
                bytes[from..to].fill(0);
                write(&path, &bytes);
                format!("zeroed from {from} to {to} of {}", bytes.len())
            }
            15 => {
                std::fs::remove_file(&path).expect("it is there");
                "removed".to_owned()
            }
            16 => {
                bytes.extend((0..1 + rng.below(60)).map(|_| rng.below(256) as u8));
                write(&path, &bytes);
                "lengthened".to_owned()
            }
            17 => match std::fs::read(older.join(&file)) {
                Ok(old) => {
                    write(&path, &old);
                    "as it was before".to_owned()
                }
                Err(_) => {
                    // Under a name that another has.
                    let other = of_kind[rng.below(of_kind.len())];
                    write(&data.join(other), &bytes);
                    format!("also under the name of {other}")
                }
            },
            18 => match renamed(&file) {
                Some(name) => {
                    write(&data.join(&name), &bytes);
                    format!("also under the new name {name}")
                }
                None => {
                    bytes.truncate(at);
                    write(&path, &bytes);
                    format!("cut at {at}")
                }
            },
            _ => {
                // One of its own kind half of the time.
                let others: Vec<&String> = if rng.one_in(2) { of_kind } else { all.iter().collect() };
                let other = others[rng.below(others.len())];
                let theirs = std::fs::read(data.join(other)).expect("readable");
                write(&data.join(other), &bytes);
                write(&path, &theirs);
                format!("swapped with {other}")
            }
        };
        Self { file, what }
    }
}

/// The next name of a file that is numbered.
fn renamed(file: &str) -> Option<String> {
    let (folder, name) = file.rsplit_once('/')?;
    let from = name.find(|c: char| c.is_ascii_digit())?;
    let digits = name[from..].chars().take_while(char::is_ascii_digit).count();
    let number: u64 = name[from..from + digits].parse().ok()?;
    Some(format!("{folder}/{}{:0digits$}{}", &name[..from], number + 1, &name[from + digits..]))
}

fn kind(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    match file.split('/').next() {
        Some("checkpoints") => format!("checkpoint {}", name.rsplit('.').next().unwrap_or(name)),
        Some("hub") if file.starts_with("hub/topics/") => "hub segment".to_owned(),
        Some("hub") => format!("hub {}", name.split('-').next().unwrap_or(name)),
        _ => name.to_owned(),
    }
}
