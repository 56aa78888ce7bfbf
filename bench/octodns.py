"""Writes zones for the PowerDNS comparison: octoDNS's configuration and, with the same content, ctl's project.

    octodns.py DIR URL KEY ZONES RECORDS
"""
import pathlib
import sys

folder, url, key, zones, records = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
host, port = url.removeprefix("http://").rsplit(":", 1)
names = [f"zone{z:03}.example." for z in range(zones)]

octodns = folder / "octodns"
(octodns / "zones").mkdir(parents=True, exist_ok=True)
for name in names:
    lines = ["---", "'':", "  type: NS", "  ttl: 3600", "  values: [ns1.example.net., ns2.example.net.]"]
    for r in range(records):
        lines += [f"host{r:03}:", "  type: A", "  ttl: 300", f"  values: [192.0.2.{r % 250 + 1}]"]
    (octodns / "zones" / f"{name}yaml").write_text("\n".join(lines) + "\n")
for workers in (1, 16):
    text = f"""manager:
  max_workers: {workers}
providers:
  config:
    class: octodns.provider.yaml.YamlProvider
    directory: {octodns}/zones
    default_ttl: 300
    enforce_order: false
  powerdns:
    class: octodns_powerdns.PowerDnsProvider
    host: {host}
    port: {port}
    api_key: {key}
    timeout: 60
zones:
"""
    text += "".join(f"  {name}:\n    sources: [config]\n    targets: [powerdns]\n" for name in names)
    (octodns / f"workers{workers}.yaml").write_text(text)

project = folder / "project"
project.mkdir(parents=True, exist_ok=True)
(project / "ctl.yaml").write_text(
    f"""apiVersion: ctl/v1
kind: Project
metadata: {{name: dns}}
targets:
  dns: {{api: powerdns, url: "{url}", credentials: dns}}
"""
)
# What the operator says: where this credential may go.
operator = folder / "credentials.yaml"
operator.write_text(
    f"""credentials:
  dns: {{hosts: ["{url}"], header: {{name: X-API-Key, value: {{env: BENCH_DNS_KEY}}}}}}
"""
)
operator.chmod(0o600)
for name in names:
    head = "apiVersion: powerdns\nkind: "
    documents = [f"{head}zone\nspec: {{name: {name}, kind: Native}}"]
    values = "[{content: ns1.example.net.}, {content: ns2.example.net.}]"
    documents += [f"{head}rrset\nspec: {{zone: {name}, name: {name}, type: NS, ttl: 3600, records: {values}}}"]
    for r in range(records):
        values = f"[{{content: 192.0.2.{r % 250 + 1}}}]"
        spec = f"zone: {name}, name: host{r:03}.{name}, type: A, ttl: 300, records: {values}"
        documents += [f"{head}rrset\nspec: {{{spec}}}"]
    (project / f"{name}yaml").write_text("\n---\n".join(documents) + "\n")
