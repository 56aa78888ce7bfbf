"""Runs the scenarios and writes the table. Started by `bench/run`, which builds what is measured.

Rules: every peer talks to the same kind of server process on loopback with the same data; rounds are interleaved and the
median is told; wall time comes from the monotonic clock, CPU and peak memory from wait4, requests from the server's own
count; the result of a run is checked before its time counts; a peer that is missing is "not run".
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import watch as daemon  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOT_RUN = "not run"
# Each part, what it shows, and about how long it takes where nothing else runs.
PARTS = {
    "plan": "cold and warm plans of 100, 1,000 and 10,000 unchanged resources beside the floor (1 min)",
    "create": "create all at 1, 16 and 64 connections beside wrk and xargs with curl (4 min)",
    "mixed": "1 % deleted, created and changed under 5 % conflicts (1 min)",
    "dns": "a plan on PowerDNS beside octoDNS with 1 and 16 workers, in one run of interleaved rounds (2 min)",
    "bucket": "the rate limit, as the other side sees it (15 s)",
    "watch": "the daemon: a tick, ten changed files, commit to converged, memory, a dead endpoint or target (7 min)",
}

parser = argparse.ArgumentParser(
    prog="bench/run",
    formatter_class=argparse.RawDescriptionHelpFormatter,
    description="Measures ctl beside its peers and writes the tables of docs/performance.md: all of them in about\n"
    "16 minutes, after building (some minutes more) and installing the peers (the first time).",
    epilog="parts:\n" + "\n".join(f"  {name:8} {what}" for name, what in PARTS.items())
    + "\n\nEach part has a table of its own in the page, with the day's load above it, so that one part can be measured\n"
    "again alone. A peer that cannot be installed is told as not run. With --quick nothing is written.",
)
parser.add_argument("--ctl", required=True, help=argparse.SUPPRESS)
parser.add_argument("--floor", required=True, help=argparse.SUPPRESS)
parser.add_argument("--quick", action="store_true", help="fewer rounds and no 10,000, to see that it works (4 min)")
parser.add_argument("--only", action="append", choices=list(PARTS), help="one part (repeatable)")
parser.add_argument("--any-load", action="store_true", help="start on a busy machine too: only its ratios mean something")
parser.add_argument("--rounds", type=int, help="how many rounds [default: 7, of the slow ones 3]")
parser.add_argument("--out", default=str(ROOT / "docs/performance.md"), help="the page [default: %(default)s]")
args = parser.parse_args()
ROUNDS = args.rounds or (3 if args.quick else 7)
SLOW_ROUNDS = min(ROUNDS, 3)
SIZES = [100, 1000] if args.quick else [100, 1000, 10000]
VENV = pathlib.Path(
    os.environ.get("CTL_TEST_VENV")
    or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "servers/venv"
)
scratch = pathlib.Path(tempfile.mkdtemp(prefix="ctl-bench-"))
notes = []


class NotRun(Exception):
    """A peer or a scenario cannot be measured here; the text says why."""


class Run:
    """What one finished command cost."""

    def __init__(self, command, cwd=None, env=None, codes=(0,)):
        out = open(scratch / "stdout", "w+b")
        err = open(scratch / "stderr", "w+b")
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        self.wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        self.code = process.returncode
        self.cpu = usage.ru_utime + usage.ru_stime
        self.rss = usage.ru_maxrss / 1024
        for file in (out, err):
            file.seek(0)
        self.out, self.err = out.read().decode(errors="replace"), err.read().decode(errors="replace")
        out.close()
        err.close()
        if self.code not in codes:
            last = (self.err or self.out).strip().splitlines()[-3:]
            raise NotRun(f"{pathlib.Path(command[0]).name} {command[1]} exited {self.code}: {' / '.join(last)}")


def environment(home):
    """An empty home; nothing of the caller's settings reaches what is measured."""
    env = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    env |= {"HOME": str(home), "XDG_STATE_HOME": f"{home}/state", "XDG_CACHE_HOME": f"{home}/cache"}
    env |= {"XDG_CONFIG_HOME": f"{home}/config", "GIT_CONFIG_GLOBAL": "/dev/null", "NO_COLOR": "1"}
    pathlib.Path(home).mkdir(parents=True, exist_ok=True)
    return env


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A reference server of its own, with its data on disk."""

    def __init__(self, name, faults=None, port=None, data=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = data or scratch / f"data-{name}-{self.port}"
        command = [args.ctl, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data)]
        command += ["--debug-counters"] + (["--faults", faults] if faults else [])
        self.log = open(scratch / "server.log", "ab")
        self.process = subprocess.Popen(
            command, env=environment(scratch / "server-home"), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        for _ in range(400):
            if self.process.poll() is not None:
                last = (scratch / "server.log").read_text(errors="replace").strip().splitlines()[-1:]
                raise NotRun(f"ctl serve exited {self.process.returncode}: {' '.join(last)}")
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.025)
        self.stop()
        raise NotRun("ctl serve was not ready in 10 s")

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, body, {"content-type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def counts(self):
        status, body = self.ask("GET", "/debug/requests")
        if status != 200:
            raise NotRun("ctl serve does not count requests")
        return json.loads(body)

    def total(self, kind="service"):
        return json.loads(self.ask("GET", f"/v1/{kind}?limit=1")[1])["total"]

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def delta(before, after):
    """Requests between two counts: reads and writes, without those of this program."""
    moved = {key: after.get(key, 0) - before.get(key, 0) for key in after}
    # This program's own questions are health checks and the count of a list, which it asks outside the measured part.
    moved = {key: n for key, n in moved.items() if n and "readyz" not in key and "/debug" not in key}
    reads = sum(n for key, n in moved.items() if key.startswith(("GET", "HEAD")))
    return reads, sum(moved.values()) - reads


def spec(number):
    return {
        "host": f"backend-{number:05}.internal.example.org",
        "port": 8000 + number % 1000,
        "protocol": "https",
        "path": f"/api/v2/tenants/{number % 97}/services/{number}",
        "retries": number % 5,
        "timeout": "30s",
        "enabled": number % 7 != 0,
        "description": f"Service number {number} of the benchmark; it has a text of an ordinary length.",
        "tags": ["bench", f"team-{number % 12}", f"tier-{number % 3}"],
        "options": {"balance": "least-connections", "keepalive": 60, "health": {"path": "/livez", "interval": 5}},
    }


def manifest(number, change=0):
    lines = ["apiVersion: ctl", "kind: service", "metadata:", f"  name: svc-{number:05}", "spec:"]
    for key, value in spec(number).items():
        if key == "port":
            value += change
        lines.append(f"  {key}: {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def git(folder, *words):
    env = environment(scratch / "git-home") | {f"GIT_{who}_{what}": "bench@example.org"
                                               for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", "-C", folder, "-c", "gc.auto=0", "-c", "maintenance.auto=false", *words], check=True, env=env, stdout=subprocess.DEVNULL)


def write(folder, number, change=0):
    path = folder / "manifests" / f"group-{number % 100:02}" / f"svc-{number:05}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(manifest(number, change))
    return path


def project(name, count, url):
    """A committed project of `count` services, one a file, in a hundred folders; packed, as a clone is."""
    folder = scratch / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "ctl.yaml").write_text(
        "apiVersion: ctl/v1\nkind: Project\nmetadata: {name: bench}\nmanifests: [manifests/]\n"
        f"targets:\n  edge: {{api: ctl, url: \"{url}\"}}\n"
    )
    for number in range(count):
        write(folder, number)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    git(folder, "gc", "--quiet")
    return folder


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--no-gpg-sign", "-m", "bench")


def apply(folder, env, *more, codes=(0,)):
    return Run([args.ctl, "apply", str(folder), "--yes", "-o", "json", *more], cwd=folder, env=env, codes=codes)


def plan(folder, env):
    run = Run([args.ctl, "plan", str(folder), "-o", "json"], cwd=folder, env=env)
    run.summary = json.loads(run.out)["summary"]
    return run


def changes(summary):
    return sum(summary.get(key, 0) for key in ("delete", "create", "update", "replace", "adopt", "unknown"))


def rounds(count, **contestants):
    """Runs each contestant in turn, `count` times; one that cannot run is left out with a note."""
    results = {name: [] for name in contestants}
    missing = {}
    for _ in range(count):
        for name, contestant in contestants.items():
            if name in missing:
                continue
            try:
                results[name].append(contestant())
            except (NotRun, OSError, KeyError, ValueError, subprocess.CalledProcessError) as why:
                missing[name] = why
                notes.append(f"{name}: not run: {str(why)[:300]}")
    return {name: runs for name, runs in results.items() if name not in missing}


def verdict(reached):
    return "reached" if reached else "missed"


def median(runs, what):
    return statistics.median(getattr(run, what) for run in runs)


def ms(seconds):
    return f"{seconds * 1000:,.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def ratio(ours, theirs):
    """The median of the rounds' ratios, with their range."""
    each = [a.wall / b.wall for a, b in zip(ours, theirs)]
    return f"{statistics.median(each):.2f}x ({min(each):.2f} to {max(each):.2f})"


