"""Whether the distribution of a plan does by path what infra/data/cdn.json says, which the local CDN stand-in does.

Usage: cdn.py PLAN.json RULES.json, or cdn.py --paths RULES.json > infra/check/cdn-paths.json, which writes down what the rules make of each path
below. A test of the stand-in (localstack/src/cdn/rules.rs) is held to that file, and so is the plan here. Works out, for paths of every kind, what the plan's behaviours and policies make of each and what the rules
do, and runs the plan's viewer-request function (node) over the same paths.
"""

import fnmatch
import json
import os
import re
import subprocess
import sys
from urllib.parse import unquote

from access import resources

PATHS = [
    "/", "/watch/demo", "/watch/demo/0190", "/embed/demo", "/embed/demo/0190", "/player/embed.html", "/watch/", "/watch/a/b/c", "/favicon.ico", "/time", "/player/index.html", "/player/assets/a.js",
    "/live/index.json", "/live/demo/index.json", "/live/demo/manifest.mpd", "/live/demo/other", "/vod/demo/b/manifest.mpd",
    "/live/demo/master.m3u8", "/live/demo/poster.jpg", "/vod/demo/b/master.m3u8", "/vod/demo/b/720p/window.m3u8", "/vod/demo/b/audio/replay.m3u8",
    "/vod/demo/b/poster.jpg", "/vod/demo/b/tiles/0.jpg", "/vod/demo/b/cues.json",
    "/vod/demo/b/720p/0.m4s", "/vod/demo/b/720p/init-1.mp4", "/vod/demo/x.json", "/vod/a%20b/1.m4s", "/ingest/b/000001/00000000.gop",
    "/slate/demo/ab", "/live/../ingest/x", "/live/%2e%2e/ingest/x", "/live/%2E%2E%2Fingest/x", "/live//x", "/live/./x", "/live/..\\ingest",
    "//ingest/x", "/live", "/live/", "/livex/y", "/x", "/live/%", "/live/%g0", "/live/%ff", "/live/%00",
]

# CloudFront chooses the behaviour by the path as it was sent, the stand-in by the decoded one. Only these differ, and only where nothing is read.
HARNESS = """
const [code, paths] = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const handler = new Function(code + '; return handler;')();
const said = paths.map((uri) => {
  const reply = handler({ request: { uri, headers: {}, method: 'GET' } });
  return reply.statusCode ? [reply.statusCode, reply.body || ''] : ['object', reply.uri];
});
console.log(JSON.stringify(said));
"""


def matches(pattern, path):
    # fnmatch's brackets are not CloudFront's; no pattern has any.
    return fnmatch.fnmatchcase(path, pattern)


def decoded(path):
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        return None
    try:
        text = unquote(path, errors="strict")
    except UnicodeDecodeError:
        return None
    return None if re.search(r"[\x00-\x1f\x7f-\x9f]", text) else text


def by_rules(rules, path):
    """(kind, target, times, header policy) by the rules, as localstack/src/cdn/rules.rs reads them."""
    text = decoded(path)
    if text is None:
        return ("malformed",)
    for function in rules["functions"]:
        if function["path"] == text:
            return ("function", function["headers"])
    for rewrite in rules["rewrites"]:
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(rewrite["from"])), text):
            text = rewrite["to"]
            break
    key = text[1:]
    plain = "\\" not in key and all(part not in ("", ".", "..") for part in key.split("/"))
    if not plain or not any(key.startswith(prefix) and len(key) > len(prefix) for prefix in rules["origin_prefixes"]):
        return ("nothing",)
    behavior = next(b for b in rules["behaviors"] if matches(b["pattern"], text))
    return ("object", text, behavior["ttl"], behavior["headers"])


def paths(rules):
    """What the rules make of each path, as infra/check/cdn-paths.json has it."""
    kinds = {
        "malformed": lambda _: {},
        "nothing": lambda _: {},
        "function": lambda found: {"headers": found[1]},
        "object": lambda found: {"target": found[1], "ttl": found[2], "headers": found[3]},
    }
    told = {path: by_rules(rules, path) for path in PATHS}
    return {path: {"is": found[0], **kinds[found[0]](found)} for path, found in told.items()}


