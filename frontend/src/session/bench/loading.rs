//! Whether the open case's voxels are being fetched.

/// Downloads of the open case's voxels. A scan weighs tens of megabytes: one walk at a time fetches what is missing,
/// and walks once more if asked to meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Loading {
    /// Nothing is being fetched.
    #[default]
    Idle,
    /// A walk is under way.
    UnderWay,
    /// A walk is under way, and there may be more to fetch than it knew when it began.
    Again,
}

impl Loading {
    /// Asks for a walk; whether the asker has to do it.
    pub(crate) fn ask(&mut self) -> bool {
        let was = *self;
        *self = if was == Loading::Idle { Loading::UnderWay } else { Loading::Again };
        was == Loading::Idle
    }

    /// A walk is finished; whether another one has to follow.
    pub(crate) fn finish(&mut self) -> bool {
        let again = *self == Loading::Again;
        *self = if again { Loading::UnderWay } else { Loading::Idle };
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_walk_fetches_and_another_follows_if_asked_for() {
        let mut loading = Loading::default();
        assert!(loading.ask());
        assert!(!loading.ask() && !loading.ask());
        assert!(loading.finish());
        assert!(!loading.finish());
        assert!(loading.ask());
    }
}
