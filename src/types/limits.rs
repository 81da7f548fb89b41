//! Every bound of the system, with its unit and its reason. A bound that a user may change is the default here
//! and a key of the configuration; one that the log's format depends on is a constant for good.

/// Longest message that is not a bulk lookup, in bytes (`repsec:O13`).
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Longest bulk lookup, in bytes; also the longest message that is buffered at all.
pub const BULK_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Names in one bulk lookup.
pub const BULK_ENTITIES_MAX: usize = 10_000;
/// Nested arrays and objects in a message; the command object itself is depth 1.
pub const DEPTH_MAX: usize = 16;
/// Length of an entity in canonical form and as sent, in octets.
pub const ENTITY_BYTES_MAX: usize = 1024;
/// Length of the canonical attributes of an entity, in bytes.
pub const ATTRIBUTES_BYTES_MAX: usize = 4096;
/// Length of an extension kind (`x-...`), in bytes: it is stored with each entity of that kind.
pub const KIND_BYTES_MAX: usize = 32;
/// Length of a string `id`, in bytes: it is held for every command in flight.
pub const ID_BYTES_MAX: usize = 256;
/// Shortest nonce, in characters: 22 of base64url are 128 bits with two to spare.
pub const NONCE_BYTES_MIN: usize = 22;
/// Longest nonce, in characters: a SHA-256 in hex.
pub const NONCE_BYTES_MAX: usize = 64;
/// Fewest digits of a nonce in hex: 96 bits.
pub const NONCE_HEX_DIGITS_MIN: usize = 24;
/// How far `ts` may lie from the server's clock, in seconds, both ways.
pub const REPLAY_WINDOW_S: u64 = 300;
/// Commands of one connection that have no answer yet; at the bound the connection is not read (back-pressure).
pub const OUTSTANDING_COMMANDS_MAX: usize = 1024;
/// Malformed messages in a row after which the connection ends.
pub const MALFORMED_IN_A_ROW_MAX: u32 = 10;
/// Events on an AUDIT page when the client names no `limit`.
pub const AUDIT_PAGE_EVENTS: usize = 100;
/// Events on an AUDIT page at the most.
pub const AUDIT_PAGE_EVENTS_MAX: usize = 1000;
/// Seconds without a byte from the peer after which a connection with nothing in flight ends.
pub const IDLE_TIMEOUT_S: u64 = 300;
/// Seconds within which a message that was started must end.
pub const MESSAGE_TIMEOUT_S: u64 = 30;
/// Largest integer that JSON peers agree on (RFC 8259, section 6): 2^53 - 1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

// How the bounds relate. A change that breaks one of these does not compile.
const _: () = assert!(MESSAGE_BYTES_MAX <= BULK_MESSAGE_BYTES_MAX);
// An entity whose every octet is escaped (\uXXXX, six bytes) and attributes likewise still fit into one message.
const _: () = assert!(6 * (ENTITY_BYTES_MAX + ATTRIBUTES_BYTES_MAX) < MESSAGE_BYTES_MAX);
const _: () = assert!(AUDIT_PAGE_EVENTS <= AUDIT_PAGE_EVENTS_MAX);
// The lengths of packed records are 16 bits wide.
const _: () = assert!(ENTITY_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(ATTRIBUTES_BYTES_MAX <= u16::MAX as usize);
