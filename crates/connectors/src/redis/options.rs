//! The options of a sink, read once and held against its stream. It must not open connections.

use std::time::Duration;

use arrow::datatypes::SchemaRef;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use redis::{ClientTlsConfig, ProtocolVersion, RedisError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thalweg_core::{Error, Options, Result};

use super::key::KeyFormat;
use crate::registry::EpochSinkRequest;
use crate::target_key::key_columns;
use crate::template::{Marks, Template};

/// A server that does not answer for this long (ms), unless the options say otherwise.
const TIMEOUT_MILLIS: u64 = 60_000;

/// The field of an entry that says what has happened to the row.
pub(super) const OP: &str = "op";
/// The field of an entry that `value_format` writes.
pub(super) const VALUE: &str = "value";

/// What becomes of a row.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A hash of its own, a field a column.
    Hash(Row),
    /// A string of its own.
    String(Row, Value),
    /// An entry of a stream for each change.
    Stream(Stream),
}

/// Rows with keys of their own.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) format: KeyFormat,
    /// Milliseconds that a key lives after its last change.
    pub(super) ttl: Option<u64>,
}

/// What a row is in one text.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// An object with its columns.
    Json,
    Template(Template),
}

/// A stream and what its entries are.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) name: String,
    /// About how many entries are kept.
    pub(super) keep: Option<u64>,
    /// Instead of a field for each column.
    pub(super) value: Option<Template>,
    /// By key: what is taken back is told. Otherwise rows are added; `forced`: what is taken back is left out.
    pub(super) upsert: bool,
    pub(super) forced: bool,
}

/// The login.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) username: Option<String>,
    pub(super) password: String,
}

/// The options of a sink.
#[derive(Clone)]
pub(super) struct SinkOptions {
    /// The server, without login and database.
    pub(super) client: Client,
    pub(super) login: Option<Login>,
    pub(super) database: i64,
    pub(super) timeout: Duration,
    pub(super) wait_aof: bool,
    pub(super) shape: Shape,
    pub(super) schema: SchemaRef,
    /// The columns of the key; a stream that only grows needs none.
    pub(super) key: Vec<usize>,
}

impl SinkOptions {
    /// Reads the options of `request` and refuses what does not fit its stream.
    pub(super) fn parse(request: &EpochSinkRequest) -> Result<Self> {
        let mut options = request.options.clone();
        let (info, database) = server(&options.require("redis.url", "redis://localhost:6379/0")?)?;
        let login = login(&mut options)?;
        let client = client(info, &mut options)?;
        let timeout = Duration::from_millis(options.parse("timeout.millis", TIMEOUT_MILLIS, "a number")?);
        if timeout < Duration::from_millis(100) {
            return Err(Error::invalid("option timeout.millis is below 100"));
        }
        let wait_aof = options.parse("wait_aof", true, "true or false")?;
        const TYPES: &[(&str, &str)] = &[("hash", "hash"), ("string", "string"), ("stream", "stream")];
        let schema = request.schema.clone();
        let (shape, key) = match options.choice("data_type", TYPES, "hash")? {
            "stream" => {
                let (stream, key) = stream(&mut options, request)?;
                (Shape::Stream(stream), key)
            }
            of => {
                let (row, key) = row(&mut options, request)?;
                let shape = match of {
                    "hash" => Shape::Hash(row),
                    _ => Shape::String(row, template(&mut options, &schema)?.map_or(Value::Json, Value::Template)),
                };
                (shape, key)
            }
        };
        options.finish()?;
        Ok(Self { client, login, database, timeout, wait_aof, shape, schema, key })
    }
}

/// Where the server is, and the number of the database.
fn server(url: &str) -> Result<(ConnectionInfo, i64)> {
    // The text is not shown: it may hold a password.
    let hint = "Write redis://host:6379/0, rediss://host:6379/0 for TLS, or redis+unix:///path?db=0.";
    let wrong = |e: RedisError| Error::invalid_with_hint(format!("option redis.url: {e}"), hint);
    let info = url.into_connection_info().map_err(wrong)?;
    if info.redis_settings().password().is_some() || info.redis_settings().username().is_some() {
        return Err(Error::invalid_with_hint(
            "option redis.url has a login in it, where it would be shown",
            "Use the options username and password: password = SECRET name.",
        ));
    }
    if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err(Error::invalid_with_hint(
            "option redis.url asks for TLS with whoever answers, #insecure, which is not supported",
            "Name the authorities of the server's certificate: ssl.ca.pem.",
        ));
    }
    let database = info.redis_settings().db();
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    let settings = info.redis_settings().clone().set_db(0).set_protocol(ProtocolVersion::RESP2);
    let settings = settings.set_lib_name("thalweg", env!("CARGO_PKG_VERSION"));
    Ok((info.set_tcp_settings(tcp).set_redis_settings(settings), database))
}

