//! Files that the system sends by itself, without their bytes coming through here (`sendfile(2)`).
//!
//! hyper is given bytes and nothing else. So an answer gives it *stand-ins*: as many bytes of a region that nobody ever
//! looks into, which therefore takes no memory. Which part of which file they stand for is written down, in order, for
//! the connection. Its socket, below hyper, knows stand-ins by where they lie, and has the system send that part:
//!
//! ```text
//! answer ── head, stand-ins ──► hyper ── slices ──► socket ──► head: written; stand-ins: what is next in the queue
//!    └───────── file, offset, bytes ──► queue ──────────┘
//! ```
//! That holds where hyper hands on what it is given as it is and in order: in HTTP/1, over the bare socket. TLS has to
//! encrypt the bytes, and HTTP/2 to cut them into frames, so that neither ever sees a stand-in.
//! Where a file system or a kernel cannot do that, the bytes come through here after all, some at a time.
//!
//! **Invariant:** no stand-in is ever written: a socket that cannot tell what one stands for fails.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::io::Errno;

/// How much of a file one answer has in the queue at most. hyper asks for more when less than its own limit of some
/// hundred kilobytes is left.
pub(crate) const PIECE_BYTES: usize = 1024 * 1024;

/// How much of a file is in memory at once where the system does not send it.
const COPIED_BYTES: usize = 64 * 1024;

/// What stand-ins are made of. It comes from the system as zeros, of which nothing is in memory before it is read.
static STAND_INS: LazyLock<&'static [u8]> = LazyLock::new(|| vec![0; PIECE_BYTES].leak());

/// What one connection's answers have the system send. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Sendfile(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    parts: VecDeque<Part>,
    /// The system has refused to send one, and need not be asked again.
    is_refused: bool,
}

/// A part of a file that is to be sent.
struct Part {
    file: Arc<dyn AsFd + Send + Sync>,
    offset: u64,
    bytes: usize,
}

impl Part {
    /// Reads some of it and writes that; how much was taken, and 0 when nothing is there to be read.
    fn copy(&mut self, socket: impl AsFd) -> rustix::io::Result<usize> {
        let mut piece = vec![0; self.bytes.min(COPIED_BYTES)];
        let read = rustix::io::pread(&self.file, &mut piece, self.offset)?;
        let written = if read == 0 { 0 } else { rustix::io::write(socket, &piece[..read])? };
        self.offset += written as u64;
        Ok(written)
    }
}

impl fmt::Debug for Sendfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sendfile({} parts)", self.queue().parts.len())
    }
}

impl Sendfile {
    /// Stands for `bytes` bytes of `file` from `offset` on, at most [`PIECE_BYTES`]. To be handed to the connection before
    /// any other, or not at all and the connection closed.
    pub(crate) fn part(&self, file: Arc<dyn AsFd + Send + Sync>, offset: u64, bytes: usize) -> Bytes {
        let stand_ins = Bytes::from_static(&STAND_INS[..bytes.min(PIECE_BYTES)]);
        self.queue().parts.push_back(Part { file, offset, bytes: stand_ins.len() });
        stand_ins
    }

    /// Has the system send some of what is next, for which `bytes` stand-ins are left; how many went. Where it cannot, they
    /// are read and written.
    ///
    /// # Errors
    /// Those of the socket; [`ErrorKind::UnexpectedEof`] when the file has become shorter.
    pub(super) fn send(&self, socket: impl AsFd, bytes: usize) -> io::Result<usize> {
        let mut queue = self.queue();
        let Queue { parts, is_refused } = &mut *queue;
        let next = parts.front_mut().filter(|part| part.bytes == bytes);
        let part = next.ok_or_else(|| io::Error::other("nobody knows which file was to be sent"))?;
        let sent = match *is_refused {
            true => part.copy(&socket)?,
            false => match rustix::fs::sendfile(&socket, &part.file, Some(&mut part.offset), bytes) {
                // What one file system or another says, of those in user space or over the network above all.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    *is_refused = true;
                    part.copy(&socket)?
                }
                sent => sent?,
            },
        };
        if sent == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file has become shorter"));
        }
        part.bytes -= sent;
        if part.bytes == 0 {
            parts.pop_front();
        }
        Ok(sent)
    }

    /// Whether there is nothing to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.queue().parts.is_empty()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether these are stand-ins.
pub(super) fn is_stand_in(bytes: &[u8]) -> bool {
    !bytes.is_empty() && STAND_INS.as_ptr_range().contains(&bytes.as_ptr())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_stand_ins_stand_for_goes_in_order_and_whole() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| -> Arc<File> {
            std::fs::write(directory.path().join(name), text).unwrap();
            Arc::new(File::open(directory.path().join(name)).unwrap())
        };
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let sendfile = Sendfile::default();
        let one = sendfile.part(file("one", "0123456789"), 2, 5);
        let two = sendfile.part(file("two", "abc"), 0, 4);
        assert!(is_stand_in(&one) && is_stand_in(&two[1..]) && !is_stand_in(&[0]) && !is_stand_in(&one[..0]));
        // Whose stand-ins these are is not known.
        assert_eq!(sendfile.send(&ours, 4).unwrap_err().kind(), ErrorKind::Other);
        assert_eq!(sendfile.send(&ours, 5).unwrap(), 5);
        (&ours).write_all(b"-").unwrap();
        assert_eq!(sendfile.send(&ours, 4).unwrap(), 3);
        assert_eq!(sendfile.send(&ours, 1).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(!sendfile.is_empty());
        drop(ours);
        let mut came = String::new();
        theirs.read_to_string(&mut came).unwrap();
        assert_eq!(came, "23456-abc");
        assert_eq!(Sendfile::default().send(theirs, 1).unwrap_err().kind(), ErrorKind::Other);
    }
    /// `sendfile(2)` to what is opened for appending fails with `EINVAL`, whatever the kernel.
    #[test]
    fn what_the_system_does_not_send_is_read_and_written() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        let text: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(&from, &text).unwrap();
        let socket = File::options().append(true).create(true).open(&to).unwrap();
        let sendfile = Sendfile::default();
        let file = Arc::new(File::open(&from).unwrap());
        let mut left = sendfile.part(file.clone(), 1_000, 150_000).len();
        while left > 0 {
            left -= sendfile.send(&socket, left).unwrap();
        }
        assert!(sendfile.queue().is_refused && sendfile.is_empty());
        assert!(std::fs::read(&to).unwrap() == text[1_000..151_000]);
        let _stand_ins = sendfile.part(file, 200_000, 1);
        assert_eq!(sendfile.send(&socket, 1).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
