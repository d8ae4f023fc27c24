//! Topics come and go by manifests: what the newest one names is there, all else is rubbish. It must not know what
//! topics hold.

use std::sync::Arc;

use thalweg_disk::{Disk, DiskError, DiskErrorKind, DiskFile, NewFile, durable_folder, durable_publish};

use crate::limits::{MAX_TOPICS, RESERVE_BYTES};
use crate::log::{Active, Log};
use crate::manifest::{self, Manifest, TopicEntry};
use crate::marks::Marks;
use crate::state::{Ledger, Roll, Shared, State, Topic, lock};
use crate::topic::{check_name, folder, partition, segment};
use crate::{HubError, Result, Ticket, TopicOptions};

/// The file that keeps space free.
const RESERVE: &str = "reserve";

impl Shared {
    pub fn create_topic(&self, name: &str, options: TopicOptions) -> Result<()> {
        check_name(name)?;
        options.check()?;
        lock(&self.state).check_free(name)?;
        let id = {
            let mut ledger = lock(&self.ledger);
            ledger.next_topic += 1;
            ledger.next_topic - 1
        };
        let partition = partition(name, id);
        let made =
            self.make_topic(&partition).and_then(|file| self.announce_topic(name, id, options, &partition, file));
        made.inspect_err(|_| remove_topic(&*self.disk, name, id))
    }

    /// Publishes a topic whose files are there.
    fn announce_topic(
        &self,
        name: &str,
        id: u64,
        options: TopicOptions,
        partition: &str,
        file: Arc<dyn DiskFile>,
    ) -> Result<()> {
        let mut ledger = lock(&self.ledger);
        // Another may have been faster.
        thalweg_core::failpoint!("hub.topic.files_made");
        lock(&self.state).check_free(name)?;
        let entry = TopicEntry { id, name: name.to_owned(), options, start: 0, durable: 0, closed: Vec::new() };
        self.publish(&mut ledger, |manifest| manifest.topics.push(entry))?;
        thalweg_core::failpoint!("hub.topic.announced");
        let active = Active::new(partition, 0, file);
        let log = Log { active, partition: partition.to_owned(), closed: Vec::new(), durable: 0 };
        let topic = Topic {
            name: name.to_owned(),
            options,
            log,
            floor: None,
            is_dirty: false,
            roll: Roll::No,
            is_going: false,
        };
        let mut state = lock(&self.state);
        state.topics.insert(id, topic);
        state.names.insert(name.to_owned(), id);
        Ok(())
    }

    /// The folder and the first, empty segment of a topic, durable.
    fn make_topic(&self, partition: &str) -> Result<Arc<dyn DiskFile>> {
        let make = || {
            durable_folder(&*self.disk, partition)?;
            thalweg_core::failpoint!("hub.topic.folder_made");
            let file = self.disk.create(&segment(partition, 0))?;
            file.sync()?;
            self.disk.sync_folder(partition)?;
            Ok(file)
        };
        let file = make().inspect_err(|e: &DiskError| self.note(e))?;
        Ok(file.into())
    }

    pub fn configure_topic(&self, name: &str, options: TopicOptions) -> Result<()> {
        options.check()?;
        let mut ledger = lock(&self.ledger);
        let id = {
            let mut state = lock(&self.state);
            state.check()?;
            state.topic_mut(name)?.0
        };
        self.publish(&mut ledger, |manifest| {
            manifest.topics.iter_mut().filter(|t| t.id == id).for_each(|t| t.options = options);
        })?;
        if let Some(topic) = lock(&self.state).topics.get_mut(&id) {
            topic.options = options;
        }
        Ok(())
    }

    pub fn delete_topic(&self, name: &str) -> Result<()> {
        let (id, last) = {
            let mut state = lock(&self.state);
            state.check()?;
            let last = state.last;
            let (id, topic) = state.topic_mut(name)?;
            topic.is_going = true;
            (id, last)
        };
        self.progress.notify_all();
        // A transaction must not lose one of its batches before the manifest says that it is complete.
        let deleted = self.wait(Ticket(last)).and_then(|()| {
            let mut ledger = lock(&self.ledger);
            self.publish(&mut ledger, |manifest| manifest.topics.retain(|t| t.id != id))?;
            let mut state = lock(&self.state);
            state.topics.remove(&id);
            state.names.remove(name);
            Ok(())
        });
        self.progress.notify_all();
        if let Err(error) = deleted {
            if let Some(topic) = lock(&self.state).topics.get_mut(&id) {
                topic.is_going = false;
            }
            return Err(error);
        }
        thalweg_core::failpoint!("hub.topic.unnamed");
        remove_topic(&*self.disk, name, id);
        Ok(())
    }

