//! Questions to the past: from a command to a reader's job, and from what the reader found to an answer.

use crate::domain::{Claim, Command, Outcome, Unavailable, decide_claim};
use crate::engine::sha256;
use crate::log::{LogError, Question, ReadJob, Reading};
use crate::types::Sequence;

/// The job for a command that asks for history, as far as `up_to`, which is durable. `None` for other commands.
pub(super) fn job(command: Command, up_to: Sequence, reply: impl FnOnce(Outcome) + Send + 'static) -> Option<ReadJob> {
    let (question, claim) = match command {
        Command::Audit { subject, page } => (Question::Page { subject, page: *page }, Claim::Registered),
        Command::Verify { subject, claim, at: Some(at) } => (Question::StandingAt { subject, at }, claim),
        Command::Verify { subject, claim, at: None } => (Question::Last { subject }, claim),
        Command::Register { .. } | Command::Remove { .. } => return None,
    };
    let reply = Box::new(move |found: Result<Reading, LogError>| reply(outcome(found, &claim)));
    Some(ReadJob { question, up_to, reply })
}

fn outcome(found: Result<Reading, LogError>, claim: &Claim) -> Outcome {
    match found {
        Ok(Reading::Page(page)) => Outcome::Audited(Box::new(page)),
        Ok(Reading::StandingAt(event)) => {
            decide_claim(event.as_ref(), claim, &sha256).map_or_else(Outcome::Refused, Outcome::Verified)
        }
        Err(error) => {
            tracing::error!(%error, "history cannot be read");
            Outcome::Unavailable(Unavailable::Failed)
        }
    }
}
