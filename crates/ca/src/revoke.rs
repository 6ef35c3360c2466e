//! How long a revocation is listed.

use base::Timestamp;

use crate::authority::Profile;

/// When the entry for a certificate that ends at `not_after` may be dropped: once the last list that was
/// made while it was valid has expired (caucase contract, section 6.5).
pub(crate) fn drop_at(profile: &Profile, not_after: Timestamp) -> Timestamp {
    not_after + profile.crl_life()
}
