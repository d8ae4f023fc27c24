//! The doors of the server: the PostgreSQL wire and HTTP, with authentication and TLS.
//!
//! Owns listeners, protocols and encodings. It must not know SQL, plans or dataflows: whatever answers implements
//! [`backend::Backend`].
//!
//! The way of a request: a listener accepts (`listen`), the door authenticates (`auth`), opens a
//! [`backend::Session`], hands it statements, and encodes its answers.

pub mod auth;
pub mod backend;
pub mod http;
pub mod pg;
pub mod smoke;
pub mod tls;