def row(what, runs, requests="", against=""):
    if not runs:
        return [what, NOT_RUN, "", "", "", ""]
    first = [what, ms(median(runs, "wall")), ms(median(runs, "cpu")), f"{median(runs, 'rss'):,.1f} MiB"]
    return first + [requests, against]


def plans():
    """Cold plans of unchanged resources, beside the floor."""
    table, slope = [], {}
    for size in SIZES:
        with Server(f"plan-{size}") as server:
            folder = project(f"plan-{size}", size, server.url)
            env = environment(scratch / f"home-plan-{size}")
            apply(folder, env)
            if server.total() != size:
                raise NotRun(f"{server.total()} of {size} resources are there")
            cache = pathlib.Path(env["XDG_CACHE_HOME"])
            asked = {}

            def measured(name, cold):
                if cold:
                    shutil.rmtree(cache, ignore_errors=True)
                before = server.counts()
                run = plan(folder, env)
                asked[name] = delta(before, server.counts())
                if changes(run.summary) or run.summary["unchanged"] != size:
                    raise NotRun(f"the plan is not empty: {run.summary}")
                return run

            def floor():
                run = Run([args.floor, str(folder), f"{server.url}/v1/service"])
                if run.out.split() != [str(size), "desired,", str(size), "observed"]:
                    raise NotRun(f"the floor read something else: {run.out}")
                return run

            got = rounds(ROUNDS, cold=lambda: measured("cold", True), floor=floor, warm=lambda: measured("warm", False))
            for name, words in (("cold", "cold"), ("warm", "parse cache warm")):
                runs = got.get(name)
                requests = "{} reads, {} writes".format(*asked[name]) if runs else ""
                against = f"{ratio(runs, got['floor'])} floor" if runs and "floor" in got else ""
                table.append(row(f"plan, {size:,} unchanged, {words}", runs, requests, against))
            table.append(row(f"floor, {size:,}", got.get("floor")))
            if "cold" in got:
                slope[size] = median(got["cold"], "rss")
    if len(slope) > 1:
        small, large = min(n for n in slope if n >= 1000) if 1000 in slope else min(slope), max(slope)
        if large > small:
            per = (slope[large] - slope[small]) * 1024 / (large - small)
            notes.append(f"Memory of a plan: {slope[min(slope)]:.1f} MiB at {min(slope):,} resources, "
                         f"{per:.2f} KiB for each further one (from {small:,} to {large:,}).")
    return table


