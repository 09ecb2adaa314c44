//! Why nothing can be captured here.

use procmon_profile::wire::FailureCode;

/// Why nothing can be captured here.
#[derive(Debug)]
pub(crate) struct Unable {
    pub(crate) code: FailureCode,
    /// The story.
    pub(crate) error: anyhow::Error,
}

impl Unable {
    /// The target does not exist.
    pub(crate) fn without_target(error: anyhow::Error) -> Self {
        Self {
            code: FailureCode::TargetNotFound,
            error,
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Unable {
    fn from(error: E) -> Self {
        Self {
            code: FailureCode::Other,
            error: error.into(),
        }
    }
}
