//! What memory the machine lends this process and how much of it is taken; sizes as people write them.
//! It must not know runs, operators or where a limit was set.

use std::fs;
use std::path::Path;

use thalweg_core::{Error, Result};

const UNITS: &[(&str, u64)] = &[
    ("b", 1),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
];

/// Bytes of a size like `4GiB`, `512 MiB`, `1.5GB` or `1000000`.
///
/// # Errors
/// `text` is not a size, or is zero.
pub fn parse_bytes(text: &str) -> Result<usize> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim().to_ascii_lowercase());
    let unit = if unit.is_empty() { "b" } else { unit.as_str() };
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let bytes = factor.zip(number.parse::<f64>().ok()).map(|(factor, number)| number * factor as f64);
    match bytes {
        Some(bytes) if bytes >= 1.0 => Ok(bytes as usize),
        _ => Err(Error::invalid_with_hint(
            format!("'{text}' is not a size"),
            "Write a number and a unit: 512MiB, 4GiB, 1.5GB.",
        )),
    }
}

/// `bytes` in the largest unit that leaves a whole number before the point.
pub(crate) fn show_bytes(bytes: usize) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// The memory of the machine or of the control group that this process is in, whichever is smaller; `None` where
/// neither can be read.
pub(crate) fn memory_bytes() -> Option<usize> {
    let machine = field_kib("/proc/meminfo", "MemTotal:");
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups.lines().filter_map(group_limit).chain(machine).min()
}

/// Bytes of this process that are in memory now; `None` where that cannot be read.
pub(crate) fn resident_bytes() -> Option<usize> {
    field_kib("/proc/self/status", "VmRSS:")
}

fn field_kib(file: &str, name: &str) -> Option<usize> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: usize = rest.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// The lowest limit on the way from a line of `/proc/self/cgroup` (`number:controllers:path`) up to the root.
fn group_limit(line: &str) -> Option<usize> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let (root, file) = if controllers.is_empty() {
        ("/sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|c| c == "memory") {
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return None;
    };
    // Inside a container the path may be that of the host: the root is looked at in any case.
    let within = Path::new(path.trim_start_matches('/'));
    let limit = |folder: &Path| fs::read_to_string(Path::new(root).join(folder).join(file)).ok()?.trim().parse().ok();
    within.ancestors().filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("4GiB", 4 << 30), ("512 mib", 512 << 20), ("1.5kB", 1500), ("77", 77), ("2b", 2), (" 1KiB ", 1024)]
        {
            assert_eq!(parse_bytes(text).expect("a size"), bytes, "{text}");
        }
        for text in ["", "GiB", "-1MiB", "0", "4 quux", "1.2.3MiB", "é"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_a_unit_that_fits() {
        assert_eq!(show_bytes(1000), "1000 bytes");
        assert_eq!(show_bytes(1536), "1.5 KiB");
        assert_eq!(show_bytes(4 << 30), "4.0 GiB");
    }

    #[test]
    fn this_machine_has_memory_and_this_process_less() {
        if let (Some(machine), Some(process)) = (memory_bytes(), resident_bytes()) {
            assert!(0 < process && process < machine, "{process} of {machine}");
        }
    }
}
