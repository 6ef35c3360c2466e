//! `caucase-updater` (caucase contract, 7.3): obtains a certificate, and keeps it, those whom its holder trusts and what was
//! revoked up to date, for as long as it is left to. All it knows is on the disk.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;

use base::{Clock, Span, Timestamp};
use clap::{ArgAction, Parser};
use client::compat::caucase::{Authority, Server, ServerUrl};
use x509::{Certificate, Crl, PublicKey, SigningRequest, verify};

use super::error::CommandError;
use super::work::is_signed_by_one_of;
use super::{Mode, VERSION, Warnings, days, key_bits, network, request_in, share_no_file, wake};
use crate::holder::debt::{Debt, digest};
use crate::holder::{
    Collection, HolderError, Pair, Pem, PemFileError, Recovered, append, renewal, update_authorities,
    update_lists,
};
use crate::hook;
use crate::output;

/// How long is waited before a server is asked again that did not answer.
const RETRY_AFTER: Span = Span::seconds(10);

/// How long is waited before a server is asked again whether a request was approved.
const PENDING_FOR: Span = Span::seconds(60);

/// Obtain a certificate, and keep it and all that belongs to it up to date
///
/// Paths of CA certificates and revocation lists name a folder if there is one, or if there is nothing and the name has no
/// extension; a file otherwise. Runs until it is ended (SIGINT, SIGTERM), until the server refuses something, or until the
/// hook fails.
#[derive(Parser)]
#[command(name = "caucase-updater", infer_long_args = true, args_override_self = true)]
#[command(version = VERSION, disable_version_flag = true)]
pub(super) struct Line {
    /// The server, without /cas, as in `http://HOST:PORT`
    #[arg(long, value_name = "URL")]
    ca_url: ServerUrl,
    /// The CA certificates of services, kept up to date
    #[arg(long, value_name = "CRT_PATH")]
    cas_ca: PathBuf,
    /// Renew the certificate when less of its life is left
    #[arg(long, value_name = "DAYS", default_value = "31", value_parser = days, allow_negative_numbers = true)]
    threshold: Span,
    /// Fetch the revocation lists anew when less of their life is left
    #[arg(long, value_name = "DAYS", default_value = "7", value_parser = days, allow_negative_numbers = true)]
    crl_threshold: Span,
    /// How long the RSA keys are that renewals make
    #[arg(long, value_name = "BITS", default_value = "2048", value_parser = key_bits)]
    key_len: u32,
    /// A command for the shell, run when any of the files is another one
    #[arg(long, value_name = "COMMAND")]
    on_renew: Option<String>,
    /// Sleep at most so long
    #[arg(long, value_name = "DAYS", default_value = "31", value_parser = days, allow_negative_numbers = true)]
    max_sleep: Span,
    /// Whose certificate it is
    #[arg(long, value_enum, default_value = "service")]
    mode: Mode,
    /// The request for the first certificate
    #[arg(long, value_name = "CSR_PATH")]
    csr: Option<PathBuf>,
    /// The private key, which must be there; without it, key and certificate share the certificate's file
    #[arg(long, value_name = "KEY_PATH")]
    key: Option<PathBuf>,
    /// The certificate; without it only CA certificates and revocation lists are kept up to date
    #[arg(long, value_name = "CRT_PATH")]
    crt: Option<PathBuf>,
    /// The CA certificates of --mode, kept up to date; may be --cas-ca's
    #[arg(long, value_name = "CRT_PATH")]
    ca: PathBuf,
    /// The revocation lists of --mode, kept up to date
    #[arg(long, value_name = "CRL_PATH")]
    crl: PathBuf,
    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
}

