//! From the arguments to a watcher that turns.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::board::{Ask, Beginning, Board};
use super::cycle::{Basis, Locks};
use super::desired::{Asked, Desired};
use super::folder::Folder;
use super::leading::{Leading, not_shared};
use super::log::{Form, Log};
use super::manager::Manager;
use super::orders::Kept;
use super::sharing::keep_hearing;
use super::turn::{Come, Stand, Turn};
use crate::cli::args::{Election, LogFormat, WatchArgs};
use crate::cli::fleet::Listener;
use crate::cli::remote::{Address, watch_dir};
use crate::cli::{Context, Exit, Notifier, Stop, load};
use crate::daemon::{Access, Config, Daemon};
use crate::event::{Level, News};
use crate::metrics::Metrics;
use crate::model::{Diagnostic, Secret};
use crate::net::without_credentials;
use crate::reconcile::{Here, Machine, Pace};
use crate::source::{Source, SourceOptions, locate};
use crate::store::current_process;

/// What arrives at the loop and waits: a cycle and a look for each target, and some.
const ARRIVALS: usize = 4096;
/// Orders that wait.
const ORDERS: usize = 64;
/// The largest token or secret that is read from a file.
const SMALL: u64 = 64 << 10;

/// Watches until it is told to stop.
pub(in crate::cli) async fn run(ctx: &Context, args: &WatchArgs, cancel: &CancellationToken) -> Result<Exit, Stop> {
    check(args)?;
    in_small_pages();
    let ctx = Arc::new(ctx.clone());
    let leave = cancel.child_token();
    let mut locks: BTreeMap<PathBuf, Arc<Locks>> = BTreeMap::new();
    let mut watching = FuturesUnordered::new();
    for (n, source) in args.sources.iter().enumerate() {
        let place = {
            let (ctx, source) = (Arc::clone(&ctx), source.clone());
            let finding = tokio::task::spawn_blocking(move || place(&ctx, &source));
            // It may fetch, and a fetch may hang.
            let found = tokio::select! {
                found = finding => found,
                () = cancel.cancelled() => return Ok(Exit::Done),
            };
            found.map_err(|e| failed("state-folder", &e.to_string()))??
        };
        // Projects of one repository share its lock, as the cycles of one project do.
        let locks = Arc::clone(locks.entry(place.repository.clone()).or_default());
        watching.push(watch(Arc::clone(&ctx), args, One { source, n, place, locks }, leave.clone()));
    }
    let mut end = Ok(Exit::Done);
    while let Some(one) = watching.next().await {
        if one.is_err() {
            // One that cannot begin is a slip of whoever started all of them: the others end well, and it is said.
            leave.cancel();
        }
        end = match (end, one) {
            (Ok(all), Ok(one)) => Ok(all.and(one)),
            (Err(stop), _) | (Ok(_), Err(stop)) => Err(stop),
        };
    }
    end
}

/// Keeps the memory of a process that stays in small pages.
///
/// Each target has a cycle on a thread of its own, and each thread a heap: a huge page for each would be most of what fifty
/// targets take (300 MiB in place of 70), and a watcher is not measurably slower without them. Where it cannot be done that
/// is all that happens.
fn in_small_pages() {
    #[cfg(target_os = "linux")]
    rustix::thread::disable_transparent_huge_pages(true).ok();
}

/// One of the projects that are watched.
struct One<'a> {
    source: &'a str,
    /// Which, from 0.
    n: usize,
    place: Place,
    locks: Arc<Locks>,
}

/// Where a watcher keeps what it needs, and for which repository.
struct Place {
    dir: PathBuf,
    repository: PathBuf,
}

