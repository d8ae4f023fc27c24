//! The simple query protocol: a text of statements, run one after the other. It must not know portals.

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse};

use super::failure::Failure;
use super::frontend::Format;
use super::rows::{Cursor, Step, row_description};
use super::session::Conversation;
use crate::backend::{Answer, Session};

impl<S: Session> Conversation<'_, S> {
    /// Runs every statement of `text`; an error leaves out the rest.
    pub(crate) async fn query(&mut self, text: String) -> Result<(), Failure> {
        self.cancel.arm();
        self.statements.remove("");
        self.portals.remove("");
        self.measure(&text)?;
        let statements = self.session.parse(&text)?;
        if statements.is_empty() {
            self.wire.send(&PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()));
        }
        let several = statements.len() > 1;
        if several {
            self.session.begin_implicit();
        }
        for statement in statements {
            let answer = self.execute(&statement, &[]).await?;
            let last = match answer {
                Answer::Rows { schema, rows, tag } => {
                    self.wire.send(&row_description(&schema, &[Format::Text])?);
                    let mut cursor = Cursor::new(schema, rows, tag, vec![Format::Text]);
                    match cursor.send(self.wire, &self.cancel, 0).await? {
                        Step::Ended(last) => last,
                        Step::Suspended => continue,
                    }
                }
                Answer::Done(tag) => PgWireBackendMessage::CommandComplete(CommandComplete::new(tag)),
                Answer::CopyIn { schema, layout } => self.copy_in(schema, layout).await?,
                Answer::CopyOut { schema, rows, layout } => self.copy_out(schema, rows, layout).await?,
            };
            self.tell();
            self.wire.send(&last);
        }
        if several {
            self.session.commit_implicit().await?;
        }
        Ok(())
    }
}
