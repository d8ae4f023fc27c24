//! What every client of a broker is configured with: where it is, who we are, and the properties that a user may set.
//! It must not know sources or sinks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use thalweg_core::{Error, Options, Result};

/// How long a question to a broker may take before it counts as not answered.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// Properties of the client library that a statement may set, as `properties.NAME`.
const ALLOWED: &[&str] = &[
    "batch.size",
    "broker.address.family",
    "client.id",
    "client.rack",
    "compression.type",
    "connections.max.idle.ms",
    "enable.ssl.certificate.verification",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "linger.ms",
    "max.partition.fetch.bytes",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.max.age.ms",
    "queue.buffering.max.kbytes",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.ms",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.timeout.ms",
    "ssl.ca.pem",
    "ssl.certificate.pem",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.password",
    "ssl.key.pem",
    "topic.metadata.refresh.interval.ms",
    "transaction.timeout.ms",
];

/// Properties that would let a statement read files of the server, run programs there or call other hosts.
const REFUSED: &[(&str, &str)] = &[
    ("ssl.ca.location", "it reads a file of the server; put the certificate itself in properties.ssl.ca.pem"),
    ("ssl.certificate.location", "it reads a file of the server; use properties.ssl.certificate.pem"),
    ("ssl.key.location", "it reads a file of the server; use properties.ssl.key.pem"),
    ("ssl.keystore.location", "it reads a file of the server; use properties.ssl.key.pem and ssl.certificate.pem"),
    ("ssl.crl.location", "it reads a file of the server"),
    ("ssl.engine.location", "it loads a library into the server"),
    ("ssl.providers", "it loads a library into the server"),
    ("plugin.library.paths", "it loads a library into the server"),
    ("sasl.kerberos.keytab", "it reads a file of the server"),
    ("sasl.kerberos.kinit.cmd", "it runs a program on the server"),
    ("sasl.oauthbearer.token.endpoint.url", "it makes the server call another host"),
    ("sasl.oauthbearer.config", "OAUTHBEARER is not supported; use SCRAM or PLAIN over TLS"),
    ("group.id", "offsets are kept by Thalweg; use group.id.prefix for the name that monitoring sees"),
    ("enable.auto.commit", "offsets are kept by Thalweg; those in the group are for monitoring"),
    ("auto.offset.reset", "use scan.startup.mode"),
    ("transactional.id", "the sink has one of its own"),
    ("enable.idempotence", "it is always on"),
    ("acks", "it is always all"),
];

/// Where a broker is and how to speak with it. It prints no secrets.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) bootstrap: String,
    properties: BTreeMap<String, String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl Client {
    /// Takes what concerns the client.
    pub(super) fn take(options: &mut Options) -> Result<Self> {
        let other = options.take("properties.bootstrap.servers");
        let bootstrap = match (options.take("properties.bootstrap.server"), other) {
            (Some(bootstrap), _) | (None, Some(bootstrap)) => bootstrap,
            (None, None) => options.require("properties.bootstrap.server", "broker:9092")?,
        };
        for (name, reason) in REFUSED {
            if options.take(&format!("properties.{name}")).is_some() {
                return Err(Error::invalid(format!("option properties.{name} is refused: {reason}")));
            }
        }
        let mut properties = BTreeMap::new();
        for name in ALLOWED {
            if let Some(value) = options.take(&format!("properties.{name}")) {
                properties.insert((*name).to_owned(), value);
            }
        }
        let client = Self { bootstrap, properties };
        // The library checks names and values; nothing is connected yet.
        let unconnected: KafkaResult<rdkafka::producer::BaseProducer> = client.config().create();
        unconnected.map_err(|e| Error::invalid(explain_config(&e)))?;
        Ok(client)
    }

    /// The value of a property that was set.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// What is common to all clients.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", "thalweg")
            .set("log.connection.close", "false")
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set_log_level(RDKafkaLogLevel::Error);
        config
    }
}

/// A refused configuration, without the value where it may be a secret.
pub(super) fn explain_config(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, description, name, _) => {
            format!("option properties.{name} is wrong: {}", description.split('"').next().unwrap_or("").trim())
        }
        KafkaError::ClientCreation(reason) => format!("no Kafka client can be made: {reason}"),
        other => other.to_string(),
    }
}

