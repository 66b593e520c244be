"""What goes wrong. Each fault ends with everything running again."""

import signal
import time

from cluster import clock, network
from cluster.world import kill

PAUSES = (0.3, 0.8, 2.5)
# Of one link: the longest is one after which connections are given up at one end, and the other does not hear of it.
CUTS = (0.3, 2.5, 12)
SLOW = (1, 2, 5)
# Seconds that a node's clock is wrong by, and that of the store: that counts in leases.
NODE_OFFSETS = (37, -20, 600)
STORE_OFFSETS = (5, -5)


class Faults:
    """Of a world, by chance."""

    def __init__(self, world, chance):
        self.world, self.chance = world, chance

    def happen(self, name):
        getattr(self, name)()
        self.world.store.settle()

    def node(self):
        return self.chance.choice(self.world.nodes)

    def member(self):
        return self.chance.choice(self.world.store.members)

    def pause(self, pauses=PAUSES):
        time.sleep(self.chance.choice(pauses))

    # Nodes.

    def kill(self):
        """A node is gone without a word, and comes back."""
        node = self.node()
        node.process.kill()
        node.process.wait()
        self.world.start(node)

    def restart(self):
        """A node is told to go, and comes back."""
        node = self.node()
        node.stop()
        self.world.start(node)

    def freeze(self):
        """A node stands still, for longer than its lease or not, and goes on as if nothing had been."""
        self.stand_still([self.node().process.pid])

    def cut_off(self):
        """A node hears nothing from the store, while clients reach it."""
        self.apart(self.node().place, CUTS)

    def slow(self):
        """What a node and the store send each other is late, and some of it is lost."""
        place = self.node().place
        place.slow()
        self.pause(SLOW)
        place.steady()

    def skew(self):
        """A node's wall clock is wrong."""
        self.wrong(self.node().clock, NODE_OFFSETS)

    # The store.

    def sever(self):
        """All connections to the store end."""
        self.world.store.sever()

    def freeze_store(self):
        """The store stands still."""
        self.stand_still(self.world.store.pids())

    def cut_off_store(self):
        """Nobody hears anything from the store."""
        self.apart(self.world.store.places[0], PAUSES)

    def skew_store(self):
        """The store's wall clock is wrong."""
        self.wrong(self.world.store.clock, STORE_OFFSETS)

    # One member of the store, of three.

    def kill_member(self):
        """It comes back with what it had."""
        member = self.member()
        member.stop()
        self.pause()
        self.world.store.running.start(member)

    def freeze_member(self):
        """It stands still, and goes on."""
        self.stand_still([self.member().pid])

    def cut_off_member(self):
        """Neither the nodes nor the other members hear anything from it."""
        self.apart(self.chance.choice(self.world.store.places), CUTS)

    # How.

    def stand_still(self, pids):
        for pid in pids:
            kill(pid, signal.SIGSTOP)
        self.pause()
        for pid in pids:
            kill(pid, signal.SIGCONT)

    def apart(self, place, pauses):
        place.cut()
        self.pause(pauses)
        place.mend()

    def wrong(self, clock, offsets):
        clock.put(self.chance.choice(offsets))
        self.pause()
        clock.put(0)


def reasons(kind, apart):
    """The faults there are, each with why it can't be had here, or None; `apart`: why there are no namespaces."""
    alone = "the store has one member" if kind == "postgresql" else None
    several = "the store has several members" if kind == "etcd" else None
    # Programs in Go ask the kernel, not libc.
    fixed = "etcd's clock can't be skewed" if kind == "etcd" else clock.reason()
    return {
        **dict.fromkeys(("kill", "restart", "freeze", "freeze_store")),
        "sever": "etcd ends no connections when it is told to" if kind == "etcd" else None,
        "cut_off": apart,
        "cut_off_store": several or apart,
        "cut_off_member": alone or apart,
        "slow": apart or (None if network.shaping() else "this kernel has neither netem nor tbf"),
        "skew": clock.reason(),
        "skew_store": fixed,
        "kill_member": alone,
        "freeze_member": alone,
    }
