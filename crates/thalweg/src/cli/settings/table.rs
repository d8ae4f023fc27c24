//! The table of settings: the only place where a key is named. It must not know where values come from.

use std::path::PathBuf;

use thalweg::Error;
use thalweg::server::{BucketOptions, StateStore};

use super::values::{
    address, flag, hosts, log_filter, number, origins, path, shown_path, shown_size, shown_time, size, time,
    time_or_zero,
};
use super::{Kind, Setting, Settings};

const GENERAL: &str = "Server";
const ENGINE: &str = "Engine";
const CHECKPOINTS: &str = "Checkpoints";
const LOGS: &str = "Logs";
const HTTP: &str = "HTTP";

/// Connections, rows and the like at most: more is a slip.
const MANY: usize = 1_000_000_000;

const fn setting(
    group: &'static str,
    (key, value, kind): (&'static str, &'static str, Kind),
    help: &'static str,
    sample: &'static str,
    put: fn(&mut Settings, &str) -> Result<(), Error>,
    get: fn(&Settings) -> Option<String>,
) -> Setting {
    Setting { key, value, kind, group, help, sample, unset: None, put, get }
}

impl Setting {
    const fn unset(mut self, text: &'static str) -> Self {
        self.unset = Some(text);
        self
    }
}

fn set<T>(slot: &mut T, value: Result<T, Error>) -> Result<(), Error> {
    *slot = value?;
    Ok(())
}

/// Where checkpoints are, to be set.
fn store(settings: &mut Settings) -> &mut StateStore {
    settings.server.state_store.get_or_insert_default()
}

fn file(path: Option<&PathBuf>) -> Option<String> {
    path.map(|p| shown_path(p))
}

