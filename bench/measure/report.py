"""The figures as Markdown."""

import os
import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

from measure import load

# The share of the ceiling that is asked, without and with an audit device.
GOALS = {"no audit": 0.45, "file audit": 0.30}
INTRODUCTION = """# Performance

Measured, not promised: `bench/run.sh --write` and, for the data plane, `bench/data-plane.sh --write` made this page, each section
in one run. Machines differ, so read the ratios, which compare programs in one run.
"""
# How the sections begin, in their order.
TITLES = [
    "Server", "Transit", "A large file", "A pipe", "Parts of an envelope", "Values of columns", "Rotation of", "A petabyte",
    r"[\d,]+ rows of PostgreSQL", "A compromised key", "A folder of", "The life of the keys", "Several nodes",
    "KV writes on PostgreSQL",
]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
# Rows of which something else is asked.
OTHER = {"AppRole login, batch token": {"no audit": 0.35}, "token lookup-self": {"no audit": 0.45}}


def machine(folder, script="bench/run.sh"):
    """One line: what this ran on."""
    with open("/proc/cpuinfo") as info:
        model = next((l.split(":", 1)[1].strip() for l in info if l.startswith("model name")), platform.machine())
    with open("/proc/meminfo") as info:
        memory = int(info.readline().split()[1]) / 1024 / 1024
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout.strip()
    return (
        f"Machine: {model}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, "
        f"stores on {kind}. {date.today()}, `{script}`. What asks the server runs on the same cores.\n"
    )


def server(results, writes, resident, after, token, acl):
    """The table of the server, from rounds by target and row."""
    lines = [
        f"## Server\n\nwrk, {load.CONNECTIONS} connections, keep-alive; a token that is not root, under an ACL policy; "
        "medians of interleaved rounds. Ratio: requests/s over those of the ceiling, a bare hyper server that does "
        "the JSON, base64 and AES-256-GCM of an encryption and nothing else. What it has not, reads and logins, is "
        "measured against its encryption in the same turn; its answer of 200 fixed bytes, without any work, stands at "
        "the end.\n",
        "| request | server | requests/s | p99 | CPU per request | ratio | goal |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for row, rounds in results["ceiling"].items():
        top = load.middle(rounds)
        lines.append(figures(row, "ceiling", top, "1", ""))
        for name in (name for name in GOALS if row in results[name]):
            done = load.middle(results[name][row])
            goal = OTHER.get(row, GOALS).get(name)
            goal = f"≥ {goal:.2f}" if goal else ""
            lines.append(figures("", name, done, f"{done.per_second / top.per_second:.2f}", goal))
    written, logins, fdatasync = writes
    lines.append(figures("KV v2 write, durable", "no audit", written, "", "≥ 5,000/s at 150 µs"))
    lines.append(figures("AppRole login, durable service token", "no audit", logins, "", "≥ 4,000/s at 150 µs"))
    lines += [
        f"\nOne 4 KiB fdatasync on this disk: {fdatasync:.0f} µs (median of the probes between the rounds); the "
        "goal for durable writes holds where it is 150 µs.",
        f"Resident memory after start and unseal: {resident:.1f} MiB (goal: under 40), after the load: {after:.1f} MiB.",
        f"A token in the cache: {token:,} bytes (goal: under 1,024), by the example "
        "`cargo run -p keyfold-backends --example token_memory`.",
        f"A check of a path against {acl} (goal: under 2,000), by the example `acl_check` of `keyfold-core`.\n",
    ]
    return "\n".join(lines)


def figures(row, name, done, ratio, goal):
    return (
        f"| {row} | {name} | {done.per_second:,.0f} | {done.p99_us / 1000:.2f} ms | {done.cpu_us:.1f} µs "
        f"| {ratio} | {goal} |"
    )


def transit(results, bare, items, versions, many):
    """The tables of transit."""
    lines = [
        f"## Transit\n\nwrk, {load.CONNECTIONS} connections, keep-alive; a token that is not root, under an ACL policy, no "
        "audit device; inputs of 32 bytes where nothing else is said; medians of interleaved rounds. The ceiling does the same "
        "cryptography behind the same HTTP and JSON.\n",
        "| call | ceiling, requests/s | keyfold, requests/s | p99 | CPU per request, ceiling and keyfold | ratio | goal |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row, rounds in results["ceiling"].items():
        top, done = load.middle(rounds), load.middle(results["keyfold"][row])
        lines.append(
            f"| {row} | {top.per_second:,.0f} | {done.per_second:,.0f} | {done.p99_us / 1000:.2f} ms "
            f"| {top.cpu_us:.1f} µs, {done.cpu_us:.1f} µs | {done.per_second / top.per_second:.2f} | ≥ 0.50 |"
        )
    batch = load.middle(results["keyfold"][f"encrypt, a batch of {items}"]).cpu_us * 1000 / items
    lines += [
        f"\nAn item of a batch costs {batch:,.0f} ns of a processor, HTTP and JSON with it; base64, AES-256-GCM and base64 alone "
        f"{bare:,.0f} ns: {batch / bare:.2f} times (goal: at most 2.5).\n",
        f"| a key with {versions:,} versions | with one, requests/s | with all | times slower | goal |",
        "|---|--:|--:|--:|--:|",
    ]
    rounds, young, old = many
    for row, (one, all_of_them) in rounds.items():
        one, all_of_them = load.middle(one).per_second, load.middle(all_of_them).per_second
        lines.append(f"| {row} | {one:,.0f} | {all_of_them:,.0f} | {one / all_of_them:.2f} | ≤ 1.10 |")
    lines.append(f"| rotate | {young:,.0f} µs | {old:,.0f} µs | {old / young:.2f} | ≤ 1.50 |\n")
    return "\n".join(lines)


def write(*sections):
    """Puts sections into docs/performance.md."""
    DOCUMENT.write_text(document(DOCUMENT.read_text(), list(sections)))
    print(f"written to {DOCUMENT}", file=sys.stderr)


def document(old, sections):
    """The whole of docs/performance.md: the new sections in the place of the old ones of the same title."""
    found = dict.fromkeys(TITLES)
    for section in re.split(r"^(?=## )", old, flags=re.M)[1:] + sections:
        title = next((title for title in TITLES if re.match(f"## {title}", section)), None)
        if title:
            found[title] = section.rstrip() + "\n"
    return INTRODUCTION + "\n" + "\n".join(filter(None, found.values()))
