//! One command on a connection.

use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::time::timeout;

use crate::session::{Session, within};
use crate::shell::{Preamble, Wrapped, wrap};
use crate::{Captured, Command, End, Error, Keep, Limits, Output, Step};

/// After a command has exited, its output is awaited for as long as it is not silent for so long: something that it
/// left running may keep the output open for ever.
const SILENCE: Duration = Duration::from_secs(1);

/// How long a machine has to show that it lives when a command was not done by its deadline.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Between two attempts to open a channel.
const BETWEEN_OPENS: Duration = Duration::from_millis(50);

/// The stream of standard error among a channel's extended data (RFC 4254 §5.2).
const STDERR: u32 = 1;

/// What was heard of a command so far.
struct Hearing {
    keep: Keep,
    said_bytes_max: u64,
    preamble: Preamble,
    stdout: Captured,
    stderr: Captured,
    end: Option<End>,
    is_refused: bool,
}

/// Retires the connection unless the command was seen to its end: a channel that nobody closes stays open there.
struct Abandoned<'a> {
    session: &'a Session,
    is_over: bool,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.session.retire();
        }
    }
}

impl Session {
    /// Runs `command`, and sees it end.
    pub(crate) async fn run(&self, command: &Command, limits: &Limits) -> Result<Output, Error> {
        let at = &self.at;
        let place = within(at, Step::Queue, limits.queue, self.channels.acquire()).await?;
        let mut abandoned = Abandoned { session: self, is_over: false };
        let channel = self.open(limits).await?;
        let (mut reader, writer) = channel.split();
        let wrapped = wrap(command, self.user == "root");
        let mut hearing = Hearing::new(command, wrapped.through_sudo);
        let talk = converse(&mut reader, &writer, wrapped, &mut hearing);
        let in_time = timeout(command.deadline, talk).await;
        let outcome = match in_time {
            // Both sides have to close a channel; this one does even if the other waits for a process left behind.
            Ok(Ok(())) if hearing.is_endless() => {
                self.end(&writer).await;
                Err(Error::TooMuch { at: at.clone(), mib_max: command.said_mib_max, with_files: false })
            }
            Ok(Ok(())) => {
                let _ = timeout(SILENCE, writer.close()).await;
                self.conclude(hearing)
            }
            Ok(Err(error)) => Err(self.broke_off(Step::Run, &error)),
            Err(_) => Err(self.overdue(command, &writer, hearing).await),
        };
        // Not before the channel was closed: whoever has the place next asks for another.
        abandoned.is_over = true;
        drop(place);
        outcome
    }

    /// Opens a channel. A server that has no more of them is asked again while other commands still have some.
    async fn open(&self, limits: &Limits) -> Result<Channel<Msg>, Error> {
        let opening = async {
            loop {
                match self.handle.channel_open_session().await {
                    Err(russh::Error::ChannelOpenFailure(_)) if self.channels_in_use() > 1 => {
                        tokio::time::sleep(BETWEEN_OPENS).await;
                    }
                    outcome => return outcome,
                }
            }
        };
        match within(&self.at, Step::Open, limits.open, opening).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => Err(self.broke_off(Step::Open, &error)),
            Err(late) => Err(late),
        }
    }

    fn conclude(&self, hearing: Hearing) -> Result<Output, Error> {
        let (at, user) = (self.at.clone(), self.user.clone());
        if hearing.is_refused {
            return Err(Error::NotRun { at, user });
        }
        let Some(end) = hearing.end else {
            return Err(Error::Closed { at, step: Step::Run, said: self.farewell() });
        };
        match hearing.preamble.refusal() {
            // What a shell says of a command that it does not find (POSIX, "Exit Status for Commands").
            Some(_) if end == End::Exit(127) => Err(Error::SudoMissing { at, user }),
            Some(said) => {
                let said = if said.is_empty() { end.to_string() } else { said };
                Err(Error::SudoRefused { at, user, said })
            }
            None => Ok(Output { end, stdout: hearing.stdout, stderr: hearing.stderr }),
        }
    }

    /// Tells a command that takes too long from a machine that is gone, and leaves neither running here.
    async fn overdue(&self, command: &Command, writer: &ChannelWriteHalf<Msg>, hearing: Hearing) -> Error {
        let (at, after) = (self.at.clone(), command.deadline);
        if !self.answers(SIGN_OF_LIFE).await {
            self.cut();
            return Error::TimedOut { at, step: Step::Run, after };
        }
        self.end(writer).await;
        let (stdout, stderr) = (Box::new(hearing.stdout), Box::new(hearing.stderr));
        Error::Overdue { at, after, stdout, stderr }
    }

    /// Ends a command that is not listened to any more.
    async fn end(&self, writer: &ChannelWriteHalf<Msg>) {
        let end = async {
            // Not every server does this, and not every command ends by it; `timeout` there ends the others.
            let _ = writer.signal(Sig::TERM).await;
            writer.close().await
        };
        if !matches!(timeout(SILENCE, end).await, Ok(Ok(()))) {
            self.retire();
        }
    }
}

/// Sends the command and what it reads, and listens until it has ended.
async fn converse(
    reader: &mut ChannelReadHalf,
    writer: &ChannelWriteHalf<Msg>,
    wrapped: Wrapped,
    hearing: &mut Hearing,
) -> Result<(), russh::Error> {
    writer.exec(true, wrapped.line).await?;
    let feed = async {
        // A command that does not read to the end is no error; how it ended is heard.
        if wrapped.stdin.is_empty() || writer.data_bytes(wrapped.stdin).await.is_ok() {
            let _ = writer.eof().await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = hearing.listen(reader) => Ok(()),
        () = feed => Ok(()),
    }
}

impl Hearing {
    fn new(command: &Command, through_sudo: bool) -> Self {
        Self {
            keep: command.keep,
            said_bytes_max: command.said_mib_max.saturating_mul(1024 * 1024),
            preamble: Preamble::new(through_sudo),
            stdout: Captured::default(),
            stderr: Captured::default(),
            end: None,
            is_refused: false,
        }
    }

    /// Whether it said more than is listened to.
    fn is_endless(&self) -> bool {
        self.stdout.said_bytes() + self.stderr.said_bytes() > self.said_bytes_max
    }

    /// Until the channel is closed, or the command has exited and says nothing any more, or has said too much.
    async fn listen(&mut self, reader: &mut ChannelReadHalf) {
        while !self.is_endless() {
            let message = if self.end.is_none() {
                reader.wait().await
            } else {
                timeout(SILENCE, reader.wait()).await.unwrap_or(None)
            };
            match message {
                None | Some(ChannelMsg::Close) => return,
                Some(ChannelMsg::Data { data }) => self.stdout.push(&data, self.keep),
                Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => {
                    let said = self.preamble.take(&data);
                    self.stderr.push(&said, self.keep);
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => self.end = Some(End::Exit(exit_status)),
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    self.end = Some(End::Signal(name(signal_name)));
                }
                Some(ChannelMsg::Failure) => {
                    self.is_refused = true;
                    return;
                }
                Some(_) => {}
            }
        }
    }
}

fn name(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => name.chars().filter(|c| !c.is_control()).take(32).collect(),
        known => format!("{known:?}"),
    }
}
