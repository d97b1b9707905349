"""Whether Terraform gives each process the settings that it needs, and none that it does not read, by docs/CONFIGURATION.md.

A variable whose default is `required` must be set for everybody who reads it; one that is set must be read by who gets it. The services must write
their metrics into the namespace that the alarms and graphs look in.

Usage: env.py CONFIGURATION.md PLAN.json...
"""

import json
import re
import sys

# Beside the services.
HELPERS = {"protect": {"GOPCAST_HTTP_ADDR"}}


def documented(path):
    """Name of a variable → who reads it, whether it is required."""
    found = {}
    with open(path) as file:
        for line in file:
            cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
            if len(cells) < 4 or not cells[0].startswith("`GOPCAST_"):
                continue
            readers = {reader.strip() for reader in cells[1].split(",")}
            for name in re.findall(r"`(GOPCAST_\w+)`", cells[0]):
                found[name] = (readers, cells[-1] == "required")
    return found


def resources(module):
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from resources(child)


def given(plan):
    """Process → names and values of its variables; a secret's value is None."""
    for resource in resources(plan["planned_values"]["root_module"]):
        values = resource["values"]
        if resource["type"] == "aws_ecs_task_definition":
            for container in json.loads(values["container_definitions"]):
                variables = {v["name"]: v["value"] for v in container.get("environment", [])}
                variables.update({v["name"]: None for v in container.get("secrets", [])})
                yield container["name"], variables
        elif resource["type"] == "aws_lambda_function":
            yield resource["address"].split(".")[1], values["environment"][0]["variables"]


def main():
    documents, *plans = sys.argv[1:]
    known = documented(documents)
    wrong, namespaces, seen = [], set(), set()
    for path in plans:
        with open(path) as file:
            plan = json.load(file)
        for resource in resources(plan["planned_values"]["root_module"]):
            if resource["type"] in ("aws_cloudwatch_metric_alarm", "aws_cloudwatch_log_metric_filter"):
                namespace = resource["values"].get("namespace") or resource["values"]["metric_transformation"][0]["namespace"]
                namespaces.add(namespace) if not namespace.startswith("AWS/") else None
        for process, variables in given(plan):
            seen.add(process)
            ours = {name for name in variables if name.startswith("GOPCAST_")}
            if process in HELPERS:
                wrong += [f"{path}: {process} gets {sorted(ours)}, not {sorted(HELPERS[process])}"] if ours != HELPERS[process] else []
                continue
            needed = {name for name, (readers, required) in known.items() if required and readers & {process, "all"}}
            wrong += [f"{path}: {process} lacks {name}" for name in sorted(needed - ours)]
            taken = {name for name, (readers, _) in known.items() if readers & {process, "all", f"the {process}'s image"}}
            wrong += [f"{path}: {process} is given {name}, which it does not read" for name in sorted(ours - taken)]
            if "GOPCAST_METRICS_NAMESPACE" in taken:
                namespace = variables.get("GOPCAST_METRICS_NAMESPACE", "the default")
                if {namespace} != namespaces:
                    wrong.append(f"{path}: {process} writes its metrics into {namespace}, and alarms look in {sorted(namespaces)}")
    missing = {"edge", "encoder", "gateway", "events", "protect"} - seen
    wrong += [f"no plan has {process}" for process in sorted(missing)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(seen)} processes are given what {documents} says they need")


if __name__ == "__main__":
    main()
