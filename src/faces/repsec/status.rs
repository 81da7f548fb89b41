//! The codes that leave the server: the draft's eight statuses, and our stable error codes (`repsec:O11`).

use crate::domain::{Refusal, Unavailable};

/// The status codes of the draft, section 5.3. There are no others (`repsec:R13`, `repsec:R22`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// 200
    Ok,
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 409
    Conflict,
    /// 429
    TooManyRequests,
    /// 500
    ServerError,
}

impl Status {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Status::Ok => 200,
            Status::BadRequest => 400,
            Status::Unauthorized => 401,
            Status::Forbidden => 403,
            Status::NotFound => 404,
            Status::Conflict => 409,
            Status::TooManyRequests => 429,
            Status::ServerError => 500,
        }
    }
}

/// The member `error` of an answer: stable, for programs. The manual's page `errors.md` lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorCode {
    /// Not one JSON object in UTF-8.
    Malformed,
    /// Longer than allowed.
    MessageTooLarge,
    /// Not complete in time.
    MessageTimeout,
    /// An object names a member twice.
    DuplicateMember,
    /// A member is missing.
    MissingMember,
    /// A member has the wrong type or a value outside its bounds.
    InvalidMember,
    /// Members stand together that exclude one another.
    ConflictingMembers,
    /// No such command.
    UnknownCommand,
    /// No such type of entity.
    UnknownType,
    /// The entity has no canonical form.
    InvalidEntity,
    /// The type contradicts the entity's syntax.
    TypeMismatch,
    /// The cursor was not made by this server for this question.
    InvalidCursor,
    /// `at` lies in the future.
    AtInFuture,
    /// `ts` lies outside of the replay window.
    StaleTimestamp,
    /// Only the registrant may do this.
    NotRegistrant,
    /// Never registered.
    UnknownEntity,
    /// Not registered now, or then.
    NotRegistered,
    /// Registered already.
    AlreadyRegistered,
    /// The nonce belongs to another command.
    NonceReused,
    /// More nonces than can be remembered.
    TooManyNonces,
    /// Too much waits already.
    Overloaded,
    /// The server is stopping.
    Stopping,
    /// The disk failed.
    StorageFailed,
}

impl ErrorCode {
    /// All codes, in the order of the manual's page.
    pub const ALL: [ErrorCode; 23] = [
        ErrorCode::Malformed,
        ErrorCode::MessageTooLarge,
        ErrorCode::MessageTimeout,
        ErrorCode::DuplicateMember,
        ErrorCode::MissingMember,
        ErrorCode::InvalidMember,
        ErrorCode::ConflictingMembers,
        ErrorCode::UnknownCommand,
        ErrorCode::UnknownType,
        ErrorCode::InvalidEntity,
        ErrorCode::TypeMismatch,
        ErrorCode::InvalidCursor,
        ErrorCode::AtInFuture,
        ErrorCode::StaleTimestamp,
        ErrorCode::NotRegistrant,
        ErrorCode::UnknownEntity,
        ErrorCode::NotRegistered,
        ErrorCode::AlreadyRegistered,
        ErrorCode::NonceReused,
        ErrorCode::TooManyNonces,
        ErrorCode::Overloaded,
        ErrorCode::Stopping,
        ErrorCode::StorageFailed,
    ];

    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        self.facts().0
    }

    /// The status it comes with.
    pub const fn status(self) -> Status {
        self.facts().1
    }

    /// The member `message` it comes with, for people.
    pub const fn message(self) -> &'static str {
        self.facts().2
    }

    /// The member `retry_after` it comes with, in seconds, where trying again later makes sense.
    pub const fn retry_after_s(self) -> Option<u64> {
        match self.status() {
            Status::TooManyRequests => Some(1),
            _ => None,
        }
    }

    const fn facts(self) -> (&'static str, Status, &'static str) {
        use Status::{BadRequest, Conflict, Forbidden, NotFound, ServerError, TooManyRequests, Unauthorized};
        match self {
            ErrorCode::Malformed => ("malformed", BadRequest, "The message is not a JSON object"),
            ErrorCode::MessageTooLarge => ("message_too_large", BadRequest, "The message is too large"),
            ErrorCode::MessageTimeout => ("message_timeout", BadRequest, "The message took too long"),
            ErrorCode::DuplicateMember => ("duplicate_member", BadRequest, "The message names a member twice"),
            ErrorCode::MissingMember => ("missing_member", BadRequest, "A member is missing"),
            ErrorCode::InvalidMember => ("invalid_member", BadRequest, "A member is not valid"),
            ErrorCode::ConflictingMembers => ("conflicting_members", BadRequest, "Members exclude one another"),
            ErrorCode::UnknownCommand => ("unknown_command", BadRequest, "The command is not known"),
            ErrorCode::UnknownType => ("unknown_type", BadRequest, "The type is not known"),
            ErrorCode::InvalidEntity => ("invalid_entity", BadRequest, "The entity is not valid"),
            ErrorCode::TypeMismatch => ("type_mismatch", BadRequest, "The type contradicts the entity"),
            ErrorCode::InvalidCursor => ("invalid_cursor", BadRequest, "The cursor is not valid here"),
            ErrorCode::AtInFuture => ("at_in_future", BadRequest, "The moment asked about has not come"),
            ErrorCode::StaleTimestamp => ("stale_timestamp", Unauthorized, "The timestamp is too old or too new"),
            ErrorCode::NotRegistrant => ("not_registrant", Forbidden, "Only the registrant may do this"),
            ErrorCode::UnknownEntity => ("unknown_entity", NotFound, "The entity was never registered"),
            ErrorCode::NotRegistered => ("not_registered", NotFound, "The entity is not registered"),
            ErrorCode::AlreadyRegistered => ("already_registered", Conflict, "The entity is already registered"),
            ErrorCode::NonceReused => ("nonce_reused", Conflict, "The nonce belongs to another command"),
            ErrorCode::TooManyNonces => ("too_many_nonces", TooManyRequests, "Too many commands in a short time"),
            ErrorCode::Overloaded => ("overloaded", TooManyRequests, "The server has too much to do"),
            ErrorCode::Stopping => ("stopping", ServerError, "The server is stopping"),
            ErrorCode::StorageFailed => ("storage_failed", ServerError, "The server cannot use its storage"),
        }
    }
}