/// Counts and reports, at most one line in a while, what a client complains of.
#[derive(Debug)]
pub(super) struct Complaints {
    /// The source or sink, for the log.
    name: String,
    count: AtomicU64,
    state: Mutex<Reported>,
}

#[derive(Debug, Default)]
struct Reported {
    at: Option<Instant>,
    since: u64,
    /// The last one that will not go away by itself.
    lasting: Option<String>,
}

impl Complaints {
    /// Between two lines in the log.
    const QUIET: Duration = Duration::from_secs(30);

    pub(super) fn new(name: String) -> Self {
        Self { name, count: AtomicU64::new(0), state: Mutex::default() }
    }

    /// How many there were.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A failed login or handshake, if there was one.
    pub(super) fn lasting(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).lasting.clone()
    }

    /// Takes one in.
    pub(super) fn add(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.since += 1;
        if matches!(code, Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL)) {
            state.lasting = Some(reason.to_owned());
        }
        if state.at.is_none_or(|at| at.elapsed() >= Self::QUIET) {
            let times = std::mem::take(&mut state.since);
            tracing::warn!(name = self.name, times, "kafka: {reason}");
            state.at = Some(Instant::now());
        }
    }
}

impl ClientContext for Complaints {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(name = self.name, ?level, facility, "kafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.add(error.rdkafka_error_code(), reason);
    }
}

impl ConsumerContext for Complaints {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            self.add(error.rdkafka_error_code(), &format!("offsets for monitoring: {error}"));
        }
    }
}

/// The topic is not there.
pub(super) fn no_topic(topic: &str, bootstrap: &str) -> Error {
    Error::invalid_with_hint(
        format!("topic '{topic}' does not exist at {bootstrap}"),
        "Create it on the broker first, or correct option topic.",
    )
}

/// The broker does not answer.
pub(super) fn no_answer(bootstrap: &str, error: &dyn std::fmt::Display) -> Error {
    Error::invalid_with_hint(
        format!("no answer from {bootstrap}: {error}"),
        "Check option properties.bootstrap.server, the broker, and the security options.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pairs: &[(&str, &str)]) -> Result<Client> {
        let address = [("properties.bootstrap.server", "127.0.0.1:1")];
        let mut options = Options::new(address.iter().chain(pairs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let client = Client::take(&mut options)?;
        options.finish()?;
        Ok(client)
    }

    #[test]
    fn what_reaches_into_the_server_is_refused_with_the_reason() {
        for (name, reason) in REFUSED {
            let message = take(&[(&format!("properties.{name}"), "/etc/passwd")]).expect_err("refused").to_string();
            assert!(message.contains("is refused") && message.contains(reason), "{message}");
        }
        let message = take(&[("properties.debug", "all")]).expect_err("unknown").to_string();
        assert!(message.contains("unknown option properties.debug"), "{message}");
    }

    #[test]
    fn allowed_properties_reach_the_library_and_wrong_ones_do_not_show_secrets() {
        let client = take(&[
            ("properties.security.protocol", "SASL_SSL"),
            ("properties.sasl.mechanism", "SCRAM-SHA-256"),
            ("properties.sasl.username", "anna"),
            ("properties.sasl.password", "geheim"),
        ])
        .expect("valid");
        assert_eq!(client.config().get("sasl.username"), Some("anna"));
        assert!(!format!("{client:?}").contains("geheim"));
        let error = take(&[("properties.security.protocol", "ssl"), ("properties.ssl.key.pem", "-----BEGIN geheim")]);
        let message = error.expect_err("not a key").to_string();
        assert!(!message.contains("geheim"), "{message}");
        let message = take(&[("properties.security.protocol", "tls")]).expect_err("no such protocol").to_string();
        assert!(message.contains("properties.security.protocol is wrong"), "{message}");
    }

    #[test]
    fn complaints_are_counted_and_a_failed_login_is_remembered() {
        let complaints = Complaints::new("s".to_owned());
        complaints.add(Some(RDKafkaErrorCode::AllBrokersDown), "down");
        assert_eq!((complaints.count(), complaints.lasting()), (1, None));
        complaints.add(Some(RDKafkaErrorCode::Authentication), "wrong password");
        assert_eq!((complaints.count(), complaints.lasting().as_deref()), (2, Some("wrong password")));
    }
}
