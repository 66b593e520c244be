"""Runs the measurements, prints the tables, and with --write puts them into docs/performance.md."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from measure import data_plane, keys, lists, report, server_plane

ROOT = Path(__file__).resolve().parents[2]


def main():
    arguments = parse()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    base = os.environ.get("BENCH_DIR")
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=base or target))
    programs = {name: target / "dist" / name for name in ("keyfold", "keyfold-ceiling")}
    programs["token_memory"] = target / "dist" / "examples" / "token_memory"
    try:
        parts = [report.machine(folder)]
        if arguments.only == "lists":
            parts.append(lists.measure(programs, folder, arguments.quick))
        if arguments.only == "keys":
            parts.append(keys.measure(programs, folder, arguments.quick))
        if arguments.only in (None, "server"):
            parts.append(server_plane.measure(programs, folder, arguments.quick))
        if arguments.only in (None, "data"):
            parts.append(data_plane.measure(programs, folder, arguments.quick))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = "\n".join(parts)
    print("\n" + text)
    if arguments.write:
        document = ROOT / "docs" / "performance.md"
        document.write_text(report.document(text))
        print(f"written to {document.relative_to(ROOT)}", file=sys.stderr)


def parse():
    parser = argparse.ArgumentParser(prog="bench/run.sh")
    parser.add_argument("--quick", action="store_true", help="short rounds, small files")
    parser.add_argument("--write", action="store_true", help="put the result into docs/performance.md")
    parser.add_argument("--only", choices=["server", "data", "lists", "keys"], help="one part")
    arguments = parser.parse_args()
    if arguments.write and (arguments.quick or arguments.only):
        parser.error("--write takes a whole run")
    return arguments


main()
