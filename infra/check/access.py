"""What a plan opens, as tables, and whether docs/INFRA-ACCESS.md says exactly that.

Usage: access.py PLAN.json... DOCUMENT [--print]. Plans are `terraform show -json` of a plan with every value known, so of one made after an
apply. Fails, naming each row, when the document lacks a row of the plans or has one that they do not.
"""

import json
import re
import sys

# Every type that can open something. One that is not here is an error, so that none is forgotten.
HANDLED = {
    "aws_vpc_security_group_ingress_rule",
    "aws_vpc_security_group_egress_rule",
    "aws_security_group",
    "aws_default_security_group",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_iam_policy",
    "aws_lambda_permission",
    "aws_s3_bucket_policy",
    "aws_vpc_endpoint",
}
# Types whose names look like it, and that open nothing.
OPENS_NOTHING = {
    "aws_appautoscaling_policy",
    "aws_cloudfront_cache_policy",
    "aws_cloudfront_origin_request_policy",
    "aws_cloudfront_response_headers_policy",
    "aws_ecr_lifecycle_policy",
}
SUSPICIOUS = re.compile(r"^aws_iam_|policy|permission|security_group|function_url|_acl|attachment")


def resources(module):
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from resources(child)


def listed(value):
    return sorted(value) if isinstance(value, list) else [value]


def plain(text):
    """Without what differs between accounts."""
    text = text.replace("123456789012", "ACCOUNT")
    text = re.sub(r"(:secret:[^:]*)-\w{6}$", r"\1-SUFFIX", text)
    return re.sub(r"(eu|us)-(west|east)-1", "REGION", text)


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def code(values):
    return ", ".join(f"`{plain(value)}`" for value in values)


def condition(statement):
    return code([f"{operator} {key} = {value}" for operator, tests in sorted(statement.get("Condition", {}).items()) for key, value in sorted(tests.items())]) or "always"


def principal(statement):
    who = statement.get("Principal", "")
    return ", ".join(f"{kind} {name}" for kind, names in who.items() for name in listed(names)) if isinstance(who, dict) else {"*": "everybody"}.get(who, who)


def statements(policy):
    for statement in json.loads(policy)["Statement"]:
        yield statement, statement["Sid"], statement["Effect"], code(listed(statement["Action"])), code(listed(statement.get("Resource", [])))


def rows(plan, where):
    """Rows of one plan, in the order of the document's sections."""
    connections, roles, trusts, resource_policies = set(), set(), set(), set()
    found = list(resources(plan["planned_values"]["root_module"]))
    groups = {r["values"]["id"]: r["index"] for r in found if r["type"] == "aws_security_group"}
    lists = {r["values"]["prefix_list_id"]: r["index"] for r in found if r["type"] == "aws_vpc_endpoint" and r["values"].get("prefix_list_id")}
    for resource in found:
        kind, values = resource["type"], resource["values"]
        if kind not in HANDLED:
            if SUSPICIOUS.search(kind) and kind not in OPENS_NOTHING:
                sys.exit(f"{resource['address']} may open something, and access.py does not know its type")
            continue
        if kind in ("aws_vpc_security_group_ingress_rule", "aws_vpc_security_group_egress_rule"):
            way = "in" if "ingress" in kind else "out"
            ports = str(values["from_port"]) if values["from_port"] == values["to_port"] else f"{values['from_port']}-{values['to_port']}"
            peers = [values.get("cidr_ipv4"), values.get("cidr_ipv6"), groups.get(values.get("referenced_security_group_id")), lists.get(values.get("prefix_list_id"))]
            peer = [peer for peer in peers if peer]
            if len(peer) != 1:
                sys.exit(f"{resource['address']}: the peer can't be told")
            connections.add(row(where, groups[values["security_group_id"]], way, f"{values['ip_protocol']} {ports}", peer[0]))
        elif kind in ("aws_security_group", "aws_default_security_group"):
            inline = [] if kind == "aws_security_group" else values["ingress"] + values["egress"]
            if inline:
                sys.exit(f"{resource['address']} has rules of its own")
        elif kind == "aws_iam_role":
            for statement, sid, effect, actions, _ in statements(values["assume_role_policy"]):
                trusts.add(row(where, plain(values["name"]), effect, principal(statement), actions, condition(statement)))
            if values.get("managed_policy_arns") or values.get("inline_policy") and any(p.get("name") not in names_of(found, values["name"]) for p in values["inline_policy"]):
                sys.exit(f"{resource['address']} has policies beside those of this module")
        elif kind in ("aws_iam_role_policy", "aws_iam_policy"):
            for statement, sid, effect, actions, on in statements(values["policy"]):
                roles.add(row(where, plain(values.get("role") or values["name"]), sid, effect, actions, on, condition(statement)))
        elif kind == "aws_lambda_permission":
            resource_policies.add(row(where, f"function {values['function_name']}", values["statement_id"], "Allow", f"Service {values['principal']}", code([values["action"]]), "itself", code([f"source {values['source_arn']}"])))
        elif kind == "aws_s3_bucket_policy":
            for statement, sid, effect, actions, on in statements(values["policy"]):
                resource_policies.add(row(where, "bucket", sid, effect, principal(statement), actions, on, stable(condition(statement))))
        elif kind == "aws_vpc_endpoint" and values["vpc_endpoint_type"] == "Gateway":
            for statement, sid, effect, actions, on in statements(values["policy"]):
                resource_policies.add(row(where, f"endpoint {resource['index']}", sid, effect, principal(statement), actions, on, condition(statement)))
    return connections, roles, trusts, resource_policies


def names_of(found, role):
    return {r["values"]["name"] for r in found if r["type"] == "aws_iam_role_policy" and r["values"]["role"] == role}


def stable(text):
    return re.sub(r"distribution/[A-Z0-9]+", "distribution/ID", text)


HEADS = [
    ("Connections", row("where", "group", "way", "port", "peer")),
    ("What roles and operators may do", row("where", "who", "statement", "effect", "actions", "on", "when")),
    ("Who may take the roles", row("where", "role", "effect", "who", "actions", "when")),
    ("What resources allow", row("where", "resource", "statement", "effect", "who", "actions", "on", "when")),
]


def main():
    args = [arg for arg in sys.argv[1:] if arg != "--print"]
    *plans, document = args
    wanted = [set() for _ in HEADS]
    for path in plans:
        with open(path) as file:
            where = "edge region" if "edge-region" in path else "data region"
            for all_rows, new in zip(wanted, rows(json.load(file), where)):
                all_rows |= new
    if "--print" in sys.argv:
        for (title, head), section in zip(HEADS, wanted):
            print(f"## {title}\n\n{head}\n{'| --- ' * (head.count('|') - 1)}|")
            print("\n".join(sorted(section)) + "\n")
        return
    with open(document) as file:
        written = [line.strip() for line in file if line.startswith("| ")]
    heads = {head for _, head in HEADS}
    said = {line for line in written if line not in heads and not line.startswith("| ---")}
    real = set().union(*wanted)
    for line in sorted(real - said):
        print(f"open, but not in {document}:\n  {line}")
    for line in sorted(said - real):
        print(f"in {document}, but not open:\n  {line}")
    if real != said:
        sys.exit(1)
    print(f"{len(real)} rows of {document} are what the plans open")


if __name__ == "__main__":
    main()
