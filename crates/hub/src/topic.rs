//! `TopicOptions` and the names of a topic's files. It must not open them.

use crate::{Compression, HubError, MAX_TOPIC_NAME_BYTES, Result, SEGMENT_BYTES};

/// The folder of all topics.
pub(crate) const TOPICS: &str = "topics";
/// Each topic has one partition, and room for more beside it.
const PARTITION: &str = "0";
/// Bytes of a topic's name that its folder shows, escaped.
const SHOWN_BYTES: usize = 180;
/// Bytes of a segment at most (1 GiB).
const MAX_SEGMENT_BYTES: u64 = 1 << 30;

/// How a topic is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicOptions {
    /// The codec of its records.
    pub compression: Compression,
    /// Bytes after which a new segment begins.
    pub segment_bytes: u64,
    /// Milliseconds after which a record may be deleted.
    pub retention_ms: Option<u64>,
    /// Bytes of the topic above which its oldest segments may be deleted.
    pub retention_bytes: Option<u64>,
}

impl Default for TopicOptions {
    fn default() -> Self {
        Self { compression: Compression::None, segment_bytes: SEGMENT_BYTES, retention_ms: None, retention_bytes: None }
    }
}

impl TopicOptions {
    pub(crate) fn check(&self) -> Result<()> {
        if self.segment_bytes == 0 || self.segment_bytes > MAX_SEGMENT_BYTES {
            return Err(HubError::Invalid(format!(
                "a segment of {} bytes: give a size between 1 and {MAX_SEGMENT_BYTES}",
                self.segment_bytes
            )));
        }
        let limits = [self.retention_ms, self.retention_bytes];
        match limits.into_iter().flatten().find(|n| i64::try_from(*n).is_err()) {
            Some(n) => Err(HubError::Invalid(format!("a retention of {n} is more than {}", i64::MAX))),
            None => Ok(()),
        }
    }
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_TOPIC_NAME_BYTES {
        let message = format!("a topic's name has 1 to {MAX_TOPIC_NAME_BYTES} bytes, not {}", name.len());
        return Err(HubError::Invalid(message));
    }
    Ok(())
}

/// The folder of topic `name`, whose number makes it the only one: a topic deleted and made again is another.
pub(crate) fn folder(name: &str, id: u64) -> String {
    let mut shown = String::new();
    for byte in name.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let is_dot = byte == b'.' && !shown.is_empty();
        let next = if is_plain || is_dot { char::from(byte).to_string() } else { format!("%{byte:02x}") };
        if shown.len() + next.len() > SHOWN_BYTES {
            break;
        }
        shown += &next;
    }
    format!("{TOPICS}/{shown}-{id}")
}

/// The number in a topic's folder name.
pub(crate) fn id_of(folder_name: &str) -> Option<u64> {
    folder_name.rsplit_once('-')?.1.parse().ok()
}

/// The number of the topic that the file `path` belongs to, if to one.
pub(crate) fn topic_of(path: &str) -> Option<u64> {
    id_of(path.strip_prefix(TOPICS)?.strip_prefix('/')?.split('/').next()?)
}

/// The folder of the segments of a topic.
pub(crate) fn partition(name: &str, id: u64) -> String {
    format!("{}/{PARTITION}", folder(name, id))
}

/// The file of the segment that begins at offset `base`.
pub(crate) fn segment(partition: &str, base: u64) -> String {
    format!("{partition}/{base:020}.log")
}

/// The offset in a segment's file name.
pub(crate) fn base_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".log")?;
    digits.parse().ok().filter(|_| digits.len() == 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_makes_a_plain_folder() {
        for (name, expected) in [
            ("orders", "topics/orders-7"),
            ("a.b_C-9", "topics/a.b_C-9-7"),
            ("..", "topics/%2e.-7"),
            ("a/b\0", "topics/a%2fb%00-7"),
            ("Äß", "topics/%c3%84%c3%9f-7"),
        ] {
            assert_eq!(folder(name, 7), expected);
            assert_eq!(id_of(expected), Some(7));
        }
        let long = folder(&"ä".repeat(124), u64::MAX);
        assert!(long.len() < 255 && id_of(&long) == Some(u64::MAX), "{long}");
        assert!(
            check_name(&"x".repeat(249)).is_ok() && check_name(&"x".repeat(250)).is_err() && check_name("").is_err()
        );
    }

    #[test]
    fn a_segment_is_named_by_its_first_offset() {
        let file = segment("topics/t-1/0", 1234);
        assert_eq!(file, "topics/t-1/0/00000000000000001234.log");
        assert_eq!(base_of("00000000000000001234.log"), Some(1234));
        assert_eq!(base_of("1234.log"), None);
        assert_eq!(base_of("00000000000000001234.tmp"), None);
    }
}
