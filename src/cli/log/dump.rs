//! `repsec log dump`: the events, or the access journal, as they stand in the store.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde_json::json;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::domain::{Change, Event, Named, Order, Page};
use crate::faces::repsec::message::CommandKind;
use crate::log::{AccessRecord, History, Span, Store};
use crate::types::attributes::object_text;
use crate::types::{Entity, Timestamp};

use super::DumpArgs;
use super::open::failed;

/// Events of an entity that are read at once.
const PAGE_EVENTS: usize = 1000;

/// Prints what the arguments select, oldest first.
pub(super) fn run(store: &Store, args: &DumpArgs, json: bool, out: &mut dyn Write) -> Result<Exit, Failure> {
    let (since, until) = (args.since, args.until);
    let inside = |time: Timestamp| since.is_none_or(|since| time >= since) && until.is_none_or(|until| time <= until);
    // The first failed write ends the reading; it is told afterwards, since the visitors return no errors.
    let mut written: io::Result<()> = Ok(());
    if args.access {
        let since = since.unwrap_or(Timestamp::ZERO);
        // A block begins up to a few seconds before its last record.
        let blocks_from = Timestamp::from_unix_ms(since.unix_ms().saturating_sub(60_000));
        let visit = |shard: u16, record: AccessRecord| {
            if inside(record.time) {
                written = write_access(out, shard, &record, json);
            }
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        store.accesses(blocks_from, visit).map_err(failed)?;
    } else if let Some(name) = &args.entity {
        let entity = Entity::parse(name).map_err(|why| Failure::Usage(format!("{name:?} is no entity: it {why}")))?;
        let subject = Named { hash: store.identity().hash_key.hash(entity.as_str()), entity };
        let history = History::new(store.clone());
        let up_to = store.head().map_err(failed)?.last;
        let mut none = true;
        let mut page = Page { limit: PAGE_EVENTS, order: Order::Ascending, after: None, since, until };
        loop {
            let found = history.page(&subject, &page, up_to).map_err(failed)?;
            none &= found.events.is_empty();
            for event in &found.events {
                write_event(out, event, json)?;
            }
            if found.next.is_none() {
                break;
            }
            page.after = found.next;
        }
        if none {
            output::note(&format!("no events of {}", output::printable(subject.entity.as_str())));
            return Ok(Exit::No);
        }
    } else {
        store
            .replay(Span::ALL, &mut |_, _| (), |_, event| {
                if until.is_some_and(|until| event.time > until) {
                    return ControlFlow::Break(());
                }
                if inside(event.time) {
                    written = write_event(out, &event, json);
                }
                if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .map_err(failed)?;
    }
    written?;
    out.flush()?;
    Ok(Exit::Yes)
}

fn write_event(out: &mut dyn Write, event: &Event, json: bool) -> io::Result<()> {
    let (what, attributes) = match &event.change {
        Change::Registered { attributes } => ("registered", Some(object_text(attributes.as_str()))),
        Change::Removed => ("removed", None),
    };
    if json {
        let attributes: Option<serde_json::Value> = attributes.and_then(|text| serde_json::from_str(text).ok());
        let line = json!({
            "sequence": event.sequence.value(),
            "time": event.time.to_string(),
            "event": what,
            "entity": event.entity.as_str(),
            "type": event.entity.kind().name(),
            "actor": event.principal.to_string(),
            "nonce": event.once.as_ref().map(|once| once.nonce.as_str()),
            "ts": event.once.as_ref().map(|once| once.made.unix_s()),
            "attributes": attributes,
        });
        return writeln!(out, "{line}");
    }
    let attributes = attributes.filter(|text| *text != "{}").unwrap_or_default();
    let (entity, actor) = (output::printable(event.entity.as_str()), event.principal.to_string());
    let line = format!(
        "{:>10}  {:<24}  {what:<10}  {:<12}  {entity}  {}  {}",
        event.sequence,
        event.time.to_string(),
        event.entity.kind().name(),
        output::printable(&actor),
        output::printable(attributes),
    );
    writeln!(out, "{}", line.trim_end())
}

fn write_access(out: &mut dyn Write, shard: u16, record: &AccessRecord, json: bool) -> io::Result<()> {
    let command = CommandKind::name_of(record.command);
    if json {
        let line = json!({
            "time": record.time.to_string(),
            "shard": shard,
            "command": command,
            "status": record.status,
            "entity_hash": format!("{:016x}", record.entity),
            "peer": format!("{:016x}", record.peer),
        });
        return writeln!(out, "{line}");
    }
    let time = record.time.to_string();
    let (status, peer) = (record.status, record.peer);
    let entity = if record.entity == 0 { "-".to_owned() } else { format!("{:016x}", record.entity) };
    writeln!(out, "{time:<24}  shard {shard:<3}  {command:<13}  {status}  entity {entity:<16}  peer {peer:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_without_an_entity_names_none() {
        let mut out = Vec::new();
        let time = Timestamp::from_unix_ms(1_756_807_200_000);
        for entity in [0, 0xab] {
            let record = AccessRecord { time, command: 5, status: 200, entity, peer: 1 };
            write_access(&mut out, 3, &record, false).unwrap();
        }
        let expected = "\
2025-09-02T10:00:00Z      shard 3    PING           200  entity -                 peer 0000000000000001
2025-09-02T10:00:00Z      shard 3    PING           200  entity 00000000000000ab  peer 0000000000000001
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
