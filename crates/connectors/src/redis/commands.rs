//! `Commands`: requests in the protocol of Redis (RESP), ready to be sent together. It must not know what they do.

/// Requests one behind the other.
#[derive(Debug, Default)]
pub(super) struct Commands {
    bytes: Vec<u8>,
    count: usize,
}

impl Commands {
    /// Appends a request of these words.
    pub(super) fn push<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W, IntoIter: ExactSizeIterator>) {
        let words = words.into_iter();
        self.bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            let word = word.as_ref();
            self.bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.bytes.extend_from_slice(word);
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.count += 1;
    }

    /// As they are sent.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many there are, and how many answers come.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Takes them all back.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_may_hold_any_bytes() {
        let mut commands = Commands::default();
        commands.push(["SET", "k"]);
        commands.push([&b"\r\n\0\xff"[..]]);
        assert_eq!(commands.bytes(), b"*2\r\n$3\r\nSET\r\n$1\r\nk\r\n*1\r\n$4\r\n\r\n\0\xff\r\n");
        assert_eq!(commands.count(), 2);
    }
}
