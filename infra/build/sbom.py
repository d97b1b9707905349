"""The software bill of materials of the programs: CycloneDX 1.5 from `cargo metadata` and player/package-lock.json.

Usage: sbom.py VERSION. Lists what the programs link on this platform (no test or build tools) and what the pages bundle. The same text
from the same lock files: no time but SOURCE_DATE_EPOCH's, no random serial.
"""

import base64
import datetime
import json
import os
import subprocess
import sys

PROGRAMS = {"cli", "ingest-edge", "gateway-fn", "events-fn", "encoder-task"}

# What player/build.mjs puts into the pages. What these depend on is listed with them, for parts of it are in their bundles.
BUNDLED = {"dashjs", "@fontsource-variable/inter"}


def linked(metadata):
    """Ids of what the programs link, themselves left out."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    ours = set(metadata["workspace_members"])
    by_id = {package["id"]: package for package in metadata["packages"]}
    todo = [i for i in ours if by_id[i]["name"] in PROGRAMS]
    found = set()
    while todo:
        for dependency in nodes[todo.pop()]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]) and dependency["pkg"] not in found:
                found.add(dependency["pkg"])
                todo.append(dependency["pkg"])
    return [by_id[i] for i in sorted(found) if i not in ours]


def crates():
    host = next(line.split()[1] for line in subprocess.check_output(["rustc", "-vV"], text=True).splitlines() if line.startswith("host:"))
    text = subprocess.check_output(["cargo", "metadata", "--format-version=1", "--locked", f"--filter-platform={host}"])
    with open("Cargo.lock") as file:
        lock = file.read()
    for package in linked(json.loads(text)):
        name, version = package["name"], package["version"]
        component = {"type": "library", "name": name, "version": version, "purl": f"pkg:cargo/{name}@{version}"}
        entry = lock.split(f'name = "{name}"\nversion = "{version}"\n', 1)
        if len(entry) == 2 and 'checksum = "' in entry[1].split("\n\n", 1)[0]:
            digest = entry[1].split('checksum = "', 1)[1].split('"', 1)[0]
            component["hashes"] = [{"alg": "SHA-256", "content": digest}]
        if package.get("license"):
            component["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        yield component


def pages():
    with open("player/package-lock.json") as file:
        packages = json.load(file)["packages"]
    bundled = {path.split("node_modules/")[-1]: package for path, package in packages.items() if path and not package.get("dev")}
    for name in BUNDLED - set(bundled):
        sys.exit(f"player/package-lock.json has {name} not at all, or for development only: the pages bundle it")
    for name, package in sorted(bundled.items()):
        version = package["version"]
        component = {"type": "library", "name": name, "version": version, "purl": f"pkg:npm/{name.replace('@', '%40')}@{version}"}
        algorithm, _, digest = package.get("integrity", "").partition("-")
        if algorithm == "sha512":
            component["hashes"] = [{"alg": "SHA-512", "content": base64.b64decode(digest).hex()}]
        if package.get("license"):
            component["licenses"] = [{"expression": package["license"]}]
        yield component


def main():
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "315532800"))
    time = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": time, "component": {"type": "application", "name": "gopcast", "version": sys.argv[1]}},
        "components": [*crates(), *pages()],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
