"""Whether a second plan wants nothing but what the emulator is known to forget.

Usage: drift.py PLAN.json EXCEPTIONS.json. Fails for a change that no exception names.
"""

import json
import sys


def differences(before, after, unknown, path=""):
    """Paths of what differs; an index in a list is written as []."""
    if unknown is True:
        # Computed anew because something else is replaced.
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            below = unknown.get(key) if isinstance(unknown, dict) else None
            yield from differences(before.get(key), after.get(key), below, f"{path}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after) and path != "":
        for i, (old, new) in enumerate(zip(before, after)):
            below = unknown[i] if isinstance(unknown, list) and i < len(unknown) else None
            yield from differences(old, new, below, f"{path}[]")
    elif before != after and not (before in (None, [], {}, "") and after in (None, [], {}, "")):
        yield path


def main():
    with open(sys.argv[1]) as plan, open(sys.argv[2]) as exceptions:
        changes = [change for change in json.load(plan)["resource_changes"] if change["change"]["actions"] not in (["no-op"], ["read"])]
        allowed = json.load(exceptions)["forgotten"]
    bad = 0
    for change in changes:
        known = {path for entry in allowed if entry["type"] == change["type"] for path in entry["paths"]}
        action = change["change"]
        if set(action["actions"]) - {"update", "create", "delete"} or action["before"] is None or action["after"] is None:
            print(f"{change['address']}: {'/'.join(action['actions'])}")
            bad += 1
            continue
        for path in sorted(set(differences(action["before"], action["after"], action["after_unknown"]))):
            if path not in known:
                print(f"{change['address']}: {path} differs, and no exception names it")
                bad += 1
    if bad:
        sys.exit(1)
    print(f"the second plan wants nothing but what the emulator forgets, in {len(changes)} resources")


if __name__ == "__main__":
    main()
