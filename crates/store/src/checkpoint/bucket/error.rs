//! What only a shelf can have to complain of. It must not know what a server says.

use std::io::{Error, ErrorKind};

pub(super) fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such object")
}

pub(super) fn taken() -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        "cannot put: the name is taken by other content; give each server a prefix of its own",
    )
}

pub(super) fn of_another() -> Error {
    Error::new(
        ErrorKind::PermissionDenied,
        "the checkpoints below this prefix belong to another data directory: give each server a prefix of its own; \
         to begin anew here, remove what is below the prefix",
    )
}

pub(super) fn lost() -> Error {
    Error::new(
        ErrorKind::PermissionDenied,
        "another server has taken over the checkpoints below this prefix: this one can write no more; \
         stop one of them, or give each a prefix of its own",
    )
}
