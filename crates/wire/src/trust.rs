//! Who provides trust for whom, and whether everybody has what they are to have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::whole::{SAFE_MAX, optional_safe, optional_whole};

/// The longest that certificates stay when their provider goes, in seconds: a leap year.
pub const GRACE_SECONDS_MAX: u32 = 31_622_400;

/// A set of certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustSet {
    /// What equal sets have in common: SHA-256, 64 hexadecimal digits.
    pub hash: String,
    /// How many certificates it has.
    pub count: usize,
    /// Grows whenever it becomes another one.
    pub revision: u64,
    /// Since when it is this one.
    pub since: String,
}

/// Who says which certificates are to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustProvider {
    /// Its name.
    pub name: String,
    /// Which of the server's own authorities it is, if it is one: what it hands on follows from its certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// For what a certificate is refused: `not-an-authority`, `expired`, `expiring`, `not-yet-valid`, `weak-signature`,
    /// `short-key`, `unknown-key`, `not-self-signed`.
    pub refuse: Vec<String>,
    /// The accounts that offer in its name, beside administrators; any operator does, where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// How long its certificates stay when it goes, in seconds.
    pub grace_seconds: u64,
    /// What all its requirers have.
    pub set: TrustSet,
    /// Since when there is one.
    pub since: String,
    /// Who made it.
    pub by: String,
    /// Until when its certificates stay, where it is going.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What is said of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTrustProvider {
    /// For what a certificate is refused; what is no authority's or expired, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuse: Option<Vec<String>>,
    /// Who may offer in its name, beside administrators: accounts as the server calls them, `user ada` or `client web-1`, 64
    /// at most. They need no more than to be readers. Any operator may, where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub only: Vec<String>,
    /// How long its certificates stay when it goes, in seconds, a year at most; not at all, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole")]
    #[schemars(range(max = GRACE_SECONDS_MAX))]
    pub grace_seconds: Option<u32>,
    /// Why, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What is to be done to a set of certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrustChange {
    /// These are in it as well.
    #[default]
    Add,
    /// These are in it, and nothing else.
    Replace,
    /// One is not in it.
    Remove,
    /// Nothing is in it.
    Empty,
}

/// A change of what a provider hands on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTrustOffer {
    /// What is to be done.
    pub change: TrustChange,
    /// The certificates to add, or to have instead: PEM, certificates and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
    /// Which one to remove: the SHA-256 of its DER, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// In one relation only: its number.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_safe")]
    #[schemars(range(max = SAFE_MAX))]
    pub relation: Option<u64>,
    /// The revision that the set is thought to have; 409 if it has another one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_safe")]
    #[schemars(range(max = SAFE_MAX))]
    pub revision: Option<u64>,
    /// Whether requirers may be left with nothing, or with less than half of what they have.
    #[serde(default)]
    pub confirm: bool,
    /// Why, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustOffer {
    /// The set as it is now.
    pub set: TrustSet,
    /// The fingerprints of those that are in it and were not.
    pub came: Vec<String>,
    /// Of those that were and are not.
    pub went: Vec<String>,
    /// What there is to say of those that came.
    pub findings: Vec<TrustFinding>,
}

/// What there is to say of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustFinding {
    /// Which.
    pub fingerprint: String,
    /// What: the words of [`TrustProvider::refuse`].
    pub findings: Vec<String>,
}

/// A certificate that is handed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustCertificate {
    /// The SHA-256 of its DER, 64 hexadecimal digits.
    pub fingerprint: String,
    /// The common name of its subject, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// From when it is valid.
    pub not_before: String,
    /// Until when.
    pub not_after: String,
    /// What there is to say of it.
    pub findings: Vec<String>,
    /// Itself.
    pub pem: String,
}

/// The certificates of a provider, or of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustCertificates {
    /// Their set.
    pub set: TrustSet,
    /// The certificates, in the order of their PEM.
    pub certificates: Vec<TrustCertificate>,
}

/// Who is to have certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustRequirer {
    /// Its name.
    pub name: String,
    /// Where they are put; absent where that cannot be read any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<TrustPlace>,
    /// The hash of what it is to have.
    pub hash: String,
    /// How many certificates that is.
    pub count: usize,
    /// Since when it is to have that.
    pub changed: String,
    /// How it is with its places.
    pub places: TrustCounts,
    /// Since when there is one.
    pub since: String,
    /// Who made it.
    pub by: String,
    /// Whether it goes once nothing of it is left in its places.
    pub leaving: bool,
}

/// How many places have what they are to have. Those of which nothing is known yet are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustCounts {
    /// They have it.
    pub in_step: usize,
    /// They have something else, or nothing.
    pub behind: usize,
    /// They could not be given it.
    pub failing: usize,
}

