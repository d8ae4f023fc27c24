//! Where the bytes of a text come from: a range of a file, a compressed stream, standard input, a growing file.
//! It must not know lines' meaning or formats.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;

use flate2::read::MultiGzDecoder;
use thalweg_core::{Error, Result};

use super::follow::FollowedFile;
use super::options::Compression;

/// Bytes that standard input may be ahead of its reader: this many pieces of [`PIECE`] bytes.
const PIECES_AHEAD: usize = 4;
/// Bytes read at once.
pub(crate) const PIECE: usize = 256 * 1024;

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// That many bytes, more than none.
    Bytes(usize),
    /// None at the moment.
    Nothing,
    /// There are no more.
    End,
    /// The file was cut and starts anew at its byte 0; what was not yet decoded is gone.
    Restart,
}

/// A source of bytes.
pub(crate) enum Bytes {
    /// The lines of a file that begin in a range of it.
    Range(RangeFile),
    /// A whole file through a decompressor.
    Stream(Box<dyn Read + Send>),
    /// Standard input.
    Stdin(Stdin),
    /// A file that grows.
    Follow(FollowedFile),
}

impl Bytes {
    /// The whole of the file at `path`, decompressed.
    pub(crate) fn stream(path: &Path, compression: Compression) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        Ok(Self::Stream(match compression {
            Compression::None => Box::new(file),
            Compression::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(PIECE, file))),
            Compression::Zstd => Box::new(zstd::Decoder::new(file).map_err(|e| Error::io(path, e))?),
        }))
    }

    /// Reads into `buffer`, which is not empty.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        let bytes = match self {
            Self::Range(range) => range.read(buffer)?,
            Self::Stream(stream) => stream.read(buffer)?,
            Self::Stdin(stdin) => return stdin.read(buffer),
            Self::Follow(file) => return file.read(buffer),
        };
        Ok(if bytes == 0 { Got::End } else { Got::Bytes(bytes) })
    }
}

/// The lines of a file that begin in `start .. end`.
pub(crate) struct RangeFile {
    file: File,
    at: u64,
    end: u64,
    done: bool,
}

impl RangeFile {
    /// Opens the file at `path`. `from` is where reading begins: the start of the range, or inside it after a
    /// restart, and then at the start of a line. Returns where the first line begins.
    pub(crate) fn open(path: &Path, start: u64, end: u64, from: u64) -> Result<(Self, u64)> {
        let failed = |e| Error::io(path, e);
        let file = File::open(path).map_err(failed)?;
        let mut range = Self { file, at: start, end, done: start >= end };
        if from > start {
            range.seek(from).map_err(failed)?;
            range.done = from >= end;
        } else if start > 0 {
            range.skip_line(start - 1).map_err(failed)?;
        }
        let at = range.at;
        Ok((range, at))
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        self.at = self.file.seek(SeekFrom::Start(to))?;
        Ok(())
    }

    /// Goes to the byte after the first line end at or after `from`; the line before belongs to the range before.
    /// Looks no further than the end of this range: a line that fills it all leaves nothing to read.
    fn skip_line(&mut self, from: u64) -> io::Result<()> {
        self.seek(from)?;
        let mut buffer = vec![0; PIECE];
        while self.at < self.end {
            let bytes = self.file.read(&mut buffer)?;
            if bytes == 0 {
                break;
            }
            if let Some(length) = memchr::memchr(b'\n', &buffer[..bytes]) {
                let start = self.at + length as u64 + 1;
                self.done = start >= self.end;
                return self.seek(start);
            }
            self.at += bytes as u64;
        }
        self.done = true;
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.done {
            return Ok(0);
        }
        // Up to the last byte of the range everything is ours; from there on, up to the next line end.
        let ours = self.end.saturating_sub(1).saturating_sub(self.at);
        if ours > 0 {
            let most = usize::try_from(ours).unwrap_or(usize::MAX).min(buffer.len());
            let bytes = self.file.read(&mut buffer[..most])?;
            self.at += bytes as u64;
            return Ok(bytes);
        }
        let most = buffer.len().min(PIECE);
        let bytes = self.file.read(&mut buffer[..most])?;
        let bytes = match memchr::memchr(b'\n', &buffer[..bytes]) {
            Some(length) => {
                self.done = true;
                length + 1
            }
            None => bytes,
        };
        self.at += bytes as u64;
        Ok(bytes)
    }
}

/// Standard input, read by a thread of its own so that a quiet pipe stops nobody.
pub(crate) struct Stdin {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    used: usize,
}

impl Stdin {
    /// Starts reading.
    pub(crate) fn open(compression: Compression) -> Result<Self> {
        let (sender, pieces) = sync_channel(PIECES_AHEAD);
        let read = move || {
            let mut input: Box<dyn Read> = match compression {
                Compression::None => Box::new(io::stdin()),
                Compression::Gzip => Box::new(MultiGzDecoder::new(io::stdin().lock())),
                Compression::Zstd => match zstd::Decoder::new(io::stdin()) {
                    Ok(decoder) => Box::new(decoder),
                    Err(e) => {
                        // Nobody may be left to tell.
                        let _ = sender.send(Err(e));
                        return;
                    }
                },
            };
            loop {
                let mut piece = vec![0; PIECE];
                let sent = match input.read(&mut piece) {
                    Ok(0) => return,
                    Ok(bytes) => {
                        piece.truncate(bytes);
                        sender.send(Ok(piece))
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(e) => sender.send(Err(e)),
                };
                if sent.is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("stdin".to_owned()).spawn(read).map_err(|e| Error::io("standard input", e))?;
        Ok(Self { pieces, piece: Vec::new(), used: 0 })
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        if self.used == self.piece.len() {
            match self.pieces.try_recv() {
                Ok(piece) => {
                    self.piece = piece?;
                    self.used = 0;
                }
                Err(TryRecvError::Empty) => return Ok(Got::Nothing),
                Err(TryRecvError::Disconnected) => return Ok(Got::End),
            }
        }
        let bytes = buffer.len().min(self.piece.len() - self.used);
        buffer[..bytes].copy_from_slice(&self.piece[self.used..self.used + bytes]);
        self.used += bytes;
        Ok(Got::Bytes(bytes))
    }
}
