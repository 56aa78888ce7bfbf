#!/usr/bin/env bash
# The record under faults: real clones of depth 1, a real bare remote, a real server, the real binary.
#
#   CTL=target/release/ctl tests/record.sh [case …]
#
# Each case has a remote, a server and clones of its own. Whatever goes wrong in it: never an older commit over a newer
# one, nothing lost, the exit code of the table, no manual unlock. Needs bash, git and curl; no network.
# What `eval` is given is expanded when it is asked, not when it is written down.
# shellcheck disable=SC2016
set -u

CTL=${CTL:-target/debug/ctl}
CTL=$(cd "$(dirname "$CTL")" && pwd)/$(basename "$CTL")
ROOT=$(mktemp -d)
REF=refs/ctl/records/shop/edge
passed=0 failed=0
servers=()

export HOME=$ROOT/home GIT_CONFIG_NOSYSTEM=1 NO_PROXY='*' LANG=C.UTF-8
export GIT_AUTHOR_NAME=Test GIT_AUTHOR_EMAIL=test@example.invalid
export GIT_COMMITTER_NAME=Test GIT_COMMITTER_EMAIL=test@example.invalid
unset CI XDG_STATE_HOME XDG_CONFIG_HOME XDG_CACHE_HOME CTL_STATE CTL_CREDENTIALS CTL_CREDENTIALS_YAML
mkdir "$HOME"

# shellcheck disable=SC2317
cleanup() {
  for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null; done
  if [ -n "${KEEP:-}" ]; then echo "kept: $ROOT" >&2; else rm -rf "$ROOT"; fi
}
trap cleanup EXIT

pass() { passed=$((passed + 1)); echo "ok    $*"; }
fail() { failed=$((failed + 1)); echo "FAIL  $*"; sed 's/^/        /' "$OUT" 2>/dev/null | tail -25; }
# claim WORDS -- COMMAND: the command says whether it holds.
claim() {
  local words=$1; shift 2
  if "$@"; then pass "$CASE: $words"; else fail "$CASE: $words"; fi
}

# --- one case's world -------------------------------------------------------------------------------------------------

# world NAME [FAULTS]: a remote with one commit of six services, and a server.
world() {
  CASE=$1 W=$ROOT/$1 OUT=$ROOT/$1/out
  mkdir -p "$W"
  git init --quiet --bare --initial-branch=main "$W/remote.git"
  serve 127.0.0.1:0 "${2:-}"
  git init --quiet --initial-branch=main "$W/author"
  git -C "$W/author" remote add origin "file://$W/remote.git"
  project "$W/author"
  services "$W/author" 1 6 80
  push_commit first
}

# project DIR [RECORD]
project() {
  mkdir -p "$1/manifests"
  cat >"$1/ctl.yaml" <<YAML
apiVersion: ctl/v1
kind: Project
metadata: {name: shop}
manifests: [manifests/]
${2-record: {push: origin\}}
targets:
  edge: {api: ctl, url: "$URL"}
YAML
}

# services DIR FROM TO PORT: one manifest each.
services() {
  local n
  for n in $(seq "$2" "$3"); do
    cat >"$1/manifests/s$n.yaml" <<YAML
apiVersion: ctl
kind: service
metadata: {name: s$n}
spec: {host: "s$n.internal", port: $4, protocol: http}
YAML
  done
}

# push_commit MESSAGE [REF]: commits everything in the author's clone and pushes it; the id is in $COMMIT.
push_commit() {
  git -C "$W/author" add -A
  git -C "$W/author" commit --quiet --allow-empty -m "$1"
  git -C "$W/author" push --quiet --force origin "HEAD:${2:-main}"
  COMMIT=$(git -C "$W/author" rev-parse HEAD)
}

