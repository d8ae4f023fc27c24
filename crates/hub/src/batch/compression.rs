//! `Compression`: the codecs of a batch's records. It must not know what it compresses.

use std::io::{Read, Write};

use super::BatchError;
use crate::MAX_BATCH_BYTES;

/// Level of zstd: its own default.
const ZSTD_LEVEL: i32 = 3;
/// Largest window of a zstd frame that is accepted, as a power of two: a batch of [`MAX_BATCH_BYTES`] needs no more.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// LZ4 frames: fast.
    Lz4,
    /// Zstandard: small.
    Zstd,
}

impl Compression {
    /// Its bits in the attributes.
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// What the attributes say.
    pub(crate) fn of(attributes: i16) -> Result<Self, BatchError> {
        match attributes & 7 {
            0 => Ok(Self::None),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            1 => Err(BatchError::Codec("gzip")),
            2 => Err(BatchError::Codec("snappy")),
            code => Err(BatchError::Field { field: "codec", value: code.into() }),
        }
    }

    pub(super) fn compress(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(bytes)?;
                Ok(encoder.finish()?)
            }
            Self::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
        }
    }

    /// What `bytes` hold, [`MAX_BATCH_BYTES`] at most.
    pub(super) fn decompress(self, bytes: &[u8]) -> Result<Vec<u8>, BatchError> {
        let failed = |e: std::io::Error| BatchError::Compressed(e.to_string());
        let mut out = Vec::new();
        let limit = MAX_BATCH_BYTES as u64 + 1;
        match self {
            Self::None => out.extend_from_slice(bytes),
            Self::Lz4 => {
                let decoder = lz4_flex::frame::FrameDecoder::new(bytes);
                decoder.take(limit).read_to_end(&mut out).map_err(failed)?;
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(failed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(failed)?;
                decoder.take(limit).read_to_end(&mut out).map_err(failed)?;
            }
        }
        if out.len() > MAX_BATCH_BYTES {
            return Err(BatchError::TooLarge { bytes: out.len(), max: MAX_BATCH_BYTES });
        }
        Ok(out)
    }
}
