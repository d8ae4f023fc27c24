//! The settings of `thalweg serve`: one table of keys, each of which is a flag, an environment variable and a line of
//! `thalweg.toml`. It must not know what a server does with them.
//!
//! A flag goes before the environment, that before the file, that before the default: see [`Effective::resolve`].

mod args;
mod file;
mod table;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use thalweg::Error;
use thalweg::server::{ServerConfig, StateStore, without_credentials};
use thalweg_serve::{http::HttpConfig, pg::PgLimits, tls};

pub(crate) use args::{ServeArgs, suspects};
use table::SETTINGS;

/// The settings of a server and its doors.
#[derive(Clone)]
pub(crate) struct Settings {
    pub server: ServerConfig,
    pub http: HttpConfig,
    pub pg: PgLimits,
    pub pg_address: SocketAddr,
    pub http_address: SocketAddr,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub shutdown_grace: Duration,
    pub log: String,
    pub log_json: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let (http, pg) = (HttpConfig::default(), PgLimits::default());
        Self {
            server: ServerConfig::default(),
            pg_address: SocketAddr::from(([127, 0, 0, 1], 4566)),
            http_address: SocketAddr::from(([127, 0, 0, 1], 4567)),
            tls_certificate: None,
            tls_key: None,
            shutdown_grace: http.shutdown_grace,
            log: "info".to_owned(),
            log_json: false,
            http,
            pg,
        }
    }
}

/// A key: how it is called, what it takes, and where it goes.
pub(crate) struct Setting {
    /// In the file; `--key` and `THALWEG_KEY` elsewhere.
    pub key: &'static str,
    /// What its value is called.
    pub value: &'static str,
    pub kind: Kind,
    /// Under which heading it is listed.
    pub group: &'static str,
    pub help: &'static str,
    /// A value that is right and not the default.
    pub sample: &'static str,
    /// What holds if it is not set, where that is not one value for all machines.
    pub unset: Option<&'static str>,
    put: fn(&mut Settings, &str) -> Result<(), Error>,
    /// `None`: not set.
    get: fn(&Settings) -> Option<String>,
}

/// How a value is written in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Flag,
    /// An array of strings; with commas between them elsewhere.
    List,
}

impl Setting {
    /// The environment variable.
    pub fn variable(&self) -> &'static str {
        static VARIABLES: LazyLock<Vec<String>> = LazyLock::new(|| {
            let variable = |s: &Setting| format!("THALWEG_{}", s.key.replace('-', "_").to_uppercase());
            SETTINGS.iter().map(variable).collect()
        });
        &VARIABLES[place(self.key)]
    }

    /// What holds if it is not set, for a reader.
    pub fn default_text(&self) -> String {
        match self.unset {
            Some(text) => text.to_owned(),
            None => (self.get)(&Settings::default()).unwrap_or_default(),
        }
    }

    /// A value as TOML has it.
    fn toml(&self, value: &str) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        match self.kind {
            Kind::Number | Kind::Flag => value.to_owned(),
            Kind::Text => quoted(value),
            Kind::List => {
                let items: Vec<String> = values::items(value).map(quoted).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }
}

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(Arc<PathBuf>, usize),
    Environment(&'static str),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag(key) => write!(f, "--{key}"),
        }
    }
}

/// A value that was given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// Its place in [`SETTINGS`].
    pub setting: usize,
    pub text: String,
    pub origin: Origin,
}

/// The settings that hold, and where each is from.
pub(crate) struct Effective {
    pub settings: Settings,
    origins: Vec<Origin>,
}

impl Effective {
    /// Puts together what was given; of several values for a key the last holds.
    ///
    /// # Errors
    /// Every value that is wrong, with its place and what to do.
    pub fn resolve(given: &[Given]) -> Result<Self, Vec<String>> {
        let mut settings = Settings::default();
        let mut origins = vec![Origin::Default; SETTINGS.len()];
        let mut problems = Vec::new();
        for Given { setting, text, origin } in given {
            match (SETTINGS[*setting].put)(&mut settings, text) {
                Ok(()) => origins[*setting] = origin.clone(),
                Err(error) => problems.push(format!("{origin}: {}: {error}", SETTINGS[*setting].key)),
            }
        }
        if origins[place("query-memory-limit")] == Origin::Default {
            settings.server.query_memory_bytes = settings.server.run.memory_limit_bytes / 4;
        }
        let mut effective = Self { settings, origins };
        problems.extend(effective.disagreements());
        effective.settings.server.state_store.take_if(|store| store.url.is_empty());
        if problems.is_empty() { Ok(effective) } else { Err(problems) }
    }