# serve ADDR [FAULTS]: starts the server of this case, at $URL.
serve() {
  : >"$W/url"
  "$CTL" serve --listen "$1" --data "$W/data" --debug-counters ${2:+--faults "$2"} >"$W/url" 2>"$W/server.log" &
  SERVER=$!
  servers+=("$SERVER")
  for _ in $(seq 200); do [ -s "$W/url" ] && break; sleep 0.05; done
  URL=$(cat "$W/url")
}
stop_server() { kill "$SERVER"; wait "$SERVER" 2>/dev/null; }
serve_again() { stop_server; serve "${URL#http://}" ""; }

# clone NAME [BRANCH]: a clone of depth 1, as CI has it.
clone() {
  rm -rf "${W:?}/$1"
  git clone --quiet --depth 1 --branch "${2:-main}" "file://$W/remote.git" "$W/$1"
}

# ctl CLONE ARGS…: each clone is a machine of its own, with its own state folder. Output in $OUT, the code in $CODE.
ctl() {
  local dir=$1; shift
  "$CTL" -C "$W/$dir" --state "$W/$dir.state" "$@" >"$OUT" 2>&1
  CODE=$?
}
apply() { local dir=$1; shift; ctl "$dir" apply --yes "$@"; }
# run CLONE OUTPUT ARGS…: the same in the background; $! is ctl itself.
run() { local dir=$1 out=$2; shift 2; "$CTL" -C "$W/$dir" --state "$W/$dir.state" "$@" >"$out" 2>&1 & }

# --- what stands ------------------------------------------------------------------------------------------------------

code() { [ "$CODE" = "$1" ] || { echo "        exit $CODE, not $1"; false; }; }
says() { grep -qF -- "$1" "$OUT"; }
remote() { git --git-dir "$W/remote.git" "$@"; }
live() { curl -s "$URL/v1/service?limit=1000" | grep -o '"name":"[^"]*"' | cut -d'"' -f4 | sort; }
ports() { curl -s "$URL/v1/service?limit=1000" | grep -o '"port":[0-9]*' | sort -u | cut -d: -f2 | tr '\n' ' '; }
writes() { curl -s "$URL/debug/requests" | grep -oE '"(PUT|POST|DELETE|PATCH) [^"]*":[0-9]+' | grep -oE '[0-9]+$' | paste -sd+ | bc; }
recorded() {
  remote ls-tree -r --name-only $REF | grep 'jsonl$' | while read -r file; do remote show "$REF:$file"; done |
    grep -o '"key":\["[^"]*"\]' | cut -d'"' -f4 | sort
}
intents() { remote ls-tree -r --name-only $REF 2>/dev/null | grep -c '^intents/'; }
head_commit() { remote show $REF:head.json | grep -o '"commit":"[^"]*"' | cut -d'"' -f4; }
declared() { find "$W/$1/manifests" -name '*.yaml' -printf '%f\n' | sed 's/\.yaml$//' | sort; }
# What is declared is live and recorded, each once, and nobody holds the record.
converged() {
  local want; want=$(declared "$1")
  [ "$(live)" = "$want" ] || { echo "        live: $(live | tr '\n' ' ')"; return 1; }
  [ "$(recorded)" = "$want" ] || { echo "        recorded: $(recorded | tr '\n' ' ')"; return 1; }
  [ "$(intents)" = 0 ] || { echo "        an intent is left"; return 1; }
}
# until_done CLONE: runs again until it says 0, at most 3 times.
until_done() {
  for _ in 1 2 3; do apply "$1"; [ "$CODE" = 0 ] && return 0; done
  echo "        still exit $CODE"; return 1
}
# hook BODY: what the remote asks before it takes a push.
hook() { printf '#!/bin/sh\n%s\n' "$1" >"$W/remote.git/hooks/pre-receive"; chmod +x "$W/remote.git/hooks/pre-receive"; }
no_hook() { rm -f "$W/remote.git/hooks/pre-receive"; }
# wait_for COMMAND…: until it says yes, a minute at most.
wait_for() {
  local end=$((SECONDS + 60))
  until "$@"; do [ $SECONDS -ge $end ] && return 1; sleep 0.02; done
}
has_live() { [ "$(live | wc -l)" -ge "$1" ]; }

