# The same lines as CI's, one by one. `just` lists them.

default:
    @just --list

# Everything that must hold before a commit lands
ci:
    bash .ci/run

# Format, lint
check:
    cargo fmt --all --check
    cargo clippy --locked --all-targets -- -D warnings

# No server, no network
test *ARGS:
    cargo test --locked {{ARGS}}

# The same states on real servers: those that run, all of them with CTL_TEST_ALL=1
conformance:
    #!/usr/bin/env bash
    set -euo pipefail
    tests/servers/install
    dir=$(mktemp -d)
    trap 'tests/servers/stop "$dir"/*; rm -rf "$dir"' EXIT
    for server in powerdns rabbitmq kinto; do
        lines=$(tests/servers/start "$server" "$dir/$server")
        while IFS= read -r line; do export "$line"; done <<<"$lines"
    done
    CTL_TEST_ALL=1 cargo test --locked --test conformance

# Documentation, warnings are errors
doc:
    RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --locked --no-deps --document-private-items

# The table of docs/performance.md
bench *ARGS:
    bench/run {{ARGS}}
