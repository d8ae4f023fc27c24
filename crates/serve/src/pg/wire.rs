//! One client's bytes: framed messages in, buffered messages out, plain or through TLS. It must not know what messages
//! mean.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::failure::Failure;
use super::frontend::may_be_long;
use crate::backend::CancelToken;

/// What an idle connection keeps for the next message.
const IDLE_BUFFER_BYTES: usize = 1024;

/// The most that is read at a time.
const READ_BYTES: usize = 64 << 10;

/// What is read ahead while a statement runs, so that a client that goes away is noticed.
const LOOKAHEAD_BYTES: usize = 64 << 10;

/// Output is sent when it has grown to this.
pub(crate) const FLUSH_BYTES: usize = 32 << 10;

/// Messages of kinds that are never long.
const SMALL_MESSAGE_BYTES: usize = 10_000;

/// A socket, with TLS or without.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

/// A framed message: its kind and its body.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) body: Bytes,
}

/// A socket with its buffers.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Socket,
    input: BytesMut,
    output: BytesMut,
    /// How much to read next: grows while reads come back full.
    appetite: usize,
    max_message_bytes: usize,
    gone: bool,
}

impl Wire {
    /// A wire whose messages have at most `max_message_bytes`. The buffers are empty: nothing that was read before TLS
    /// is ever looked at after it.
    pub(crate) fn new(socket: Socket, max_message_bytes: usize) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Self { socket, input, output, appetite: IDLE_BUFFER_BYTES, max_message_bytes, gone: false }
    }

    /// The socket, for what is no framed message.
    pub(crate) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// The bare TCP socket, if that is what it is.
    pub(crate) fn into_plain(self) -> Option<TcpStream> {
        match self.socket {
            Socket::Plain(stream) => Some(stream),
            Socket::Tls(_) => None,
        }
    }

    /// Changes the limit of a message.
    pub(crate) fn limit(&mut self, max_message_bytes: usize) {
        self.max_message_bytes = max_message_bytes;
    }

    /// A message is there, or will be an error, without waiting.
    pub(crate) fn has_frame(&self) -> bool {
        self.length().map_or(true, |length| length.is_some_and(|length| self.input.len() > length))
    }

    /// The next message; `None` when the client has gone.
    ///
    /// Dropping this future loses nothing.
    pub(crate) async fn frame(&mut self) -> Result<Option<Frame>, Failure> {
        loop {
            if let Some(length) = self.length()?
                && self.input.len() > length
            {
                let kind = self.input.get_u8();
                let mut body = self.input.split_to(length).freeze();
                body.advance(4);
                return Ok(Some(Frame { kind, body }));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The length that the message at the front announces, itself included, once it is known.
    fn length(&self) -> Result<Option<usize>, Failure> {
        let Some((kind, rest)) = self.input.split_first() else { return Ok(None) };
        let long =
            may_be_long(*kind).ok_or_else(|| Failure::protocol(format!("invalid frontend message type {kind}")))?;
        let Some(length) = rest.first_chunk() else { return Ok(None) };
        let limit = if long { self.max_message_bytes } else { self.max_message_bytes.min(SMALL_MESSAGE_BYTES) };
        match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) if (4..=limit).contains(&length) => Ok(Some(length)),
            _ => Err(Failure::protocol("invalid message length")),
        }
    }

    /// Reads some more; 0 when the client has gone.
    async fn fill(&mut self) -> io::Result<usize> {
        if self.gone {
            return Ok(0);
        }
        // Memory grows with what has arrived, not with what a length promises.
        if self.input.capacity() == self.input.len() {
            self.input.reserve(self.appetite);
        }
        let read = self.socket.read_buf(&mut self.input).await?;
        if self.input.capacity() == self.input.len() {
            self.appetite = (self.appetite * 2).min(READ_BYTES);
        }
        self.gone = read == 0;
        Ok(read)
    }

    /// Puts a message behind the output.
    pub(crate) fn send(&mut self, message: &PgWireBackendMessage) {
        let start = self.output.len();
        if let Err(error) = message.encode(&mut self.output) {
            self.output.truncate(start);
            tracing::warn!(%error, "a message does not fit the protocol and is left out");
        }
    }

    /// Sends whole messages that are encoded already; short ones wait for company.
    pub(crate) async fn send_encoded(&mut self, messages: &[u8]) -> io::Result<()> {
        if self.output.len() + messages.len() < FLUSH_BYTES {
            self.output.extend_from_slice(messages);
            return Ok(());
        }
        self.write_output().await?;
        self.socket.write_all(messages).await
    }

    /// Sends all output.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.write_output().await?;
        self.socket.flush().await
    }

    async fn write_output(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.socket.write_all_buf(&mut self.output).await?;
        }
        Ok(())
    }

    /// Gives back the memory that large messages took; for a connection that waits.
    pub(crate) fn rest(&mut self) {
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.appetite = IDLE_BUFFER_BYTES;
        }
    }

    /// Tells the client why it is cut off, as far as it listens.
    pub(crate) async fn close(&mut self, last: Option<PgWireBackendMessage>) {
        const FAREWELL: Duration = Duration::from_secs(2);
        const FAREWELL_READS: usize = 1000;
        if let Some(message) = last {
            self.send(&message);
        }
        let farewell = async {
            self.flush().await?;
            self.socket.shutdown().await?;
            // Bytes that nobody reads make the system cut the connection before the last message has arrived.
            let mut discarded = [0; 512];
            for _ in 0..FAREWELL_READS {
                if self.socket.read(&mut discarded).await? == 0 {
                    break;
                }
            }
            io::Result::Ok(())
        };
        if !matches!(tokio::time::timeout(FAREWELL, farewell).await, Ok(Ok(()))) {
            tracing::debug!("a client did not hear the end of its connection");
        }
    }

    /// Runs `work` while watching the client: when it goes away, `cancel` is called. What has been sent before leaves
    /// if `work` takes a while. `None` when `work` was cancelled and
    /// has not ended `patience` later.
    pub(crate) async fn watch<F: Future>(
        &mut self,
        cancel: &CancelToken,
        patience: Duration,
        work: F,
    ) -> Option<F::Output> {
        let mut work = pin!(work);
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            return Some(output);
        }
        // It takes a while: the client need not wait for what is there already.
        if self.flush().await.is_err() {
            self.gone = true;
        }
        let mut late = pin!(async {
            cancel.cancelled().await;
            tokio::time::sleep(patience).await;
        });
        loop {
            if self.gone {
                cancel.cancel();
            }
            let listen = !self.gone && self.input.len() < LOOKAHEAD_BYTES;
            tokio::select! {
                biased;
                output = &mut work => return Some(output),
                () = &mut late => return None,
                read = self.fill(), if listen => if read.is_err() {
                    self.gone = true;
                },
            }
        }
    }
}
