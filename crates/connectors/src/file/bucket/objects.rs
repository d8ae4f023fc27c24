//! `Objects`: which objects of a bucket a source reads, in which version. It must not know what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt};
use thalweg_bucket::{Place, explain};
use thalweg_core::{Error, Result, Secret};

use super::super::options::{FileFormat, by_extension};
use super::super::stamp::{Stamp, Version};

/// Objects that a source of those that are there now can have.
pub(super) const OBJECTS_MAX: usize = 1_000_000;

/// A bucket, reached.
pub(super) struct Objects {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) bucket: String,
    pub(super) secrets: Vec<Secret>,
}

/// What of a bucket is wanted.
pub(super) struct Wanted {
    pub(super) places: Vec<Place>,
    pub(super) format: Option<FileFormat>,
    /// Nothing need be there yet.
    pub(super) awaits: bool,
    /// More are an error.
    pub(super) max: usize,
}

/// What has been listed.
struct Found {
    versions: BTreeMap<PathBuf, Stamp>,
    /// Something was found at the place that is looked at.
    any: bool,
    max: usize,
}

impl Found {
    fn add(&mut self, version: Version) -> Result<()> {
        self.any = true;
        self.versions.insert(version.path, version.stamp);
        if self.versions.len() <= self.max {
            return Ok(());
        }
        Err(Error::invalid_with_hint(
            format!("more than {} objects are there", self.max),
            "Take away those that have been read, or allow more with files.max: how far each was read is in every checkpoint.",
        ))
    }
}

impl Objects {
    /// `s3://BUCKET/KEY`, as objects are named.
    pub(super) fn name(&self, key: &Key) -> PathBuf {
        PathBuf::from(format!("s3://{}/{key}", self.bucket))
    }

    /// The key of what is named so.
    pub(super) fn key(&self, name: &Path) -> Result<Key> {
        let text = name.to_string_lossy();
        let key = text.strip_prefix(&format!("s3://{}/", self.bucket)).and_then(|key| Key::parse(key).ok());
        key.ok_or_else(|| Error::Internal(format!("{text} is not of the bucket {}", self.bucket)))
    }

    pub(super) fn failed(&self, what: &str, name: &Path, cause: &StoreError) -> Error {
        Error::io(name, explain(what, cause, &self.secrets))
    }

    /// The objects that are there, each once, by name.
    pub(super) async fn list(&self, wanted: &Wanted) -> Result<Vec<Version>> {
        let mut found = Found { versions: BTreeMap::new(), any: false, max: wanted.max };
        for place in &wanted.places {
            found.any = false;
            self.list_place(place, wanted, &mut found).await?;
            if !found.any && !wanted.awaits {
                return Err(Error::invalid_with_hint(
                    format!("{} names no object", place.url()),
                    "Check bucket, prefix and pattern; with mode = 'watch' objects may still come.",
                ));
            }
        }
        Ok(found.versions.into_iter().map(|(path, stamp)| Version { path, stamp }).collect())
    }

    async fn list_place(&self, place: &Place, wanted: &Wanted, found: &mut Found) -> Result<()> {
        let name = PathBuf::from(place.url());
        let invalid = |e: &dyn std::fmt::Display| Error::invalid(format!("{}: {e}", place.url()));
        if let Some(at) = place.prefix.find(['*', '[']) {
            let pattern = glob::Pattern::new(&place.prefix).map_err(|e| invalid(&e.msg))?;
            let rules = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
            let folder = place.prefix[..at].rsplit_once('/').map_or("", |(folder, _)| folder);
            let folder = Key::parse(folder).map_err(|e| invalid(&e))?;
            let is_wanted = |key: &str| pattern.matches_with(key, rules) && !is_hidden(key, folder.as_ref());
            return self.below(&folder, &name, is_wanted, found).await;
        }
        let key = Key::parse(&place.prefix).map_err(|e| invalid(&e))?;
        if !key.as_ref().is_empty() {
            match self.store.head(&key).await {
                Ok(meta) => {
                    return found.add(self.version(&meta));
                }
                Err(StoreError::NotFound { .. }) => {}
                Err(cause) => return Err(self.failed("look for it", &name, &cause)),
            }
        }
        let fits = |key: &str| {
            let known = by_extension(Path::new(key)).0;
            wanted.format.is_none_or(|wanted| known.is_none_or(|known| known == wanted))
        };
        let is_wanted = |object: &str| fits(object) && !is_hidden(object, key.as_ref());
        self.below(&key, &name, is_wanted, found).await
    }

    /// The objects below `folder` that are wanted. Those without a byte are none: some tools make them for folders.
    async fn below(
        &self,
        folder: &Key,
        name: &Path,
        is_wanted: impl Fn(&str) -> bool,
        found: &mut Found,
    ) -> Result<()> {
        let prefix = (!folder.as_ref().is_empty()).then_some(folder);
        let mut listed = self.store.list(prefix);
        while let Some(meta) = listed.try_next().await.map_err(|e| self.failed("list", name, &e))? {
            if meta.size > 0 && is_wanted(meta.location.as_ref()) {
                found.add(self.version(&meta))?;
            }
        }
        Ok(())
    }

    fn version(&self, meta: &ObjectMeta) -> Version {
        Version { path: self.name(&meta.location), stamp: stamp(meta) }
    }
}

/// What changes when an object is written again.
pub(super) fn stamp(meta: &ObjectMeta) -> Stamp {
    let mark = match &meta.e_tag {
        // Letters, digits and `-` as servers write it; what else there is stays distinct enough as its bytes.
        Some(tag) => {
            let tag = tag.trim_start_matches("W/").trim_matches('"');
            let byte = |b: u8| {
                if b.is_ascii_alphanumeric() || b == b'-' { (b as char).to_string() } else { format!("{b:02x}") }
            };
            tag.bytes().map(byte).collect()
        }
        // Answers to single requests have no fractions of it.
        None => meta.last_modified.timestamp().to_string(),
    };
    Stamp { length: meta.size, mark }
}

/// Below `folder` something of the key begins with a dot or an underscore, as what is not data does.
fn is_hidden(key: &str, folder: &str) -> bool {
    let below = key.strip_prefix(folder).unwrap_or(key);
    below.split('/').any(|part| part.starts_with(['.', '_']))
}
