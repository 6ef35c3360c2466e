//! A cable between a client and a server, to be cut at the worst moment.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What a cable does with what is sent through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// It is passed on.
    All,
    /// Nothing is: connections end, and new ones at once.
    Nothing,
    /// What the client sends is passed on; when the server answers, the connection ends instead.
    Questions,
    /// It is kept until this changes, while connections stay and new ones are taken: as by a server that was
    /// stopped.
    Later,
}

/// Listens on a port of its own and passes everything on to another, unless it is told otherwise.
#[derive(Debug)]
pub struct Cable {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug)]
struct Held {
    pass: Pass,
    /// Both ends of all connections there ever were.
    ends: Vec<TcpStream>,
}

impl Cable {
    /// A cable to the server at `port` of 127.0.0.1.
    #[must_use]
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let here = listener.local_addr().unwrap().port();
        let held = Mutex::new(Held { pass: Pass::All, ends: Vec::new() });
        let state = Arc::new(State { held, changed: Condvar::new() });
        let accepting = Arc::clone(&state);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                accepting.connect(client.unwrap(), port);
            }
        });
        Self { port: here, state }
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on, does this.
    pub fn set(&self, pass: Pass) {
        let mut held = self.state.held();
        held.pass = pass;
        if pass == Pass::Nothing {
            cut(&mut held.ends);
        }
        self.state.changed.notify_all();
    }
}

impl State {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    fn connect(self: &Arc<Self>, client: TcpStream, port: u16) {
        let mut held = self.held();
        // A client whose server does not answer is told by the end of its connection.
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
        if held.pass == Pass::Nothing {
            return;
        }
        held.ends.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
        for (from, to, is_answer) in
            [(client.try_clone().unwrap(), server.try_clone().unwrap(), false), (server, client, true)]
        {
            let state = Arc::clone(self);
            std::thread::spawn(move || state.pass_on(from, to, is_answer));
        }
    }

    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream, is_answer: bool) {
        let mut buffer = [0; 16 * 1024];
        // An error ends the connection as its end does.
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let mut held = self.held();
            while held.pass == Pass::Later {
                held = self.changed.wait(held).unwrap();
            }
            let pass = held.pass;
            drop(held);
            if pass == Pass::Nothing || (pass == Pass::Questions && is_answer) {
                break;
            }
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        cut(&mut vec![from, to]);
    }
}

/// Ends connections; those that have ended already cannot be.
fn cut(ends: &mut Vec<TcpStream>) {
    for end in ends.drain(..) {
        let _ = end.shutdown(Shutdown::Both);
    }
}
