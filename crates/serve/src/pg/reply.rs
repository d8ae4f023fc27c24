//! Errors, notices and settings as backend messages. It must not know sockets.

use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::{ErrorResponse, NoticeResponse, ReadyForQuery, TransactionStatus as Ready};
use pgwire::messages::startup::ParameterStatus;
use thalweg_core::{SqlError, SqlState};

use crate::backend::TransactionStatus;

/// An error that ends a statement.
pub(crate) fn error(error: SqlError) -> Backend {
    Backend::ErrorResponse(ErrorResponse::new(fields("ERROR", error)))
}

/// An error that ends the connection.
pub(crate) fn fatal(error: SqlError) -> Backend {
    Backend::ErrorResponse(ErrorResponse::new(fields("FATAL", error)))
}

/// Something to know, by the way. Classes `00` and `01` tell notices from warnings.
pub(crate) fn notice(notice: SqlError) -> Backend {
    let severity = if notice.state == SqlState::SUCCESS { "NOTICE" } else { "WARNING" };
    Backend::NoticeResponse(NoticeResponse::new(fields(severity, notice)))
}

/// A setting that drivers follow.
pub(crate) fn parameter((name, value): (String, String)) -> Backend {
    Backend::ParameterStatus(ParameterStatus::new(without_nul(name), without_nul(value)))
}

/// The next query may come.
pub(crate) fn ready(status: TransactionStatus) -> Backend {
    Backend::ReadyForQuery(ReadyForQuery::new(match status {
        TransactionStatus::Idle => Ready::Idle,
        TransactionStatus::InBlock => Ready::Transaction,
        TransactionStatus::Failed => Ready::Error,
    }))
}

fn fields(severity: &str, error: SqlError) -> Vec<(u8, String)> {
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', error.state.0.to_owned()),
        (b'M', without_nul(error.message)),
    ];
    fields.extend(error.detail.map(|text| (b'D', without_nul(text))));
    fields.extend(error.hint.map(|text| (b'H', without_nul(text))));
    fields.extend(error.position.map(|position| (b'P', position.to_string())));
    fields
}

/// Strings end with a NUL on the wire; one inside would end them early.
pub(crate) fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}