# --- the cases --------------------------------------------------------------------------------------------------------

case_first_apply_and_a_second() {
  world first_apply
  clone a; apply a
  claim "the first apply writes all" -- code 0
  claim "declared, live and recorded are the same" -- converged a
  local n; n=$(writes); apply a
  claim "the second changes nothing" -- code 0
  claim "and writes nothing" -- [ "$(writes)" = "$n" ]
  services "$W/author" 3 3 81; push_commit second
  clone b; apply b
  claim "a newer commit from another shallow clone passes" -- code 0
  claim "and is recorded" -- [ "$(head_commit)" = "$COMMIT" ]
}

case_two_applies_at_once() {
  world two_at_once slow=40ms
  clone a; clone b
  run a "$W/out.a" apply --yes; local a=$!
  run b "$W/out.b" apply --yes; local b=$!
  wait $a; local ca=$?; wait $b; local cb=$?
  cat "$W/out.a" "$W/out.b" >"$OUT"
  claim "one of them does it" -- eval "[ $ca = 0 ] || [ $cb = 0 ]"
  claim "the other does nothing wrong ($ca, $cb)" -- eval "[[ ' 0 5 9 ' == *' $ca '* && ' 0 5 9 ' == *' $cb '* ]]"
  claim "no write was made twice" -- [ "$(writes)" = 6 ]
  claim "all stands once" -- converged a
  claim "the other one settles on the next run" -- until_done b
  claim "and writes nothing then" -- [ "$(writes)" = 6 ]
}

case_two_applies_in_one_repository() {
  world one_repository slow=600ms
  clone a
  run a "$W/out.a" apply --yes --concurrency 1; local a=$!
  wait_for has_live 1
  apply a
  claim "the second is told who is at work" -- code 9
  claim "by name" -- says "process $a"
  apply a --wait 60s
  claim "or waits" -- code 0
  wait $a
  claim "all stands once" -- converged a
  claim "no write was made twice" -- [ "$(writes)" = 6 ]
}

case_older_commit() {
  world older
  local old=$COMMIT
  git -C "$W/author" push --quiet origin HEAD:old
  services "$W/author" 1 6 81; push_commit newer; local new=$COMMIT
  clone a; apply a
  clone b old; apply b
  claim "a re-run of an old commit is refused" -- code 5
  claim "the newer one stays recorded" -- [ "$(head_commit)" = "$new" ]
  claim "and live" -- [ "$(ports)" = "81 " ]
  git clone --quiet "file://$W/remote.git" "$W/full" && git -C "$W/full" checkout --quiet "$old"
  apply full
  claim "so it is in a full clone" -- code 5
  claim "which is told the way back" -- says "git revert"
  git -C "$W/full" checkout --quiet main; apply full
  claim "the newer one passes as ever" -- code 0
}

case_killed_in_mid_apply() {
  world killed slow=500ms
  clone a; clone b
  run a "$W/out.a" apply --yes --concurrency 1; local a=$!
  wait_for has_live 1; kill -9 $a; wait $a 2>/dev/null
  claim "it left an intent" -- [ "$(intents)" = 1 ]
  claim "and half of the work" -- [ "$(live | wc -l)" -lt 6 ]
  ctl b plan
  claim "plan only reports it" -- says "open-intent"
  claim "and leaves it" -- [ "$(intents)" = 1 ]
  claim "the next run settles and goes on, on another clone too" -- until_done b
  claim "all stands once" -- converged b
}

case_killed_before_the_first_write() {
  world killed_early slow=2s
  clone a
  run a "$W/out.a" apply --yes; local a=$!
  wait_for eval '[ "$(intents)" = 1 ]'; kill -9 $a; wait $a 2>/dev/null
  serve_again
  claim "the next run converges" -- until_done a
  claim "all stands once" -- converged a
}

