//! Many commands in flight on one connection: sent on this thread, answered on another, in order (`repsec:O2`).
//!
//! May use: the client, threads. Never: sends a command twice; who may repeat what is for the caller to know.

use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, bounded, unbounded};

use super::answer::Answer;
use super::client::{self, ClientError, ReceiveHalf, SendHalf};
use super::exit::Failure;
use super::options::ConnectionArgs;
use super::request::{Request, Token};

/// Commands without an answer at the most. Below the server's own bound (1,024 by default), so that it is the client
/// that waits and not the network.
pub const WINDOW_COMMANDS: usize = 1000;
/// Commands are gathered up to this many bytes before they are sent: one TLS record.
pub const GATHER_BYTES: usize = 16 * 1024;
/// Seconds without any answer, while one is due, after which the server is given up.
pub const SILENCE_MAX_S: u64 = 60;

/// A line from the server, or why there will be no more.
pub type Arrived = Result<String, ClientError>;

/// Who takes commands and answers each of them, in order. A trait, so that what is built on it can be tried against
/// a model of the server.
pub trait Exchange {
    /// Sends the commands that `build` makes for 0 to `count - 1`, in order, and hands each answer to `answered` with
    /// the number of its command, in order.
    ///
    /// # Errors
    /// When the connection fails. Commands whose answer was not handed over may or may not have taken effect.
    fn exchange(
        &mut self,
        count: usize,
        build: &mut dyn FnMut(usize) -> Request,
        answered: &mut dyn FnMut(usize, Answer),
    ) -> Result<(), ClientError>;

    /// Waits, because the server asked for it.
    fn pause(&mut self, time: Duration) {
        thread::sleep(time);
    }
}

/// One connection with its reading thread.
pub struct Pipeline {
    sending: SendHalf,
    arrived: Receiver<Arrived>,
    token: Option<Token>,
    window: usize,
}

impl Pipeline {
    /// Connects as the options say, with [`WINDOW_COMMANDS`] in flight at the most.
    ///
    /// # Errors
    /// When the token file cannot be used, or the server cannot be reached or trusted.
    pub fn open(args: &ConnectionArgs) -> Result<Pipeline, ClientError> {
        Pipeline::open_with_window(args, WINDOW_COMMANDS)
    }

    /// The same with another number of commands in flight, at least one.
    ///
    /// # Errors
    /// As [`Pipeline::open`].
    pub fn open_with_window(args: &ConnectionArgs, window: usize) -> Result<Pipeline, ClientError> {
        let token = match &args.token_file {
            None => None,
            Some(path) => {
                let unusable = |reason: String| ClientError::File { path: path.clone(), reason };
                let content = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
                Some(Token::from_file_content(&content).map_err(|reason| unusable(reason.to_owned()))?)
            }
        };
        let (sending, receiving) = client::connect(args)?;
        // Not bounded: a reading thread that waits for this one, while this one waits for the server to read, would stop
        // all three. Who sends without regard to what has arrived must look at the channel's length.
        let (arriving, arrived) = unbounded();
        thread::Builder::new()
            .name("answers".to_owned())
            .spawn(move || read_answers(receiving, &arriving))
            .map_err(|error| ClientError::Settings { reason: format!("cannot start a thread: {error}") })?;
        Ok(Pipeline { sending, arrived, token, window: window.max(1) })
    }

