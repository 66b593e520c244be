"""python -m cluster [--seconds N] [--seed TEXT] [--faults NAME,...] [--write] STORE...

Lets things go wrong for so long on each store, checks the history, and exits with 1 where something was not as it must be.
--faults lets only these happen: an error where one can't be had. --write puts the table of the runs into docs/reliability.md.
"""

import argparse
import contextlib
import dataclasses
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from cluster import checks, clients, clock, faults, network, world

PAGE = Path(__file__).parents[2] / "docs/reliability.md"
BEGIN, END = "<!-- several nodes -->\n", "<!-- end -->\n"


def one(kind, seconds, seed, net, names):
    """A run: what went wrong on purpose, what was asked, and what is wrong."""
    with tempfile.TemporaryDirectory() as folder, world.running(kind, Path(folder), net) as running:
        setup = clients.Client(running, seed)
        event, _ = setup.ask("mount", "POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
        assert event.done, event
        over, chance, happened = threading.Event(), random.Random(seed), Counter()
        result = {}
        asking = threading.Thread(target=lambda: result.update(history=clients.run(running, seed, over)))
        asking.start()
        try:
            until = time.monotonic() + seconds
            wrongs = faults.Faults(running, chance)
            # Each before one comes again.
            turn = []
            while time.monotonic() < until and asking.is_alive():
                turn = turn or chance.sample(names, len(names))
                name = turn.pop()
                wrongs.happen(name)
                happened[name] += 1
                time.sleep(chance.uniform(0.2, 1.0))
        finally:
            over.set()
            asking.join()
        history = result["history"]
        running.settle()
        wrong = [text for check in checks.ALL for text in check(history)]
        wrong += checks.final(running, history, setup.ask)
        logs = [text for node in running.nodes for text in panics(node)]
        return happened, history, wrong + logs


def panics(node):
    log = (node.folder / "log").read_text(errors="replace")
    return [line for line in log.splitlines() if "panicked" in line]


def keep(kind, history):
    """A file of the history, an event on each line, in the order of their questions."""
    with tempfile.NamedTemporaryFile("w", prefix=f"cluster-{kind}-", suffix=".jsonl", delete=False) as file:
        file.writelines(json.dumps(dataclasses.asdict(event)) + "\n" for event in history)
    return file.name


def row(kind, seconds, happened, history, wrong):
    count = Counter(event.done for event in history)
    faults = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in sorted(happened.items()))
    revoked = sum(event.what == "revoke" and event.done is True for event in history)
    rotated = sum(event.what in ("rotate", "rotate-kek", "rotate-dek") and event.done is True for event in history)
    return (
        f"| {kind} | {seconds} s | {faults} | {count[True]:,} / {count[False]:,} / {count[None]:,} "
        f"| {revoked:,} | {rotated:,} | {len(wrong)} |"
    )


def choose(parser, kind, asked, apart):
    """The faults of a run: those that were asked for, which have to be possible, else all that are."""
    reasons = faults.reasons(kind, apart)
    for name in asked:
        why = reasons.get(name, f"there are {', '.join(reasons)}")
        if why:
            parser.error(f"{kind}: no fault {name}: {why}")
    return asked or [name for name, why in reasons.items() if why is None]


def notes(apart):
    """What this machine lacks for some faults."""
    if apart:
        yield f"not in network namespaces: {apart}"
    elif network.shaping() != network.NETEM:
        yield f"no netem in the kernel, links are slowed down by {network.shaping()}"
    if clock.reason():
        yield f"clocks are not skewed: {clock.reason()}"


def main():
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--faults", type=lambda text: text.split(","), default=[])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("stores", nargs="+", choices=world.STORES)
    args = parser.parse_args()
    apart = network.enter()
    chosen = {kind: choose(parser, kind, args.faults, apart) for kind in args.stores}
    lacking = [*notes(apart)]
    for text in lacking:
        print(f"cluster: {text}", file=sys.stderr)
    lines = [
        "| store | for | what went wrong | asked: done / refused / not known | revocations | rotations | not as promised |",
        "|---|--:|---|--:|--:|--:|--:|",
    ]
    bad = 0
    for kind in args.stores:
        with contextlib.nullcontext() if apart else network.bridges() as net:
            happened, history, wrong = one(kind, args.seconds, args.seed, net, chosen[kind])
        lines.append(row(kind, args.seconds, happened, history, wrong))
        print(lines[-1], flush=True)
        for text in wrong[:20]:
            print(f"cluster: {kind}: {text}", file=sys.stderr)
        if wrong:
            print(f"cluster: {kind}: the history is in {keep(kind, history)}", file=sys.stderr)
        bad += len(wrong)
        asked = Counter(event.what for event in history if event.done)
        missing = {"read", "write", "add", "list", "allowed", "forbid", "put", "unmount", "rotate-dek", "use", "revoke", "count", "encrypt", "decrypt", "rotate"} - asked.keys()
        if missing:
            print(f"cluster: {kind}: never done: {', '.join(sorted(missing))}", file=sys.stderr)
            bad += 1
    if args.write and not bad:
        page = PAGE.read_text()
        start, rest = page.split(BEGIN)
        lines += [f"\nOn that machine: {'; '.join(lacking)}."] if lacking else []
        PAGE.write_text(start + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1])
    print(f"{len(args.stores)} passed, 0 failed" if not bad else f"0 passed, {bad} failed")
    return bool(bad)


sys.exit(main())