case_killed_before_the_outcome() {
  world killed_late
  clone a
  # The intent passes at once; the outcome hangs, and is killed with its pusher.
  hook "if [ -e '$W/seen' ]; then touch '$W/late'; sleep 3; exit 1; fi; touch '$W/seen'"
  run a "$W/out.a" apply --yes; local a=$!
  wait_for has_live 6; wait_for test -e "$W/late"; kill -9 $a; wait $a 2>/dev/null
  no_hook
  claim "the outcome is not there" -- [ "$(intents)" = 1 ]
  local n; n=$(writes)
  claim "the next run settles" -- until_done a
  claim "without a write" -- [ "$(writes)" = "$n" ]
  claim "all stands once" -- converged a
}

case_refused_ref() {
  world refused_ref
  clone a
  hook "echo 'no refs/ctl for you' >&2; exit 1"
  apply a
  claim "a ref that may not be written is a matter of permission" -- code 4
  claim "in the remote's own words" -- says "no refs/ctl for you"
  claim "before the first write" -- [ -z "$(live)" ]
  no_hook
  claim "later it passes" -- until_done a
  claim "all stands once" -- converged a
}

case_squash_merge() {
  world squash
  git -C "$W/author" checkout --quiet -b feature
  services "$W/author" 1 3 81; push_commit one feature
  services "$W/author" 4 6 81; push_commit two feature
  clone a feature; apply a
  claim "the branch is applied" -- code 0
  git -C "$W/author" checkout --quiet main
  git -C "$W/author" merge --quiet --squash feature >/dev/null; push_commit squashed
  clone b; local n; n=$(writes); apply b
  claim "an equal tree passes" -- code 0
  claim "and writes nothing" -- [ "$(writes)" = "$n" ]
  services "$W/author" 1 6 82; push_commit after
  clone c; apply c
  claim "what follows the squash passes" -- code 0
  claim "and is recorded" -- [ "$(head_commit)" = "$COMMIT" ]
}

case_force_push() {
  world force_push
  services "$W/author" 1 6 81; push_commit second
  clone a; apply a; local was; was=$(head_commit)
  git -C "$W/author" reset --quiet --hard HEAD~1
  services "$W/author" 1 6 82; push_commit rewritten
  clone b; apply b
  claim "a rewritten history is refused" -- code 7
  claim "with the flag that accepts it" -- says "--accept-rewrite $COMMIT"
  claim "the record stays" -- [ "$(head_commit)" = "$was" ]
  apply b --accept-rewrite "$was"
  claim "another commit's leave is none" -- code 7
  apply b --accept-rewrite "$COMMIT"
  claim "with leave it passes" -- code 0
  claim "and is recorded" -- [ "$(head_commit)" = "$COMMIT" ]
  apply b
  claim "for good" -- code 0
}

case_half_deleted() {
  world half
  services "$W/author" 7 20 80; push_commit twenty
  clone a; apply a
  for n in $(seq 1 10); do rm "$W/author/manifests/s$n.yaml"; done
  push_commit half
  clone b; apply b
  claim "half of it is not deleted without leave" -- code 7
  claim "nothing is gone" -- [ "$(live | wc -l)" = 20 ]
  local sum; sum=$(grep -oE -- '--allow-deletes [^ `]+' "$OUT" | head -1 | cut -d' ' -f2)
  claim "the message names the sum" -- [ -n "$sum" ]
  apply b --allow-deletes 0000000000000000000000000000000000000000000000000000000000000000
  claim "another sum is no leave" -- code 7
  apply b --allow-deletes "$sum"
  claim "with the sum it passes" -- code 0
  claim "all stands once" -- converged b
}

case_stale_lock() {
  world stale_lock
  clone a; apply a
  services "$W/author" 1 6 81; push_commit second
  git -C "$W/a" fetch --quiet origin main && git -C "$W/a" reset --quiet --hard FETCH_HEAD
  git -C "$W/a" for-each-ref --format='%(refname)' refs/ctl | while read -r ref; do
    touch -d '5 minutes ago' "$W/a/.git/$ref.lock"
  done
  claim "(there is one for the copy and one for what is fetched)" -- \
    [ "$(find "$W/a/.git/refs/ctl" -name '*.lock' | wc -l)" = 2 ]
  apply a
  claim "an old lock of a process that died is no obstacle" -- code 0
  claim "all stands once" -- converged a
  claim "the new state is live" -- [ "$(ports)" = "81 " ]
}

