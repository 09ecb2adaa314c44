//! Why nothing can be captured here.

use procmon_profile::wire::FailureCode;

/// Why nothing can be captured here.
#[derive(Debug)]
pub(crate) struct Unable {
    pub(crate) code: FailureCode,
    /// The story.
    pub(crate) error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Unable {
    fn from(error: E) -> Self {
        Self {
            code: FailureCode::Other,
            error: error.into(),
        }
    }
}