/// Where a requirer's certificates are put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum TrustPlace {
    /// Wherever it wants: it comes and asks.
    Poll {
        /// Who may say what its places have, beside administrators: accounts as the server calls them, `user ada` or
        /// `client web-1`, 64 at most. Whoever may look may, where none is named.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 64))]
        only: Vec<String>,
    },
    /// On hosts of the fleet.
    Hosts {
        /// These, by their addresses.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hosts: Vec<String>,
        /// Those of this cluster.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<String>,
        /// All of them.
        #[serde(default)]
        all: bool,
        /// In the operating system's trust store.
        #[serde(default)]
        system_store: bool,
        /// In Java's.
        #[serde(default)]
        java: bool,
        /// In files.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<TrustFile>,
    },
    /// In objects of a Kubernetes cluster.
    Kubernetes {
        /// The container manager that knows it.
        container_manager: String,
        /// Whether the object is a Secret; it is a ConfigMap otherwise.
        #[serde(default)]
        secret: bool,
        /// In these namespaces.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        namespaces: Vec<String>,
        /// In those with these labels, as `kubectl --selector` has them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        selector: Option<String>,
        /// What the object is called.
        name: String,
        /// What the text in it is called: `ca.crt`, where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// Told to a program: all of the set, by `POST`, signed.
    Webhook {
        /// Where it listens. An answer has scheme, host and port and then `/…`, as what follows is often a secret: whoever
        /// says a requirer's place anew says the whole.
        url: String,
        /// What what it is told is signed with; never in an answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
        /// With what it is verified, PEM; by the system's authorities where there is nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<String>,
    },
}

/// A file on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// Where it is.
    pub path: String,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Who may do what with it, in octal digits: `0644`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// A command that is run when it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// Whether it is a keystore of Java's, PKCS#12, made by `keytool` on the host; the certificates as PEM otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keystore: bool,
    /// The file on the host whose first line is the keystore's password: `changeit`, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// Whether it takes the place of a file that is there and that the server did not put there. That one is lost then; where
    /// nothing is said, it stays, and the place is failing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopt: bool,
}

/// What is said of a requirer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTrustRequirer {
    /// Where its certificates are put.
    pub place: TrustPlace,
    /// Why, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// That a requirer has what a provider says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustRelation {
    /// Its number, which no other one ever gets.
    pub number: u64,
    /// Who says what is to be trusted.
    pub provider: String,
    /// Who is to have it.
    pub requirer: String,
    /// What the requirer has of this provider beside what all its requirers have.
    pub set: TrustSet,
    /// Since when there is one.
    pub since: String,
    /// Who made it.
    pub by: String,
}

/// That a requirer is to have what a provider says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTrustRelation {
    /// Who says what is to be trusted.
    pub provider: String,
    /// Who is to have it.
    pub requirer: String,
    /// Why, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// All that a requirer is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustBundle {
    /// What equal bundles have in common: SHA-256, 64 hexadecimal digits. The answer's entity tag as well.
    pub hash: String,
    /// The certificates, PEM each, in order. The empty list is a bundle as others are.
    pub certificates: Vec<String>,
}

/// One of a requirer's places: a host, a namespace, a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustPlaceState {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: TrustState,
    /// Since when.
    pub since: String,
    /// Why it could not be given what it is to have, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When that is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The hash of what was last seen to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<String>,
    /// When it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<String>,
    /// When somebody else was last seen to have changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drifted: Option<String>,
}

/// How it is with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrustState {
    /// It has what it is to have.
    InStep,
    /// It does not have it yet.
    Behind,
    /// It could not be given it.
    Failing,
}

/// Something that happened in one of a requirer's places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustPlaceEvent {
    /// The place's name.
    pub place: String,
    /// When.
    pub at: String,
    /// What.
    pub what: TrustInPlace,
    /// The hash of what it has since, where it was given something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Why it could not be given what it is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who did it, or noticed.
    pub by: String,
}

/// What happened in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrustInPlace {
    /// It has what it is to have.
    Applied,
    /// Somebody else had changed it, and it was mended.
    Drifted,
    /// It could not be given what it is to have, for the first time since it could.
    Failing,
}

/// That a place has a bundle, is about to be given it, or could not be, said by whoever puts it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustApplied {
    /// The place's name.
    pub place: String,
    /// The bundle's hash.
    pub hash: String,
    /// Why the place could not be given it, where that is so: one line of 500 bytes at most, without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub failing: Option<String>,
    /// Whether the place is only about to be given it: said before anything is put there, and with no `failing`. From then on
    /// the requirer does not go before the place has nothing any more. 409 if it is to have another bundle by now: then
    /// nothing is to be put there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
    /// Whether nothing was put there: said with `failing`, by one that did not begin. A place of which nothing is known has
    /// nothing then, and its requirer does not wait for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untouched: bool,
}

/// Where a certificate came from, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustExplanation {
    /// Which.
    pub fingerprint: String,
    /// Itself, where anybody hands it on now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<TrustCertificate>,
    /// Who brought it, as long as there is anybody.
    pub brought: Vec<TrustBrought>,
    /// Who hands it on now.
    pub offered: Vec<TrustOffered>,
    /// Who is to have it, and who may have it still.
    pub requirers: Vec<TrustHas>,
}

/// That a certificate was brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustBrought {
    /// By which provider, and for which relation where it was for one.
    pub from: String,
    /// By whom.
    pub by: String,
    /// When last.
    pub at: String,
    /// Why, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// That a certificate is handed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustOffered {
    /// By which provider.
    pub provider: String,
    /// In which relation, where it is in one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<u64>,
}

/// That a requirer is to have a certificate, or that some of its places may have it still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustHas {
    /// The requirer.
    pub requirer: String,
    /// Whether it is to have it. Otherwise it is not to have it any more, and the places are those that may have it
    /// still.
    pub wanted: bool,
    /// Its places: 100 at most.
    pub places: Vec<TrustPlaceState>,
    /// Whether it has more.
    pub more: bool,
}
