//! What becomes of a replacement of two files that did not come to its end. Pure.
//!
//! ```text
//! .KEY.provost-next written ─► .CRT.provost-next written ─► KEY renamed ─► CRT renamed ─► both names made to last
//! └──────── removed ────────┘└──────── finished ────────┘└── finished ──┘└─────────────── finished ─────────────┘
//! ```
//! Between both renames nothing is waited for, not even the disk: so after a power cut either may be there without the other.
//! Invariant: what is left behind is a key and a certificate that belong together, wherever somebody was killed.

/// What was found of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remains {
    /// A new key is there.
    pub(super) key: bool,
    /// A new certificate is there.
    pub(super) certificate: bool,
    /// Both are there, as a whole, and belong together.
    pub(super) match_each_other: bool,
    /// The new certificate belongs to the key that is in use.
    pub(super) certificate_matches_key: bool,
    /// The new key belongs to the certificate that is in use.
    pub(super) key_matches_certificate: bool,
    /// The pair that is in use belongs together, and was made later than the new certificate: by a program that did not
    /// look for remains, long after somebody was killed.
    pub(super) pair_is_later: bool,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// Key and certificate take their places.
    Finish,
    /// The key has taken its place; the certificate does.
    FinishCertificate,
    /// The certificate has taken its place; the key does.
    FinishKey,
    /// What is there is of no use.
    Remove,
}

/// What was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recovered {
    /// There was nothing to be done.
    Nothing,
    /// A replacement that somebody began is done.
    Finished,
    /// A replacement that somebody began never was.
    Removed,
}

impl Remains {
    pub(super) fn next(self) -> Step {
        if !self.key && !self.certificate {
            return Step::Nothing;
        }
        if self.pair_is_later {
            return Step::Remove;
        }
        match (self.key, self.certificate) {
            (true, true) if self.match_each_other => Step::Finish,
            (false, true) if self.certificate_matches_key => Step::FinishCertificate,
            (true, false) if self.key_matches_certificate => Step::FinishKey,
            _ => Step::Remove,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination, by the rule that stands in each line.
    #[test]
    fn every_combination_has_its_end() {
        let mut seen = [0; 5];
        for number in 0..64_u8 {
            let is = |bit: u8| number & (1 << bit) != 0;
            let remains = Remains {
                key: is(0),
                certificate: is(1),
                match_each_other: is(2),
                certificate_matches_key: is(3),
                key_matches_certificate: is(4),
                pair_is_later: is(5),
            };
            let (index, expected) = match (is(0), is(1), is(2), is(3), is(4), is(5)) {
                (false, false, ..) => (0, Step::Nothing),
                (true, true, true, _, _, false) => (1, Step::Finish),
                (false, true, _, true, _, false) => (2, Step::FinishCertificate),
                (true, false, _, _, true, false) => (3, Step::FinishKey),
                // A half of one, two halves of two, another one's certificate or key, or yesterday's.
                (true, false, _, _, false, _)
                | (true, true, false, ..)
                | (false, true, _, false, ..)
                | (.., true) => (4, Step::Remove),
            };
            seen[index] += 1;
            assert_eq!(remains.next(), expected, "{remains:?}");
        }
        assert_eq!(seen, [16, 4, 4, 4, 36]);
    }
}
