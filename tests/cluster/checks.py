"""What must be true of a history, whatever went wrong. Each check gives what is wrong, in words."""

import base64
from collections import Counter, defaultdict

from cluster.clients import USES


def by(events, name):
    groups = defaultdict(list)
    for event in events:
        groups[event.told[name]].append(event)
    return groups


def later(known):
    """Walks through events in the order in which they were asked, with the greatest number that was told before each."""
    known, told, greatest = sorted(known, key=lambda pair: pair[0]), 0, 0

    def before(start):
        nonlocal told, greatest
        while told < len(known) and known[told][0] < start:
            greatest, told = max(greatest, known[told][1]), told + 1
        return greatest

    return before


def registers(history):
    """Reads and conditional writes of a register happened one after the other, each between question and answer."""
    events = [event for event in history if event.what in ("read", "write")]
    for name, events in by(events, "register").items():
        writes = [event for event in events if event.what == "write"]
        acknowledged = [event for event in writes if event.done]
        for version, count in Counter(event.told["version"] for event in acknowledged).items():
            if count > 1:
                yield f"{name}: version {version} was written {count} times: an update is lost"
        values = {event.told["version"]: event.told["value"] for event in acknowledged}
        perhaps = {(event.told["version"], event.told["value"]) for event in writes if event.done is None}
        seen = [(event.end, event.told["version"]) for event in events if event.done]
        before = later(seen)
        for event in (event for event in events if event.done):
            version, value = event.told["version"], event.told["value"]
            known = before(event.start)
            if event.what == "write" and version <= known:
                yield f"{name}: a write made version {version} after version {known} was seen"
            if event.what == "read" and version < known:
                yield f"{name}: node {event.told['node']} read version {version} after version {known} was seen"
            if event.what == "read" and version:
                wanted = values.get(version)
                if wanted != value and (version, value) not in perhaps:
                    yield f"{name}: version {version} has a value that nobody wrote there"


def sets(history):
    """A list has all that was acknowledged before it was asked for, and nothing that nobody put there."""
    events = [event for event in history if event.what in ("add", "list")]
    for name, events in by(events, "set").items():
        adds = [event for event in events if event.what == "add"]
        for event in (event for event in events if event.what == "list" and event.done):
            there, node = set(event.told["elements"]), event.told["node"]
            wanted = {add.told["element"] for add in adds if add.done and add.end < event.start}
            known = {add.told["element"] for add in adds if add.done is not False and add.start < event.end}
            if wanted - there:
                yield f"{name}: node {node} does not list {len(wanted - there)} that were there before"
            if there - known:
                yield f"{name}: node {node} lists {len(there - known)} that nobody put there"


def tokens(history):
    """What is revoked works nowhere from the answer on."""
    for _, events in by([event for event in history if event.what in ("use", "revoke")], "of").items():
        yield from after(events, "revoke", "use", "took a token that was revoked")


def counters(history):
    """No use is given twice."""
    for _, events in by([event for event in history if event.what == "count"], "of").items():
        used = sum(event.done is True for event in events)
        if used > USES:
            yield f"a token of {USES} uses was used {used} times"


def policies(history):
    """What a policy does not allow any more works nowhere from the answer on."""
    for _, events in by([event for event in history if event.what in ("allowed", "forbid")], "policy").items():
        yield from after(events, "forbid", "allowed", "did what a policy had forbidden")


def mounts(history):
    """A mount that is gone is gone everywhere from the answer on."""
    for _, events in by([event for event in history if event.what in ("put", "unmount")], "mount").items():
        yield from after(events, "unmount", "put", "wrote into a mount that had gone")


def after(events, end, what, wrong):
    """Nothing of one sort is done that was asked for after the first end was acknowledged."""
    ended = min((event.end for event in events if event.what == end and event.done), default=None)
    for event in events:
        if event.what == what and event.done and ended is not None and event.start > ended:
            yield f"node {event.told['node']} {wrong} {event.start - ended:.3f} s before"


def keys(history):
    """A version that is told of encrypts everywhere; one that was retired decrypts nowhere; no nonce comes twice."""
    newest = later([(event.end, event.told["newest"]) for event in history if event.what == "versions" and event.done])
    retired = later([(event.end, event.told["below"]) for event in history if event.what == "retire" and event.done])
    nonces = Counter()
    for event in history:
        if event.what == "encrypt" and event.done:
            version, blob = parts(event.told["ciphertext"])
            nonces[version, blob[:12]] += 1
            known = newest(event.start)
            if version < known:
                yield f"node {event.told['node']} encrypted by version {version} after version {known} was told of"
        if event.what == "decrypt" and event.done:
            version, _ = parts(event.told["ciphertext"])
            below = retired(event.start)
            if version < below:
                yield f"node {event.told['node']} decrypted version {version} after what is below {below} was retired"
    for (version, _), count in nonces.items():
        if count > 1:
            yield f"a nonce of version {version} was used {count} times"


def parts(ciphertext):
    _, version, blob = ciphertext.split(":")
    return int(version.removeprefix("v")), base64.b64decode(blob)


ALL = (registers, sets, tokens, policies, mounts, counters, keys)


def final(world, history, ask):
    """When all is well again, and a node was opened anew, each has all that was acknowledged, and says the same."""
    world.nodes[0].stop()
    world.start(world.nodes[0])
    events = [event for event in history if event.what == "write" and event.done]
    for name, writes in by(events, "register").items():
        last = max(event.told["version"] for event in writes)
        for node in range(len(world.nodes)):
            event, data = ask("last", "GET", f"kv/data/{name}", node=node)
            version = data.get("metadata", {}).get("version", 0)
            if not event.done or version < last:
                yield f"{name}: node {node} has version {version}, and {last} was acknowledged"
    for name, adds in by([event for event in history if event.what == "add" and event.done], "set").items():
        for node in range(len(world.nodes)):
            event, data = ask("last", "GET", f"kv/metadata/{name}?list=true", node=node)
            lost = {add.told["element"] for add in adds} - set(data.get("keys", []))
            if lost:
                yield f"{name}: node {node} does not list {len(lost)} that were acknowledged: {event.told['status']}"
    removed = {event.told["mount"] for event in history if event.what == "unmount"}
    for event in (event for event in history if event.what == "put" and event.done and event.told["mount"] not in removed):
        entry = event.told["entry"]
        for node in range(len(world.nodes)):
            read, data = ask("last", "GET", entry, node=node)
            if data.get("v") != event.told["mount"]:
                yield f"node {node} does not have {entry}, which was acknowledged: {read.told['status']}"
    event, data = ask("versions", "GET", "transit/keys/k", node=0)
    below = data.get("min_decryption_version", 1)
    made = [event.told["ciphertext"] for event in history if event.what == "encrypt" and event.done]
    made = [ciphertext for ciphertext in made if parts(ciphertext)[0] >= below]
    for start in range(0, len(made), 500):
        batch = [{"ciphertext": ciphertext} for ciphertext in made[start : start + 500]]
        for node in range(len(world.nodes)):
            event, data = ask("open", "POST", "transit/decrypt/k", {"batch_input": batch}, node=node)
            if not event.done or any(item.get("error") for item in data["batch_results"]):
                yield f"node {node} does not open what was encrypted: {event.told['status']}"
