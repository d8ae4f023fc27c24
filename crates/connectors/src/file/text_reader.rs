//! Reads one split of a text: bytes into a bounded buffer, whole lines out of it to a decoder, line by line given up
//! when one is too long. It must not know how splits are found.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeadLetter, Error, Offset, Polled, Result, SplitReader};
use thalweg_formats::{Decoder, Input, MAX_LINE_BYTES};

use super::bytes::{Bytes, Got, PIECE};

/// Records a batch at most.
const BATCH_ROWS: usize = 8192;
/// The buffer grows to this while reads fill it: room for a batch of common lines.
const BUFFER_COMMON: usize = 8 * PIECE;
/// A decoder is shown about this many bytes a record that is wanted, so that few wanted ones cost little.
const RECORD_BYTES: usize = 1024;
/// The buffer grows to the longest line that is decoded, and a piece to read behind it.
const BUFFER_LIMIT: usize = MAX_LINE_BYTES + PIECE;

/// Makes the decoder of a text, given its first line where that is a header.
pub(crate) type MakeDecoder = Box<dyn FnMut(Option<&[u8]>) -> Result<Box<dyn Decoder>> + Send>;

/// What is at the start of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// Where in the text the first byte is.
    pub(crate) at: u64,
    /// The first line is a header.
    pub(crate) header: bool,
    /// Bytes before this position were read before a restart.
    pub(crate) skip_to: u64,
}

/// The reader of one split of a text.
pub(crate) struct TextReader {
    schema: SchemaRef,
    path: PathBuf,
    origin: Arc<str>,
    bytes: Bytes,
    make: MakeDecoder,
    decoder: Option<Box<dyn Decoder>>,
    header: bool,
    buffer: Vec<u8>,
    /// The bytes of the buffer that wait: `start .. end`.
    start: usize,
    end: usize,
    /// Where in the text `start` is.
    at: u64,
    skip_to: u64,
    /// The rest of a line that was given up is skipped.
    discarding: bool,
    ended: bool,
}

impl TextReader {
    /// Reads `bytes`. Unless the header comes first, the decoder is made at once, from `header_line` if the text
    /// `has_header` further up.
    pub(crate) fn new(
        schema: SchemaRef,
        path: PathBuf,
        bytes: Bytes,
        start: Start,
        mut make: MakeDecoder,
        has_header: bool,
        header_line: Option<&[u8]>,
    ) -> Result<Self> {
        let origin: Arc<str> = path.display().to_string().into();
        let decoder = if start.header { None } else { Some(make(header_line)?) };
        let (at, header, skip_to) = (start.at, has_header, start.skip_to);
        let buffer = vec![0; PIECE];
        Ok(Self {
            schema,
            path,
            origin,
            bytes,
            make,
            decoder,
            header,
            buffer,
            start: 0,
            end: 0,
            at,
            skip_to,
            discarding: false,
            ended: false,
        })
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.at += bytes as u64;
    }

