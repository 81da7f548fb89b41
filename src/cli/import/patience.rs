//! Asking a server that may ask to wait.
//!
//! May use: [`Exchange`]. Never: repeats what got any other answer.

use std::time::Duration;

use crate::cli::answer::Answer;
use crate::cli::client::ClientError;
use crate::cli::pipeline::Exchange;
use crate::cli::request::Request;

/// Seconds to wait after a 429 that names no time, and at the most when it names one.
const RETRY_AFTER_S: u64 = 1;
const RETRY_AFTER_S_MAX: u64 = 60;
/// Rounds in which every command got a 429, after which the server is given up.
const ROUNDS_WITHOUT_PROGRESS_MAX: u32 = 10;

/// Why an import ended before the end of the file.
#[derive(Debug)]
pub enum Stopped {
    /// The connection failed.
    Connection(ClientError),
    /// The server refused what the import must know, or too often asked to wait.
    Refused(String),
}

impl From<ClientError> for Stopped {
    fn from(error: ClientError) -> Stopped {
        Stopped::Connection(error)
    }
}

/// Asks, and asks again what got a 429, after the time that the server names.
///
/// # Errors
/// When the connection fails, or the server takes nothing more for many rounds.
pub fn ask(
    server: &mut dyn Exchange,
    count: usize,
    build: &mut dyn FnMut(usize) -> Request,
    answered: &mut dyn FnMut(usize, Answer),
) -> Result<(), Stopped> {
    let mut due: Vec<usize> = (0..count).collect();
    let mut rounds_without_progress = 0;
    while !due.is_empty() {
        let mut again = Vec::new();
        let mut wait_s = 0;
        let mut last_reason = String::new();
        server.exchange(due.len(), &mut |at| build(number_of(&due, at)), &mut |at, answer| {
            if answer.status() == 429 {
                again.push(number_of(&due, at));
                wait_s = wait_s.max(answer.retry_after_s().unwrap_or(RETRY_AFTER_S)).min(RETRY_AFTER_S_MAX);
                last_reason = answer.reason();
            } else {
                answered(number_of(&due, at), answer);
            }
        })?;
        rounds_without_progress = if again.len() < due.len() { 0 } else { rounds_without_progress + 1 };
        if rounds_without_progress > ROUNDS_WITHOUT_PROGRESS_MAX {
            return Err(Stopped::Refused(format!("the server takes nothing more: {last_reason}")));
        }
        if !again.is_empty() {
            server.pause(Duration::from_secs(wait_s));
        }
        due = again;
    }
    Ok(())
}

fn number_of(due: &[usize], at: usize) -> usize {
    due.get(at).copied().unwrap_or_default()
}
