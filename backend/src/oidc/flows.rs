//! Sign-ins that have begun and wait for the browser to come back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::secret::Hidden;

/// How long a person may take with the provider.
const LIMIT: Duration = Duration::from_secs(600);
/// So many are waited for; whoever begins more makes the oldest worth nothing.
const WAITING: usize = 10_000;

/// A sign-in that waits.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// Digest of the word that the browser keeps.
    pub(super) browser: String,
    /// What the token has to say.
    pub(super) nonce: Hidden,
    /// What the code has to be exchanged with (RFC 7636).
    pub(super) verifier: Hidden,
    /// When.
    pub(super) begun: Instant,
}

/// By the digest of their state.
#[derive(Debug, Default)]
pub(super) struct Flows(Mutex<HashMap<String, Flow>>);

impl Flows {
    pub(super) fn add(&self, state: &str, flow: Flow) {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flows.len() >= WAITING {
            flows.retain(|_, flow| flow.begun.elapsed() < LIMIT);
        }
        if flows.len() >= WAITING
            && let Some(oldest) = flows.iter().min_by_key(|(_, flow)| flow.begun).map(|(state, _)| state.clone())
        {
            flows.remove(&oldest);
        }
        flows.insert(state.to_owned(), flow);
    }

    /// The flow, once. One that another browser asks for is over, too: its state is known to somebody else.
    pub(super) fn take(&self, state: &str, browser: &str) -> Option<Flow> {
        let flow = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(state)?;
        (flow.browser == browser && flow.begun.elapsed() < LIMIT).then_some(flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(begun: Instant) -> Flow {
        Flow { browser: "mine".to_owned(), nonce: Hidden(String::new()), verifier: Hidden(String::new()), begun }
    }

    #[test]
    fn a_flow_is_good_once_for_its_browser_and_for_a_while() {
        let (flows, now) = (Flows::default(), Instant::now());
        flows.add("a", flow(now));
        assert!(flows.take("b", "mine").is_none());
        assert!(flows.take("a", "mine").is_some());
        assert!(flows.take("a", "mine").is_none(), "once");
        flows.add("a", flow(now));
        assert!(flows.take("a", "another").is_none());
        assert!(flows.take("a", "mine").is_none(), "somebody else knew its state");
        if let Some(long_ago) = now.checked_sub(LIMIT) {
            flows.add("a", flow(long_ago));
            assert!(flows.take("a", "mine").is_none(), "too late");
        }
    }

    #[test]
    fn who_begins_very_many_makes_no_room_for_more() {
        let (flows, now) = (Flows::default(), Instant::now());
        for number in 0..WAITING + 5 {
            flows.add(&number.to_string(), flow(now + Duration::from_nanos(number as u64)));
        }
        assert_eq!(flows.0.lock().unwrap().len(), WAITING);
        assert!(flows.take("0", "mine").is_none() && flows.take("9000", "mine").is_some());
    }
}
