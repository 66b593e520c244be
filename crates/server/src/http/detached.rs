//! A future that is finished even when nobody waits for it any more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs where it is awaited, as cheap as any future; dropped halfway, it goes on as a task of its
/// own. So a client that hangs up never stops a change between two of its steps.
pub struct Detached<T: Send + 'static> {
    work: Option<Work<T>>,
}

impl<T: Send + 'static> Detached<T> {
    /// Wraps what must be finished.
    pub fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            work: Some(Box::pin(work)),
        }
    }
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = self.work.as_mut() else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        // A panicking handler has nothing left to finish; without a runtime nothing can run.
        if let Some(work) = self.work.take()
            && !std::thread::panicking()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_dropped_halfway_is_finished() {
        let (go, gate) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel();
        let work = Detached::new(async move {
            gate.await.unwrap();
            done.send(7).unwrap();
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(1), work)
                .await
                .is_err()
        );
        go.send(()).unwrap();
        assert_eq!(finished.await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_is_awaited_answers() {
        assert_eq!(Detached::new(async { 5 }).await, 5);
    }
}
