"""Runs the parts of `bench/data-plane.sh`, prints their sections, and with --write puts those into docs/performance.md."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from measure import process, report
from measure.data_plane import incident, library, rotation, rows, site, whole

# What each part measures, by its name, and how much room it takes on the RAM disk.
PARTS = {
    "file": whole.File,
    "pipe": whole.Pipe,
    "ranges": library.Ranges,
    "values": library.Values,
    "rotation": rotation.Many,
    "petabyte": rotation.Petabyte,
    "rows": rows.Rows,
    "incident": incident.Incident,
}


def main():
    arguments = parse()
    programs = Path(os.environ["BENCH_PROGRAMS"]).resolve()
    disk = Path(os.environ.get("BENCH_SHM", "/dev/shm"))
    missing = []
    with tempfile.TemporaryDirectory(prefix="keyfold-bench-", dir=disk) as home:
        machine = report.machine(home, "bench/data-plane.sh")
        with process.keyfold(programs / "keyfold", Path(home) / "server") as (server, root):
            here = site.Site(programs, server, root, Path(home))
            for name in arguments.parts or PARTS:
                part = PARTS[name](arguments.quick)
                if lacking := site.lacking(disk, part.room):
                    missing.append(name)
                    site.note(f"{name}: left out, {lacking}")
                    continue
                with tempfile.TemporaryDirectory(prefix=f"keyfold-bench-{name}-", dir=disk) as ram:
                    section = f"{part.measure(here, Path(ram))}\n{machine}"
                print(f"\n{section}", flush=True)
                # Each by itself: a later part that fails takes nothing away.
                if arguments.write:
                    report.write(section)
    sys.exit(1 if missing else 0)


def parse():
    parser = argparse.ArgumentParser(prog="bench/data-plane.sh")
    parser.add_argument("--quick", action="store_true", help="small numbers: shows that it works")
    parser.add_argument("--write", action="store_true", help="put the result into docs/performance.md")
    parser.add_argument("parts", nargs="*", metavar="NAME", help=f"parts: {', '.join(PARTS)}; all if none is named")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part is called {unknown[0]}: there are {', '.join(PARTS)}")
    if arguments.write and arguments.quick:
        parser.error("--quick measures nothing that could be written down")
    return arguments


main()
