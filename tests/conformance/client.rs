//! A client of a server under test: looks at what it holds, and writes behind `ctl`'s back.

use std::sync::LazyLock;

use serde_json::Value;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

/// Runs a future to its end from a plain test; not from inside another runtime.
pub(crate) fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let task = RUNTIME.spawn(future);
    // The rule of a proxy runs on that proxy's own runtime, where nothing may block on another one.
    std::thread::spawn(|| RUNTIME.block_on(task).expect("a task that does not panic"))
        .join()
        .expect("a thread that does not panic")
}

/// One server and who asks it.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    /// The origin with the API's base.
    pub(crate) base: String,
    pub(crate) auth: Auth,
}

#[derive(Clone, Debug)]
pub(crate) enum Auth {
    None,
    Header(&'static str, String),
    Basic(String, String),
}

impl Http {
    /// Sends one request; the status, and the answer as JSON (null if it is none).
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut request = client.request(method.parse().expect("a method"), format!("{}{path}", self.base));
        request = match &self.auth {
            Auth::None => request,
            Auth::Header(name, value) => request.header(*name, value),
            Auth::Basic(user, password) => request.basic_auth(user, Some(password)),
        };
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        wait(async move {
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let text = answer.text().await.expect("a whole answer");
            (status, serde_json::from_str(&text).unwrap_or(Value::Null))
        })
    }

    /// Reads; null if there is nothing, or if nothing is all that one may know of it (below what is not there).
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, None);
        assert!([200, 403, 404].contains(&status), "GET {path}: {status} {body}");
        if status == 200 { body } else { Value::Null }
    }

    /// Writes; it must succeed.
    #[track_caller]
    pub(crate) fn write(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, path, Some(&body));
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Cleans up; whatever the answer is.
    pub(crate) fn delete(&self, path: &str) {
        self.send("DELETE", path, None);
    }
}

impl Http {
    /// All items of a paged list that names its next page in a header, and how many pages that was.
    fn walk(&self, path: &str) -> (Vec<Value>, usize) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let (auth, mut url) = (self.auth.clone(), Some(format!("{}{path}", self.base)));
        wait(async move {
            let (mut items, mut pages) = (Vec::new(), 0);
            while let Some(next) = url.take() {
                let mut request = client.get(next);
                if let Auth::Basic(user, password) = &auth {
                    request = request.basic_auth(user, Some(password));
                }
                let answer = request.send().await.expect("an answer");
                url = answer.headers().get("next-page").map(|v| v.to_str().expect("a URL").to_owned());
                let text = answer.text().await.expect("a whole answer");
                let page: Value = serde_json::from_str(&text).expect("a page");
                items.extend(page["data"].as_array().cloned().unwrap_or_default());
                pages += 1;
            }
            (items, pages)
        })
    }

    /// All items of such a list.
    pub(crate) fn items(&self, path: &str) -> Vec<Value> {
        self.walk(path).0
    }

    /// How many pages such a list has now.
    pub(crate) fn pages(&self, path: &str) -> usize {
        self.walk(path).1
    }
}
