//! `LocalDisk` and `SimDisk` answer alike: the same calls, the same results and kinds of errors, the same files.

use thalweg_disk::{Disk, DiskErrorKind, DiskFile, Entry, LocalDisk, Rng, SimDisk};

const PATHS: [&str; 10] = ["a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "a/x", "../a", "d//a"];

/// What a call answered, without the words of an error.
type Answer = Result<String, DiskErrorKind>;

fn told<T: std::fmt::Debug>(result: thalweg_disk::Result<T>) -> Answer {
    result.map(|t| format!("{t:?}")).map_err(|e| e.kind)
}

/// One disk and the files opened on it.
struct Side {
    disk: Box<dyn Disk>,
    open: Vec<Box<dyn DiskFile>>,
}

impl Side {
    fn keep(&mut self, opened: thalweg_disk::Result<Box<dyn DiskFile>>) -> Answer {
        told(opened.map(|file| self.open.push(file)))
    }

    /// Call number `choice` on `path`; `other`, `size` and `which` are its arguments.
    fn call(&mut self, choice: usize, path: &str, other: &str, size: usize, which: usize) -> Answer {
        let disk = self.disk.as_ref();
        let file = self.open.get(which % self.open.len().max(1));
        match (choice, file) {
            (0, _) => {
                let made = self.disk.create(path);
                self.keep(made)
            }
            (1, _) => {
                let opened = self.disk.open(path);
                self.keep(opened)
            }
            (2, _) => told(disk.read(path)),
            (3, _) => told(disk.read_range(path, size as u64 / 2, size)),
            (4, _) => told(disk.size(path)),
            (5, _) => told(disk.exists(path)),
            (6, _) => told(disk.list(path)),
            (7, _) => told(disk.create_folder(path)),
            (8, _) => told(disk.remove(path)),
            (9, _) => told(disk.remove_folder(path)),
            (10, _) => told(disk.publish(path, other)),
            (11, _) => told(disk.sync_folder(path)),
            (12, _) => told(disk.uncache(path)),
            (13, Some(file)) => told(file.sync()),
            (14, Some(file)) => told(file.len()),
            (15, Some(file)) => told(file.truncate(size as u64 / 3)),
            (_, Some(file)) => told(file.append(&vec![size as u8; size])),
            _ => Ok(String::new()),
        }
    }

    /// All that is there.
    fn files(&self, folder: &str, found: &mut Vec<(String, Option<Vec<u8>>)>) {
        for Entry { name, is_folder } in self.disk.list(folder).expect("a folder") {
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            found.push((path.clone(), (!is_folder).then(|| self.disk.read(&path).expect("a file"))));
            if is_folder {
                self.files(&path, found);
            }
        }
    }
}

#[test]
fn the_twin_answers_as_the_real_disk_does() {
    let mut refused = 0;
    for seed in 0..40 {
        let folder = tempfile::tempdir().expect("a folder");
        let local = LocalDisk::open(folder.path()).expect("a disk");
        let mut sides = [
            Side { disk: Box::new(local), open: Vec::new() },
            Side { disk: Box::new(SimDisk::new()), open: Vec::new() },
        ];
        let mut rng = Rng::new(seed);
        for step in 0..150 {
            let (choice, path, other) = (rng.below(20), rng.below(PATHS.len()), rng.below(PATHS.len()));
            let (size, which) = (rng.below(700), rng.below(8));
            let [local, sim] = sides.each_mut().map(|side| side.call(choice, PATHS[path], PATHS[other], size, which));
            let what = format!("seed {seed}, step {step}: call {choice} on {} and {}", PATHS[path], PATHS[other]);
            assert_eq!(local, sim, "{what}");
            refused += usize::from(local.is_err());
        }
        let [local, sim] = sides.each_ref().map(|side| {
            let mut found = Vec::new();
            side.files("", &mut found);
            found
        });
        assert_eq!(local, sim, "seed {seed}");
    }
    assert!(refused > 500, "the sequences also try what must fail: {refused}");
}
