//! What REGISTER and REMOVE share: a nonce, and one more attempt with the same nonce when the connection breaks before
//! the answer. The server remembers the nonce (P8), so that both attempts together take effect once at the most.
//!
//! May use: the pipeline. Never: more than two attempts.

use crate::cli::answer::Answer;
use crate::cli::client::ClientError;
use crate::cli::exit::Failure;
use crate::cli::options::ConnectionArgs;
use crate::cli::output::note;
use crate::cli::pipeline::Pipeline;
use crate::cli::request::{Request, random_nonce};

/// Sends a command that changes state.
///
/// # Errors
/// When the server cannot be reached, or the connection breaks twice.
pub fn ask_once(args: &ConnectionArgs, request: Request) -> Result<Answer, Failure> {
    let nonce = random_nonce().map_err(|error| Failure::Failed(format!("the system has no randomness: {error}")))?;
    let request = request.once(&nonce);
    let answer = twice_at_most(|| Pipeline::open(args), |pipeline| pipeline.ask(&request))?;
    Ok(answer)
}

/// Asks, and once more on a new connection if the first was lost after it had stood.
fn twice_at_most<C, A>(
    mut connect: impl FnMut() -> Result<C, ClientError>,
    mut ask: impl FnMut(&mut C) -> Result<A, ClientError>,
) -> Result<A, ClientError> {
    let mut connection = connect()?;
    match ask(&mut connection) {
        Err(error) if error.is_lost_connection() => {
            note(&format!("{error}; asking once more with the same nonce, so that it takes effect once at the most"));
            drop(connection);
            ask(&mut connect()?)
        }
        settled => settled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut() -> ClientError {
        ClientError::Cut { server: "127.0.0.1".parse().unwrap() }
    }

    fn strange() -> ClientError {
        ClientError::NoAnswerOfRepsec { server: "127.0.0.1".parse().unwrap() }
    }

    /// Runs a script of results; tells how many attempts were made and whether the end was good.
    fn attempts(mut script: Vec<Result<u8, ClientError>>) -> (usize, bool) {
        let all = script.len();
        script.reverse();
        let end = twice_at_most(|| Ok(()), |()| script.pop().unwrap());
        (all - script.len(), end.is_ok())
    }

    #[test]
    fn a_lost_connection_is_tried_once_more_and_nothing_else_is() {
        assert_eq!(attempts(vec![Ok(1), Ok(2)]), (1, true));
        assert_eq!(attempts(vec![Err(cut()), Ok(2), Ok(3)]), (2, true));
        assert_eq!(attempts(vec![Err(cut()), Err(cut()), Ok(3)]), (2, false));
        assert_eq!(attempts(vec![Err(strange()), Ok(2)]), (1, false));
    }
}
