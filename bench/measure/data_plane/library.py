"""What the library does by itself: parts of a large envelope, and values of columns."""

import re

from measure.data_plane import site


class Ranges:
    """Random reads out of an envelope."""

    def __init__(self, quick):
        self.gib = site.number("BENCH_RANGES", 16, 1, quick)
        self.room = self.gib * 1026 << 20

    def measure(self, here, ram):
        site.note(f"random reads out of {self.gib} GiB")
        plain, opened, ratio = figures(here.example("ranges", ram, self.gib))
        return (
            f"## Parts of an envelope\n\n10,000 random reads of 4 KiB out of an envelope of {self.gib} GiB on the RAM disk, beside plain "
            "reads of the sealed chunks that they lie in; what is read is compared. By the example `ranges`.\n\n"
            "| read | µs each | times | goal |\n|---|--:|--:|--:|\n"
            f"| plain | {plain:.2f} | 1 | |\n| opened and authenticated | {opened:.2f} | {ratio:.2f} | ≤ 1.5 |\n"
        )


class Values:
    """A million values of 100 bytes."""

    room = 0

    def __init__(self, quick):
        pass

    def measure(self, here, ram):
        site.note("values")
        single, together, opened = figures(here.example("values"))
        return (
            "## Values of columns\n\nA million values of 100 bytes, on one core, in a second of its time; what is opened is compared. By "
            "the example `values`.\n\n"
            "| a million | values/s | goal |\n|---|--:|--:|\n"
            f"| sealed at once | {together:,.0f} | {site.verdict(together, 1_500_000)} |\n"
            f"| opened | {opened:,.0f} | {site.verdict(opened, 1_500_000)} |\n"
            f"| sealed one by one | {single:,.0f} | {site.verdict(single, 1_500_000)} |\n\n"
            "One by one each value draws its nonce from the generator by itself, which takes as long as the rest. Nonces that were "
            "drawn ahead would be used twice in a copy of the process's memory.\n"
        )


def figures(said):
    """The figure behind the colon of each line."""
    return [float(re.search(r": +([\d.]+)", line).group(1)) for line in said.splitlines()]