def creates():
    """Create all, beside wrk with the same bodies and beside a process per request."""
    table = []
    size = 1000 if args.quick else 10000
    bodies = scratch / "bodies.lua"
    lines = [json.dumps(json.dumps({"spec": spec(number)})) for number in range(1000)]
    bodies.write_text(
        "local bodies = {" + ",\n".join(lines) + "}\n"
        "local threads = 0\n"
        "function setup(thread) thread:set('id', threads); threads = threads + 1 end\n"
        "function init() at = 0 end\n"
        "function request()\n"
        "  at = at + 1\n"
        "  local path = string.format('/v1/service/wrk-%d-%d', id, at)\n"
        "  return wrk.format('PUT', path, {['Content-Type'] = 'application/json', ['If-None-Match'] = '*'},"
        " bodies[at % #bodies + 1])\n"
        "end\n"
    )

    def created(connections):
        with Server("create") as server:
            folder = project("create", size, server.url)
            home = scratch / "home-create"
            shutil.rmtree(home, ignore_errors=True)
            before = server.counts()
            run = apply(folder, environment(home), "--concurrency", str(connections))
            run.asked = delta(before, server.counts())
            run.server = server.cpu()
            if server.total() != size:
                raise NotRun(f"{server.total()} of {size} resources are there")
            return run

    def wrk(connections):
        if not shutil.which("wrk"):
            raise NotRun("wrk is not installed")
        with Server("wrk") as server:
            threads = min(2, connections)
            run = Run(["wrk", f"-t{threads}", f"-c{connections}", "-d3s", "-s", str(bodies), server.url])
            done = int(re.search(r"(\d+) requests in", run.out)[1])
            seconds = float(re.search(r"requests in ([\d.]+)s", run.out)[1])
            if "Non-2xx" in run.out:
                raise NotRun(f"wrk was refused: {run.out[-200:]}")
            run.wall = seconds * size / done
            run.cpu = run.cpu * size / done
            return run

    def curl():
        few = 1000
        with Server("curl") as server:
            files = scratch / "curl"
            files.mkdir(exist_ok=True)
            for number in range(few):
                (files / f"svc-{number}").write_text(json.dumps({"spec": spec(number)}))
            script = (f"ls {files} | xargs -P16 -I% curl -sf -o /dev/null -X PUT -H 'content-type: application/json' "
                      f"--data-binary @{files}/% {server.url}/v1/service/%")
            run = Run(["sh", "-c", script])
            if server.total() != few:
                raise NotRun(f"{server.total()} of {few} resources are there")
            run.wall, run.cpu = run.wall * size / few, run.cpu * size / few
            return run

    shell = rounds(SLOW_ROUNDS, curl=curl).get("curl")
    for connections in (1, 16, 64):
        got = rounds(SLOW_ROUNDS if connections == 1 else ROUNDS,
                     ctl=lambda: created(connections), wrk=lambda: wrk(connections))
        ours, theirs = got.get("ctl"), got.get("wrk")
        name = f"create {size:,}, {connections} connection{'s' if connections > 1 else ''}"
        requests = "{} reads, {} writes".format(*ours[-1].asked) if ours else ""
        against = f"{ratio(ours, theirs)} wrk" if ours and theirs else ""
        table.append(row(f"{name}, record included", ours, requests, against))
        table.append(row(f"wrk, the same bodies, {connections}", theirs))
        if ours:
            notes.append(f"{name}: the server itself took {ms(median(ours, 'server'))} of CPU.")
    table.append(row("xargs -P16 curl (1,000, scaled)", shell))
    return table


