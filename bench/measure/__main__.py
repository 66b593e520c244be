"""Runs the measurements, prints their sections, and with --write puts those into docs/performance.md."""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from measure import keys, lists, report, server_plane, transit

ROOT = Path(__file__).resolve().parents[2]


# What each part measures, by its name.
PARTS = {
    "server": server_plane.measure,
    "transit": transit.measure,
    "lists": lists.measure,
    "keys": keys.measure,
}


def main():
    arguments = parse()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    base = os.environ.get("BENCH_DIR")
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=base or target))
    programs = {name: target / "dist" / name for name in ("keyfold", "keyfold-ceiling")}
    examples = ("token_memory", "acl_check")
    programs |= {name: target / "dist" / "examples" / name for name in examples}
    try:
        machine = report.machine(folder)
        sections = [
            f"{PARTS[name](programs, folder, arguments.quick)}\n{machine}" for name in arguments.only or PARTS
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n" + "\n".join(sections))
    if arguments.write:
        report.write(*sections)


def parse():
    parser = argparse.ArgumentParser(prog="bench/run.sh")
    parser.add_argument("--quick", action="store_true", help="short rounds, small files")
    parser.add_argument("--write", action="store_true", help="put the result into docs/performance.md")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; may be given again")
    arguments = parser.parse_args()
    if arguments.write and arguments.quick:
        parser.error("--quick measures nothing that could be written down")
    return arguments


main()
