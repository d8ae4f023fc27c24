//! The HTTP door over real sockets, with a backend that answers from a table. It must not know the door's insides.

mod access;
mod backend;
mod client;
mod ingest;
mod pages;
mod server;
mod sql;
mod subscribe;
mod websocket;