impl From<Refusal> for ErrorCode {
    fn from(refusal: Refusal) -> ErrorCode {
        match refusal {
            Refusal::StaleTimestamp { .. } => ErrorCode::StaleTimestamp,
            Refusal::NonceReused => ErrorCode::NonceReused,
            Refusal::TooManyNonces => ErrorCode::TooManyNonces,
            Refusal::AlreadyRegistered => ErrorCode::AlreadyRegistered,
            Refusal::UnknownEntity => ErrorCode::UnknownEntity,
            Refusal::NotRegistered => ErrorCode::NotRegistered,
            Refusal::NotRegistrant => ErrorCode::NotRegistrant,
            Refusal::AtInFuture => ErrorCode::AtInFuture,
        }
    }
}

impl From<Unavailable> for ErrorCode {
    fn from(why: Unavailable) -> ErrorCode {
        match why {
            Unavailable::Overloaded => ErrorCode::Overloaded,
            Unavailable::Stopping => ErrorCode::Stopping,
            Unavailable::Failed => ErrorCode::StorageFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the manual's table: code, status.
    fn manual() -> Vec<(String, u16)> {
        let page = include_str!("../../manual/errors.md");
        let row = |line: &str| {
            let mut cells = line.strip_prefix("| `")?.split('|');
            let code = cells.next()?.trim().trim_end_matches('`').to_owned();
            Some((code, cells.next()?.trim().parse().ok()?))
        };
        page.lines().filter_map(row).collect()
    }

    #[test]
    fn the_manual_lists_exactly_the_codes() {
        let codes: Vec<_> =
            ErrorCode::ALL.iter().map(|code| (code.as_str().to_owned(), code.status().code())).collect();
        assert_eq!(manual(), codes);
    }

    #[test]
    fn codes_are_distinct_and_snake_case() {
        let mut codes = ErrorCode::ALL.map(ErrorCode::as_str).to_vec();
        assert!(codes.iter().all(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn only_overload_asks_to_try_again() {
        for code in ErrorCode::ALL {
            assert_eq!(code.retry_after_s().is_some(), code.status().code() == 429, "{code:?}");
            assert_ne!(code.status(), Status::Ok);
        }
    }
}
