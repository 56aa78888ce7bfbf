//! Makes decisions durable: one thread decides, commits for all that wait, publishes, and only then answers.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::Response;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::oneshot;

use super::call::Call;
use super::document::Refusal;
use super::error::ServerError;
use super::schema::Schema;
use super::state::{Decision, State};
use super::view::{Item, View, refuse};

/// `kind/name` -> the object as it is sent.
const ITEMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("items");
/// The store's revision and the fence.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Raised when what is stored can no longer be read by an older program.
const FORMAT: u64 = 1;
/// The most writes of one commit.
const MAX_BATCH: usize = 1024;

/// What is stored beside the objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    /// The store's revision.
    pub revision: u64,
    /// The highest fencing token seen.
    pub fence: u64,
}

struct Job {
    call: Call,
    uid: String,
    /// Answer as if, and store nothing: a fault.
    lie: bool,
    answer: oneshot::Sender<Response<Bytes>>,
}

/// The durable half of the server. Reads come from memory and see only what is durable.
#[derive(Debug)]
pub struct Store {
    schema: Arc<Schema>,
    view: Arc<RwLock<View>>,
    broken: Arc<AtomicBool>,
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Keeps everything in memory: for tests.
    pub fn memory(schema: Schema, queue: usize) -> Result<Self, ServerError> {
        Self::start(State::new(Arc::new(schema)), None, queue)
    }

    /// Opens or makes `ctl.redb` in `folder`. One process at a time; damage is an error, never an empty store.
    pub fn open(folder: &Path, schema: Schema, queue: usize) -> Result<Self, ServerError> {
        std::fs::create_dir_all(folder)
            .map_err(|e| ServerError::Store { folder: folder.to_owned(), why: e.to_string() })?;
        let (db, state) = load(folder, schema).map_err(|why| ServerError::Store { folder: folder.to_owned(), why })?;
        Self::start(state, Some(db), queue)
    }

    fn start(state: State, db: Option<Database>, queue: usize) -> Result<Self, ServerError> {
        let view = Arc::new(RwLock::new(state.view().clone()));
        let broken = Arc::new(AtomicBool::new(false));
        let schema = Arc::clone(state.schema());
        let (sender, receiver) = sync_channel(queue.max(1));
        let mut writer = Writer { state, db, view: Arc::clone(&view), broken: Arc::clone(&broken) };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|e| ServerError::Thread { why: e.to_string() })?;
        Ok(Self { schema, view, broken, queue: Some(sender), thread: Some(thread) })
    }

    /// The schema.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Begins a life of the store: no ETag of a list outlives it.
    pub(super) fn begin(&self, life: u64) {
        self.view.write().unwrap_or_else(PoisonError::into_inner).begin(life);
    }

    /// True while writes can be taken.
    pub fn is_ready(&self) -> bool {
        !self.broken.load(Ordering::Acquire)
    }

    /// Answers a list or a get from memory.
    pub fn read(&self, call: &Call) -> Response<Bytes> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).read(call)
    }

    /// Queues a write and waits until it is durable; refuses at once where the queue is full. `lie` acknowledges and
    /// stores nothing.
    pub async fn write(&self, call: Call, uid: String, lie: bool) -> Response<Bytes> {
        let (answer, waiting) = oneshot::channel();
        let job = Job { call, uid, lie, answer };
        let Some(queue) = &self.queue else { return refuse(&stopped()) };
        match queue.try_send(job) {
            Ok(()) => waiting.await.unwrap_or_else(|_| refuse(&stopped())),
            Err(TrySendError::Full(_)) => {
                refuse(&Refusal { retry_after: Some(1), ..Refusal::new(503, "too many writes wait already") })
            }
            Err(TrySendError::Disconnected(_)) => refuse(&stopped()),
        }
    }
}

/// Finishes what is queued and closes the file.
impl Drop for Store {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there was reported where it happened; nothing is left to do here.
            let _ = thread.join();
        }
    }
}

fn stopped() -> Refusal {
    Refusal { retry_after: Some(5), ..Refusal::new(503, "the store takes no writes: the server must be restarted") }
}

