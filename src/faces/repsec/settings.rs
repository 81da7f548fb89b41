//! What an operator may set of this face, and what every session needs to know of its store.

use crate::types::HashKey;
use crate::types::limits;
use crate::wire::text::{push_hex, push_string, push_unsigned};

/// The bounds of the protocol, all advertised by CAPABILITIES under these names (`repsec:O13`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest message that is not a bulk lookup, in bytes.
    pub message_bytes_max: usize,
    /// Longest bulk lookup, in bytes. A longer message ends the connection.
    pub bulk_message_bytes_max: usize,
    /// Names in one bulk lookup.
    pub bulk_entities_max: usize,
    /// Nested arrays and objects in a message; its own object is depth 1. At most 64.
    pub depth_max: usize,
    /// Length of an entity as sent, in octets. At most 1,024.
    pub entity_bytes_max: usize,
    /// Length of canonical attributes, in bytes. At most 4,096.
    pub attributes_bytes_max: usize,
    /// Messages of one connection whose answers have not left; at the bound the connection is not read.
    pub outstanding_commands_max: usize,
    /// Malformed messages in a row after which the connection ends.
    pub malformed_in_a_row_max: u32,
    /// Events on an AUDIT page without `limit`.
    pub audit_page_events: usize,
    /// Events on an AUDIT page at the most.
    pub audit_page_events_max: usize,
    /// How far `ts` may lie from the server's clock, in seconds, both ways.
    pub replay_window_s: u64,
    /// Seconds of silence after which an idle connection ends.
    pub idle_timeout_s: u64,
    /// Seconds within which a message that was started must end.
    pub message_timeout_s: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_bytes_max: limits::MESSAGE_BYTES_MAX,
            bulk_message_bytes_max: limits::BULK_MESSAGE_BYTES_MAX,
            bulk_entities_max: limits::BULK_ENTITIES_MAX,
            depth_max: limits::DEPTH_MAX,
            entity_bytes_max: limits::ENTITY_BYTES_MAX,
            attributes_bytes_max: limits::ATTRIBUTES_BYTES_MAX,
            outstanding_commands_max: limits::OUTSTANDING_COMMANDS_MAX,
            malformed_in_a_row_max: limits::MALFORMED_IN_A_ROW_MAX,
            audit_page_events: limits::AUDIT_PAGE_EVENTS,
            audit_page_events_max: limits::AUDIT_PAGE_EVENTS_MAX,
            replay_window_s: limits::REPLAY_WINDOW_S,
            idle_timeout_s: limits::IDLE_TIMEOUT_S,
            message_timeout_s: limits::MESSAGE_TIMEOUT_S,
        }
    }
}

impl Limits {
    /// Every bound with its name on the wire.
    fn named(&self) -> [(&'static str, u64); 13] {
        let Limits {
            message_bytes_max,
            bulk_message_bytes_max,
            bulk_entities_max,
            depth_max,
            entity_bytes_max,
            attributes_bytes_max,
            outstanding_commands_max,
            malformed_in_a_row_max,
            audit_page_events,
            audit_page_events_max,
            replay_window_s,
            idle_timeout_s,
            message_timeout_s,
        } = *self;
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        [
            ("message_bytes_max", count(message_bytes_max)),
            ("bulk_message_bytes_max", count(bulk_message_bytes_max)),
            ("bulk_entities_max", count(bulk_entities_max)),
            ("depth_max", count(depth_max)),
            ("entity_bytes_max", count(entity_bytes_max)),
            ("attributes_bytes_max", count(attributes_bytes_max)),
            ("outstanding_commands_max", count(outstanding_commands_max)),
            ("malformed_in_a_row_max", u64::from(malformed_in_a_row_max)),
            ("audit_page_events", count(audit_page_events)),
            ("audit_page_events_max", count(audit_page_events_max)),
            ("replay_window_s", replay_window_s),
            ("idle_timeout_s", idle_timeout_s),
            ("message_timeout_s", message_timeout_s),
        ]
    }
}

/// What all sessions of a server share.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bounds.
    pub limits: Limits,
    /// Whether REGISTER and REMOVE must carry `ts` and `nonce` (`repsec:O5`); relaxed only in `--dev`.
    pub once_required: bool,
    /// The store's key for hashing entities.
    pub hash_key: HashKey,
    /// The members of the CAPABILITIES answer behind `message`, written once.
    capabilities: Box<[u8]>,
}

/// The extensions of the draft that this face has, for CAPABILITIES (`repsec:R20`).
const EXTENSIONS: [&str; 5] = [
    "urn:repsec:ext:as-of",
    "urn:repsec:ext:attributes",
    "urn:repsec:ext:audit-paging",
    "urn:repsec:ext:bulk-verify",
    "urn:repsec:ext:replay-protection",
];

/// The commands of this face, in the spelling of the draft.
pub const COMMANDS: [&str; 6] = ["REGISTER", "VERIFY", "REMOVE", "AUDIT", "PING", "CAPABILITIES"];

impl Settings {
    /// Settings for a store whose log has this id.
    pub fn new(limits: Limits, once_required: bool, hash_key: HashKey, log_id: &[u8]) -> Settings {
        Settings { limits, once_required, hash_key, capabilities: capabilities(&limits, log_id).into() }
    }

    /// The members of the CAPABILITIES answer behind `message`: JSON that begins with a comma.
    pub fn capabilities(&self) -> &[u8] {
        &self.capabilities
    }
}

fn capabilities(limits: &Limits, log_id: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(b",\"commands\":");
    push_strings(&mut out, &COMMANDS);
    out.extend_from_slice(b",\"extensions\":");
    push_strings(&mut out, &EXTENSIONS);
    out.extend_from_slice(b",\"limits\":");
    for (at, (name, value)) in limits.named().into_iter().enumerate() {
        out.push(if at == 0 { b'{' } else { b',' });
        push_string(&mut out, name);
        out.push(b':');
        push_unsigned(&mut out, value);
    }
    // No scheme yet: who a peer is, its certificate will say.
    out.extend_from_slice(b"},\"auth\":[],\"log\":{\"id\":\"");
    push_hex(&mut out, log_id);
    out.extend_from_slice(b"\"}");
    out
}

fn push_strings(out: &mut Vec<u8>, strings: &[&str]) {
    for (at, string) in strings.iter().enumerate() {
        out.push(if at == 0 { b'[' } else { b',' });
        push_string(out, string);
    }
    out.push(b']');
}
