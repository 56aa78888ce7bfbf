//! A small HTTP server that keeps things, remembers every byte it was sent, and answers as badly as a test wants.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// The target of the request line, undecoded.
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// What a test wants done with a connection in place of an answer from the shelf.
pub(crate) type Answer = Box<dyn FnOnce(&mut TcpStream) + Send>;
type Script = dyn Fn(&Asked) -> Option<Answer> + Send + Sync;

/// A server on a port of its own. It runs until the test process ends.
pub(crate) struct Fake {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    shelf: Arc<Mutex<BTreeMap<String, serde_json::Value>>>,
}

impl Fake {
    /// Answers honestly: `GET /v1/things`, and GET, PUT and DELETE of `/v1/things/NAME`.
    pub(crate) fn honest() -> Self {
        Self::scripted(|_| None)
    }

    /// Answers with what `script` says, and honestly where it says nothing.
    pub(crate) fn scripted(script: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0", script)
    }

    /// The same at an address of the test's choice.
    pub(crate) fn on(address: &str, script: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, shelf) = (Arc::default(), Arc::default());
        let fake = Self { port, asked: Arc::clone(&asked), shelf: Arc::clone(&shelf) };
        let script: Arc<Script> = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, shelf, script) = (Arc::clone(&asked), Arc::clone(&shelf), Arc::clone(&script));
                std::thread::spawn(move || serve(stream, &asked, &shelf, &*script));
            }
        });
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Requests that may change something.
    pub(crate) fn writes(&self) -> usize {
        self.asked().iter().filter(|a| a.method != "GET" && a.method != "HEAD").count()
    }

    /// True if `text` stands anywhere in what was sent here.
    pub(crate) fn heard(&self, text: &str) -> bool {
        self.asked().iter().any(|a| a.head.contains(text) || String::from_utf8_lossy(&a.body).contains(text))
    }

    pub(crate) fn put(&self, name: &str, thing: serde_json::Value) {
        self.shelf.lock().unwrap().insert(name.to_owned(), thing);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.shelf.lock().unwrap().keys().cloned().collect()
    }
}

fn serve(
    mut stream: TcpStream,
    asked: &Mutex<Vec<Asked>>,
    shelf: &Mutex<BTreeMap<String, serde_json::Value>>,
    script: &Script,
) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let Some(request) = read(&mut stream) else { return };
    asked.lock().unwrap().push(request.clone());
    match script(&request) {
        Some(answer) => answer(&mut stream),
        None => honestly(&mut stream, &request, shelf),
    }
    let _ = stream.flush();
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    let mut body = bytes[end..].to_vec();
    while body.len() < length {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => body.extend_from_slice(&buffer[..n]),
        }
    }
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Asked { method, path, head, body })
}

fn honestly(stream: &mut TcpStream, request: &Asked, shelf: &Mutex<BTreeMap<String, serde_json::Value>>) {
    let mut shelf = shelf.lock().unwrap();
    let path = request.path.split('?').next().unwrap_or_default();
    let name = path
        .strip_prefix("/v1/things/")
        .map(|n| percent_encoding::percent_decode_str(n).decode_utf8_lossy().into_owned());
    let (status, body) = match (request.method.as_str(), name) {
        ("GET", None) if path == "/v1/things" => {
            let items: Vec<_> = shelf.values().cloned().collect();
            (200, serde_json::json!({"items": items}).to_string())
        }
        ("GET", Some(name)) => match shelf.get(&name) {
            Some(thing) => (200, thing.to_string()),
            None => (404, "{}".to_owned()),
        },
        ("PUT", Some(name)) => {
            let mut thing: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
            thing["name"] = name.as_str().into();
            shelf.insert(name, thing.clone());
            (200, thing.to_string())
        }
        ("DELETE", Some(name)) => match shelf.remove(&name) {
            Some(_) => (200, "{}".to_owned()),
            None => (404, "{}".to_owned()),
        },
        _ => (404, "{}".to_owned()),
    };
    plain(status, "", &body)(stream);
}

/// An answer with a JSON body, further header lines (each ended by CR LF), and its length.
pub(crate) fn plain(status: u16, headers: &str, body: &str) -> Answer {
    let text = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw(text.into_bytes())
}

/// Bytes as they are, and then the connection is closed.
pub(crate) fn raw(bytes: Vec<u8>) -> Answer {
    Box::new(move |stream| {
        let _ = stream.write_all(&bytes);
    })
}
