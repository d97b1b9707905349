"""Whether what infra/data/observability.json counts is written: each event in docs/EVENTS.md, by the process whose log is read.

Metrics that the services write themselves are in docs/METRICS.md, of the service that the dimension says.

Each alarm has a row in the runbook of docs/OPERATIONS.md, and no row is of an alarm that there is not.

Usage: watched.py OBSERVABILITY.json EVENTS.md METRICS.md OPERATIONS.md
"""

import json
import re
import sys


def main():
    with open(sys.argv[1]) as file:
        watched = json.load(file)
    with open(sys.argv[2]) as file:
        events = {
            match[1]: (match[2], match[3])
            for match in re.finditer(r"^\| `([a-z-]+)` \| ([^|]+) \| ([^|]*) \|", file.read(), re.M)
        }
    with open(sys.argv[3]) as file:
        metrics = file.read()
    wrong = []
    own = [("alarm " + name, alarm["metric"]) for name, alarm in watched["alarms"].items()]
    own += [("graph " + graph["title"], graph["metric"]) for graph in watched["dashboard"] if "metric" in graph]
    for name, metric in own:
        if "counter" in metric or "namespace" in metric:
            continue
        service = metric["of"].removesuffix("_metrics")
        section = re.search(rf"^## [^\n]*\b{service}\b.*?(?=^## |\Z)", metrics, re.M | re.S | re.I)
        if section is None or f"| `{metric['name']}` |" not in section[0]:
            wrong.append(f"{name}: {metric['name']} is not among the {service}'s in {sys.argv[3]}")
    with open(sys.argv[4]) as file:
        rows = re.findall(r"^\| `([a-z0-9-]+)` \|", file.read().split("## Runbook")[1].split("\n## ")[0], re.M)
    alarms = {**watched["alarms"], **watched["cdn_alarms"]}
    wrong += [f"{name}: no row in the runbook of {sys.argv[4]}" for name in alarms if name not in rows]
    wrong += [f"{name}: in the runbook, but no alarm" for name in rows if name not in alarms]
    for name, counter in watched["counters"].items():
        event = re.fullmatch(r'\{ \$\.event = "([a-z-]+)" \}', counter["pattern"])
        if event is None:
            if counter["pattern"] != '{ $.level = "ERROR" }':
                wrong.append(f"{name}: a pattern that is neither an event nor a level")
            continue
        sender, fields = events.get(event[1], ("", ""))
        if counter["log"] not in sender.split(", "):
            wrong.append(f"{name}: {event[1]} is not from the {counter['log']}, by {sys.argv[2]}")
        if counter["value"] != "1" and f"`{counter['value'].removeprefix('$.')}`" not in fields:
            wrong.append(f"{name}: {event[1]} has no field {counter['value']}")
    counted = [a["metric"]["counter"] for a in watched["alarms"].values() if "counter" in a["metric"]]
    graphs = [counter for graph in watched["dashboard"] for counter in graph.get("counters", [])]
    for counter in {*counted, *graphs} - set(watched["counters"]):
        wrong.append(f"{counter} is shown or watched, but not counted")
    for counter in set(watched["counters"]) - {*graphs}:
        wrong.append(f"{counter} is counted, but not shown")
    for name, alarm in {**watched["alarms"], **watched["cdn_alarms"]}.items():
        if alarm["datapoints"] > alarm["periods"]:
            wrong.append(f"{name}: never enough datapoints")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(watched['counters'])} counters are of events that are written, and all are shown")


if __name__ == "__main__":
    main()