fn login(options: &mut Options) -> Result<Option<Login>> {
    match (options.take("username"), options.take("password")) {
        (username, Some(password)) => Ok(Some(Login { username, password })),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(Error::invalid_with_hint("option username needs a password", "Add password = SECRET name."))
        }
    }
}

/// A client for `info`, with the certificates that the options name.
fn client(info: ConnectionInfo, options: &mut Options) -> Result<Client> {
    let authorities = options.take("ssl.ca.pem");
    let own = (options.take("ssl.certificate.pem"), options.take("ssl.private.key.pem"));
    let client_tls = match own {
        (Some(certificate), Some(key)) => {
            Some(ClientTlsConfig { client_cert: certificate.into_bytes(), client_key: key.into_bytes() })
        }
        (None, None) => None,
        _ => {
            return Err(Error::invalid("options ssl.certificate.pem and ssl.private.key.pem belong together"));
        }
    };
    let encrypted = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    if !encrypted && (authorities.is_some() || client_tls.is_some()) {
        return Err(Error::invalid_with_hint(
            "options ssl.* are for encrypted connections",
            "Write rediss:// in redis.url, or leave them out.",
        ));
    }
    if let Some(pem) = &authorities
        && CertificateDer::pem_slice_iter(pem.as_bytes()).next().is_none()
    {
        return Err(Error::invalid("option ssl.ca.pem: there is no certificate in it"));
    }
    let made = if authorities.is_some() || client_tls.is_some() {
        let root_cert = authorities.map(String::into_bytes);
        Client::build_with_tls(info, TlsCertificates { client_tls, root_cert })
    } else {
        Client::open(info)
    };
    if encrypted {
        // Another part of the program may have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    made.map_err(|e| Error::invalid(format!("options ssl.*: {e}")))
}

/// How rows are found, and the columns of the key.
fn row(options: &mut Options, request: &EpochSinkRequest) -> Result<(Row, Vec<usize>)> {
    let primary_key = options.take("primary_key");
    let key = key_columns(primary_key.as_deref(), request, true)?.unwrap_or_default();
    let format = match (options.take("key_prefix"), options.take("key_format")) {
        (Some(prefix), None) => KeyFormat::prefixed(&prefix, &key),
        (None, Some(format)) => KeyFormat::parse(&format, &key, &request.schema)?,
        (Some(_), Some(_)) => return Err(Error::invalid("option key_prefix is not for a sink with key_format")),
        (None, None) => {
            return Err(Error::invalid_with_hint(
                "option key_prefix or key_format is required",
                "Add key_prefix = 'orders:', which comes before the values of the key.",
            ));
        }
    };
    let ttl: Option<u64> = options.parse_opt("ttl.seconds", "a number of seconds")?;
    if ttl == Some(0) {
        return Err(Error::invalid("option ttl.seconds is 0: no row would be there"));
    }
    Ok((Row { format, ttl: ttl.map(|s| s.saturating_mul(1_000)) }, key))
}

fn stream(options: &mut Options, request: &EpochSinkRequest) -> Result<(Stream, Vec<usize>)> {
    let name = options.require("stream", "orders")?;
    let keep = options.parse_opt("stream.maxlen", "a number of entries")?;
    let value = template(options, &request.schema)?;
    const TYPES: &[(&str, Option<bool>)] = &[("append-only", Some(false)), ("upsert", Some(true))];
    let upsert = options.choice("type", TYPES, None)?;
    let forced = options.parse("force_append_only", false, "true or false")?;
    let primary_key = options.take("primary_key");
    let upsert = upsert.unwrap_or(primary_key.is_some() || !(request.append_only || forced));
    if !(upsert || request.append_only || forced) {
        return Err(Error::invalid_with_hint(
            "the query takes rows back, and type = 'append-only' cannot say so",
            "Use type = 'upsert' with primary_key, or add force_append_only = 'true' to leave such changes out.",
        ));
    }
    if upsert && value.is_none() && request.schema.column_with_name(OP).is_some() {
        return Err(Error::invalid_with_hint(
            format!("an entry has a field {OP}, but the query has a column of that name"),
            format!("Give the query's column another name: {OP} AS …."),
        ));
    }
    let key = key_columns(primary_key.as_deref(), request, upsert)?.unwrap_or_default();
    Ok((Stream { name, keep, value, upsert, forced: forced && !request.append_only }, key))
}

fn template(options: &mut Options, schema: &SchemaRef) -> Result<Option<Template>> {
    options.take("value_format").map(|text| Template::parse("value_format", &text, schema, Marks::Single)).transpose()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn parse(pairs: &[(&str, &str)], key: Option<Vec<usize>>, append_only: bool) -> Result<SinkOptions> {
        let url = ("redis.url", "redis://localhost");
        let given = pairs.iter().any(|p| p.0 == url.0);
        let all = pairs.iter().copied().chain((!given).then_some(url));
        SinkOptions::parse(&EpochSinkRequest {
            name: "s".to_owned(),
            id: "1".to_owned(),
            cluster: "c".to_owned(),
            connector: "redis".to_owned(),
            options: Options::new(all.map(|(k, v)| (k.to_owned(), v.to_owned()))),
            schema: Arc::new(Schema::new(vec![
                Field::new("id", DataType::Int64, false),
                Field::new("op", DataType::Int64, true),
            ])),
            key,
            append_only,
            disk: None,
        })
    }

    #[test]
    fn what_the_stream_is_decides_what_an_entry_tells() {
        let style = |pairs: &[(&str, &str)], key, append| match parse(pairs, key, append).map(|o| (o.shape, o.key)) {
            Ok((Shape::Stream(stream), key)) => (stream.upsert, stream.forced, key),
            other => panic!("{:?}", other.map(|o| o.1)),
        };
        let stream = [("data_type", "stream"), ("stream", "s"), ("value_format", "{op}")];
        assert_eq!(style(&stream, None, true), (false, false, vec![]));
        assert_eq!(style(&stream, Some(vec![0]), false), (true, false, vec![0]));
        let forced = [&stream[..], &[("force_append_only", "true")]].concat();
        assert_eq!(style(&forced, None, false), (false, true, vec![]));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_passwords_are_not_shown() {
        let stream = [("data_type", "stream"), ("stream", "s")];
        for (pairs, part) in [
            (&[][..], "key_prefix = 'orders:'"),
            (&[("key_prefix", "a"), ("key_format", "{id}")], "not for a sink with key_format"),
            (&[("key_prefix", "a"), ("ttl.seconds", "0")], "ttl.seconds is 0"),
            (&[("key_prefix", "a"), ("data_type", "hsh")], "Did you mean 'hash'?"),
            (&[("key_prefix", "a"), ("value_format", "{id}")], "unknown option value_format"),
            (&[("key_prefix", "a"), ("primary_key", "op")], "Use primary_key = 'id'"),
            (&[("key_prefix", "a"), ("redis.url", "http://h")], "redis://host:6379/0"),
            (&[("key_prefix", "a"), ("redis.url", "redis://:hunter2@h")], "password = SECRET name"),
            (&[("key_prefix", "a"), ("redis.url", "redis+unix:///s?pass=hunter2")], "password = SECRET name"),
            (&[("key_prefix", "a"), ("redis.url", "rediss://h/#insecure")], "ssl.ca.pem"),
            (&[("key_prefix", "a"), ("ssl.ca.pem", "x")], "rediss://"),
            (&[("key_prefix", "a"), ("redis.url", "rediss://h"), ("ssl.ca.pem", "x")], "no certificate"),
            (&[("key_prefix", "a"), ("username", "u")], "needs a password"),
            (&[("key_prefix", "a"), ("timeout.millis", "1")], "below 100"),
            (&stream[..1], "option stream is required"),
            (&stream, "column of that name"),
            (&[stream[0], stream[1], ("type", "append-only")], "force_append_only"),
            (&[stream[0], stream[1], ("value_format", ""), ("ttl.seconds", "1")], "unknown option ttl.seconds"),
        ] {
            let message = parse(pairs, Some(vec![0]), false).err().expect("wrong").to_string();
            assert!(message.contains(part) && !message.contains("hunter2"), "{message}");
        }
        let message = parse(&[("key_prefix", "a")], None, false).err().expect("no key").to_string();
        assert!(message.contains("Add primary_key"), "{message}");
    }
}