case_stale_lock_of_a_local_record() {
  world stale_local
  clone a; project "$W/a" ""; git -C "$W/a" commit --quiet -am local
  apply a
  claim "a record without a remote" -- code 0
  services "$W/a" 1 6 81; git -C "$W/a" commit --quiet -am second
  touch "$W/a/.git/$REF.lock"
  apply a
  claim "a fresh lock is somebody's" -- eval '[ "$CODE" != 0 ] && [ "$(ports)" = "80 " ]'
  touch -d '5 minutes ago' "$W/a/.git/$REF.lock"
  apply a
  claim "an old one is nobody's" -- code 0
  claim "the new state is live" -- [ "$(ports)" = "81 " ]
}

case_lock_at_the_remote() {
  world remote_lock
  clone a; apply a; local n; n=$(writes)
  services "$W/author" 1 6 81; push_commit second; clone a
  touch "$W/remote.git/$REF.lock"
  apply a
  claim "a lock that a dead push left at the remote is named" -- says "edge.lock"
  claim "as a record that cannot be reached" -- code 8
  claim "nothing is written" -- [ "$(writes)" = "$n" ]
  rm "$W/remote.git/$REF.lock"
  apply a
  claim "without it, all goes on" -- code 0
  claim "all stands once" -- converged a
}

# as_guest CLONE ARGS…: as a user who may read the clone and no more.
as_guest() {
  local dir=$1 prefix=(); shift
  chmod -R a-w "$W/$dir/.git"
  [ "$(id -u)" = 0 ] && prefix=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  "${prefix[@]}" "$ROOT/ctl" -C "$W/$dir" --state "$ROOT/guest/$CASE" "$@" >"$OUT" 2>&1
  CODE=$?
  chmod -R u+w "$W/$dir/.git"
}

case_repository_that_cannot_be_written() {
  world read_only
  if [ "$(id -u)" = 0 ] && ! command -v setpriv >/dev/null; then
    echo "skip  read_only: root may write everything, and there is no setpriv"
    return
  fi
  cp "$CTL" "$ROOT/ctl"; mkdir -p "$ROOT/guest"
  chmod 755 "$ROOT" "$ROOT/ctl" "$HOME"; chmod 777 "$ROOT/guest"
  git config --global safe.directory '*'
  clone a; project "$W/a" ""; git -C "$W/a" commit --quiet -am local
  as_guest a apply --yes
  claim "where the record cannot be written, nothing is" -- code 4
  claim "at the server neither" -- [ -z "$(live)" ]
  claim "it names the other place" -- says "record: {file:"
  as_guest a plan
  claim "planning needs no leave to write" -- code 0
  chmod -R a+rwX "$W/remote.git"
  clone b; as_guest b apply --yes
  claim "a pushed record needs none either" -- code 0
  claim "all stands once" -- converged b
  as_guest b apply --yes
  claim "and is read again" -- code 0
  claim "without a write" -- [ "$(writes)" = 6 ]
  git config --global --unset safe.directory
}

case_remote_gone() {
  world gone
  clone a; apply a; local n; n=$(writes)
  services "$W/a" 1 6 81; git -C "$W/a" commit --quiet -am offline
  mv "$W/remote.git" "$W/away.git"
  apply a
  claim "a record that cannot be read is not an empty one" -- code 8
  claim "nothing is written" -- [ "$(writes)" = "$n" ]
  ctl a plan
  claim "nor planned" -- code 8
  mv "$W/away.git" "$W/remote.git"
  apply a
  claim "when it is back, all goes on" -- code 0
  claim "all stands once" -- converged a
}