def main():
    if sys.argv[1] == "--paths":
        with open(sys.argv[2]) as file:
            rows = [f"  {json.dumps(path)}: {json.dumps(found)}" for path, found in paths(json.load(file)).items()]
        print("{\n" + ",\n".join(rows) + "\n}")
        return
    with open(sys.argv[1]) as plan, open(sys.argv[2]) as file:
        found = list(resources(json.load(plan)["planned_values"]["root_module"]))
        rules = json.load(file)
    of = lambda kind: [r["values"] for r in found if r["type"] == kind]
    [distribution] = of("aws_cloudfront_distribution")
    caches = {p["id"]: {"min": p["min_ttl"], "default": p["default_ttl"], "max": p["max_ttl"]} for p in of("aws_cloudfront_cache_policy")}
    headers = {p["id"]: p for p in of("aws_cloudfront_response_headers_policy")}
    names = {r["values"]["id"]: r["index"] for r in found if r["type"] == "aws_cloudfront_response_headers_policy"}
    [function] = of("aws_cloudfront_function")
    wrong = []
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cdn-paths.json")) as file:
        if json.load(file) != paths(rules):
            wrong.append("infra/check/cdn-paths.json is behind the rules: cdn.py --paths")

    ran = subprocess.run(["node", "-e", HARNESS], input=json.dumps([function["code"], PATHS]), capture_output=True, text=True, check=True)
    for path, said in zip(PATHS, json.loads(ran.stdout)):
        want = by_rules(rules, path)
        behaviors = distribution["ordered_cache_behavior"] + [{**distribution["default_cache_behavior"][0], "path_pattern": "*"}]
        chosen = next(b for b in behaviors if matches(b["path_pattern"], path))
        if chosen["allowed_methods"] is None or set(chosen["allowed_methods"]) != set(rules["allowed_methods"]):
            wrong.append(f"{path}: the methods are not those of the rules")
        if [f["event_type"] for f in chosen["function_association"]] != ["viewer-request"]:
            wrong.append(f"{path}: the function is not in its way")
        policy, times = names[chosen["response_headers_policy_id"]], caches[chosen["cache_policy_id"]]
        if want[0] == "object" and not (said[0] == "object" and unquote(said[1]) == want[1] and times == want[2] and policy == want[3]):
            wrong.append(f"{path}: {said}, {times}, {policy}; the rules: {want}")
        elif want[0] == "function" and not (said[0] == 200 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said[1]) and policy == want[1]):
            wrong.append(f"{path}: {said}, {policy}; the rules: {want}")
        elif want[0] == "nothing" and said[0] != 404 or want[0] == "malformed" and said[0] != 400:
            wrong.append(f"{path}: {said}; the rules: {want}")

    for identity, policy in headers.items():
        want = rules["headers"][names[identity]]
        [cors] = policy["cors_config"]
        items = lambda name: cors[name][0]["items"]
        got = {
            "allow_origin": items("access_control_allow_origins")[0],
            "allow_methods": sorted(items("access_control_allow_methods")),
            "allow_headers": sorted(items("access_control_allow_headers")),
            "expose_headers": sorted(items("access_control_expose_headers")),
            "max_age": cors["access_control_max_age_sec"],
        }
        if got != {k: sorted(v) if isinstance(v, list) else v for k, v in want["cors"].items()}:
            wrong.append(f"headers {names[identity]}: cross-origin sharing is {got}")
        [security] = policy["security_headers_config"]
        given = {item["header"]: item["value"] for item in policy["custom_headers_config"][0]["items"]}
        if security["content_type_options"]:
            given["X-Content-Type-Options"] = "nosniff"
        for block, field, name in [
            ("content_security_policy", "content_security_policy", "Content-Security-Policy"),
            ("referrer_policy", "referrer_policy", "Referrer-Policy"),
        ]:
            if security[block]:
                given[name] = security[block][0][field]
        if given != want["set"]:
            wrong.append(f"headers {names[identity]}: {given}")
    if set(names.values()) != set(rules["headers"]):
        wrong.append("the header policies are not those of the rules")

    errors = {e["error_code"]: e["error_caching_min_ttl"] for e in distribution["custom_error_response"]}
    if errors != {code: rules["error_ttl"] for code in rules["cached_errors"]}:
        wrong.append(f"errors are kept for {errors}")
    [origin] = distribution["origin"]
    if not origin["origin_access_control_id"] or not origin["origin_shield"][0]["enabled"] or distribution["http_version"] != "http2and3":
        wrong.append("origin access control, Origin Shield or HTTP/3 is missing")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"the distribution does what the rules say, for {len(PATHS)} paths, {len(headers)} header policies and {len(errors)} errors")


if __name__ == "__main__":
    main()
