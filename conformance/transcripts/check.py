#!/usr/bin/env python3
"""Replays the transcripts of a recorded OpenBao and holds the list of steps that differ: it grows by judgement only.

    check.py REPLAY                 REPLAY: the replay program; KEYFOLD_BIN names the server
    check.py REPLAY --write         drops the steps of `differs.txt` that no longer differ, and notes how the others do
    check.py REPLAY --add REASON    and puts new ones below that reason: for whoever judged each of them

`differs.txt` has a reason as a heading, `# REASON`, and below it the steps: `scenario/step  how`, where `how` is the two
statuses, or the first places of the body that differ. A step that differs and is not there fails, so does one that
differs in another way than it says, and so does one that is there and no longer differs.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LIST = Path(__file__).with_name("differs.txt")
FILES = {
    "kv": "kv-transcript.json",
    "sys": "sys-transcript.json",
    "auth": "auth-transcript.json",
    "transit": "transit-errors.json",
}
# Scenarios whose configuration this version refuses to start with: several nodes.
REFUSED = ["ha-raft"]
STEP = re.compile(r"^  ([\w-]+/\S+): [A-Z]+ \S+: (.*)$")
STATUSES = re.compile(r"^(\d{3} is (?:\d{3}|None)): ")
PLACE = re.compile(r"(?:^|; )(\$\S*): ")
ID = re.compile(r"[0-9a-f]{8,}(?:-[0-9a-f]{4,})*")


def replayed(replay, file):
    """What the replay program says of a file: the steps that differ and why, its totals, and the lines of scenarios."""
    transcript = json.loads((Path(replay).resolve().parents[1] / "golden" / FILES[file]).read_text())
    command = [sys.executable, replay, "--server-cmd", os.environ["KEYFOLD_BIN"], "--file", file, "--show", "100000"]
    # A file without scenarios is one.
    if names := [scenario["name"] for scenario in transcript.get("scenarios", [])]:
        command += ["--scenario", ",".join(name for name in names if name not in REFUSED)]
    # Of many places the replay prints the first three that a set gives: the same ones each time.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if not (done.stdout.splitlines() or [""])[-1].startswith("total:"):
        raise SystemExit(f"transcripts: the replay of {file} broke off:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    found = dict(match.groups() for match in map(STEP.match, done.stdout.splitlines()) if match)
    return found, done.stdout.splitlines()[-1]


def how(why):
    """A difference without its values, which may differ from run to run."""
    statuses = STATUSES.match(why)
    return statuses[1] if statuses else " ".join(sorted({ID.sub("*", place) for place in PLACE.findall(why)}))


def listed():
    """Each step of the list: how it differs, and the reason."""
    steps, reason = {}, None
    for line in LIST.read_text().splitlines():
        if line.startswith("# "):
            reason = line[2:]
        elif line.strip():
            step, _, way = line.strip().partition("  ")
            steps[step] = (way, reason)
    return steps


def written(steps):
    reasons = {}
    for step, (way, reason) in steps.items():
        reasons.setdefault(reason, []).append(f"{step}  {way}")
    parts = [f"# {reason}\n" + "".join(f"{step}\n" for step in sorted(reasons[reason])) for reason in reasons]
    LIST.write_text("\n".join(parts))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("replay")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--add", metavar="REASON")
    parser.add_argument("--only", metavar="SCENARIO", help="with --add: of this scenario")
    arguments = parser.parse_args()

    with ThreadPoolExecutor(len(FILES)) as pool:
        runs = list(pool.map(lambda file: replayed(arguments.replay, file), FILES))
    differs = {step: why for found, _ in runs for step, why in found.items()}
    for file, (_, total) in zip(FILES, runs):
        print(f"transcripts: {file}, {total}")

    known = listed()
    if arguments.write or arguments.add:
        known = {step: (how(differs[step]), reason) for step, (_, reason) in known.items() if step in differs}
        wanted = (step for step in differs if step not in known)
        if arguments.add:
            only = arguments.only
            wanted = (step for step in wanted if not only or step.startswith(f"{only}/"))
            known |= {step: (how(differs[step]), arguments.add) for step in wanted}
        written(known)
        return
    new = [step for step in differs if step not in known]
    gone = [step for step in known if step not in differs]
    for step in new:
        print(f"transcripts: {step} differs and is not in {LIST.name}: {differs[step]}")
    other = [step for step in differs if step in known and how(differs[step]) != known[step][0]]
    for step in other:
        print(f"transcripts: {step} differs in another way than {LIST.name} says: {differs[step]}")
    for step in gone:
        print(f"transcripts: {step} no longer differs: take it out of {LIST.name} (--write)")
    print(f"ok  transcripts: {len(known)} known differences" if not (new or gone or other) else "transcripts: failed")
    sys.exit(bool(new or gone or other))


if __name__ == "__main__":
    main()
