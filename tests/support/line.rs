//! A line between two ends of TCP that can be cut, held and slowed while it is in use.
//!
//! It knows no protocol: what `proxy.rs` does to requests, this does to bytes. Its own port never changes, so that a
//! client finds the same address again after the line was cut and mended.

#![allow(dead_code, unreachable_pub, reason = "each test program that includes this file uses another part of it")]

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What the line does to bytes, from now on and on all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Carries them.
    Open,
    /// Closes all connections, and new ones at once.
    Cut,
    /// Carries nothing either way; connections stay, new ones are taken. What was held is carried once it opens again.
    Held,
    /// Carries what the client says and holds what the server answers.
    Deaf,
    /// Carries every piece this much later.
    Slow(Duration),
}

/// How often a pump looks whether the state changed.
const LOOK: Duration = Duration::from_millis(10);

struct Shared {
    to: SocketAddr,
    state: Mutex<State>,
    /// Counts how often the line was cut: connections of an earlier count end.
    cuts: AtomicUsize,
    connections: AtomicUsize,
    over: AtomicBool,
}

impl Shared {
    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line to one address; it is taken down when dropped.
pub struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Line {
    /// Opens a line to `to`, where nobody has to listen yet.
    pub fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free loopback port");
        let address = listener.local_addr().expect("the port that was given");
        let shared = Arc::new(Shared {
            to,
            state: Mutex::new(State::Open),
            cuts: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.over.load(Ordering::SeqCst) {
                    break;
                }
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&serving);
                thread::spawn(move || connect(client, &shared));
            }
        });
        Self { address, shared }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same for HTTP.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Behaves like this from now on.
    pub fn set(&self, state: State) {
        *self.shared.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        if state == State::Cut {
            self.shared.cuts.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// How many connections were taken so far, in any state.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.set(State::Cut);
        // Wakes the thread that waits for the next client.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

/// Joins one client to a connection of its own to the server, until either of them or a cut ends it.
fn connect(client: TcpStream, shared: &Arc<Shared>) {
    let born = shared.cuts.load(Ordering::SeqCst);
    // Not even a handshake reaches the server through a line that carries nothing.
    while shared.state() == State::Held && shared.cuts.load(Ordering::SeqCst) == born {
        thread::sleep(LOOK);
    }
    if shared.state() == State::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect_timeout(&shared.to, Duration::from_secs(5)) else { return };
    let (Ok(client_too), Ok(server_too)) = (client.try_clone(), server.try_clone()) else { return };
    let answers = Arc::clone(shared);
    let back = thread::spawn(move || pump(&server_too, &client_too, &answers, born, true));
    pump(&client, &server, shared, born, false);
    let _ = back.join();
}

/// Carries one direction until its source ends, and then says so to the other side.
fn pump(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared, born: usize, answers: bool) {
    let _ = from.set_read_timeout(Some(LOOK));
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let mut buffer = [0; 16 * 1024];
    let cut = || shared.cuts.load(Ordering::SeqCst) != born;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && !cut() => continue,
            Err(_) => break,
        };
        loop {
            match shared.state() {
                _ if cut() => break,
                State::Held => thread::sleep(LOOK),
                State::Deaf if answers => thread::sleep(LOOK),
                State::Slow(time) => {
                    thread::sleep(time);
                    break;
                }
                State::Open | State::Deaf | State::Cut => break,
            }
        }
        if cut() || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    if cut() {
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    } else {
        let _ = to.shutdown(Shutdown::Write);
    }
}