async fn watch(ctx: Arc<Context>, args: &WatchArgs, one: One<'_>, cancel: CancellationToken) -> Result<Exit, Stop> {
    let One { source, n, place: Place { dir, .. }, locks } = one;
    let taken = Folder::take(dir.clone()).map_err(|e| failed("state-folder", &format!("{}: {e}", dir.display())))?;
    let Some(folder) = taken else {
        let message = "another watcher of this project runs on this machine, with this state folder";
        let help =
            "`ctl status` shows how it stands; a second one that takes over needs --election and a --state of its own";
        return Err(Stop::with(Exit::Locked, Diagnostic::error("watcher-runs", message).help(help)));
    };
    let orders = Kept::read(&folder).map_err(|e| {
        let message = format!("the orders of an earlier watcher cannot be read: {e}");
        let help = format!("see {}; remove it if nothing in it is to hold any more", dir.join("orders.json").display());
        Stop::with(Exit::Failed, Diagnostic::error("orders-unreadable", message).help(help))
    })?;
    let elected = args.election == Election::Etcd;
    let now = ctx.clock.boot();
    let machine = Machine::new(pace(args, source), args.dry_run, elected, ctx.entropy.next(), now);
    let (asks_in, asks) = mpsc::channel(ORDERS);
    let notifier = match n {
        0 => Notifier::new(&ctx.env, std::process::id()).unwrap_or_else(|warning| {
            ctx.tell(&[warning]);
            Notifier::default()
        }),
        // The service manager knows one service, and the first project speaks for it.
        _ => Notifier::default(),
    };
    let board = Arc::new(Board::new(Beginning {
        clock: ctx.clock.clone(),
        mode: if args.dry_run { "dry-run" } else { "watch" },
        source: without_credentials(source),
        folder,
        orders,
        machine,
        metrics: Metrics::new(&[], elected, env!("CARGO_PKG_VERSION")),
        log: log(&ctx, args),
        asks: asks_in.clone(),
    }));
    let desired = {
        let heard = Arc::clone(&board);
        let listener: Listener = Arc::new(move |target, endpoint, exchange| {
            heard.say(&News::Request {
                target: target.clone(),
                endpoint: endpoint.clone(),
                method: exchange.method.clone(),
                path: exchange.path.clone(),
                status: exchange.status,
                took: exchange.took,
                error: exchange.error.clone(),
                answer: exchange.answer.clone(),
            });
        });
        let asked = Asked { globs: args.targets.clone(), limits: args.limits.clone(), listener, locks };
        Desired::new(&ctx, source, dir, asked)?
    };
    let desired = Arc::new(Mutex::new(desired));
    let changes = desired.lock().unwrap_or_else(std::sync::PoisonError::into_inner).changes();
    if let Some(why) = changes.is_blind() {
        let message =
            format!("commits are noticed by the interval only, because the repository cannot be watched: {why}");
        board.say(&News::Note { level: Level::Warn, message });
    }
    let served = CancellationToken::new();
    let serving = match &args.listen {
        Some(listen) => Some(serve(&ctx, args, (listen, n), &board, served.clone()).await?),
        None => None,
    };
    let (come_in, come) = mpsc::channel(ARRIVALS);
    let reload = tokio::spawn(reload(asks_in));
    let hearing = elected.then(|| tokio::spawn(keep_hearing(Arc::clone(&board), args.interval)));
    let turn = Turn {
        stand: elected.then(|| stand(Arc::clone(&ctx), args.etcd.clone(), come_in.clone())),
        here: Here { process: current_process(&ctx.user()), token: None },
        manager: Manager::new(notifier, ctx.clock.clone()),
        board: Arc::clone(&board),
        desired,
        changes,
        leading: None,
        once: args.once,
        interval: args.interval,
        come: (come_in, come),
        asks,
        cancel: cancel.child_token(),
        basis: None,
        pinned: BTreeMap::new(),
        running: BTreeMap::new(),
        warm: BTreeMap::new(),
        outdated: std::collections::BTreeSet::new(),
        probes: BTreeMap::new(),
        over: std::collections::BTreeSet::new(),
        exit: Exit::Done,
        draining: CancellationToken::new(),
        ctx,
    };
    // On a thread of the runtime, where its timers and what arrives are: the one that waits here for the end would have to
    // be woken for each turn.
    let exit = match tokio::spawn(turn.run()).await {
        Ok(exit) => exit,
        Err(broke) => std::panic::resume_unwind(broke.into_panic()),
    };
    reload.abort();
    if let Some(hearing) = hearing {
        hearing.abort();
    }
    board.folder.leave();
    served.cancel();
    if let Some(serving) = serving {
        drop(serving.await);
    }
    // A watcher that was told to stop did what it was told; how its targets stand is in its log and status.
    exit.map(|exit| if args.once { exit } else { Exit::Done })
}

