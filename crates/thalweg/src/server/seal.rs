//! `Seal`: secrets as the catalog's log holds them, encrypted under a key of the data directory. It must not know what
//! secrets are for.
//!
//! AES-256-GCM with a random nonce of 12 bytes before the ciphertext, in base64. The key is 32 random bytes in hexadecimal
//! in `secrets.key`, readable by its owner alone: a copy of the log without it tells nothing.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use thalweg_core::{Error, Result, Secret, SqlError};
use thalweg_store::{DataDirectory, make_note, read_note};

/// The file of the directory's name.
pub(super) const CLUSTER: &str = "cluster";

/// What a ciphertext is good for: nothing but a secret of this catalog.
const PURPOSE: &[u8] = b"thalweg secret 1";

/// Seals and opens secrets.
pub(crate) struct Seal {
    key: LessSafeKey,
    random: SystemRandom,
}

impl Seal {
    /// With the key in `file`, made if need be; without a file, a key that is gone with the process.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds no key.
    pub fn open(file: Option<&Path>) -> Result<Self> {
        let random = SystemRandom::new();
        let bytes = match file {
            Some(file) if file.exists() => read_key(file)?,
            _ => {
                let mut bytes = [0; 32];
                random.fill(&mut bytes).map_err(|_| Error::Internal("no random bytes".to_owned()))?;
                file.map_or(Ok(()), |file| write_key(file, &bytes))?;
                bytes
            }
        };
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| Error::Internal("a key of 32 bytes".to_owned()))?;
        Ok(Self { key: LessSafeKey::new(key), random })
    }

    /// `secret` for the log.
    pub fn seal(&self, secret: &Secret) -> std::result::Result<String, SqlError> {
        let failed = || Error::Internal("a secret cannot be sealed".to_owned());
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| failed())?;
        let mut text = secret.reveal().as_bytes().to_vec();
        let aad = Aad::from(PURPOSE);
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text).map_err(|_| failed())?;
        Ok(STANDARD.encode([&nonce[..], &text].concat()))
    }

    /// What was sealed.
    ///
    /// # Errors
    /// It was sealed under another key, or is damaged.
    pub fn open_sealed(&self, sealed: &str) -> std::result::Result<Secret, SqlError> {
        let failed = || {
            SqlError::from(Error::invalid_with_hint(
                "a secret was sealed under another key, or is damaged",
                "Put the secrets.key of this data directory back, or drop the secret and create it again.",
            ))
        };
        let bytes = STANDARD.decode(sealed).map_err(|_| failed())?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(failed)?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let clear = self.key.open_in_place(nonce, Aad::from(PURPOSE), &mut text).map_err(|_| failed())?;
        String::from_utf8(clear.to_vec()).map(Secret::new).map_err(|_| failed())
    }
}

fn read_key(file: &Path) -> Result<[u8; 32]> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::io(file, e))?;
    let digits = text.trim().as_bytes();
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok());
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    let key = bytes.and_then(|b| <[u8; 32]>::try_from(b).ok());
    key.ok_or_else(|| Error::invalid(format!("{}: 64 hexadecimal digits are expected", file.display())))
}

fn write_key(file: &Path, bytes: &[u8; 32]) -> Result<()> {
    let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut f| f.write_all(digits.as_bytes()).and_then(|()| f.sync_all()));
    written.map_err(|e| Error::io(file, e))
}

/// The name that a data directory has for ever, made when it is first asked for: 16 hexadecimal digits.
///
/// # Errors
/// The file cannot be read or made, or is damaged.
pub(super) fn cluster_name(data: Option<&DataDirectory>) -> Result<String> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Internal("no random bytes".to_owned()))?;
    let name: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let Some(data) = data else { return Ok(name) };
    // An older version wrote the digits alone.
    let old = std::fs::read_to_string(data.file(CLUSTER)).ok();
    if let Some(old) = old.filter(|old| old.len() == name.len() && old.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Ok(old);
    }
    match read_note(data.disk(), CLUSTER)? {
        Some(name) => Ok(name),
        None => make_note(data.disk(), CLUSTER, &name).map(|()| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_key_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secrets.key");
        let sealed = Seal::open(Some(&file)).expect("a key").seal(&Secret::new("canary")).expect("sealed");
        assert!(!sealed.contains("canary"));
        let again = Seal::open(Some(&file)).expect("the same key");
        assert_eq!(again.open_sealed(&sealed).expect("opens").reveal(), "canary");
        let other = Seal::open(None).expect("another key");
        assert!(other.open_sealed(&sealed).expect_err("another key").to_string().contains("another key"));
        let mut damaged = sealed.into_bytes();
        damaged[20] = if damaged[20] == b'A' { b'B' } else { b'A' };
        assert!(again.open_sealed(&String::from_utf8(damaged).expect("text")).is_err());
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
