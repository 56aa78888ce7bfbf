//! Loopback ports that stay ours.

#![allow(dead_code, unreachable_pub, reason = "each test program that includes this file uses another part of it")]

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use tokio::net::TcpSocket;

/// The sockets that hold the ports, until the test program ends.
static HELD: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());

/// An address where a process may listen, end, and listen again, and where nobody else ever does.
///
/// A port that is free is not free for long: while the process that it was found for starts, or is away, the kernel may
/// hand it to another test, or use it for the near end of a connection. A socket that is bound and does not listen keeps
/// it from both; connections to it are refused; and it is in nobody's way who, like it, sets `SO_REUSEADDR`, as servers do.
pub fn reserved() -> SocketAddr {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option that every socket has");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free loopback port");
    let address = socket.local_addr().expect("the port that was given");
    HELD.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    address
}