impl Line {
    pub(super) async fn run(self, clock: &Clock) -> Result<u8, CommandError> {
        share_no_file(&[&self.cas_ca, &self.ca], &[&self.crl])?;
        let sleep = async |span: Span| tokio::time::sleep(span.as_duration()).await;
        let mut keeper = Keeper {
            authority: self.mode.authority(),
            services: Collection::at(&self.cas_ca),
            authorities: Collection::at(&self.ca),
            lists: Collection::at(&self.crl),
            debt: self.on_renew.is_some().then(|| Debt::beside(self.crt.as_deref().unwrap_or(&self.crl))),
            pair: self.crt.as_ref().map(|certificate| Pair {
                certificate: certificate.clone(),
                key: self.key.clone().unwrap_or_else(|| certificate.clone()),
            }),
            server: Server::new(self.ca_url.clone())?,
            line: &self,
            patience: Patience { clock, sleep },
            warnings: Warnings::of("caucase-updater"),
            has_written: false,
            has_new_authorities: false,
        };
        keeper.live().await
    }
}

/// What is kept, and whether the hook has yet to be told of something.
struct Keeper<'l, S> {
    line: &'l Line,
    server: Server,
    authority: Authority,
    services: Collection<Certificate>,
    authorities: Collection<Certificate>,
    lists: Collection<Crl>,
    pair: Option<Pair>,
    /// Where there is a hook.
    debt: Option<Debt>,
    patience: Patience<'l, S>,
    warnings: Warnings,
    has_written: bool,
    /// Whether there are CA certificates of which nothing was said yet.
    has_new_authorities: bool,
}

