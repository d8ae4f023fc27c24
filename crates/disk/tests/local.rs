//! `LocalDisk` where the operating system refuses.

use thalweg_core::Error;
use thalweg_disk::{Disk, DiskErrorKind, LocalDisk, Operation};

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_is_told_apart() {
    let disk = LocalDisk::open("/dev").expect("there");
    let error = disk.open("full").expect("a device").append(b"x").expect_err("always full");
    assert_eq!((error.kind, error.operation), (DiskErrorKind::NoSpace, Operation::Append));
    let Error::Io { path, source } = Error::from(error) else { panic!("a file is at fault") };
    assert_eq!((path.to_str(), source.kind()), (Some("/dev/full"), std::io::ErrorKind::StorageFull));
    assert!(source.to_string().starts_with("cannot append to"), "{source}");
}

#[test]
#[cfg(target_os = "linux")]
fn after_a_failed_fsync_nothing_more_is_written() {
    // A device that takes writes and cannot be synced.
    let disk = LocalDisk::open("/dev").expect("there");
    let file = disk.open("null").expect("a device");
    file.append(b"x").expect("taken");
    let first = file.sync().expect_err("it cannot be synced");
    assert_eq!((first.kind, first.operation), (DiskErrorKind::Other, Operation::Sync));
    for error in [
        file.append(b"x").expect_err("refused"),
        file.sync().expect_err("not tried again"),
        file.truncate(0).expect_err("refused"),
        disk.create("shm/thalweg-never-made").expect_err("refused"),
        disk.clone().remove("shm/thalweg-never-made").expect_err("a clone is the same disk"),
        disk.sync_folder("shm").expect_err("refused"),
    ] {
        assert_eq!(error.kind, DiskErrorKind::Poisoned, "{error}");
        assert!(error.to_string().contains("/dev/null") && error.to_string().contains("restart"), "{error}");
    }
    disk.exists("null").expect("reading goes on");
}

#[test]
fn a_missing_folder_is_no_failed_fsync() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = LocalDisk::open(folder.path()).expect("a disk");
    assert_eq!(disk.sync_folder("none").expect_err("missing").kind, DiskErrorKind::NotFound);
    disk.create("f").expect("the disk is well");
}

#[test]
fn errors_name_the_file_and_the_operation() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = LocalDisk::open(folder.path()).expect("a disk");
    let error = disk.read("no/such").expect_err("missing");
    let expected = format!("cannot read {}/no/such: ", folder.path().display());
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert_eq!(error.kind, DiskErrorKind::NotFound);
}