case_outcome_refused() {
  world outcome_refused
  clone a
  hook "if [ -e '$W/seen' ]; then echo 'enough' >&2; exit 1; fi; touch '$W/seen'"
  apply a
  claim "what was written and cannot be shared is partial" -- code 3
  claim "it says so" -- says "enough"
  claim "the server has it" -- [ "$(live | wc -l)" = 6 ]
  claim "the remote still holds the intent" -- [ "$(intents)" = 1 ]
  no_hook; local n; n=$(writes)
  apply a
  claim "the next run shares it" -- code 0
  claim "without a write" -- [ "$(writes)" = "$n" ]
  claim "all stands once" -- converged a
}

# foreign_intent UNTIL: what a run on another machine would have left, written by git alone.
foreign_intent() {
  local run=1700000000-0badcafe tree blob
  blob=$(printf '{"checksum":"%064d","commit":"%s","holder":{"boot-id":"b","host":"elsewhere","pid":4711,"pid-namespace":1,"started":5,"who":"ann@elsewhere"},"operations":[],"run":"%s","until":%s}\n' \
    0 "$COMMIT" "$run" "$1" | remote hash-object -w --stdin)
  tree=$( (remote ls-tree $REF | grep -v '	intents$'
    printf '040000 tree %s\tintents\n' "$(printf '100644 blob %s\t%s.json\n' "$blob" "$run" | remote mktree)") | remote mktree)
  remote update-ref $REF "$(remote commit-tree "$tree" -p $REF -m "intent of run $run")"
}
# The holder ends: its intent goes.
foreign_end() {
  local tree; tree=$(remote ls-tree $REF | grep -v '	intents$' | remote mktree)
  remote update-ref $REF "$(remote commit-tree "$tree" -p $REF -m 'outcome')"
}

case_open_intent_of_another_host() {
  world foreign
  clone a; apply a
  services "$W/author" 1 6 81; push_commit second; clone a
  local n; n=$(writes)
  local until=$(($(date +%s) + 900))
  foreign_intent "$until"
  apply a
  claim "an open intent is a lock" -- code 9
  claim "it names the host" -- says elsewhere
  claim "the process" -- says 4711
  claim "and the time" -- says "$(date -u -d "@$until" +%Y-%m-%dT%H)"
  claim "nothing is written" -- [ "$(writes)" = "$n" ]
  ctl a plan
  claim "plan is not stopped by it" -- code 0
  claim "but says so" -- says "open-intent"
  local begun=$SECONDS; apply a --wait 3s
  claim "--wait waits" -- eval "[ $((SECONDS - begun)) -ge 2 ]"
  claim "and not for ever" -- code 9
  (sleep 2; foreign_end) & apply a --wait 60s; wait $!
  claim "and goes on when the other is done" -- code 0
  claim "all stands once" -- converged a
  foreign_intent $(($(date +%s) - 10))
  apply a
  claim "clocks differ: it holds for a minute more" -- code 9
  foreign_end; foreign_intent $(($(date +%s) - 120))
  apply a
  claim "an expired intent is settled" -- code 0
  claim "all stands once, for others too" -- converged a
}

