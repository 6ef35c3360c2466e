//! Signing requests: made beforehand, no two alike, each sent to a server at most once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use x509::{KeySpec, Name, PrivateKey, SigningRequest, extension};

use crate::Failure;
use crate::run::cores;

/// How many keys the requests are for, taking turns: making one for each would take minutes.
const KEYS: usize = 8;

/// PEM texts.
pub(super) struct Requests(Arc<Vec<String>>);

/// What one server has not seen yet. Cloning shares it.
#[derive(Clone)]
pub(super) struct Supply {
    requests: Arc<Vec<String>>,
    next: Arc<AtomicUsize>,
}

impl Requests {
    /// Makes `count` requests as stock clients make them: RSA-2048, a common name, here also a DNS name.
    pub(super) fn make(count: usize) -> Result<Self, Failure> {
        let keys = (0..KEYS).map(|_| PrivateKey::generate(KeySpec::Rsa { bits: 2048 }));
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(Failure::authority)?;
        let threads = cores();
        let make = |thread: usize| -> Result<Vec<String>, x509::NameError> {
            (thread..count).step_by(threads).map(|number| make_one(&keys[number % KEYS], number)).collect()
        };
        let mut requests = Vec::with_capacity(count);
        std::thread::scope(|scope| {
            let made: Vec<_> = (0..threads).map(|thread| scope.spawn(move || make(thread))).collect();
            for made in made {
                requests.extend(made.join().expect("a thread that panics ends the measurement")?);
            }
            Ok(())
        })
        .map_err(|error: x509::NameError| Failure::authority(error))?;
        Ok(Self(Arc::new(requests)))
    }

    /// All of them, for a server that has seen none.
    pub(super) fn supply(&self) -> Supply {
        Supply { requests: Arc::clone(&self.0), next: Arc::default() }
    }
}

fn make_one(key: &PrivateKey, number: usize) -> Result<String, x509::NameError> {
    let name = format!("host-{number}.example.org");
    let names = extension::subject_alt_name_dns(&name, false)?;
    Ok(SigningRequest::build(key, &Name::from_common_name(&name)?, &[names]).to_pem())
}

impl Supply {
    /// The number of one that was not taken yet, if there is one.
    pub(super) fn take(&self) -> Option<usize> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.requests.len()).then_some(number)
    }

    /// The text of the one with this number.
    pub(super) fn text(&self, number: usize) -> &str {
        &self.requests[number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike_and_none_is_given_twice() {
        let requests = Requests::make(5).unwrap();
        let supply = requests.supply();
        let mut texts: Vec<String> = std::iter::from_fn(|| supply.clone().take())
            .map(|number| supply.text(number).to_owned())
            .collect();
        assert!(texts.iter().all(|text| SigningRequest::from_pem(text.as_bytes()).is_ok()));
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 5);
        assert_eq!(requests.supply().take(), Some(0));
    }
}
