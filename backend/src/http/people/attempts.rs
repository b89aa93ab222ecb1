//! How often somebody may try a password.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::secret::digest;

/// Tries at one account within a minute.
const PER_ACCOUNT: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// Tries from one address within a minute; a hospital may have one for all its people.
const PER_ADDRESS: NonZeroU32 = NonZeroU32::new(60).expect("not zero");
/// Accounts and addresses remembered before those that have been quiet are forgotten.
const REMEMBERED: usize = 10_000;

/// Passwords tried of late.
#[derive(Debug)]
pub(super) struct Attempts {
    /// By the account *and* where from, so that nobody can lock others out of their accounts.
    accounts: DefaultKeyedRateLimiter<(String, Option<IpAddr>)>,
    addresses: DefaultKeyedRateLimiter<Option<IpAddr>>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            accounts: RateLimiter::keyed(Quota::per_minute(PER_ACCOUNT)),
            addresses: RateLimiter::keyed(Quota::per_minute(PER_ADDRESS)),
        }
    }
}

impl Attempts {
    /// Whether another try is allowed from there, at whatever account; counts it.
    pub(super) fn allows_address(&self, from: Option<IpAddr>) -> bool {
        self.addresses.check_key(&from).is_ok()
    }

    /// Whether another try is allowed; counts it.
    pub(super) fn allows(&self, name: &str, from: Option<IpAddr>) -> bool {
        // A digest, since a name that is tried may be of any length.
        let by_account = || self.accounts.check_key(&(digest(&name.to_lowercase()), from)).is_ok();
        let by_address = || self.addresses.check_key(&from).is_ok();
        if self.accounts.len() <= REMEMBERED {
            // What is refused at one account does not count for the address, or it would lock out all who share that.
            return by_account() && by_address();
        }
        // Somebody tries very many names: only an address that may still try adds another.
        if !by_address() {
            return false;
        }
        self.accounts.retain_recent();
        self.addresses.retain_recent();
        by_account()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guesser_is_stopped_and_nobody_else() {
        let attempts = Attempts::default();
        let (guesser, other) = (Some(IpAddr::from([10, 0, 0, 1])), Some(IpAddr::from([10, 0, 0, 2])));
        let tried = (0..100).filter(|_| attempts.allows("anna", guesser)).count();
        assert_eq!(tried, 10);
        assert!(attempts.allows("anna", other), "who comes from elsewhere");
        let names = (0..100).filter(|n| attempts.allows(&format!("n{n}"), guesser)).count();
        assert_eq!(names, 50, "another name each time does not help");
    }
}
