"""What the daemon costs and how fast it is: the figures of `ctl watch`. Used by measure.py, which passes itself as `bench`.

Every function gives rows of the table. Cycles and CPU are counted from outside: the cycles by the daemon's own metric, the
CPU from the scheduler's nanoseconds of all its threads, the requests by the server. A cycle is asked for by SIGHUP where
waiting for the interval would measure patience.
"""

import http.client
import http.server
import json
import os
import pathlib
import signal
import statistics
import subprocess
import threading
import time


class Watch:
    """A daemon over one project, with its metrics."""

    def __init__(self, bench, folder, home, interval="30s"):
        self.bench, self.port = bench, bench.free_port()
        command = [bench.args.ctl, "watch", str(folder), "--interval", interval, "-o", "json"]
        command += ["--listen", f"127.0.0.1:{self.port}"]
        self.log = open(bench.scratch / "watch.log", "wb")
        self.process = subprocess.Popen(
            command, cwd=folder, env=bench.environment(home), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        self.until(lambda: self.cycles() >= 1, 60, "its first cycle")

    def until(self, holds, seconds, what):
        end = time.monotonic() + seconds
        while not self.holds(holds):
            if self.process.poll() is not None or time.monotonic() > end:
                last = (self.bench.scratch / "watch.log").read_text(errors="replace").strip().splitlines()[-1:]
                self.stop()
                raise self.bench.NotRun(f"ctl watch did not come to {what}: {' '.join(last)[:200]}")
            time.sleep(0.002)

    @staticmethod
    def holds(claim):
        try:
            return claim()
        except OSError:
            return False

    def metric(self, name):
        """The sum of a metric over its labels."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " ")))

    def cycles(self):
        return int(self.metric("control_plane_reconciliation_seconds_count"))

    def look(self):
        """One more cycle, and waits for its end."""
        before = self.cycles()
        self.process.send_signal(signal.SIGHUP)
        self.until(lambda: self.cycles() > before, 30, "another cycle")

    def cpu(self):
        """Seconds on a processor, to the nanosecond, of the threads that live."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def rss(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def events(self, name):
        """What the daemon logged of one sort, in order."""
        lines = (self.bench.scratch / "watch.log").read_text(errors="replace").splitlines()
        return [event for event in map(json.loads, filter(lambda line: line.startswith("{"), lines)) if event.get("event") == name]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def port_of(server, name):
    """What the server holds now; none while it is not there."""
    status, body = server.ask("GET", f"/v1/service/{name}")
    return json.loads(body)["spec"]["port"] if status == 200 else None


def idle(bench):
    """A tick in which nothing moved, and a commit of ten files, beside each other."""
    size, ticks = (1000, 5) if bench.args.quick else (10000, 30)
    with bench.Server("watch-idle") as server:
        folder = bench.project("watch-idle", size, server.url)
        with Watch(bench, folder, bench.scratch / "home-watch-idle", interval="1s") as watch:
            for _ in range(3):
                watch.look()
            # What was read is looked at once more, and kept.
            time.sleep(4)
            cycles, cpu, asked = watch.cycles(), watch.cpu(), server.counts()
            # Read by the metric only at both ends: each question to the daemon costs it something.
            time.sleep(ticks)
            spent, between = watch.cpu() - cpu, watch.cycles() - cycles
            reads, writes = bench.delta(asked, server.counts())
            tick = spent / max(between, 1)
            table = [[f"watch: a tick of {size:,} in which nothing moved", "", bench.ms(tick), f"{watch.rss():,.1f} MiB",
                      f"{reads} reads, {writes} writes in {between} cycles", f"goal: 1 ms CPU; {bench.verdict(tick <= 0.001)}"]]
            costs = []
            turns = 3 if bench.args.quick else 7
            for turn in range(1, turns + 1):
                changed = [bench.write(folder, number, change=turn) for number in range(10)]
                cpu = watch.cpu()
                bench.commit(folder)
                name, wanted = changed[-1].stem, bench.spec(9)["port"] + turn
                watch.until(lambda: port_of(server, name) == wanted, 30, "ten changed files")
                time.sleep(1)
                costs.append(watch.cpu() - cpu)
            loads = watch.events("loaded")[-turns:]
            took = statistics.median(load["took_ms"] for load in loads) / 1000
            blobs = max(load["blobs_read"] for load in loads)
            good = bench.verdict(took <= 0.015 and blobs == 10)
            table.append([f"watch: to read ten changed files of {size:,}", bench.ms(took), "", f"{watch.rss():,.1f} MiB",
                          f"{blobs} blobs", f"goal: ten blobs, 15 ms; {good}"])
            table.append(["watch: all that such a commit costs, its writes and what is kept of it", "",
                          bench.ms(statistics.median(costs)), "", "", ""])
            return table


def commits(bench):
    """From a commit to the server's having it, and to the version in the record, one after the other."""
    table = []
    for size in (100,) if bench.args.quick else (100, 10000):
        table += commits_of(bench, size, 20 if bench.args.quick else 200)
    return table


def commits_of(bench, size, many):
    with bench.Server(f"watch-commits-{size}") as server:
        folder = bench.project("watch-commits", size, server.url)
        with Watch(bench, folder, bench.scratch / f"home-watch-commits-{size}") as watch:
            there, recorded, resident = [], [], []
            with open(bench.scratch / "watch.log") as log:
                log.seek(0, os.SEEK_END)
                for turn in range(1, many + 1):
                    number = turn % size
                    path = bench.write(folder, number, change=turn)
                    bench.git(folder, "add", str(path))
                    bench.git(folder, "commit", "--quiet", "--no-gpg-sign", "-m", "bench")
                    started = time.monotonic()
                    wanted = bench.spec(number)["port"] + turn
                    watch.until(lambda: port_of(server, path.stem) == wanted, 30, f"commit {turn}")
                    there.append(time.monotonic() - started)
                    # Announced once it is durable.
                    watch.until(lambda: any('"event":"version"' in line for line in log.readlines()), 30, f"version {turn}")
                    recorded.append(time.monotonic() - started)
                    resident.append(watch.rss())
            at = lambda times, share: sorted(times)[min(many - 1, int(many * share))]  # noqa: E731
            p50, p99 = at(recorded, 0.5), at(recorded, 0.99)
            # Two states are there while one takes the place of the other: the least of a quarter is what stays.
            half, end = min(resident[many // 4 : many // 2]), min(resident[many * 3 // 4 :])
            return [[f"watch: commit to converged and recorded, {many} commits, {size:,} resources",
                     f"p50 {bench.ms(p50)}, p99 {bench.ms(p99)}", "",
                     f"{end:,.1f} MiB ({end - half:+.1f} in the second half)",
                     f"the server has it: p50 {bench.ms(at(there, 0.5))}, p99 {bench.ms(at(there, 0.99))}",
                     f"goal: 100 and 500 ms; {bench.verdict(p50 <= 0.1 and p99 <= 0.5)}"]]


def growth(bench):
    """Memory of the daemon itself over many cycles: each by SIGHUP, which reads everything afresh, every tenth by a commit."""
    # The last 2,000 events are kept for `ctl events`: before they are all there memory grows by design.
    warm, cycles = (100, 200) if bench.args.quick else (2500, 2000)
    with bench.Server("watch-growth") as server:
        folder = bench.project("watch-growth", 100, server.url)
        with Watch(bench, folder, bench.scratch / "home-watch-growth") as watch:
            turns = commits = 0

            def turn(count, seen=None):
                nonlocal turns, commits
                end = watch.cycles() + count
                while (before := watch.cycles()) < end:
                    turns += 1
                    if turns % 10 == 0:
                        commits += 1
                        bench.write(folder, commits % 100, change=commits)
                        bench.commit(folder)
                    else:
                        watch.process.send_signal(signal.SIGHUP)
                    # Two that come together are one cycle.
                    enough = time.monotonic() + 3
                    while watch.cycles() <= before and time.monotonic() < enough:
                        time.sleep(0.003)
                    if seen is not None:
                        seen.append(watch.rss())

            # What is resident goes up and down with the moment: the least during an eighth of the cycles is what stays.
            def resident():
                seen = []
                turn(cycles // 8, seen)
                return min(seen)

            turn(warm)
            before, commits = resident(), 0
            turn(cycles - cycles // 8)
            grown = resident() - before
            return [[f"watch: memory after {cycles:,} cycles more, {commits} of them commits", "", "",
                     f"{before:,.1f} MiB, {grown:+.2f} MiB", "", f"goal: 1 MiB; {bench.verdict(grown <= 1.0)}"]]


def dead(bench):
    """One endpoint that takes connections and never answers, among many: what it costs the others."""
    return dead_of(bench, "endpoints") + dead_of(bench, "targets")


def dead_of(bench, what):
    many, turns = (5, 3) if bench.args.quick else (50, 10)
    servers = []
    try:
        servers = [bench.Server(f"watch-dead-{number}") for number in range(many)]
        folder = bench.project("watch-dead", 0, servers[0].url)
        if what == "endpoints":
            each = ", ".join(f'e{number}: "{server.url}"' for number, server in enumerate(servers))
            targets = f"  edge: {{api: ctl, endpoints: {{{each}}}}}\n"
        else:
            targets = "".join(f'  t{number}: {{api: ctl, url: "{s.url}"}}\n' for number, s in enumerate(servers))
        (folder / "ctl.yaml").write_text(
            f"apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: bench}}\nmanifests: [manifests/]\ntargets:\n{targets}"
        )
        (folder / "manifests").mkdir(exist_ok=True)

        # One manifest for all of them.
        bench.write(folder, 1)
        bench.commit(folder)
        taken = {"before": [], "first": [], "dead": [], "after": []}
        with Watch(bench, folder, bench.scratch / f"home-watch-dead-{what}", interval="5s") as watch:
            change = 0
            watch.until(lambda: all(port_of(server, "svc-00001") is not None for server in servers), 60, "all alive")
            for phase, times in taken.items():
                if phase in ("first", "after"):
                    servers[0].process.send_signal(signal.SIGSTOP if phase == "first" else signal.SIGCONT)
                if phase in ("dead", "after"):
                    # It is found away by a cycle, and back by a probe within ten seconds.
                    time.sleep(15)
                for _ in range(1 if phase == "first" else turns):
                    change += 1
                    bench.write(folder, 1, change=change)
                    bench.commit(folder)
                    started, wanted = time.monotonic(), bench.spec(1)["port"] + change
                    for server in servers[1:]:
                        watch.until(lambda server=server: port_of(server, "svc-00001") == wanted, 30, "all but the dead one")
                    times.append(time.monotonic() - started)
                    time.sleep(0.5)
        well, ill = statistics.median(taken["before"] + taken["after"]), statistics.median(taken["dead"])
        first = taken["first"][0]
        return [[f"watch: the last of {many - 1} other {what} while one is dead", bench.ms(ill), "", "", "",
                 f"{ill / well:.2f}x all alive ({bench.ms(well)}); goal: 1.05; {bench.verdict(ill <= 1.05 * well)}"],
                [f"watch: the same with the first commit after it died", bench.ms(first), "", "", "",
                 f"{bench.ms(first - well)} later"]]
    finally:
        for server in servers:
            server.process.send_signal(signal.SIGCONT)
            server.stop()


class Recorder(http.server.ThreadingHTTPServer):
    """Passes every request on to `server` and remembers when it came."""

    daemon_threads = True

    def __init__(self, server):
        self.moments, local = [], threading.local()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def pass_on(self):
                moments.append(time.monotonic())
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if not hasattr(local, "connection"):
                    local.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length")}
                local.connection.request(self.command, self.path, body or None, headers)
                answer = local.connection.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(key, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_DELETE = do_POST = do_HEAD = pass_on

            def log_message(self, *_):
                pass

        moments = self.moments
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def bucket(bench):
    """The rate limit, seen from the other side: never above it in any window, and nearly all of it used."""
    cap, burst, count = (100, 20, 200) if bench.args.quick else (200, 50, 2000)
    with bench.Server("bucket") as server:
        recorder = Recorder(server)
        try:
            url = f"http://127.0.0.1:{recorder.server_address[1]}"
            folder = bench.project("bucket", count, url)
            text = (folder / "ctl.yaml").read_text().replace("{api: ctl,", f"{{api: ctl, rate: {cap}/s, burst: {burst},")
            (folder / "ctl.yaml").write_text(text)
            bench.commit(folder)
            run = bench.apply(folder, bench.environment(bench.scratch / "home-bucket"), "--concurrency", "16")
            if server.total() != count:
                raise bench.NotRun(f"{server.total()} of {count} resources are there")
        finally:
            recorder.shutdown()
            recorder.server_close()
    at = sorted(recorder.moments)
    # The fullest window of every length: from any request to any later one. A window that holds n requests and ends with
    # the last of them is as long as they are apart; what the way adds in jitter is allowed one request.
    worst = 0.0
    for first in range(0, len(at), 7):
        for last in range(first, len(at)):
            worst = max(worst, (last - first + 1) - ((at[last] - at[first]) * cap + burst))
    # What the bucket held at the start is no part of the cap.
    used = (len(at) - burst) / (at[-1] - at[0]) / cap
    good = worst <= 1.0 and used >= 0.95
    return [[f"token bucket: {count:,} writes at {cap}/s, burst {burst}", bench.ms(run.wall), bench.ms(run.cpu), "",
             f"{len(at)} in all; at most {worst:+.1f} over the bucket in any window",
             f"{used * 100:.1f} % of the cap used; goal: never over, 95 %; {bench.verdict(good)}"]]
