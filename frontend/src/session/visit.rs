//! Which case the page asks for. Answers take their time, and the expert may be with another patient when they come.

use shared::case::CaseId;

/// One opening of a case; to go away and come back is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Visit {
    /// Which case.
    pub(crate) case: CaseId,
    number: u64,
}

impl Visit {
    /// Which of the page's visits it is.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

/// Lets in what belongs to the visit under way.
#[derive(Debug, Default)]
pub(crate) struct Door {
    wanted: Option<Visit>,
    visits: u64,
}

impl Door {
    /// A case is asked for; what was on its way for any other is not wanted any more.
    pub(crate) fn open(&mut self, case: CaseId) -> Visit {
        self.visits += 1;
        let visit = Visit { case, number: self.visits };
        self.wanted = Some(visit.clone());
        visit
    }

    /// No case is asked for.
    pub(crate) fn close(&mut self) {
        self.wanted = None;
    }

    /// The visit under way.
    pub(crate) fn wanted(&self) -> Option<&Visit> {
        self.wanted.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_visit_under_way_is_let_in() {
        let mut door = Door::default();
        let first = door.open("a".into());
        assert_eq!(door.wanted(), Some(&first));
        door.close();
        assert_eq!(door.wanted(), None);
        let other = door.open("b".into());
        assert_eq!(door.wanted(), Some(&other));
        let again = door.open("a".into());
        assert_ne!(door.wanted(), Some(&first), "a late answer of the first visit would undo what was painted since");
        assert_eq!(door.wanted(), Some(&again));
    }
}