    /// Publishes what is certain now, with a change, as the manifest that counts.
    pub fn publish(&self, ledger: &mut Ledger, change: impl FnOnce(&mut Manifest)) -> Result<()> {
        let number = ledger.number + 1;
        let next_transaction = self.next_transaction.load(std::sync::atomic::Ordering::Relaxed);
        let mut manifest = lock(&self.state).manifest(number, ledger.next_topic, next_transaction);
        change(&mut manifest);
        publish_manifest(&*self.disk, &manifest, &mut ledger.has_reserve).inspect_err(|e| self.note(e))?;
        thalweg_core::failpoint!("hub.manifest.published");
        ledger.number = number;
        ledger.marks = Marks::start(&*self.disk, number);
        thalweg_core::failpoint!("hub.marks.begun");
        remove_older(&*self.disk, number - 1);
        thalweg_core::failpoint!("hub.manifest.older_removed");
        Ok(())
    }
}

impl State {
    /// # Errors
    /// A topic `name` cannot be made now.
    fn check_free(&self, name: &str) -> Result<()> {
        self.check()?;
        if self.names.contains_key(name) {
            return Err(HubError::TopicExists(name.to_owned()));
        }
        if self.names.len() >= MAX_TOPICS {
            return Err(HubError::Invalid(format!("there are {MAX_TOPICS} topics, and may not be more")));
        }
        Ok(())
    }
}

/// Publishes a manifest. On a full disk it takes the space that was kept free; where there is space that is kept again.
pub(crate) fn publish_manifest(disk: &dyn Disk, manifest: &Manifest, has_reserve: &mut bool) -> Result<(), DiskError> {
    let (path, bytes) = (manifest::file(manifest.number), manifest.encode());
    let publish = || durable_publish(disk, &[], NewFile { path: &path, bytes: &bytes });
    match publish() {
        Err(e) if e.kind == DiskErrorKind::NoSpace && *has_reserve => {
            disk.remove(RESERVE)?;
            *has_reserve = false;
            // Some file systems give space back only then.
            disk.sync_folder("")?;
            publish()?;
        }
        published => published?,
    }
    if !*has_reserve {
        *has_reserve = keep_reserve(disk).is_ok();
    }
    Ok(())
}

/// Takes space for a manifest on a full disk.
fn keep_reserve(disk: &dyn Disk) -> Result<(), DiskError> {
    let file = disk.create(RESERVE)?;
    // Not zeros: some file systems store none.
    let mut bytes = vec![0; RESERVE_BYTES];
    let mut rng = thalweg_disk::Rng::new(1);
    bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.next_u64().to_le_bytes()[..chunk.len()]));
    let kept = file.append(&bytes).and_then(|()| file.sync());
    kept.inspect_err(|_| drop(disk.remove(RESERVE)))
}

/// Space is kept already.
pub(crate) fn has_reserve(disk: &dyn Disk) -> Result<bool, DiskError> {
    match disk.size(RESERVE) {
        Ok(bytes) if bytes == RESERVE_BYTES as u64 => Ok(true),
        Ok(_) => disk.remove(RESERVE).map(|()| false),
        Err(e) if e.kind == DiskErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Removes what no manifest names, as far as possible: what stays is removed at a later start.
fn remove_topic(disk: &dyn Disk, name: &str, id: u64) {
    remove_folder(disk, &folder(name, id));
}

/// The same for any folder and all in it.
pub(crate) fn remove_folder(disk: &dyn Disk, path: &str) {
    for entry in disk.list(path).unwrap_or_default() {
        let path = format!("{path}/{}", entry.name);
        thalweg_core::failpoint!("hub.folder.removing");
        if entry.is_folder {
            remove_folder(disk, &path);
        } else {
            drop(disk.remove(&path));
        }
    }
    drop(disk.remove_folder(path));
}

/// Removes manifest `number`, which counts no more, and its marks.
pub(crate) fn remove_older(disk: &dyn Disk, number: u64) {
    drop(disk.remove(&manifest::file(number)));
    drop(disk.remove(&manifest::marks_file(number)));
}