    /// Values that are right alone and wrong together.
    fn disagreements(&self) -> Vec<String> {
        let Settings { pg_address, http_address, tls_certificate, tls_key, http, .. } = &self.settings;
        let mut problems = Vec::new();
        for (set, missing, key, other) in [
            (tls_certificate, tls_key, "tls-certificate", "tls-key"),
            (tls_key, tls_certificate, "tls-key", "tls-certificate"),
        ] {
            if set.is_some() && missing.is_none() {
                problems.push(format!("{}: {key} needs {other}\n  hint: Give both.", self.origin(key)));
            }
        }
        for (address, key) in [(pg_address, "pg"), (http_address, "http")] {
            if !address.ip().is_loopback() && tls_certificate.is_none() && tls_key.is_none() {
                problems.push(format!(
                    "{}: {key}: an address that is not loopback needs TLS\n  hint: Give --tls-certificate and --tls-key, \
                     or listen on 127.0.0.1.",
                    self.origin(key)
                ));
            }
        }
        problems.extend(self.store_disagreements());
        if http.bodies_limit_bytes < http.body_limit_bytes {
            problems.push(format!(
                "{}: http-bodies-limit is less than http-body-limit\n  hint: One body must fit into what all may take.",
                self.origin("http-bodies-limit")
            ));
        }
        problems
    }

    fn store_disagreements(&self) -> Vec<String> {
        let Some(StateStore { url, options }) = &self.settings.server.state_store else { return Vec::new() };
        if !url.is_empty() {
            let hint = "The catalog and what came after the last checkpoint are there.";
            let problem = format!("{}: state-store needs data\n  hint: {hint}", self.origin("state-store"));
            return self.settings.server.data.is_none().then_some(problem).into_iter().collect();
        }
        let set = [
            ("state-store-endpoint", options.endpoint.is_some()),
            ("state-store-region", options.region.is_some()),
            ("state-store-allow-http", options.allow_http),
            ("state-store-virtual-host", options.virtual_host),
        ];
        let alone = set.into_iter().filter(|(_, set)| *set);
        alone.map(|(key, _)| format!("{}: {key} needs state-store\n  hint: Give its URL.", self.origin(key))).collect()
    }

    /// Where the value of a key is from.
    pub fn origin(&self, key: &str) -> &Origin {
        &self.origins[place(key)]
    }

    /// The certificate as the doors want it.
    ///
    /// # Errors
    /// The files cannot be read or do not belong together.
    pub fn tls(&self, protocols: &[&str]) -> Result<Option<Arc<rustls::ServerConfig>>, Error> {
        let Some((certificate, key)) = self.settings.tls_certificate.as_ref().zip(self.settings.tls_key.as_ref())
        else {
            return Ok(None);
        };
        tls::server_config(certificate, key, protocols).map(Some)
    }

    /// Every setting as a line of TOML with its origin; secrets are masked.
    pub fn listed(&self) -> String {
        let mut out = String::new();
        for (setting, origin) in SETTINGS.iter().zip(&self.origins) {
            let line = match (setting.get)(&self.settings) {
                Some(value) => format!("{} = {}", setting.key, setting.toml(&without_credentials(&value))),
                None => format!("# {} is not set", setting.key),
            };
            let unset = setting.unset.filter(|_| *origin == Origin::Default);
            let why = unset.map(|text| format!(": {text}")).unwrap_or_default();
            out.push_str(&format!("{line:<44} # {origin}{why}\n"));
        }
        out
    }
}

/// The place of a key that is known.
fn place(key: &str) -> usize {
    SETTINGS.iter().position(|s| s.key == key).expect("a key of the table")
}
