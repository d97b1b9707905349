"""Where broadcasts are placed, computed without the crate under test: `python3 ring-golden.py > ring-golden.txt`. Standard library only.

One line per encoder (name, capacity in pixels per second, bindings that stand) and one per placement, in their order.
"""

import hashlib
import math
from fractions import Fraction

ENCODERS = [("encoder-a", 30_000_000, 0), ("encoder-b", 60_000_000, 3), ("encoder-c", 1_000, 1), ("encoder-d", 120_000_000, 2)]
STEPS = [Fraction(round(2 ** (eighth / 8) * 65536), 65536) * 2**octave for octave in range(12) for eighth in range(8)]


def sha(text):
    return hashlib.sha256(text.encode()).digest()


def first(digest, at=0):
    return int.from_bytes(digest[at : at + 8], "big")


def limit(total, capacity, capacities):
    bound = Fraction(5, 4) * total * Fraction(capacity, capacities)
    return math.ceil(max([step for step in STEPS if step <= bound], default=1))


points = []
for name, capacity, _ in ENCODERS:
    for group in range(min(max(capacity // 1_000_000, 8), 256)):
        digest = sha(f"{name}#{group}")
        points += [(first(digest, at), name) for at in range(0, 32, 8)]
points.sort()

load = {name: bound for name, _, bound in ENCODERS}
capacity = {name: capacity for name, capacity, _ in ENCODERS}
for encoder in ENCODERS:
    print("encoder", *encoder)
for n in range(120):
    key = f"018bcfe5-{0x6800 + n:04x}-7000-8000-000000000000"
    point = first(sha(key))
    total = sum(load.values()) + 1
    walk = [p for p in points if p[0] >= point] + points
    name = next(name for _, name in walk if load[name] < limit(total, capacity[name], sum(capacity.values())))
    load[name] += 1
    print("place", key, name)
