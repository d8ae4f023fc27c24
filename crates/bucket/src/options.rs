//! Where a bucket is and how it is reached. It must not know what lies there.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, S3ConditionalPut};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider};
use thalweg_core::{Error, Result, Secret};

/// Schemes that are known.
const SCHEMES: &[&str] = &["s3"];
/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one request with its answer; a piece of a file goes through 5 Mbit/s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Times that a request is made again when the server fails or is not there.
const RETRIES: usize = 4;
/// Time after which it is not made again.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
/// Time before the first and the longest before another retry.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How to reach an object store. What is not given is taken from the environment (`AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, …), then from the machine's role.
#[derive(Clone, Debug, Default)]
pub struct BucketOptions {
    /// `https://HOST[:PORT]`, without the bucket; that of AWS for the region if none is given.
    pub endpoint: Option<String>,
    /// `us-east-1` if none is given.
    pub region: Option<String>,
    /// The key's name. It is kept as a secret too.
    pub access_key: Option<Secret>,
    /// The key.
    pub secret_key: Option<Secret>,
    /// For keys that are lent for a time.
    pub session_token: Option<Secret>,
    /// The bucket is in the host's name, not in the path.
    pub virtual_host: bool,
    /// An `http://` endpoint may be used: what is sent can be read and changed by the network.
    pub allow_http: bool,
}

/// A bucket and a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bucket's name.
    pub bucket: String,
    /// Without slashes at its ends; may be empty.
    pub prefix: String,
}

impl Place {
    /// From `s3://BUCKET/PREFIX`.
    ///
    /// # Errors
    /// It is not written so, or holds credentials.
    pub fn parse(url: &str) -> Result<Self> {
        let example = "Write it as s3://BUCKET/PREFIX.";
        let known = format!("Known schemes: {}. {example}", SCHEMES.join(", "));
        // Not shown: who writes no scheme may have written credentials.
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(Error::invalid_with_hint("the place of a bucket is not a URL", known));
        };
        if !SCHEMES.contains(&scheme) {
            return Err(Error::invalid_with_hint(format!("scheme {scheme}:// is not known"), known));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.contains('@') || rest.contains(['?', '#']) {
            let message = "a URL of a bucket has no user, query or fragment";
            return Err(Error::invalid_with_hint(message, format!("{example} Credentials are options.")));
        }
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, older names included.
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if bucket.is_empty() || bucket.len() > 255 || !bucket.chars().all(fits) {
            // A key with a slash in it may stand here.
            let shown = if rest.contains('@') { Secret::MASK } else { bucket };
            return Err(Error::invalid_with_hint(format!("'{shown}' is not the name of a bucket"), example));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }

    /// As it is written, without credentials.
    pub fn url(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

impl BucketOptions {
    /// Checks what a URL says, without a connection.
    ///
    /// # Errors
    /// It is not `s3://BUCKET/PREFIX`.
    pub fn check(url: &str) -> Result<()> {
        Place::parse(url).map(drop)
    }

    /// The store that holds `place`, and what must never be shown. Nothing is asked of it yet.
    ///
    /// # Errors
    /// An option is wrong.
    pub fn connect(&self, place: &Place) -> Result<(Arc<dyn ObjectStore>, Vec<Secret>)> {
        // Another part of the program may have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(&place.bucket);
        let mut secrets = Vec::new();
        match (&self.access_key, &self.secret_key) {
            (Some(access), Some(secret)) => {
                let token = self.session_token.as_ref();
                // As a whole: a token of the environment does not belong to a key that is given.
                let credential = AwsCredential {
                    key_id: access.reveal().to_owned(),
                    secret_key: secret.reveal().to_owned(),
                    token: token.map(|token| token.reveal().to_owned()),
                };
                builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)));
                secrets.extend([access, secret].into_iter().chain(token).cloned());
            }
            (None, None) if self.session_token.is_none() => {
                let keys =
                    [AmazonS3ConfigKey::AccessKeyId, AmazonS3ConfigKey::SecretAccessKey, AmazonS3ConfigKey::Token];
                secrets.extend(keys.iter().filter_map(|key| builder.get_config_value(key)).map(Secret::new));
            }
            _ => {
                let message = format!("{}: an access key, a secret key and a token go together", place.url());
                let hint = "Give the access key and the secret key, or none and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.";
                return Err(Error::invalid_with_hint(message, hint));
            }
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        let from_env = || {
            let keys = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
            keys.iter().find_map(|key| builder.get_config_value(key))
        };
        if let Some(endpoint) = self.endpoint.clone().or_else(from_env) {
            let endpoint = self.endpoint_for(&endpoint, place)?;
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        }
        let client = ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(REQUEST_TIMEOUT);
        let (init_backoff, max_backoff) = BACKOFF;
        let backoff = BackoffConfig { init_backoff, max_backoff, ..BackoffConfig::default() };
        let store = builder
            .with_client_options(client)
            .with_virtual_hosted_style_request(self.virtual_host)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT })
            .build()
            .map_err(|e| Error::invalid(format!("{}: {e}", place.url())))?;
        Ok((Arc::new(store), secrets))
    }

    /// The endpoint with the bucket in its host, if it is to be there.
    fn endpoint_for(&self, endpoint: &str, place: &Place) -> Result<String> {
        let wrong = |what: &str| {
            let message = format!("{}: the endpoint {what}", place.url());
            Error::invalid_with_hint(message, "Write it as https://HOST[:PORT].")
        };
        let (scheme, host) = endpoint.split_once("://").ok_or_else(|| wrong("is not a URL"))?;
        if host.is_empty() || host.contains(['@', '?', '#']) {
            return Err(wrong("must be a host, without user or query"));
        }
        match scheme {
            "https" => (),
            "http" if self.allow_http => (),
            "http" => {
                let message = format!("{}: the endpoint is http://, which is not encrypted", place.url());
                return Err(Error::invalid_with_hint(
                    message,
                    "Use https://, or allow http in a network that you trust.",
                ));
            }
            _ => return Err(wrong("is neither https:// nor http://")),
        }
        let host = host.trim_end_matches('/');
        let bucket = if self.virtual_host { format!("{}.", place.bucket) } else { String::new() };
        Ok(format!("{scheme}://{bucket}{host}"))
    }
}