fn check(args: &WatchArgs) -> Result<(), Stop> {
    match (args.election, args.etcd.is_empty()) {
        (Election::Etcd, true) => {
            let help = "name the members: --etcd http://10.0.0.1:2379,http://10.0.0.2:2379";
            Err(usage("no-etcd", "--election etcd needs the addresses of etcd".to_owned(), help))
        }
        (Election::None, false) => {
            let help = "add --election etcd, or leave --etcd out";
            Err(usage("no-election", "--etcd means nothing without an election".to_owned(), help))
        }
        _ if args.webhook_secret_file.is_some() && args.listen.is_none() => {
            let help = "add --listen ADDR";
            Err(usage("no-listener", "a webhook needs an address to arrive at".to_owned(), help))
        }
        _ => Ok(()),
    }
}

/// A local repository is looked at as soon as it moves; a remote one costs a fetch.
fn pace(args: &WatchArgs, source: &str) -> Pace {
    let pace = Pace::every(args.interval);
    let remote = source.contains("://") || source.contains("::");
    match remote {
        true => pace,
        false => Pace { look_gap: std::time::Duration::from_millis(5), ..pace },
    }
}

fn log(ctx: &Context, args: &WatchArgs) -> Log {
    let form = match args.output {
        Some(LogFormat::Text) => Form::Text,
        Some(LogFormat::Json) => Form::Json,
        None if ctx.err_is_terminal => Form::Text,
        None => Form::Json,
    };
    Log { form, loud: ctx.verbose > 0 }
}

/// Where this watcher keeps what it needs. A URL that was never fetched is fetched for it: its mirror is part of the name.
fn place(ctx: &Context, source: &str) -> Result<Place, Stop> {
    let text = load::located(ctx, source);
    let found = locate(&text, &ctx.state).map_err(|e| load::stop(&e))?;
    let found = match found {
        Some(found) => Some(found),
        None => {
            let options = SourceOptions {
                git: load::git(ctx),
                state_dir: ctx.state.clone(),
                limits: crate::model::Limits::default(),
            };
            // What is wrong with it is said by the first look, which comes next.
            drop(Source::open(&text, None, options));
            locate(&text, &ctx.state).map_err(|e| load::stop(&e))?
        }
    };
    let (common_dir, project) = found.unwrap_or_else(|| (PathBuf::from(without_credentials(&text)), String::new()));
    Ok(Place { dir: watch_dir(&ctx.state, &common_dir, &project), repository: common_dir })
}