def mixed():
    """1 % deleted, 1 % created, 1 % changed, and every twentieth write meets a conflict."""
    size = 1000 if args.quick else 10000
    share = size // 100

    def one():
        server = Server("mixed")
        port, data = server.port, server.data
        home = scratch / "home-mixed"
        shutil.rmtree(home, ignore_errors=True)
        env = environment(home)
        with server:
            folder = project("mixed", size, server.url)
            apply(folder, env)
        for number in range(share):
            write(folder, number).unlink()
            write(folder, size + number)
            write(folder, size // 2 + number, change=1)
        commit(folder)
        with Server("mixed", faults="conflict=0.05,seed=7", port=port, data=data) as server:
            empty = plan(folder, env)
            before = server.counts()
            # A conflict that outlives its retries is an outcome of its own (5, 3), and then the next run ends the work.
            run = apply(folder, env, codes=(0, 3, 5))
            run.asked = delta(before, server.counts())
            run.wall -= empty.wall
            if server.total() != size:
                raise NotRun(f"{server.total()} of {size} resources are there")
            return run

    runs = rounds(SLOW_ROUNDS, mixed=one).get("mixed")
    requests = "{} reads, {} writes".format(*runs[-1].asked) if runs else ""
    return [row(f"mixed change of {3 * share} in {size:,}, 5 % conflicts, less its plan", runs, requests)]


def dns():
    """A no-op plan of 100 zones of 100 records on a real DNS server, beside octoDNS."""
    zones, records = (10, 20) if args.quick else (100, 100)
    folder = scratch / "dns"
    started = subprocess.run([ROOT / "tests/servers/start", "powerdns", scratch / "powerdns"],
                             capture_output=True, text=True)
    if started.returncode:
        raise NotRun(f"the DNS server did not start: {started.stderr[-200:]}")
    try:
        said = dict(line.split("=", 1) for line in started.stdout.split())
        url, key = said["CTL_TEST_POWERDNS_URL"], said["CTL_TEST_POWERDNS_KEY"]
        subprocess.run([sys.executable, ROOT / "bench/octodns.py", folder, url, key, str(zones), str(records)], check=True)
        sync = VENV / "bin/octodns-sync"
        if not sync.exists():
            raise NotRun("octodns is not installed")
        Run([str(sync), f"--config-file={folder}/octodns/workers16.yaml", "--doit", "--force"])

        def octodns(workers):
            run = Run([str(sync), f"--config-file={folder}/octodns/workers{workers}.yaml"])
            if "No changes were planned" not in run.out + run.err:
                raise NotRun("octodns sees changes")
            return run

        work = folder / "project"
        git(work, "init", "--quiet", "--initial-branch=main")
        commit(work)
        env = environment(scratch / "home-dns") | {"BENCH_DNS_KEY": key, "CTL_CREDENTIALS": f"{folder}/credentials.yaml"}
        ready = []

        def ctl():
            if not ready:
                apply(work, env)
                ready.append(True)
            run = plan(work, env)
            if changes(run.summary) or run.summary["unchanged"] != zones * (records + 2):
                raise NotRun(f"the plan is not empty: {run.summary}")
            return run

        got = rounds(ROUNDS, ctl=ctl, one=lambda: octodns(1), sixteen=lambda: octodns(16))
    finally:
        subprocess.run([ROOT / "tests/servers/stop", scratch / "powerdns"], check=False)
    ours = got.get("ctl")
    table = [row(f"plan on a DNS server, {zones} zones of {records} records", ours)]
    for name, workers in (("one", 1), ("sixteen", 16)):
        theirs = got.get(name)
        against = f"{ratio(theirs, ours)} ctl" if ours and theirs else ""
        table.append(row(f"octoDNS, {workers} worker{'s' if workers > 1 else ''}, the same", theirs, "", against))
    return table


def watching():
    """The daemon, one scenario after the other; one that cannot be measured leaves the others their rows."""
    table = []
    for scenario in (daemon.idle, daemon.commits, daemon.growth, daemon.dead):
        try:
            table += scenario(sys.modules[__name__])
        except (NotRun, OSError, KeyError, ValueError, subprocess.CalledProcessError) as why:
            table.append([f"watch: {scenario.__name__}", NOT_RUN, "", "", "", ""])
            notes.append(f"watch: {scenario.__name__}: not run: {str(why)[:300]}")
    return table


def section(name, part):
    """The table of one part, as it stands in the page between its markers."""
    notes.clear()
    load = os.getloadavg()[0]
    try:
        table = part()
    except (NotRun, OSError, KeyError, ValueError, subprocess.CalledProcessError) as why:
        table = [[name, NOT_RUN, "", "", "", ""]]
        notes.append(f"{name}: not run: {str(why)[:300]}")
    version = Run([args.ctl, "version"], codes=range(256)).out.split("\n")[0] or "ctl"
    # The load of this program and of what it starts is in the second figure.
    busy = ": a busy machine, so only the ratios mean something" if load > 1 and args.any_load else ""
    lines = [
        f"<!-- bench: {name} -->",
        f"{version}; {time.strftime('%Y-%m-%d')}; {os.cpu_count()} cores; medians of {ROUNDS} interleaved rounds "
        f"({SLOW_ROUNDS} for the slow ones); load average {load:.2f} before, {os.getloadavg()[0]:.2f} after{busy}"
        + ("; a quick run, not for comparison" if args.quick else "") + ".",
        "",
        "| what | wall | CPU | peak memory | requests, counted by the server | beside |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    lines += ["| " + " | ".join(cells) + " |" for cells in table]
    lines += [""] + [f"* {' '.join(note.split())}" for note in dict.fromkeys(notes)]
    return "\n".join(lines + [f"<!-- bench: end of {name} -->"])


def main():
    load = os.getloadavg()[0]
    if load > 0.5 and not args.any_load:
        sys.exit(f"the load average is {load:.2f}: wait until nothing else runs, or say --any-load")
    out = pathlib.Path(args.out)
    measured = {"plan": plans, "create": creates, "mixed": mixed, "dns": dns,
                "bucket": lambda: daemon.bucket(sys.modules[__name__]), "watch": watching}
    for name, part in measured.items():
        if args.only and name not in args.only:
            continue
        print(f"measuring: {name}", file=sys.stderr)
        text = section(name, part)
        print(text, flush=True)
        if args.quick:
            continue
        # Written part by part: what was measured is kept, whatever becomes of the rest.
        page = out.read_text()
        start, end = f"<!-- bench: {name} -->", f"<!-- bench: end of {name} -->"
        if start not in page or end not in page:
            sys.exit(f"{out} has no place for {name}: put `{start}` and `{end}` on lines of their own where it goes")
        out.write_text(page[: page.index(start)] + text + page[page.index(end) + len(end):])


try:
    main()
finally:
    shutil.rmtree(scratch, ignore_errors=True)