/// Every setting, in the order in which they are listed.
pub(crate) const SETTINGS: &[Setting] = &[
    setting(
        GENERAL,
        ("data", "DIR", Kind::Text),
        "Where the catalog and the rows of tables are kept",
        "./data",
        |s, v| set(&mut s.server.data, path(v).map(Some)),
        |s| file(s.server.data.as_ref()),
    )
    .unset("everything is in memory"),
    setting(
        GENERAL,
        ("pg", "ADDRESS", Kind::Text),
        "Address of the PostgreSQL protocol; port 0 takes a free one",
        "127.0.0.1:5432",
        |s, v| set(&mut s.pg_address, address(v)),
        |s| Some(s.pg_address.to_string()),
    ),
    setting(
        GENERAL,
        ("http", "ADDRESS", Kind::Text),
        "Address of HTTP; port 0 takes a free one",
        "127.0.0.1:8080",
        |s, v| set(&mut s.http_address, address(v)),
        |s| Some(s.http_address.to_string()),
    ),
    setting(
        GENERAL,
        ("tls-certificate", "FILE", Kind::Text),
        "PEM file with the certificate chain; an address that is not loopback needs one",
        "certificate.pem",
        |s, v| set(&mut s.tls_certificate, path(v).map(Some)),
        |s| file(s.tls_certificate.as_ref()),
    )
    .unset("no TLS"),
    setting(
        GENERAL,
        ("tls-key", "FILE", Kind::Text),
        "PEM file with the certificate's private key",
        "key.pem",
        |s, v| set(&mut s.tls_key, path(v).map(Some)),
        |s| file(s.tls_key.as_ref()),
    )
    .unset("no TLS"),
    setting(
        GENERAL,
        ("max-connections", "N", Kind::Number),
        "Connections of each protocol, and sessions, at one time",
        "1000",
        |s, v| {
            s.server.max_sessions = number(v, 1..=MANY)?;
            (s.pg.max_connections, s.http.max_connections) = (s.server.max_sessions, s.server.max_sessions);
            Ok(())
        },
        |s| Some(s.server.max_sessions.to_string()),
    ),
    setting(
        GENERAL,
        ("statement-timeout", "TIME", Kind::Text),
        "How long a statement may run unless its session says otherwise; 0: without end",
        "30s",
        |s, v| set(&mut s.server.statement_timeout, time_or_zero(v)),
        |s| Some(shown_time(s.server.statement_timeout)),
    ),
    setting(
        GENERAL,
        ("shutdown-grace", "TIME", Kind::Text),
        "How long what is running may go on after the signal to stop",
        "30s",
        |s, v| set(&mut s.shutdown_grace, time_or_zero(v)),
        |s| Some(shown_time(s.shutdown_grace)),
    ),
    setting(
        ENGINE,
        ("workers", "N", Kind::Number),
        "Worker threads",
        "3",
        |s, v| set(&mut s.server.run.workers, number(v, 1..=256)),
        |s| Some(s.server.run.workers.to_string()),
    )
    .unset("one for each core"),
    setting(
        ENGINE,
        ("memory-limit", "SIZE", Kind::Text),
        "Memory for the state of views and for rows in work: 512MiB, 4GiB",
        "4GiB",
        |s, v| set(&mut s.server.run.memory_limit_bytes, size(v)),
        |s| Some(shown_size(s.server.run.memory_limit_bytes)),
    )
    .unset("80 % of the machine or of its control group"),
    setting(
        ENGINE,
        ("query-memory-limit", "SIZE", Kind::Text),
        "Memory for all queries together",
        "1GiB",
        |s, v| set(&mut s.server.query_memory_bytes, size(v)),
        |s| Some(shown_size(s.server.query_memory_bytes)),
    )
    .unset("a quarter of memory-limit"),
    setting(
        CHECKPOINTS,
        ("checkpoint-interval", "TIME", Kind::Text),
        "Between two checkpoints, at least; with data",
        "10s",
        |s, v| set(&mut s.server.checkpoint_interval, time(v)),
        |s| Some(shown_time(s.server.checkpoint_interval)),
    ),
    setting(
        CHECKPOINTS,
        ("state-store", "URL", Kind::Text),
        "Bucket for checkpoints; keys are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role",
        "s3://bucket/thalweg",
        |s, v| {
            BucketOptions::check(v)?;
            store(s).url = v.to_owned();
            Ok(())
        },
        |s| s.server.state_store.as_ref().map(|store| store.url.clone()).filter(|url| !url.is_empty()),
    )
    .unset("the data directory"),
    setting(
        CHECKPOINTS,
        ("state-store-endpoint", "URL", Kind::Text),
        "Where the object store is, if it is not AWS",
        "https://minio.example:9000",
        |s, v| {
            store(s).options.endpoint = Some(v.to_owned());
            Ok(())
        },
        |s| s.server.state_store.as_ref()?.options.endpoint.clone(),
    )
    .unset("that of AWS, or AWS_ENDPOINT_URL"),
    setting(
        CHECKPOINTS,
        ("state-store-region", "NAME", Kind::Text),
        "Region of the bucket",
        "eu-central-1",
        |s, v| {
            store(s).options.region = Some(v.to_owned());
            Ok(())
        },
        |s| s.server.state_store.as_ref()?.options.region.clone(),
    )
    .unset("AWS_REGION, or us-east-1"),
    setting(
        CHECKPOINTS,
        ("state-store-allow-http", "BOOL", Kind::Flag),
        "The endpoint may be http://: what is sent can be read and changed by the network",
        "true",
        |s, v| set(&mut store(s).options.allow_http, flag(v)),
        |s| Some(s.server.state_store.as_ref().is_some_and(|store| store.options.allow_http).to_string()),
    ),
    setting(
        CHECKPOINTS,
        ("state-store-virtual-host", "BOOL", Kind::Flag),
        "The bucket is in the host's name, not in the path",
        "true",
        |s, v| set(&mut store(s).options.virtual_host, flag(v)),
        |s| Some(s.server.state_store.as_ref().is_some_and(|store| store.options.virtual_host).to_string()),
    ),
    setting(
        LOGS,
        ("log", "FILTER", Kind::Text),
        "What is logged: error, warn, info, debug, or per part as in info,audit=warn",
        "warn,audit=info",
        |s, v| set(&mut s.log, log_filter(v)),
        |s| Some(s.log.clone()),
    ),
    setting(
        LOGS,
        ("log-json", "BOOL", Kind::Flag),
        "Log lines as JSON",
        "true",
        |s, v| set(&mut s.log_json, flag(v)),
        |s| Some(s.log_json.to_string()),
    ),
    setting(
        LOGS,
        ("audit-log", "FILE", Kind::Text),
        "Where logins, changes of the catalog and refusals are written, one JSON object a line",
        "/var/log/thalweg/audit.log",
        |s, v| set(&mut s.server.audit_log, path(v).map(Some)),
        |s| file(s.server.audit_log.as_ref()),
    )
    .unset("audit.log in the data directory, none without one"),
    setting(
        HTTP,
        ("http-allowed-origins", "ORIGINS", Kind::List),
        "Origins besides the server's own whose pages may call",
        "https://console.example:8443,https://ops.example",
        |s, v| set(&mut s.http.allowed_origins, origins(v)),
        |s| Some(s.http.allowed_origins.join(",")),
    ),
    setting(
        HTTP,
        ("http-allowed-hosts", "NAMES", Kind::List),
        "Host names besides loopback and the bound address that requests may be addressed to",
        "db.example,db.internal",
        |s, v| set(&mut s.http.allowed_hosts, hosts(v)),
        |s| Some(s.http.allowed_hosts.join(",")),
    ),
    setting(
        HTTP,
        ("http-default-user", "USER", Kind::Text),
        "Who a request without credentials is, if that user needs no password",
        "guest",
        |s, v| set(&mut s.http.default_user, Ok(v.to_owned())),
        |s| Some(s.http.default_user.clone()),
    ),
    setting(
        HTTP,
        ("http-token-lifetime", "TIME", Kind::Text),
        "How long a bearer token is good for",
        "15min",
        |s, v| set(&mut s.http.token_lifetime, time(v)),
        |s| Some(shown_time(s.http.token_lifetime)),
    ),
    setting(
        HTTP,
        ("http-header-timeout", "TIME", Kind::Text),
        "Until a handshake is done, and until a request's head is there; an idle connection is kept as long",
        "5s",
        |s, v| set(&mut s.http.header_read_timeout, time(v)),
        |s| Some(shown_time(s.http.header_read_timeout)),
    ),
    setting(
        HTTP,
        ("http-body-timeout", "TIME", Kind::Text),
        "Until a request's body is there",
        "2min",
        |s, v| set(&mut s.http.body_read_timeout, time(v)),
        |s| Some(shown_time(s.http.body_read_timeout)),
    ),
    setting(
        HTTP,
        ("http-request-timeout", "TIME", Kind::Text),
        "Until the answer to a statement that is not streamed is complete",
        "90s",
        |s, v| set(&mut s.http.request_timeout, time(v)),
        |s| Some(shown_time(s.http.request_timeout)),
    ),
    setting(
        HTTP,
        ("http-body-limit", "SIZE", Kind::Text),
        "One request's body, as sent and decompressed",
        "16MiB",
        |s, v| set(&mut s.http.body_limit_bytes, size(v)),
        |s| Some(shown_size(s.http.body_limit_bytes)),
    ),
    setting(
        HTTP,
        ("http-bodies-limit", "SIZE", Kind::Text),
        "All bodies that are being read or decoded at one time",
        "1GiB",
        |s, v| set(&mut s.http.bodies_limit_bytes, size(v)),
        |s| Some(shown_size(s.http.bodies_limit_bytes)),
    ),
    setting(
        HTTP,
        ("http-ingest-rows-limit", "SIZE", Kind::Text),
        "One request's decoded rows",
        "64MiB",
        |s, v| set(&mut s.http.ingest_rows_limit_bytes, size(v)),
        |s| Some(shown_size(s.http.ingest_rows_limit_bytes)),
    ),
    setting(
        HTTP,
        ("http-ingest-max-rejects", "ROWS", Kind::Number),
        "Rejected rows of one request beyond which it is refused as a whole",
        "100",
        |s, v| set(&mut s.http.ingest_max_rejects, number(v, 0..=MANY)),
        |s| Some(s.http.ingest_max_rejects.to_string()),
    ),
    setting(
        HTTP,
        ("http-json-max-rows", "ROWS", Kind::Number),
        "Rows of one JSON answer; streamed forms have no limit",
        "1000",
        |s, v| set(&mut s.http.sql_json_max_rows, number(v, 1..=MANY)),
        |s| Some(s.http.sql_json_max_rows.to_string()),
    ),
    setting(
        HTTP,
        ("http-json-limit", "SIZE", Kind::Text),
        "One JSON answer",
        "32MiB",
        |s, v| set(&mut s.http.sql_json_limit_bytes, size(v)),
        |s| Some(shown_size(s.http.sql_json_limit_bytes)),
    ),
    setting(
        HTTP,
        ("http-max-subscribers", "N", Kind::Number),
        "Subscriptions at one time",
        "100",
        |s, v| set(&mut s.http.max_subscribers, number(v, 0..=MANY)),
        |s| Some(s.http.max_subscribers.to_string()),
    ),
    setting(
        HTTP,
        ("http-subscriber-queue", "SIZE", Kind::Text),
        "Encoded events that may wait for one subscriber's socket",
        "1MiB",
        |s, v| set(&mut s.http.subscriber_queue_bytes, size(v)),
        |s| Some(shown_size(s.http.subscriber_queue_bytes)),
    ),
    setting(
        HTTP,
        ("http-heartbeat", "TIME", Kind::Text),
        "A subscriber hears something at least this often",
        "5s",
        |s, v| set(&mut s.http.heartbeat, time(v)),
        |s| Some(shown_time(s.http.heartbeat)),
    ),
    setting(
        HTTP,
        ("http-stall-timeout", "TIME", Kind::Text),
        "A subscriber whose socket takes nothing for this long is closed",
        "1min",
        |s, v| set(&mut s.http.stall_timeout, time(v)),
        |s| Some(shown_time(s.http.stall_timeout)),
    ),
];

/// The setting of a key; `None` if there is none.
pub(super) fn known(key: &str) -> Option<usize> {
    SETTINGS.iter().position(|s| s.key == key)
}