impl<S: AsyncFn(Span)> Keeper<'_, S> {
    /// Keeps all of it up to date until the hook fails, which is no failure of this program.
    async fn live(&mut self) -> Result<u8, CommandError> {
        // What was cut short needs no server to be finished, and to be told of.
        let recovered = self.pair.as_ref().map_or(Ok(Recovered::Nothing), Pair::recover)?;
        if recovered == Recovered::Finished || self.is_in_debt() {
            self.run_owed_hook().await;
        }
        if !self.has_written {
            self.begin_debt();
        }
        let is_new = self.update_services().await?;
        // That of another file is nothing that the hook knows of.
        self.has_written |= is_new && self.services == self.authorities;
        self.begin().await?;
        let mut wake_up = self.now();
        loop {
            say(&format!("Next wake-up at {}\n", wake::shown(wake_up)))?;
            self.patience.sleep_until(wake_up).await;
            if !self.has_written {
                self.begin_debt();
            }
            if self.services != self.authorities {
                self.update_services().await?;
            }
            let looked = self.update().await;
            // Also where something went wrong behind what was written: the next start would know nothing of it.
            let hook = if self.has_written { self.run_hook().await } else { Ok(Hook::Succeeded) };
            if matches!(hook, Ok(Hook::Succeeded | Hook::Failed)) {
                self.pay();
            }
            wake_up = looked?;
            if hook? != Hook::Succeeded {
                return Ok(0);
            }
            self.has_written = false;
        }
    }

    fn now(&self) -> Timestamp {
        self.patience.clock.now()
    }

    async fn update_services(&self) -> Result<bool, CommandError> {
        let (server, held) = (&self.server, &self.services);
        let update = async || update_authorities(server, Authority::Services, held, None, self.now()).await;
        let updated = self.patience.with(update).await;
        Ok(updated.map_err(|error| error.naming(held.path()))?.is_new)
    }

    /// Obtains the first certificate, if there is none.
    async fn begin(&mut self) -> Result<(), CommandError> {
        let Some(pair) = self.pair.clone() else { return Ok(()) };
        let found = match Pem::read(&pair.certificate) {
            Err(PemFileError::Missing(_)) => Pem::default(),
            found => found?,
        };
        if !found.certificates.is_empty() {
            return Ok(());
        }
        say("Bootstraping...\n")?;
        let Some(path) = &self.line.csr else {
            return Err(CommandError::NothingToBeginWith(pair.certificate));
        };
        let request = request_in(path)?;
        let (keys, key_path) = match found.keys {
            keys if keys.is_empty() => (Pem::read(&pair.key)?.keys, &pair.key),
            keys => (keys, &pair.certificate),
        };
        if !keys.iter().any(|key| key.public() == request.public_key()) {
            // The certificate would be of no use to anybody.
            return Err(CommandError::NotItsKey { request: path.clone(), key: key_path.clone() });
        }
        let (id, certificate) = self.obtain(&request).await?;
        // It came over plain HTTP, and is not to be got rid of by itself.
        let trusted = self.update_trusted().await?;
        if !is_signed_by_one_of(&certificate, &trusted) {
            let authorities = self.authorities.path().to_owned();
            return Err(CommandError::Untrusted { id, authorities });
        }
        append(&pair.certificate, &certificate.to_pem())?;
        self.has_written = true;
        say("Bootstrap done\n")
    }

    /// Submits a request, and waits until somebody has approved it.
    async fn obtain(&self, request: &SigningRequest) -> Result<(String, Certificate), CommandError> {
        let (server, authority) = (&self.server, self.authority);
        let text = request.to_pem();
        let submit = async || Ok(server.submit(authority, &text).await?);
        let id = self.patience.with(submit).await?;
        say(&format!("Waiting for signature of {id}\n"))?;
        let answer = loop {
            let fetch = async || unless_unknown(server.certificate(authority, &id).await);
            if let Some(answer) = self.patience.with(fetch).await? {
                break answer;
            }
            let look = async || unless_unknown(server.request(authority, &id).await);
            if self.patience.with(look).await?.is_none() {
                return Err(CommandError::Rejected(id));
            }
            self.patience.sleep(PENDING_FOR).await;
        };
        let certificate = Certificate::from_pem(&answer).map_err(HolderError::NoCertificate)?;
        if is_for(&certificate, request.public_key()) {
            Ok((id, certificate))
        } else {
            Err(CommandError::OtherKey(id))
        }
    }

    /// Brings up to date who stands for the certificate.
    async fn update_trusted(&mut self) -> Result<Vec<Certificate>, CommandError> {
        let (server, authority, held) = (&self.server, self.authority, &self.authorities);
        let update = async || update_authorities(server, authority, held, None, self.now()).await;
        let trusted = self.patience.with(update).await.map_err(|error| error.naming(held.path()))?;
        self.has_written |= trusted.is_new;
        self.has_new_authorities |= trusted.is_new;
        Ok(trusted.certificates)
    }

    /// Looks after everything once, and says when to do so again.
    async fn update(&mut self) -> Result<Timestamp, CommandError> {
        let trusted = self.update_trusted().await?;
        if std::mem::take(&mut self.has_new_authorities) {
            say("Got new CA\n")?;
        }
        let (server, authority, lists) = (&self.server, self.authority, &self.lists);
        let update = async || update_lists(server, authority, lists, &trusted).await;
        let authorities = self.authorities.path();
        let revoked = self.patience.with(update).await.map_err(|error| error.naming(authorities))?;
        if revoked.is_new {
            say("Got new CRL\n")?;
            self.has_written = true;
        }
        let mut due: Vec<_> =
            revoked.lists.iter().map(|list| list.next_update() - self.line.crl_threshold).collect();
        if let Some(certificate) = self.update_certificate(&trusted).await? {
            due.push(renewal::due_at(&certificate, self.line.threshold));
        }
        Ok(wake::next(self.now(), self.line.max_sleep, due))
    }

    /// Renews the certificate if it is due; the one that is there afterwards.
    async fn update_certificate(
        &mut self,
        trusted: &[Certificate],
    ) -> Result<Option<Certificate>, CommandError> {
        let Some(pair) = &self.pair else { return Ok(None) };
        self.has_written |= pair.recover()? == Recovered::Finished;
        let found = pair.load()?;
        self.warnings.look(&found.key_path);
        let authorities = self.authorities.path();
        verify(&found.certificate, trusted, self.now()).map_err(|source| CommandError::Unverified {
            path: pair.certificate.clone(),
            authorities: authorities.to_owned(),
            source,
        })?;
        if !renewal::is_due(&found.certificate, self.line.threshold, self.now()) {
            return Ok(Some(found.certificate));
        }
        say(&format!("Renewing {}\n", pair.certificate.display()))?;
        let (server, authority, bits) = (&self.server, self.authority, self.line.key_len);
        let renew = async || renewal::renew(server, authority, pair, &found, trusted, bits, self.now()).await;
        let renewed = self.patience.with(renew).await.map_err(|error| error.naming(authorities))?;
        self.has_written = true;
        Ok(Some(renewed))
    }

    fn digest(&self) -> [u8; 32] {
        digest(self.line.crt.as_deref(), &self.authorities, Some(&self.lists))
    }

    /// Whether somebody was killed before the hook was told.
    fn is_in_debt(&self) -> bool {
        self.debt.as_ref().is_some_and(|debt| remembered(debt, debt.is_owed(self.digest())))
    }

    /// Before files become other ones: who is killed later has the hook run by whoever comes next.
    fn begin_debt(&self) {
        if let Some(debt) = &self.debt {
            remembered(debt, debt.begin(self.digest()));
        }
    }

    fn pay(&self) {
        if let Some(debt) = &self.debt {
            remembered(debt, debt.pay());
        }
    }

    /// Runs the hook that was not told by whoever was killed before this. However that ends, what is due is looked after: else one
    /// that fails whenever it is run would keep the certificate from ever being renewed.
    async fn run_owed_hook(&mut self) {
        match self.run_hook().await {
            Ok(_) => {}
            // Nobody was told, and somebody still has to be.
            Err(error) => {
                output::note(base::report(&error));
                self.has_written = true;
            }
        }
    }

    /// Runs the hook, if there is one.
    async fn run_hook(&self) -> Result<Hook, CommandError> {
        let Some(command) = &self.line.on_renew else { return Ok(Hook::Succeeded) };
        let status = hook::call(command).await.map_err(CommandError::Hook)?;
        if status.success() {
            return Ok(Hook::Succeeded);
        }
        output::note(format_args!("Renewal hook exited with status: {}", status.into_raw()));
        Ok(if status.code().is_some() { Hook::Failed } else { Hook::CutShort })
    }
}

