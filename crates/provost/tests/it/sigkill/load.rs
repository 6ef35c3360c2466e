//! Clients that do everything at once, and note what they were told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use base::Entropy;
use x509::{Certificate, KeySpec, Name, PrivateKey, Serial, SigningRequest};

use super::client::{Answer, Authority, Client};
use super::told::{Holder, Told};

/// Keys are slow to make, so that few serve many: services may certify a key again and again. A user's key is
/// certified once, and free again when its request was rejected.
pub struct Keys {
    all: Vec<PrivateKey>,
    services: usize,
    free: Mutex<Vec<usize>>,
}

impl Keys {
    /// Some for services, of each kind, and `users` for users.
    pub fn make(users: usize) -> Self {
        const RSA: KeySpec = KeySpec::Rsa { bits: 2048 };
        let specs = [KeySpec::P256, KeySpec::P256, KeySpec::P384, KeySpec::Ed25519, RSA, RSA];
        let specs: Vec<KeySpec> = specs.into_iter().chain(std::iter::repeat_n(RSA, users)).collect();
        let services = specs.len() - users;
        let (one, other) = specs.split_at(specs.len() / 2);
        let make = |specs: &[KeySpec]| {
            specs.iter().map(|spec| PrivateKey::generate(*spec).unwrap()).collect::<Vec<_>>()
        };
        let all = std::thread::scope(|scope| {
            let one = scope.spawn(|| make(one));
            let other = make(other);
            [one.join().unwrap(), other].concat()
        });
        Self { free: Mutex::new((services..all.len()).collect()), all, services }
    }
}

/// What the clients of one round share.
pub struct Load<'a> {
    pub client: &'a Client,
    pub keys: &'a Keys,
    pub told: &'a Mutex<Told>,
    /// Whether services are approved at once.
    pub automatic: bool,
    /// How many answers acknowledged something, in this round.
    pub acknowledged: AtomicUsize,
    /// Set before the server is killed: from then on connections may break.
    pub killed: AtomicBool,
}

/// The connection broke because the server was killed.
pub struct Broken;