struct Writer {
    state: State,
    db: Option<Database>,
    view: Arc<RwLock<View>>,
    broken: Arc<AtomicBool>,
}

impl Writer {
    fn run(&mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut jobs = vec![first];
            while jobs.len() < MAX_BATCH
                && let Ok(job) = queue.try_recv()
            {
                jobs.push(job);
            }
            self.batch(jobs);
        }
    }

    fn batch(&mut self, jobs: Vec<Job>) {
        if self.broken.load(Ordering::Acquire) {
            return jobs.into_iter().for_each(|job| drop(job.answer.send(refuse(&stopped()))));
        }
        let fence = self.state.fence();
        let mut done: Vec<(Decision, oneshot::Sender<Response<Bytes>>)> = Vec::with_capacity(jobs.len());
        for job in jobs {
            let mut decision = self.state.decide(&job.call, &job.uid);
            if job.lie && !decision.deltas.is_empty() {
                decision.deltas.clear();
                self.state.skip();
            }
            self.state.apply(&decision);
            done.push((decision, job.answer));
        }
        let changed = self.state.fence() != fence || done.iter().any(|(d, _)| !d.deltas.is_empty());
        if changed && self.commit(&done).is_err() {
            // The state in memory is ahead of the disk now, and nobody can tell by how much. What was published and
            // answered before is durable; from here on only a restart, which reads the disk again, makes sense.
            self.broken.store(true, Ordering::Release);
            return done.into_iter().for_each(|(_, answer)| drop(answer.send(refuse(&stopped()))));
        }
        if changed {
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            done.iter().flat_map(|(decision, _)| &decision.deltas).for_each(|delta| view.apply(delta));
        }
        for (decision, answer) in done {
            // Whoever asked may have gone; the write stands.
            let _ = answer.send(decision.response);
        }
    }

    fn commit(&self, done: &[(Decision, oneshot::Sender<Response<Bytes>>)]) -> Result<(), redb::Error> {
        let Some(db) = &self.db else { return Ok(()) };
        let mut transaction = db.begin_write()?;
        // One-phase commits trust checksums to find a torn write; two phases need no trust.
        transaction.set_two_phase_commit(true);
        {
            let mut items = transaction.open_table(ITEMS)?;
            for delta in done.iter().flat_map(|(decision, _)| &decision.deltas) {
                let key = format!("{}/{}", delta.kind, delta.name);
                match &delta.item {
                    Some(item) => items.insert(key.as_str(), &*item.body)?,
                    None => items.remove(key.as_str())?,
                };
            }
            let mut meta = transaction.open_table(META)?;
            meta.insert("revision", self.state.view().revision())?;
            meta.insert("fence", self.state.fence())?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn load(folder: &Path, schema: Schema) -> Result<(Database, State), String> {
    let words = |e: redb::Error| e.to_string();
    let db = Database::builder()
        .set_check_integrity_on_open(true)
        .create(folder.join("ctl.redb"))
        .map_err(|e| words(e.into()))?;
    prepare(&db).map_err(words)?;
    let (meta, format, bodies) = read_all(&db).map_err(words)?;
    if format != FORMAT {
        return Err(format!("it is of format {format}, and this program reads format {FORMAT}"));
    }
    let mut items = Vec::with_capacity(bodies.len());
    for (key, body) in bodies {
        let kind = key.split('/').next().unwrap_or_default();
        if !schema.kinds.contains_key(kind) {
            return Err(format!(
                "it holds `{key}`, and no kind `{kind}` is described: give the --kinds file that has it"
            ));
        }
        let item =
            Item::stored(&body).filter(|item| key == format!("{kind}/{}", item.name) && item.revision <= meta.revision);
        items.push((kind.to_owned(), item.ok_or_else(|| format!("`{key}` is damaged"))?));
    }
    Ok((db, State::load(Arc::new(schema), meta.revision, meta.fence, items)))
}

fn prepare(db: &Database) -> Result<(), redb::Error> {
    let mut transaction = db.begin_write()?;
    transaction.set_two_phase_commit(true);
    {
        transaction.open_table(ITEMS)?;
        let mut meta = transaction.open_table(META)?;
        if meta.get("format")?.is_none() {
            meta.insert("format", FORMAT)?;
        }
    }
    transaction.commit()?;
    Ok(())
}

type Stored = (Meta, u64, Vec<(String, Vec<u8>)>);

fn read_all(db: &Database) -> Result<Stored, redb::Error> {
    let transaction = db.begin_read()?;
    let table = transaction.open_table(META)?;
    let number = |key: &str| -> Result<u64, redb::Error> { Ok(table.get(key)?.map_or(0, |v| v.value())) };
    let meta = Meta { revision: number("revision")?, fence: number("fence")? };
    let format = number("format")?;
    let mut bodies = Vec::new();
    for row in transaction.open_table(ITEMS)?.iter()? {
        let (key, body) = row?;
        bodies.push((key.value().to_owned(), body.value().to_vec()));
    }
    Ok((meta, format, bodies))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::server::{Action, Conditions, Document};

    fn put(name: &str) -> Call {
        let document = Document { labels: BTreeMap::new(), spec: BTreeMap::new() };
        let action = Action::Put(name.to_owned(), document, None);
        Call { kind: "service".to_owned(), action, conditions: Conditions::default() }
    }

    fn get(name: &str) -> Call {
        Call { action: Action::Get(name.to_owned()), ..put(name) }
    }

    #[tokio::test]
    async fn what_was_acknowledged_is_there_after_a_restart_with_the_same_etags() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Schema::built_in(), 1000).unwrap();
        let writes = (0..50).map(|i| store.write(put(&format!("s{i}")), format!("{i:032x}"), false));
        let written = futures::future::join_all(writes).await;
        assert!(written.iter().all(|r| r.status() == 201));
        let fenced = Call {
            action: Action::Delete("s7".to_owned()),
            conditions: Conditions { fencing: Some(9), ..Conditions::default() },
            ..put("s7")
        };
        assert_eq!(store.write(fenced.clone(), String::new(), false).await.status(), 204);
        drop(store);

        let store = Store::open(folder.path(), Schema::built_in(), 1000).unwrap();
        for (i, response) in written.iter().enumerate().filter(|(i, _)| *i != 7) {
            assert_eq!(store.read(&get(&format!("s{i}"))).body(), response.body());
        }
        assert_eq!(store.read(&get("s7")).status(), 404);
        let again = store.write(put("s7"), format!("{:032x}", 7), false).await;
        assert_ne!(again.headers()["etag"], written[7].headers()["etag"], "the same content and uid, another revision");
        let late = Call { conditions: Conditions { fencing: Some(8), ..Conditions::default() }, ..fenced };
        assert_eq!(store.write(late, String::new(), false).await.status(), 412, "the fence survives");
    }

    #[tokio::test]
    async fn a_lie_is_acknowledged_and_not_stored() {
        let store = Store::memory(Schema::built_in(), 10).unwrap();
        assert_eq!(store.write(put("a"), "u".to_owned(), true).await.status(), 201);
        assert_eq!(store.read(&get("a")).status(), 404);
    }

    #[tokio::test]
    async fn data_of_an_unknown_kind_is_refused_and_never_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let wide = Schema::with("kinds: {pool: {}}", "k.yaml").unwrap();
        let store = Store::open(folder.path(), wide, 10).unwrap();
        let call = Call { kind: "pool".to_owned(), ..put("a") };
        assert_eq!(store.write(call, "u".to_owned(), false).await.status(), 201);
        drop(store);
        let refused = Store::open(folder.path(), Schema::built_in(), 10).unwrap_err().to_string();
        assert!(refused.contains("give the --kinds file"), "{refused}");
    }

    #[test]
    fn damage_is_an_error_and_never_an_empty_store() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ctl.redb"), b"not a database, but surely not empty either").unwrap();
        assert!(matches!(Store::open(folder.path(), Schema::built_in(), 10), Err(ServerError::Store { .. })));
    }
}