/// How the hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hook {
    Succeeded,
    /// It was told, and says itself that it failed: it is not told the same again, as with the original.
    Failed,
    /// A signal ended it: whoever is started next tells it once more.
    CutShort,
}

/// How long is waited, and how often something is tried.
struct Patience<'l, S> {
    clock: &'l Clock,
    sleep: S,
}

impl<S: AsyncFn(Span)> Patience<'_, S> {
    /// What `act` gives, tried again for as long as it is the network that fails, by saying so.
    async fn with<T>(&self, act: impl AsyncFn() -> Result<T, HolderError>) -> Result<T, CommandError> {
        loop {
            match act().await {
                Ok(done) => return Ok(done),
                Err(error) => {
                    let exception = network::exception(&error).ok_or(error)?;
                    let again = wake::shown(self.clock.now() + RETRY_AFTER);
                    say(&format!("Got a network error, retrying at {again}, {exception}\n"))?;
                    self.sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    async fn sleep(&self, span: Span) {
        self.sleep_until(self.clock.now() + span).await;
    }

    /// Sleeps until the clock says that it is time, whatever the machine does meanwhile.
    async fn sleep_until(&self, end: Timestamp) {
        loop {
            let left = end - self.clock.now();
            if left <= Span::ZERO {
                return;
            }
            (self.sleep)(wake::piece(left)).await;
        }
    }
}

/// What there is of `debt`. That it cannot be remembered keeps nothing from being done, and is said.
fn remembered<T: Default>(debt: &Debt, result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| {
        let path = debt.path().display();
        output::note(format_args!(
            "warning: {path}: {error}; who is killed before the hook will not run it later"
        ));
        T::default()
    })
}

/// The answer, or nothing where the server knows nothing of it.
fn unless_unknown<T>(answer: Result<T, client::compat::caucase::AskError>) -> Result<Option<T>, HolderError> {
    match answer {
        Err(error) if error.status() == Some(404) => Ok(None),
        answer => Ok(Some(answer?)),
    }
}

fn is_for(certificate: &Certificate, key: &PublicKey) -> bool {
    certificate.public_key() == key
}

/// Says a line to whoever supervises this, at once.
fn say(line: &str) -> Result<(), CommandError> {
    output::data(line).map_err(CommandError::Output)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use client::Method;
    use client::compat::caucase::{AskError, Fault};

    use super::*;

    const START: Timestamp = Timestamp::from_unix(1_700_000_000);

    fn wait_for<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn network() -> HolderError {
        let (url, why) = ("http://ca".to_owned(), "refused".to_owned());
        AskError::Network { method: Method::GET, url, why, fault: Fault::Refused }.into()
    }

    #[test]
    fn a_network_that_fails_is_waited_for() {
        let clock = Clock::manual(START);
        let patience = Patience { clock: &clock, sleep: async |span| clock.advance(span) };
        let tries = RefCell::new(0);
        let act = async || {
            *tries.borrow_mut() += 1;
            if *tries.borrow() < 4 { Err(network()) } else { Ok(clock.now()) }
        };
        assert_eq!(wait_for(patience.with(act)).unwrap(), START + Span::seconds(30));
        // What is not the network's is told at once.
        let refused = async || -> Result<(), HolderError> { Err(HolderError::OtherKey) };
        let error = wait_for(patience.with(refused)).unwrap_err();
        assert!(matches!(error, CommandError::Holder(HolderError::OtherKey)), "{error}");
        assert_eq!(clock.now(), START + Span::seconds(30));
    }

    #[test]
    fn a_machine_that_was_suspended_wakes_up_in_time() {
        let clock = Clock::manual(START);
        let slept = RefCell::new(Vec::new());
        let sleep = async |span: Span| {
            slept.borrow_mut().push(span.as_seconds());
            // During the first piece the machine is suspended for six days.
            let suspended = if slept.borrow().len() == 1 { Span::days(6) } else { Span::ZERO };
            clock.advance(span + suspended);
        };
        let end = START + Span::days(10);
        wait_for(Patience { clock: &clock, sleep }.sleep_until(end));
        assert_eq!(slept.borrow()[0], 5 * 86_400);
        assert!(clock.now() >= end + Span::days(1) && slept.borrow().len() == 1);
        // A time that is past is not waited for.
        let never = async |_: Span| panic!("it is time already");
        wait_for(Patience { clock: &clock, sleep: never }.sleep_until(end));
    }

    #[test]
    fn options_are_read_as_argparse_reads_them() {
        let required =
            ["caucase-updater", "--ca-url", "http://ca:8000", "--cas-ca", "a", "--ca", "b", "--crl", "c"];
        let line = |words: &[&str]| Line::try_parse_from([&required[..], words].concat());
        let read = line(&["--crl-t=1.5", "--max", "0.01", "--mode=user", "--crl", "d"]).unwrap();
        assert_eq!((read.crl_threshold, read.max_sleep), (Span::seconds(129_600), Span::seconds(864)));
        assert_eq!((read.threshold, read.mode, read.crl), (Span::days(31), Mode::User, "d".into()));
        for words in [&["--cr", "x"][..], &["--mode", "x"], &["--key-len", "100"], &["word"]] {
            assert!(line(words).is_err_and(|error| error.exit_code() == 2), "{words:?}");
        }
        assert!(Line::try_parse_from(&required[..7]).is_err(), "no --crl");
    }
}
