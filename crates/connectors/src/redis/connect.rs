//! `Session`: a connection on which requests are sent and answered, with a deadline; and whether what went wrong will
//! go away by itself. It must not know what the requests are for.

use redis::{Connection, RedisError, ServerError, Value};
use thalweg_core::{Error, SinkError};

use super::commands::Commands;
use super::options::SinkOptions;

/// An open connection. After an error it is of no more use: what has become of the request is not known.
pub(super) struct Session {
    connection: Connection,
    /// The sink's name, for messages.
    name: String,
}

impl Session {
    /// Connects, and logs in.
    pub(super) fn connect(options: &SinkOptions, name: &str) -> Result<Self, SinkError> {
        let what = "the server cannot be reached";
        let failed = |e| judged(name, what, &e);
        let connection = options.client.get_connection_with_timeout(options.timeout).map_err(failed)?;
        connection.set_read_timeout(Some(options.timeout)).map_err(failed)?;
        connection.set_write_timeout(Some(options.timeout)).map_err(failed)?;
        let mut session = Self { connection, name: name.to_owned() };
        if let Some(login) = &options.login {
            let words = [Some("AUTH"), login.username.as_deref(), Some(login.password.as_str())];
            session.ask("the login failed", words.into_iter().flatten().collect::<Vec<_>>())?;
        }
        if options.database != 0 {
            session.ask("the database cannot be selected", ["SELECT", &options.database.to_string()])?;
        }
        Ok(session)
    }

    /// The answer to one request.
    pub(super) fn ask<W: AsRef<[u8]>>(
        &mut self,
        what: &str,
        words: impl IntoIterator<Item = W, IntoIter: ExactSizeIterator>,
    ) -> Result<Value, SinkError> {
        let mut commands = Commands::default();
        commands.push(words);
        let mut answers = self.ask_all(what, &commands)?;
        match answers.pop() {
            Some(Value::ServerError(error)) => Err(self.refused(what, &error)),
            Some(answer) => Ok(answer),
            None => Err(self.odd(what)),
        }
    }

    /// The answers to requests that are sent together; refusals are among them.
    pub(super) fn ask_all(&mut self, what: &str, commands: &Commands) -> Result<Vec<Value>, SinkError> {
        let failed = |e| judged(&self.name, what, &e);
        self.connection.send_packed_command(commands.bytes()).map_err(failed)?;
        (0..commands.count()).map(|_| self.connection.recv_response().map_err(failed)).collect()
    }

    /// The server has said no.
    pub(super) fn refused(&self, what: &str, error: &ServerError) -> SinkError {
        let (code, detail) = (error.code(), error.details().unwrap_or_default());
        let message = format!("sink {}: {what}: {code} {detail}", self.name);
        if is_lasting(code, detail) {
            let hint = hint(code).map(str::to_owned);
            return SinkError::Fatal(Error::Invalid { message, hint });
        }
        SinkError::Again(Error::invalid(message))
    }

    /// The server has said something that does not belong here.
    pub(super) fn odd(&self, what: &str) -> SinkError {
        SinkError::Again(Error::invalid(format!("sink {}: {what}: an answer that is none", self.name)))
    }

    /// A person must act, for a reason that is about the sink.
    pub(super) fn fatal(&self, message: &str, hint: &str) -> SinkError {
        SinkError::Fatal(Error::invalid_with_hint(format!("sink {}: {message}", self.name), hint))
    }
}

/// What the connection, and not the server, has to say.
fn judged(name: &str, what: &str, error: &RedisError) -> SinkError {
    let text = if error.is_timeout() { "no answer in time".to_owned() } else { error.to_string() };
    let message = format!("sink {name}: {what}: {text}");
    // The client itself says so, and only in words.
    if ["invalid peer certificate", "alert", "Unable to build client"].iter().any(|part| text.contains(part)) {
        return SinkError::Fatal(Error::invalid_with_hint(message, "Change the options, or the server's settings."));
    }
    SinkError::Again(Error::invalid(message))
}

/// No second try ends differently. Other refusals pass: a server that loads its data, has no room, or is a replica until
/// it takes over.
fn is_lasting(code: &str, detail: &str) -> bool {
    match code {
        "DENIED" | "MOVED" | "NOAUTH" | "NOPERM" | "WRONGPASS" | "WRONGTYPE" => true,
        "ERR" => !detail.contains("max number of clients"),
        _ => false,
    }
}

fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "WRONGPASS" | "NOAUTH" => "Change the options username and password, or let the user in (ACL SETUSER).",
        "NOPERM" => "Allow the sink's user the commands and keys that the documentation names (ACL SETUSER).",
        "MOVED" => "The server is part of a Redis Cluster: use one that is not.",
        _ => return None,
    })
}
