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
            cycles, cpu, asked = watch.cycles(), watch.cpu(), server.counts()
            # Read by the metric only at both ends: each question to the daemon costs it something.
            time.sleep(ticks)
            spent, between = watch.cpu() - cpu, watch.cycles() - cycles
            reads, writes = bench.delta(asked, server.counts())
            tick = spent / max(between, 1)
            table = [[f"watch: a tick of {size:,} in which nothing moved", "", bench.ms(tick), f"{watch.rss():,.1f} MiB",
                      f"{reads} reads, {writes} writes in {between} cycles", f"goal: 1 ms CPU; {bench.verdict(tick <= 0.001)}"]]
            walls, costs = [], []
            for turn in range(1, 4 if bench.args.quick else 8):
                changed = [bench.write(folder, number, change=turn) for number in range(10)]
                cpu = watch.cpu()
                bench.commit(folder)
                started = time.monotonic()
                name, wanted = changed[-1].stem, bench.spec(9)["port"] + turn
                watch.until(lambda: port_of(server, name) == wanted, 30, "ten changed files")
                walls.append(time.monotonic() - started)
                time.sleep(0.2)
                costs.append(watch.cpu() - cpu)
            cost = statistics.median(costs)
            table.append([f"watch: ten changed files of {size:,}, with their ten writes", bench.ms(statistics.median(walls)),
                          bench.ms(cost), f"{watch.rss():,.1f} MiB", "", f"goal: 15 ms; {bench.verdict(cost <= 0.015)}"])
            return table


def commits(bench):
    """From a commit to the server's having it, one after the other."""
    size, many = (100, 20) if bench.args.quick else (1000, 200)
    with bench.Server("watch-commits") as server:
        folder = bench.project("watch-commits", size, server.url)
        with Watch(bench, folder, bench.scratch / "home-watch-commits") as watch:
            taken = []
            for turn in range(1, many + 1):
                number = turn % size
                path = bench.write(folder, number, change=turn)
                bench.commit(folder)
                started = time.monotonic()
                wanted = bench.spec(number)["port"] + turn
                watch.until(lambda: port_of(server, path.stem) == wanted, 30, f"commit {turn}")
                taken.append(time.monotonic() - started)
            taken.sort()
            p50, p99 = taken[len(taken) // 2], taken[min(len(taken) - 1, len(taken) * 99 // 100)]
            return [[f"watch: commit to converged, {many} commits", f"p50 {bench.ms(p50)}, p99 {bench.ms(p99)}", "",
                     f"{watch.rss():,.1f} MiB", "", f"goal: 100 and 500 ms; {bench.verdict(p50 <= 0.1 and p99 <= 0.5)}"]]


def growth(bench):
    """Memory over many cycles in which nothing moves."""
    warm, many = (20, 100) if bench.args.quick else (200, 2000)
    with bench.Server("watch-growth") as server:
        folder = bench.project("watch-growth", 100, server.url)
        with Watch(bench, folder, bench.scratch / "home-watch-growth") as watch:
            for _ in range(warm):
                watch.look()
            before = watch.rss()
            for _ in range(many):
                watch.look()
            grown = watch.rss() - before
            return [[f"watch: memory after {many:,} cycles more", "", "", f"{grown:+.2f} MiB", "",
                     f"goal: 1 MiB; {bench.verdict(grown <= 1.0)}"]]


def dead(bench):
    """One endpoint that takes connections and never answers, among many: what it costs the others."""
    many, turns = (5, 3) if bench.args.quick else (50, 7)
    servers = []
    try:
        servers = [bench.Server(f"watch-dead-{number}") for number in range(many)]
        folder = bench.project("watch-dead", 20, servers[0].url)
        endpoints = ", ".join(f'e{number}: "{server.url}"' for number, server in enumerate(servers))
        (folder / "ctl.yaml").write_text(
            "apiVersion: ctl/v1\nkind: Project\nmetadata: {name: bench}\nmanifests: [manifests/]\n"
            f"targets:\n  edge: {{api: ctl, endpoints: {{{endpoints}}}}}\n"
        )
        bench.commit(folder)
        taken = {False: [], True: []}
        with Watch(bench, folder, bench.scratch / "home-watch-dead", interval="5s") as watch:
            change = 0
            for _ in range(turns):
                for hangs in (False, True):
                    servers[0].process.send_signal(signal.SIGSTOP if hangs else signal.SIGCONT)
                    time.sleep(0.5 if hangs else 12)  # a probe finds the endpoint again within ten seconds
                    change += 1
                    path = bench.write(folder, 1, change=change)
                    bench.commit(folder)
                    started, wanted = time.monotonic(), bench.spec(1)["port"] + change
                    for server in servers[1:]:
                        watch.until(lambda server=server: port_of(server, path.stem) == wanted, 30, "all but the dead one")
                    taken[hangs].append(time.monotonic() - started)
            servers[0].process.send_signal(signal.SIGCONT)
        well, ill = statistics.median(taken[False]), statistics.median(taken[True])
        return [[f"watch: the last of {many - 1} other endpoints while one is dead", bench.ms(ill), "", "", "",
                 f"{ill / well:.2f}x all alive; goal: 1.05; {bench.verdict(ill <= 1.05 * well)}"]]
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
    writes = at[-count:]
    used = (count - 1) / (writes[-1] - writes[0]) / cap
    good = worst <= 1.0 and used >= 0.95
    return [[f"token bucket: {count:,} writes at {cap}/s, burst {burst}", bench.ms(run.wall), bench.ms(run.cpu), "",
             f"{len(at)} in all; at most {worst:+.1f} over the bucket in any window",
             f"{used * 100:.1f} % of the cap used; goal: never over, 95 %; {bench.verdict(good)}"]]
