//! The options of a sink, read once and held against its stream. It must not open connections.

use std::time::Duration;

use arrow::datatypes::SchemaRef;
use thalweg_core::{Error, Result};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::table::TableName;
use super::tls::{Tls, Trust};
use super::types::Column;
use crate::registry::EpochSinkRequest;
use crate::target_key::key_columns;

/// A server that does not answer for this long (ms), unless the options say otherwise.
const TIMEOUT_MILLIS: u64 = 60_000;

/// How rows get into the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Added. `forced`: what is taken back is left out.
    Append { forced: bool },
    /// Each replaces the one of its key.
    Upsert,
}

/// The options of a sink.
#[derive(Clone)]
pub(super) struct SinkOptions {
    /// The server and the login; it prints no password.
    pub(super) config: Config,
    pub(super) tls: Tls,
    pub(super) timeout: Duration,
    pub(super) table: TableName,
    pub(super) create: bool,
    pub(super) style: Style,
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<Column>,
    /// The columns of the key; of a table that only grows there may be none.
    pub(super) key: Vec<usize>,
}

impl SinkOptions {
    /// Reads the options of `request` and refuses what does not fit its stream.
    pub(super) fn parse(request: &EpochSinkRequest) -> Result<Self> {
        let mut options = request.options.clone();
        let mut config = Config::new();
        let host = options.take("host").unwrap_or_else(|| "localhost".to_owned());
        config.host(&host).port(options.parse("port", 5432, "a port")?).application_name("thalweg");
        let user = options.require("user", "thalweg")?;
        config.dbname(options.take("database").unwrap_or_else(|| user.clone())).user(user);
        if let Some(password) = options.take("password") {
            config.password(password);
        }
        const SSL: &[(&str, (SslMode, bool))] = &[
            ("disable", (SslMode::Disable, false)),
            ("prefer", (SslMode::Prefer, false)),
            ("require", (SslMode::Require, false)),
            ("verify-full", (SslMode::Require, true)),
        ];
        let (mode, verify) = options.choice("sslmode", SSL, (SslMode::Prefer, false))?;
        let authorities = options.take("ssl.ca.pem");
        let trust = match (verify, authorities) {
            (true, Some(pem)) => Trust::Authorities(pem),
            (true, None) => {
                return Err(Error::invalid_with_hint(
                    "sslmode = 'verify-full' needs the authorities to trust",
                    "Add ssl.ca.pem with the text of a PEM file.",
                ));
            }
            (false, Some(_)) => {
                return Err(Error::invalid_with_hint(
                    "option ssl.ca.pem is for sslmode = 'verify-full' alone",
                    "Any other mode does not look at the server's certificate.",
                ));
            }
            (false, None) => Trust::Anyone,
        };
        config.ssl_mode(mode);
        let timeout = Duration::from_millis(options.parse("timeout.millis", TIMEOUT_MILLIS, "a number")?);
        if timeout < Duration::from_millis(100) {
            return Err(Error::invalid("option timeout.millis is below 100"));
        }
        config.connect_timeout(timeout).tcp_user_timeout(timeout).keepalives_idle(timeout);

        let schema = options.take("schema").unwrap_or_else(|| "public".to_owned());
        let table = TableName::new(schema, options.require("table", "results")?)?;
        let create = options.parse("create_table", true, "true or false")?;
        const TYPES: &[(&str, Option<bool>)] = &[("append-only", Some(false)), ("upsert", Some(true))];
        let upserts = options.choice("type", TYPES, None)?;
        let forced = options.parse("force_append_only", false, "true or false")?;
        let primary_key = options.take("primary_key");
        options.finish()?;

        let style = match upserts.unwrap_or(primary_key.is_some() || !(request.append_only || forced)) {
            true => Style::Upsert,
            false if request.append_only || forced => Style::Append { forced: !request.append_only },
            false => {
                return Err(Error::invalid_with_hint(
                    "the query takes rows back, and type = 'append-only' cannot say so",
                    "Use type = 'upsert' with primary_key, or add force_append_only = 'true' to leave such changes out.",
                ));
            }
        };
        let key = key_columns(primary_key.as_deref(), request, style == Style::Upsert)?.unwrap_or_default();
        let columns = request.schema.fields().iter().map(|f| Column::of(f)).collect::<Result<Vec<_>>>()?;
        for column in &columns {
            super::table::check_name("column", &column.name)?;
        }
        let schema = request.schema.clone();
        let tls = Tls::new(trust)?;
        Ok(Self { config, tls, timeout, table, create, style, schema, columns, key })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use thalweg_core::Options;

    use super::*;

    fn parse(pairs: &[(&str, &str)], key: Option<Vec<usize>>, append_only: bool) -> Result<SinkOptions> {
        let given = [("table", "t"), ("user", "u")];
        SinkOptions::parse(&EpochSinkRequest {
            name: "s".to_owned(),
            id: "1".to_owned(),
            cluster: "c".to_owned(),
            connector: "postgres".to_owned(),
            options: Options::new(given.iter().chain(pairs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))),
            schema: Arc::new(Schema::new(vec![
                Field::new("id", DataType::Int64, false),
                Field::new("n", DataType::Int64, true),
            ])),
            key,
            append_only,
            disk: None,
        })
    }

    #[test]
    fn what_the_stream_is_decides_how_rows_get_there() {
        let style = |pairs: &[(&str, &str)], key, append| parse(pairs, key, append).map(|o| (o.style, o.key));
        assert_eq!(style(&[], None, true).expect("appends"), (Style::Append { forced: false }, vec![]));
        assert_eq!(style(&[], Some(vec![0]), false).expect("upserts"), (Style::Upsert, vec![0]));
        assert_eq!(style(&[("primary_key", "id")], Some(vec![0]), true).expect("upserts"), (Style::Upsert, vec![0]));
        let forced = style(&[("force_append_only", "true")], None, false).expect("forced");
        assert_eq!(forced.0, Style::Append { forced: true });
        for (pairs, key, part) in [
            (&[("type", "append-only")][..], Some(vec![0]), "force_append_only"),
            (&[][..], None, "Add primary_key"),
            (&[("primary_key", "n")][..], Some(vec![0]), "Use primary_key = 'id'"),
            (&[("sslmode", "verify-full")][..], Some(vec![0]), "ssl.ca.pem"),
            (&[("sslmode", "verify-full"), ("ssl.ca.pem", "none")][..], Some(vec![0]), "no certificate"),
            (&[("ssl.ca.pem", "x")][..], Some(vec![0]), "verify-full"),
            (&[("port", "x")][..], Some(vec![0]), "a port"),
            (&[("timeout.millis", "1")][..], Some(vec![0]), "below 100"),
            (&[("hst", "x")][..], Some(vec![0]), "Did you mean host?"),
        ] {
            let message = parse(pairs, key, false).err().expect("wrong").to_string();
            assert!(message.contains(part), "{message}");
        }
        let long = "x".repeat(64);
        let message = parse(&[("table", &long)], Some(vec![0]), false).err().expect("too long").to_string();
        assert!(message.contains("63 bytes"), "{message}");
    }

    #[test]
    fn the_password_is_not_printed() {
        let options = parse(&[("password", "hunter2")], Some(vec![0]), false).expect("valid");
        assert!(!format!("{:?}", options.config).contains("hunter2"));
    }
}