case_one_of_two_targets_is_held() {
  world two_targets
  printf '  core: {api: ctl, url: "%s"}\n' "$URL" >>"$W/author/ctl.yaml"
  local n
  for n in 1 2 3 4 5 6; do
    sed -i "s/metadata: {name: s$n}/metadata: {name: s$n, targets: [$([ $n -le 3 ] && echo edge || echo core)]}/" \
      "$W/author/manifests/s$n.yaml"
  done
  push_commit two; clone a; apply a
  claim "two targets are written by one run" -- code 0
  foreign_intent $(($(date +%s) + 900))
  sed -i 's/port: 80/port: 81/' "$W"/author/manifests/*.yaml; push_commit again; clone a
  apply a
  claim "the one that is held stays as it is, the other goes on" -- [ "$(ports)" = "80 81 " ]
  claim "and the code says that somebody holds it" -- code 9
  foreign_end; apply a
  claim "later it follows" -- code 0
  claim "to the same state" -- [ "$(ports)" = "81 " ]
}

case_another_folder() {
  world folder
  clone a; apply a
  mkdir "$W/author/copy"; git -C "$W/author" mv ctl.yaml manifests copy/; push_commit moved
  clone b; ctl b apply --yes copy
  claim "a project of the same name in another folder is refused" -- code 7
  claim "which names the folder" -- says copy
}

case_ci_without_a_shared_record() {
  world ci
  clone a; project "$W/a" ""; git -C "$W/a" commit --quiet -am local
  CI=true apply a
  claim "what a runner remembers alone is worth nothing" -- code 7
  claim "nothing is written" -- [ -z "$(live)" ]
  claim "it says what to do" -- says "record: {push: origin}"
  CI=false apply a
  claim "elsewhere it passes" -- code 0
}

case_record_in_a_folder() {
  world file
  clone a; project "$W/a" "record: {file: $W/kept}"; git -C "$W/a" commit --quiet -am file
  apply a
  claim "a folder that the operator does not allow is refused" -- code 7
  claim "nothing is written" -- [ -z "$(live)" ]
  mkdir -p "$HOME/.config/ctl"
  printf 'record: {file: ["%s"]}\nallow: ["http://127.0.0.1:*"]\n' "$W/kept" >"$HOME/.config/ctl/credentials.yaml"
  chmod 600 "$HOME/.config/ctl/credentials.yaml"
  CI=true apply a
  claim "an allowed one counts as shared" -- code 0
  claim "and holds the record" -- [ -e "$W/kept/shop/edge/head" ]
  apply a
  claim "which the next run reads" -- code 0
  claim "without a write" -- [ "$(writes)" = 6 ]
  rm -rf "$HOME/.config/ctl"
}

case_interrupted() {
  world interrupted slow=600ms
  clone a
  run a "$W/out.a" apply --yes --concurrency 1; local a=$!
  wait_for has_live 1; kill -INT $a; wait $a; CODE=$?; cp "$W/out.a" "$OUT"
  claim "an interrupted run ends with its own code" -- code 130
  claim "what was done is recorded" -- [ "$(live)" = "$(recorded)" ]
  claim "no intent is left" -- [ "$(intents)" = 0 ]
  claim "something was left to do" -- [ "$(live | wc -l)" -lt 6 ]
  claim "the next run does it" -- until_done a
  claim "all stands once" -- converged a
}

case_interrupted_twice() {
  world interrupted_twice slow=5s
  clone a
  run a "$W/out.a" apply --yes; local a=$!
  wait_for eval '[ "$(intents)" = 1 ]'
  local begun=$SECONDS; kill -INT $a; wait_for grep -q "interrupt again" "$W/out.a"; kill -INT $a; wait $a; CODE=$?; cp "$W/out.a" "$OUT"
  claim "the second interrupt leaves" -- code 130
  claim "at once" -- eval "[ $((SECONDS - begun)) -le 4 ]"
  serve_again
  claim "the next run converges" -- until_done a
  claim "all stands once" -- converged a
}

case_interrupted_while_pushing() {
  world interrupted_pushing
  clone a
  hook "touch '$W/pushing'; sleep 12; exit 0"
  run a "$W/out.a" apply --yes; local a=$!
  wait_for test -e "$W/pushing"
  local begun=$SECONDS; kill -INT $a; wait_for grep -q "interrupt again" "$W/out.a"; kill -INT $a; wait $a; CODE=$?; cp "$W/out.a" "$OUT"
  claim "a push under way does not hold the second interrupt up" -- eval "[ $CODE = 130 ] && [ $((SECONDS - begun)) -le 9 ]"
  no_hook; sleep 13
  claim "the next run converges" -- until_done a
  claim "all stands once" -- converged a
}

cases=("$@")
[ ${#cases[@]} = 0 ] && mapfile -t cases < <(declare -F | sed -n 's/^declare -f case_//p')
for name in "${cases[@]}"; do
  "case_${name#case_}"
  stop_server
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
