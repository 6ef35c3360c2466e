//! Several clients at once, each doing one thing after the other, for a while.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Failure;

/// Somebody who does one thing after the other.
pub(crate) trait Worker: Send + 'static {
    /// Does one thing. False when there is nothing left to do.
    fn turn(&mut self) -> impl Future<Output = Result<bool, Failure>> + Send;
}

/// What was done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) turns: u64,
    /// From the first one's start to the last one's end.
    pub(crate) elapsed: Duration,
}

impl Done {
    pub(crate) fn per_second(&self) -> f64 {
        self.turns as f64 / self.elapsed.as_secs_f64()
    }
}

/// Lets all `workers` work for `duration`; what one has begun by then it finishes, and it counts.
/// Gives them back as well.
pub(crate) async fn run<W: Worker>(workers: Vec<W>, duration: Duration) -> Result<(Done, Vec<W>), Failure> {
    let began = Instant::now();
    let mut set = JoinSet::new();
    for mut worker in workers {
        set.spawn(async move {
            let mut turns = 0;
            while began.elapsed() < duration && worker.turn().await? {
                turns += 1;
            }
            Ok::<_, Failure>((turns, worker))
        });
    }
    let mut workers = Vec::new();
    let mut done = Done { turns: 0, elapsed: Duration::ZERO };
    while let Some(joined) = set.join_next().await {
        let (turns, worker) = joined.expect("a worker that panics ends the measurement")?;
        done.turns += turns;
        workers.push(worker);
    }
    done.elapsed = began.elapsed();
    Ok((done, workers))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Countdown(u32);

    impl Worker for Countdown {
        async fn turn(&mut self) -> Result<bool, Failure> {
            let left = self.0 > 0;
            self.0 = self.0.saturating_sub(1);
            Ok(left)
        }
    }

    #[tokio::test]
    async fn turns_are_counted_until_there_is_nothing_left() {
        let workers = vec![Countdown(3), Countdown(4)];
        let (done, workers) = run(workers, Duration::from_secs(60)).await.unwrap();
        assert_eq!((done.turns, workers.len()), (7, 2));
        let (done, _) = run(vec![Countdown(3)], Duration::ZERO).await.unwrap();
        assert_eq!(done.turns, 0);
    }
}