    /// Reads another piece behind what waits.
    fn fill(&mut self) -> Result<Got> {
        if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end > self.buffer.len() / 2 || self.buffer.len() < BUFFER_COMMON {
                let length = (self.buffer.len() * 2).min(BUFFER_LIMIT);
                self.buffer.resize(length, 0);
            }
        }
        if self.end == self.buffer.len() {
            return Err(Error::Internal("a full buffer is to be filled".to_owned()));
        }
        loop {
            return match self.bytes.read(&mut self.buffer[self.end..]) {
                Ok(Got::Bytes(bytes)) => {
                    self.end += bytes;
                    Ok(Got::Bytes(bytes))
                }
                Ok(Got::End) => {
                    self.ended = true;
                    Ok(Got::End)
                }
                Ok(Got::Restart) => {
                    self.restart();
                    Ok(Got::Restart)
                }
                Ok(Got::Nothing) => Ok(Got::Nothing),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => Err(Error::io(&self.path, e)),
            };
        }
    }

    fn restart(&mut self) {
        (self.start, self.end, self.at, self.skip_to) = (0, 0, 0, 0);
        self.discarding = false;
        if self.header {
            self.decoder = None;
        }
    }

    /// The lines that wait are too many bytes without being a record: gives up the first of them.
    fn give_up(&mut self, dead: &mut Vec<DeadLetter>) {
        let waiting = &self.buffer[self.start..self.end];
        let line = memchr::memchr(b'\n', waiting);
        let reason = match line {
            // Only a quoted field can hold the line end that is here.
            Some(_) => "a quote is not closed".to_owned(),
            None => format!("line longer than {} MiB", MAX_LINE_BYTES >> 20),
        };
        let length = line.unwrap_or(waiting.len());
        let raw = waiting[..length.min(DeadLetter::MAX_RAW_BYTES)].to_vec();
        dead.push(DeadLetter { raw, origin: Arc::clone(&self.origin), offset: self.at, reason });
        self.discarding = line.is_none();
        self.consume(line.map_or(waiting.len(), |n| n + 1));
    }

    /// Skips the rest of a line that was given up.
    fn discard(&mut self) {
        match memchr::memchr(b'\n', &self.buffer[self.start..self.end]) {
            Some(length) => {
                self.consume(length + 1);
                self.discarding = false;
            }
            None => self.consume(self.end - self.start),
        }
    }

    /// Skips what was read before a restart.
    fn skip(&mut self) {
        let ahead = usize::try_from(self.skip_to.saturating_sub(self.at)).unwrap_or(usize::MAX);
        self.consume(ahead.min(self.end - self.start));
    }

    /// Makes the decoder when the header is there.
    fn read_header(&mut self) -> Result<()> {
        let waiting = &self.buffer[self.start..self.end];
        let (length, next) = match memchr::memchr(b'\n', waiting) {
            Some(length) => (length, length + 1),
            None if self.ended => (waiting.len(), waiting.len()),
            None if waiting.len() >= MAX_LINE_BYTES => {
                return Err(Error::Data(format!("{}: the header line is too long", self.path.display())));
            }
            None => return Ok(()),
        };
        if self.ended && waiting.is_empty() {
            return Ok(());
        }
        let line = &waiting[..length];
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        self.decoder = Some((self.make)(Some(line))?);
        self.consume(next);
        Ok(())
    }

    fn empty(&self) -> RecordBatch {
        RecordBatch::new_empty(Arc::clone(&self.schema))
    }
}

impl SplitReader for TextReader {
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        let max_rows = max_rows.clamp(1, BATCH_ROWS);
        let before = self.at;
        let mut dead = Vec::new();
        loop {
            if self.discarding {
                self.discard();
            }
            if self.decoder.is_none() && !self.discarding {
                self.read_header()?;
            }
            if self.decoder.is_some() && self.at < self.skip_to {
                self.skip();
            }
            let waiting = self.end - self.start;
            if let (Some(decoder), true) =
                (&mut self.decoder, waiting > 0 && !self.discarding && self.at >= self.skip_to)
            {
                let bytes = &self.buffer[self.start..self.end];
                let input = Input { bytes, origin: &self.origin, offset: self.at, last: self.ended };
                let window = waiting.min((max_rows * RECORD_BYTES).max(PIECE));
                let few = Input { bytes: &bytes[..window], last: self.ended && window == waiting, ..input };
                let mut decoded = decoder.decode(few, max_rows)?;
                if decoded.consumed == 0 && window < waiting {
                    decoded = decoder.decode(input, max_rows)?;
                }
                self.consume(decoded.consumed);
                dead.extend(decoded.dead);
                // Enough is enough: what is in the buffer comes next time.
                if decoded.rows.num_rows() > 0 || !dead.is_empty() {
                    let bytes = usize::try_from(self.at.saturating_sub(before)).unwrap_or(0);
                    return Ok(Polled::Rows { rows: decoded.rows, dead, bytes });
                }
                if self.end - self.start >= MAX_LINE_BYTES {
                    self.give_up(&mut dead);
                    return Ok(Polled::Rows {
                        rows: self.empty(),
                        dead,
                        bytes: self.at.saturating_sub(before) as usize,
                    });
                }
            }
            if self.ended {
                return Ok(Polled::End);
            }
            match self.fill()? {
                Got::Nothing if self.at > before => {
                    let bytes = (self.at - before) as usize;
                    return Ok(Polled::Rows { rows: self.empty(), dead, bytes });
                }
                Got::Nothing => return Ok(Polled::Idle),
                Got::Bytes(_) | Got::End | Got::Restart => {}
            }
            // A reader that skips a long line yields now and then, so that its worker stays alive.
            if self.at > before && self.discarding {
                return Ok(Polled::Rows { rows: self.empty(), dead, bytes: (self.at - before) as usize });
            }
        }
    }

    fn offset(&self) -> Offset {
        Offset(self.at.max(self.skip_to))
    }
}
