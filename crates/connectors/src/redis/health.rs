//! What a server says of itself when a sink is opened: whether it can keep what it confirms. It must not know rows.

use redis::Value;
use thalweg_core::SinkError;

use super::connect::Session;

/// The requests of one transaction (bytes) that a server takes unless it is told otherwise.
const TRANSACTION_BYTES: u64 = 1024 * 1024 * 1024;

/// The first version with `WAITAOF`. Valkey names the version that it is compatible with.
const WAITAOF_SINCE: (u32, u32) = (7, 2);

/// What matters of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Health {
    /// When what it has confirmed survives its crash.
    pub(super) keeps: Keeps,
    /// It may throw away keys, the progress among them, to make room.
    pub(super) evicts: bool,
    /// The requests of one transaction, in bytes, that it takes at most.
    pub(super) transaction_bytes: u64,
}

/// When a server keeps what it has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// From then on.
    Always,
    /// When it says so, if it is asked.
    WhenAsked,
    /// Perhaps a second later.
    AfterASecond,
    /// With its next snapshot, if it takes any.
    AfterASnapshot,
}

impl Health {
    /// Asks.
    ///
    /// # Errors
    /// It is part of a cluster, or a replica.
    pub(super) fn examine(session: &mut Session) -> Result<Self, SinkError> {
        let what = "its state cannot be read (INFO)";
        let Value::BulkString(info) = session.ask(what, ["INFO"])? else { return Err(session.odd(what)) };
        let info = String::from_utf8_lossy(&info);
        if field(&info, "cluster_enabled") == Some("1") {
            return Err(session.fatal(
                "the server is part of a Redis Cluster, where no transaction reaches the keys of several slots",
                "Use a server without cluster mode, perhaps with replicas and Sentinel.",
            ));
        }
        // Settings may be nobody's business; then the worst is assumed.
        let setting = |session: &mut Session, name: &str| match session.ask("its settings", ["CONFIG", "GET", name]) {
            Ok(Value::Array(pair)) => Ok(pair.get(1).and_then(text)),
            Ok(_) | Err(SinkError::Fatal(_)) => Ok(None),
            Err(again) => Err(again),
        };
        let fsync = setting(session, "appendfsync")?;
        let buffer = setting(session, "client-query-buffer-limit")?;
        Ok(Self {
            keeps: keeps(&info, fsync.as_deref()),
            evicts: evicts(&info),
            transaction_bytes: buffer.and_then(|b| b.parse().ok()).unwrap_or(TRANSACTION_BYTES),
        })
    }

    /// What an operator should know before it happens.
    pub(super) fn warnings(&self, wait_aof: bool) -> Vec<&'static str> {
        let lost = match self.keeps {
            Keeps::Always => None,
            Keeps::WhenAsked if wait_aof => None,
            Keeps::WhenAsked | Keeps::AfterASecond => Some(
                "a crash of this Redis can lose its last second, and the sink then stops with SINK_REWOUND: set \
                 appendfsync to always, or use Redis 7.2 or Valkey with wait_aof",
            ),
            Keeps::AfterASnapshot => Some(
                "a crash of this Redis loses what came after its last snapshot, and the sink then stops with \
                 SINK_REWOUND: set appendonly to yes",
            ),
        };
        let evicts = "this Redis evicts keys when it is full, rows and the sink's progress among them: set \
                      maxmemory-policy to noeviction or volatile-*";
        lost.into_iter().chain(self.evicts.then_some(evicts)).collect()
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

/// The value of `name:value` on a line of its own.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn keeps(info: &str, fsync: Option<&str>) -> Keeps {
    if field(info, "aof_enabled") != Some("1") {
        return Keeps::AfterASnapshot;
    }
    let mut version = field(info, "redis_version").unwrap_or_default().split('.').map(|n| n.parse().unwrap_or(0));
    let version = (version.next().unwrap_or(0), version.next().unwrap_or(0));
    match fsync {
        Some("always") => Keeps::Always,
        _ if version >= WAITAOF_SINCE => Keeps::WhenAsked,
        _ => Keeps::AfterASecond,
    }
}

fn evicts(info: &str) -> bool {
    let limited = field(info, "maxmemory").is_some_and(|bytes| bytes != "0");
    limited && field(info, "maxmemory_policy").is_some_and(|policy| policy.starts_with("allkeys"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_what_it_keeps() {
        let info = |version: &str, aof: &str| format!("# Server\r\nredis_version:{version}\r\naof_enabled:{aof}\r\n");
        for (info, fsync, expected) in [
            (info("7.0.15", "0"), Some("always"), Keeps::AfterASnapshot),
            (info("7.0.15", "1"), Some("always"), Keeps::Always),
            (info("7.0.15", "1"), Some("everysec"), Keeps::AfterASecond),
            (info("7.2.4", "1"), Some("everysec"), Keeps::WhenAsked),
            (info("10.0.0", "1"), None, Keeps::WhenAsked),
            (String::new(), None, Keeps::AfterASnapshot),
        ] {
            assert_eq!(keeps(&info, fsync), expected, "{info} {fsync:?}");
        }
        assert!(evicts("maxmemory:10\r\nmaxmemory_policy:allkeys-lru\r\n"));
        assert!(!evicts("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n"));
        assert!(!evicts("maxmemory:10\r\nmaxmemory_policy:volatile-ttl\r\n"));
    }
}
