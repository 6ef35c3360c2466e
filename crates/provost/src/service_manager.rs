//! What systemd is told: ready, alive, stopping (sd_notify(3), "Well-known assignments").

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

/// Where the service manager listens.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Tells the service manager, if one waits at `NOTIFY_SOCKET`. That it does not listen is no reason to stop, or to
/// wait: so this is not left to the library, which would.
pub fn tell(states: &[NotifyState<'_>]) {
    let Some(path) = std::env::var_os(SOCKET) else { return };
    let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
    if let Err(error) = send(&path, lines.as_bytes()) {
        warn!(%error, "service manager could not be told");
    }
}

/// Sends a datagram to the socket at `path`, an abstract one if it begins with `@` (sd_notify(3), "Notes").
fn send(path: &OsStr, datagram: &[u8]) -> io::Result<()> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(datagram, &address).map(drop)
}

/// How often the service manager wants to hear that we are alive: half of `WATCHDOG_USEC`, as
/// sd_watchdog_enabled(3) recommends. `None` when it does not ask.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|period| !period.is_zero())
}

/// Calls `alive` every `period` as long as `healthy` says so in time; else that turn is skipped, and when
/// too many are, the service manager restarts us. Without a period it only waits.
pub async fn keep_alive(
    period: Option<Duration>,
    healthy: impl AsyncFn() -> bool,
    mut alive: impl FnMut(),
) -> Infallible {
    let Some(period) = period else { return std::future::pending().await };
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match timeout(period, healthy()).await {
            Ok(true) => alive(),
            Ok(false) => warn!("house is not healthy, watchdog not told"),
            Err(_) => warn!("house did not say in time whether it is healthy, watchdog not told"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Asks `healthy` (given the number of the question) five times and returns how often it was alive.
    fn told_in_five(healthy: impl AsyncFn(u32) -> bool) -> u32 {
        let (asked, told) = (Cell::new(0), Cell::new(0));
        let ask = async || {
            asked.set(asked.get() + 1);
            healthy(asked.get()).await
        };
        let five = async {
            while asked.get() < 6 {
                tokio::task::yield_now().await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let period = Some(Duration::from_millis(2));
            tokio::select! {
                biased;
                () = async { timeout(LIMIT, five).await.unwrap() } => {}
                never = keep_alive(period, ask, || told.set(told.get() + 1)) => match never {}
            }
        });
        told.get()
    }

    #[test]
    fn nobody_waits_for_who_does_not_listen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let abstract_name = format!("@provost-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name[1..]).unwrap();
        let other = UnixDatagram::bind_addr(&address).unwrap();
        for (to, listener) in [(path.as_os_str(), listener), (OsStr::new(&abstract_name), other)] {
            send(to, b"READY=1\n").unwrap();
            let mut heard = [0; 20];
            assert_eq!(listener.recv(&mut heard).unwrap(), 8);
            assert_eq!(&heard[..8], b"READY=1\n");
            let full = (0..100_000).find_map(|_| send(to, b"WATCHDOG=1\n").err()).unwrap();
            assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        }
        assert!(send(OsStr::new("/nonexistent/notify"), b"READY=1\n").is_err());
    }

    #[test]
    fn the_healthy_are_alive() {
        assert!(told_in_five(async |_| true) >= 5);
    }

    #[test]
    fn the_sick_are_not() {
        assert_eq!(told_in_five(async |_| false), 0);
        assert_eq!(told_in_five(async |question| question == 2), 1);
    }

    #[test]
    fn who_does_not_answer_is_not_waited_for() {
        let told =
            told_in_five(async |question| if question == 1 { std::future::pending().await } else { true });
        assert!(told >= 4, "{told}");
    }
}