impl Load<'_> {
    /// Does one thing after the other until the server is gone.
    pub fn work(&self, entropy: &Entropy) {
        while !self.killed.load(Ordering::SeqCst) {
            if self.step(entropy).is_err() {
                return;
            }
        }
    }

    fn step(&self, entropy: &Entropy) -> Result<(), Broken> {
        match entropy.number() % 100 {
            0..36 => self.submit_service(entropy),
            36..46 => self.submit_user(entropy),
            46..62 => self.approve(entropy),
            62..70 => self.reject(entropy),
            70..80 => self.renew(entropy),
            80..86 => self.revoke_own(entropy),
            86..90 => self.revoke(entropy),
            90..94 => self.revoke_serial(entropy),
            _ => self.read_list(pick(entropy, &Authority::BOTH)),
        }
    }

    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// The answer, or the news that the server was killed; nothing else may break a connection.
    fn answered(&self, answer: Option<Answer>) -> Result<Answer, Broken> {
        match answer {
            Some(answer) => {
                assert!(answer.status < 500, "{answer:?}");
                if answer.status < 300 {
                    self.acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                Ok(answer)
            }
            None => {
                assert!(self.killed.load(Ordering::SeqCst), "the connection broke while the server lived");
                self.told().lost_answers += 1;
                Err(Broken)
            }
        }
    }

    fn submit_service(&self, entropy: &Entropy) -> Result<(), Broken> {
        let key = (entropy.number() % self.keys.services as u64) as usize;
        self.submit(Authority::Services, key, entropy)
    }

    fn submit_user(&self, entropy: &Entropy) -> Result<(), Broken> {
        let free = self.keys.free.lock().unwrap().pop();
        free.map_or(Ok(()), |key| self.submit(Authority::Users, key, entropy))
    }

    fn submit(&self, at: Authority, key: usize, entropy: &Entropy) -> Result<(), Broken> {
        let csr = new_request(&self.keys.all[key], entropy);
        let id = self.submit_text(at, &csr, key)?;
        // Some clients wait for their certificate, some have time.
        if at == Authority::Services && self.automatic && entropy.number() % 4 < 3 {
            let answer = self.answered(self.client.certificate(at, id))?;
            assert_eq!(answer.status, 200, "{at:?} {id} was approved at once");
            self.told().fetched(at, id, &answer.body);
        }
        Ok(())
    }

    fn submit_text(&self, at: Authority, csr: &str, key: usize) -> Result<u64, Broken> {
        let answer = self.answered(self.client.submit(at, csr)).inspect_err(|Broken| {
            self.told().unanswered.push((at, csr.to_owned(), key));
        })?;
        let automatic = at == Authority::Services && self.automatic;
        self.told().submitted(at, csr, key, automatic, &answer);
        Ok(answer.id())
    }

    /// Submits again what was not answered before the server was killed, as clients do. Whether it was
    /// approved then or is now is not known, so that it is only looked at whether it is there.
    pub fn submit_unanswered(&self) {
        let unanswered = std::mem::take(&mut self.told().unanswered);
        for (at, csr, key) in unanswered {
            let answer = self.answered(self.client.submit(at, &csr)).ok().unwrap();
            let mut told = self.told();
            told.submitted(at, &csr, key, false, &answer);
            told.of(at, answer.id()).approve_asked = true;
        }
    }

    /// A request that was told to be pending, or was not long ago.
    fn undecided(&self, entropy: &Entropy) -> Option<(Authority, u64)> {
        let told = self.told();
        let undecided: Vec<_> = told
            .requests
            .iter()
            .filter(|(_, request)| !request.automatic && !request.rejected && !request.approved)
            .map(|(id, _)| *id)
            .collect();
        (!undecided.is_empty()).then(|| pick(entropy, &undecided))
    }

    fn approve(&self, entropy: &Entropy) -> Result<(), Broken> {
        let Some((at, id)) = self.undecided(entropy) else { return Ok(()) };
        self.told().of(at, id).approve_asked = true;
        let answer = self.answered(self.client.approve(at, id))?;
        assert!([204, 404].contains(&answer.status), "{answer:?}");
        if answer.status == 404 {
            return Ok(());
        }
        {
            let mut told = self.told();
            let request = told.of(at, id);
            assert!(!request.rejected && !request.approved, "decided twice: {request:?}");
            request.approved = true;
            told.acknowledged += 1;
        }
        let answer = self.answered(self.client.certificate(at, id))?;
        assert_eq!(answer.status, 200, "{at:?} {id} was approved");
        self.told().fetched(at, id, &answer.body);
        Ok(())
    }

    fn reject(&self, entropy: &Entropy) -> Result<(), Broken> {
        let Some((at, id)) = self.undecided(entropy) else { return Ok(()) };
        self.told().of(at, id).reject_asked = true;
        let answer = self.answered(self.client.reject(at, id))?;
        assert!([204, 404].contains(&answer.status), "{answer:?}");
        if answer.status == 204 {
            let mut told = self.told();
            let request = told.of(at, id);
            assert!(!request.rejected && !request.approved, "decided twice: {request:?}");
            request.rejected = true;
            let key = request.key;
            told.acknowledged += 1;
            if at == Authority::Users {
                self.keys.free.lock().unwrap().push(key);
            }
        }
        Ok(())
    }

    fn holder(&self, entropy: &Entropy) -> Option<Holder> {
        let told = self.told();
        (!told.holders.is_empty()).then(|| pick(entropy, &told.holders))
    }

    fn renew(&self, entropy: &Entropy) -> Result<(), Broken> {
        let Some(old) = self.holder(entropy).filter(|old| old.at == Authority::Services) else {
            return Ok(());
        };
        let Some(signer) = self.signer(old.key) else { return Ok(()) };
        let key = (entropy.number() % self.keys.services as u64) as usize;
        let csr = new_request(&self.keys.all[key], entropy);
        let answer = self.answered(self.client.renew(old.at, &old.pem, signer, &csr))?;
        match answer.status {
            200 => self.told().given(Holder { at: old.at, pem: answer.body, key }),
            // Somebody revoked it.
            400 => assert!(self.told().revoke_asked.contains_key(&(old.at, serial(&old.pem))), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
        Ok(())
    }

    /// The key, unless it signs with another digest than the envelopes here.
    fn signer(&self, key: usize) -> Option<&PrivateKey> {
        let key = &self.keys.all[key];
        key.sign_statement(x509::Digest::Sha256, b"").is_ok().then_some(key)
    }

    fn revoke_own(&self, entropy: &Entropy) -> Result<(), Broken> {
        let Some(holder) = self.holder(entropy) else { return Ok(()) };
        let Some(signer) = self.signer(holder.key) else { return Ok(()) };
        self.revoking(holder.at, serial(&holder.pem), || {
            self.client.revoke_own(holder.at, &holder.pem, signer)
        })
    }

    fn revoke(&self, entropy: &Entropy) -> Result<(), Broken> {
        let Some(holder) = self.holder(entropy) else { return Ok(()) };
        self.revoking(holder.at, serial(&holder.pem), || self.client.revoke(holder.at, &holder.pem))
    }

    /// Of a certificate, or one that was never used.
    fn revoke_serial(&self, entropy: &Entropy) -> Result<(), Broken> {
        let holder = self.holder(entropy).filter(|_| entropy.number().is_multiple_of(2));
        let (at, serial) = match holder {
            Some(holder) => (holder.at, serial(&holder.pem)),
            None => (pick(entropy, &Authority::BOTH), Serial::random(entropy)),
        };
        self.revoking(at, serial, || self.client.revoke_serial(at, &serial))
    }

    fn revoking(
        &self,
        at: Authority,
        serial: Serial,
        send: impl FnOnce() -> Option<Answer>,
    ) -> Result<(), Broken> {
        *self.told().revoke_asked.entry((at, serial)).or_default() += 1;
        let answer = self.answered(send())?;
        if answer.status == 204 {
            let mut told = self.told();
            assert!(told.revoked.insert((at, serial)), "{serial} was revoked twice");
            told.acknowledged += 1;
            drop(told);
            return self.read_list(at);
        }
        assert!([400, 409].contains(&answer.status), "{answer:?}");
        assert!(self.told().revoke_asked[&(at, serial)] > 1, "nobody else revoked it: {answer:?}");
        Ok(())
    }

    fn read_list(&self, at: Authority) -> Result<(), Broken> {
        let before = self.told().before_list(at);
        let answer = self.answered(self.client.revocation_list(at))?;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.told().listed(at, before, &answer.body);
        Ok(())
    }
}

fn new_request(key: &PrivateKey, entropy: &Entropy) -> String {
    let name = Name::from_common_name(&format!("client {:016x}", entropy.number())).unwrap();
    SigningRequest::build(key, &name, &[]).to_pem()
}

fn serial(pem: &str) -> Serial {
    Certificate::from_pem(pem.as_bytes()).unwrap().serial()
}

fn pick<T: Clone>(entropy: &Entropy, from: &[T]) -> T {
    from[(entropy.number() % from.len() as u64) as usize].clone()
}