    /// Sends one command and waits for its answer. Nothing may be in flight.
    ///
    /// # Errors
    /// When the connection fails; then the command may or may not have taken effect.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, ClientError> {
        self.send(request)?;
        self.next_answer()
    }

    /// Sends one command without waiting.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let line = request.line(self.token.as_ref());
        self.send_raw(line.as_bytes())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.sending.send(bytes).map_err(|error| self.first_cause(error))
    }

    /// Says that nothing more will be sent; the answers that are due still come.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn finish(&mut self) -> Result<(), ClientError> {
        self.sending.finish().map_err(|error| self.first_cause(error))
    }

    /// Where lines arrive; only answers that are due can wait in it. The channel closes behind the server's orderly goodbye.
    pub fn arrivals(&self) -> Receiver<Arrived> {
        self.arrived.clone()
    }

    /// Reads a line that arrived as an answer.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(&self, line: String) -> Result<Answer, ClientError> {
        Answer::parse(line).ok_or_else(|| ClientError::NoAnswerOfRepsec { server: self.sending.server().clone() })
    }

    /// Waits for the next line. One must be due.
    ///
    /// # Errors
    /// When the connection ends, or the server is silent for [`SILENCE_MAX_S`].
    pub fn next_answer(&mut self) -> Result<Answer, ClientError> {
        match self.arrived.recv_timeout(Duration::from_secs(SILENCE_MAX_S)) {
            Ok(arrived) => self.read(arrived?),
            Err(RecvTimeoutError::Timeout) => Err(self.silent()),
            Err(RecvTimeoutError::Disconnected) => Err(self.cut()),
        }
    }

    /// The error of a server that owes an answer and says nothing.
    pub fn silent(&self) -> ClientError {
        ClientError::Silent { server: self.sending.server().clone(), seconds: SILENCE_MAX_S }
    }

    /// The error of a server that said goodbye while it owed an answer.
    pub fn cut(&self) -> ClientError {
        ClientError::Cut { server: self.sending.server().clone() }
    }

    /// Of a failed write and what the reading side has seen, the latter is the cause: the server says there why it
    /// hangs up.
    fn first_cause(&self, write_error: ClientError) -> ClientError {
        while let Ok(arrived) = self.arrived.recv_timeout(Duration::from_secs(1)) {
            if let Err(cause) = arrived {
                return cause;
            }
        }
        write_error
    }
}

impl Exchange for Pipeline {
    fn exchange(
        &mut self,
        count: usize,
        build: &mut dyn FnMut(usize) -> Request,
        answered: &mut dyn FnMut(usize, Answer),
    ) -> Result<(), ClientError> {
        let (mut sent, mut done) = (0, 0);
        let mut gathered = String::with_capacity(GATHER_BYTES);
        while done < count {
            while sent < count && sent - done < self.window && gathered.len() < GATHER_BYTES {
                gathered.push_str(&build(sent).line(self.token.as_ref()));
                sent += 1;
            }
            if !gathered.is_empty() {
                self.send_raw(gathered.as_bytes())?;
                gathered.clear();
            }
            if sent == count || sent - done >= self.window {
                answered(done, self.next_answer()?);
                done += 1;
            }
            while done < sent
                && let Ok(arrived) = self.arrived.try_recv()
            {
                answered(done, self.read(arrived?)?);
                done += 1;
            }
        }
        Ok(())
    }
}

/// The body of the reading thread: it ends with the connection, or when nobody listens any more.
fn read_answers(mut receiving: ReceiveHalf, arriving: &crossbeam::channel::Sender<Arrived>) {
    loop {
        let arrived = match receiving.line() {
            Ok(Some(line)) => Ok(line),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let last = arrived.is_err();
        if arriving.send(arrived).is_err() || last {
            return;
        }
    }
}

/// Lines of the standard input, read on a thread of their own so that answers need not wait for the next line. The
/// channel closes at the end of the input.
///
/// # Errors
/// When no thread can be started.
pub fn standard_input_lines() -> Result<Receiver<std::io::Result<Vec<u8>>>, Failure> {
    let (giving, lines) = bounded(4 * WINDOW_COMMANDS);
    let read = move || {
        for line in std::io::BufRead::split(std::io::stdin().lock(), b'\n') {
            let last = line.is_err();
            if giving.send(line).is_err() || last {
                return;
            }
        }
    };
    match thread::Builder::new().name("input".to_owned()).spawn(read) {
        Ok(_) => Ok(lines),
        Err(error) => Err(Failure::Failed(format!("cannot start a thread: {error}"))),
    }
}
