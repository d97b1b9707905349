"""Runs the policy scanner over infra/ and compares its findings with the exceptions, both ways.

Usage: scan.py CHECKOV DIRECTORY EXCEPTIONS.json
"""

import json
import subprocess
import sys


def main():
    checkov, directory, exceptions = sys.argv[1:]
    ran = subprocess.run(
        [checkov, "-d", directory, "--framework", "terraform", "--skip-download", "--download-external-modules", "false", "--quiet", "--compact", "-o", "json"],
        capture_output=True,
        text=True,
    )
    report = json.loads(ran.stdout)
    if report["summary"]["passed"] < 100 or report["summary"]["parsing_errors"]:
        sys.exit(f"the scanner did not read everything: {report['summary']}")
    with open(exceptions) as file:
        allowed = json.load(file)["exceptions"]
    needed, bad = set(), 0
    for finding in report["results"]["failed_checks"]:
        fits = [i for i, e in enumerate(allowed) if e["check"] == finding["check_id"] and finding["resource"].startswith(e["on"])]
        needed.update(fits)
        if not fits:
            print(f"{finding['check_id']} {finding['resource']} ({finding['file_path']}): {finding['check_name']}")
            bad += 1
    for i, exception in enumerate(allowed):
        if i not in needed:
            print(f"{exception['check']} {exception['on']}: nothing needs this exception")
            bad += 1
    if bad:
        sys.exit(1)
    print(f"{report['summary']['passed']} checks passed, {report['summary']['failed']} findings stand, each with its reason")


if __name__ == "__main__":
    main()
