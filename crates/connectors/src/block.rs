//! Futures of client libraries in code that is not async: waited for, or beside it. It must not know what they do.

use std::future::Future;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};

/// One thread for what client libraries do asynchronously: questions that are rare, and fetches that wait for a network.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("thalweg-ask")
        .enable_all()
        .build()
        .expect("a runtime of one thread starts")
});

/// The result of `future`. The caller may itself be on a runtime: it is blocked, as with any other call that waits.
pub(crate) fn block_on<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    RUNTIME.spawn(async move {
        // The receiver waits until this is sent.
        let _ = sender.send(future.await);
    });
    receiver.recv().ok()
}

/// Lets `work` go on beside whoever calls, until it is done or aborted.
#[cfg(feature = "s3")]
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
    RUNTIME.spawn(work).abort_handle()
}
