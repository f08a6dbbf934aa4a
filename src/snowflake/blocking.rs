//! CPU-bound work, such as compression, on separate threads, so that it does not block requests.

use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

use crate::{Error, Result};

/// Limits such work in the whole process to the number of cores: more would be slower, and take more memory.
static CORES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, std::num::NonZero::get)));

/// Runs work on another thread. If this future is dropped, the work still runs to its end, and counts toward the limit until
/// then.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let broken = |error| Error::internal("work on another thread did not come to its end").with_source(error);
    let core = CORES.acquire().await.map_err(|error| broken(error.to_string()))?;
    let work = move || {
        let _core = core;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| broken(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn no_more_tasks_run_at_once_than_there_are_cores() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            run(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
        };
        let cores = available_parallelism().unwrap().get();
        futures::future::try_join_all((0..cores * 4).map(|_| work())).await.unwrap();
        let most = most.load(Ordering::SeqCst);
        assert!((1..=cores).contains(&most), "{most} of {cores}");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_core() {
        for _ in 0..available_parallelism().unwrap().get() + 1 {
            let error = run(|| -> Result<()> { panic!("on purpose") }).await.unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Internal);
        }
        assert_eq!(run(|| Ok(7)).await.unwrap(), 7);
    }
}