/// Opens the listener and says where it is.
async fn serve(
    ctx: &Context,
    args: &WatchArgs,
    (listen, n): (&str, usize),
    board: &Arc<Board>,
    stop: CancellationToken,
) -> Result<tokio::task::JoinHandle<()>, Stop> {
    let bad = |why: String| {
        let help = "write an address and a port, such as 127.0.0.1:9090";
        Stop::with(Exit::Failed, Diagnostic::error("listen", format!("cannot listen on {listen}: {why}")).help(help))
    };
    let addr: SocketAddr = listen.parse().map_err(|_| {
        usage("bad-address", format!("`{listen}` is no address"), "write 127.0.0.1:9090, or [::1]:9090")
    })?;
    // Each project has a port of its own, in the order in which they were named.
    let port = match (addr.port(), u16::try_from(n)) {
        (0, _) => 0,
        (port, Ok(n)) => {
            port.checked_add(n).ok_or_else(|| bad("there is no port left for another project".to_owned()))?
        }
        (_, Err(e)) => return Err(bad(e.to_string())),
    };
    let addr = SocketAddr::new(addr.ip(), port);
    let listener = tokio::net::TcpListener::bind(addr).await.map_err(|e| bad(e.to_string()))?;
    let secret = |file: &Option<PathBuf>| file.as_deref().map(|file| read_secret(ctx, file)).transpose();
    let (read, mut write) = (secret(&args.read_token_file)?, secret(&args.token_file)?);
    if write.is_none() && addr.ip().is_loopback() {
        // Whoever can read the state folder may give orders: the person who started this, and no other user of the
        // machine.
        let token: String = (0..4).map(|_| format!("{:016x}", ctx.entropy.next())).collect();
        board.folder.write("token", token.as_bytes()).map_err(|e| bad(e.to_string()))?;
        write = Some(Secret::new(token));
    }
    let config = Config {
        access: Access { read, write },
        webhook: secret(&args.webhook_secret_file)?,
        clock: ctx.clock.clone(),
    };
    let control: Arc<Board> = Arc::clone(board);
    let daemon = Daemon::new(listener, control, &config).map_err(|e| {
        let help = "give --token-file FILE (and --read-token-file FILE), or listen on 127.0.0.1";
        Stop::with(Exit::Refused, Diagnostic::error("listen", e.to_string()).help(help))
    })?;
    let addr = daemon.addr().map_err(|e| bad(e.to_string()))?;
    let here = if addr.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], addr.port())) } else { addr };
    let address = Address { url: format!("http://{here}"), pid: std::process::id() };
    board.folder.announce(&address).map_err(|e| bad(e.to_string()))?;
    let message = format!("listening on http://{addr}");
    board.say(&News::Note { level: Level::Info, message });
    Ok(tokio::spawn(async move { daemon.serve(stop.cancelled_owned()).await }))
}

/// SIGHUP: read the operator's file again, and look.
async fn reload(asks: mpsc::Sender<Ask>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        // If orders wait already, the look that they cause comes anyway; the next signal is heard again.
        drop(asks.try_send(Ask::Reload));
    }
}

/// Begins the election once the project is known, if its record is one that all watchers see.
fn stand(ctx: Arc<Context>, members: Vec<String>, come: mpsc::Sender<Come>) -> Stand {
    Box::new(move |basis: &Arc<Basis>, targets| {
        let project = &basis.loaded.project;
        if let Some(stop) = targets.iter().find_map(|target| not_shared(basis, target)) {
            return Err(stop);
        }
        let process = current_process(&ctx.user());
        // The place tells people two projects of one name apart; see `docs/packaging.md`.
        let source = &basis.loaded.source;
        let place = source.url().map_or_else(|| source.common_dir().display().to_string(), without_credentials);
        let me = format!("{} on {}, process {}, for {place}", process.who, process.host, process.pid);
        let (leading, mut events) = Leading::start(&ctx, &members, &project.name, targets.clone(), me)?;
        let come = come.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if come.send(Come::Election(event)).await.is_err() {
                    return;
                }
            }
        });
        Ok(leading)
    })
}

fn read_secret(ctx: &Context, file: &Path) -> Result<Secret, Stop> {
    let path = ctx.path(file);
    let bad = |why: String| {
        let message = format!("{} cannot be used as a secret: {why}", path.display());
        let help = "put a long random text into a file that only you can read";
        Stop::with(Exit::Usage, Diagnostic::error("secret-file", message).help(help))
    };
    let size = std::fs::metadata(&path).map_err(|e| bad(e.to_string()))?.len();
    if size > SMALL {
        return Err(bad(format!("it has {size} bytes")));
    }
    let text = std::fs::read_to_string(&path).map_err(|e| bad(e.to_string()))?;
    match text.trim() {
        "" => Err(bad("it is empty".to_owned())),
        text => Ok(Secret::new(text)),
    }
}

fn usage(code: &'static str, message: String, help: &str) -> Stop {
    Stop::with(Exit::Usage, Diagnostic::error(code, message).help(help))
}

fn failed(code: &'static str, message: &str) -> Stop {
    let help = "choose a folder that can be written with --state DIR";
    Stop::with(Exit::Failed, Diagnostic::error(code, message.to_owned()).help(help))
}
