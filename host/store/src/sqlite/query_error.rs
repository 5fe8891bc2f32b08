//! Failures within a transaction: of the request, or of a statement.

use rusqlite::ErrorCode;

use crate::error::StoreError;

/// Why a query failed.
#[derive(Debug)]
pub(super) enum QueryError {
    /// The request cannot be served. Other requests can.
    Request(StoreError),
    /// A statement failed.
    Statement(rusqlite::Error),
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Statement(error)
    }
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        Self::Request(error)
    }
}

impl QueryError {
    /// Whether the database has as many pages as it may have, or its disk is full (`SQLITE_FULL` is both).
    pub(super) fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    /// Whether another process keeps the database locked.
    pub(super) fn is_busy(&self) -> bool {
        self.code() == Some(ErrorCode::DatabaseBusy)
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Request(_) => None,
            Self::Statement(error) => error.sqlite_error_code(),
        }
    }
}
