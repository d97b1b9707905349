#!/bin/sh
# Checks infra/: form, validity, tests, policy scan; then applies it to an AWS emulator, compares what it opens with docs/INFRA-ACCESS.md and
# what its CDN does with data/cdn.json, wants an empty second plan, and destroys it. Works on a copy in target/infra-check.
#
# `run.sh fast` stops before the scan and the emulator. `run.sh tables` prints the tables of docs/INFRA-ACCESS.md instead of comparing them.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$root/target/infra-check
# One at a time, above the ephemeral ports of most machines' default range.
port=${GOPCAST_EMULATOR_PORT:-25566}
emulator_pid=
what=${1:-all}

say() { printf 'infra-check: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
stop() { [ -z "$emulator_pid" ] || kill "$emulator_pid" 2>/dev/null || true; }
trap stop EXIT
trap 'exit 130' INT TERM

command -v terraform >/dev/null || die "terraform 1.11 or later is missing: see https://developer.hashicorp.com/terraform/install"
mkdir -p "$work"
# A configuration file that is named and not there is a warning on every command.
if [ -n "${TF_CLI_CONFIG_FILE:-}" ] && [ ! -e "$TF_CLI_CONFIG_FILE" ]; then
    : >"$work/empty.tfrc"
    export TF_CLI_CONFIG_FILE="$work/empty.tfrc"
fi
export TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1

# Providers from a mirror on this machine, if it has one; else from the registry.
plugins=${GOPCAST_TF_PLUGINS:-}
for dir in /opt/tf-plugins /usr/local/share/terraform/plugins "$HOME/.terraform.d/plugins"; do
    [ -n "$plugins" ] || { [ -d "$dir/registry.terraform.io/hashicorp/aws" ] && plugins=$dir; } || true
done
init() {
    terraform init -no-color -backend=false ${plugins:+-plugin-dir="$plugins"} >"$work/init.log" 2>&1 || { cat "$work/init.log" >&2; exit 1; }
}

# $1: requirements file, $2: what must be importable at that version. Prints the Python that has it.
python_with() {
    module=$2 version=$(sed -n 's/^[a-z]*\(\[.*\]\)\{0,1\}==//p' "$root/infra/check/$1")
    if python3 -c "import sys, importlib.metadata as m; sys.exit(m.version('$module') != '$version')" 2>/dev/null; then
        command -v python3
        return
    fi
    venv=$root/target/tools/$module-$version
    if [ ! -e "$venv/complete" ]; then
        say "installing $module $version from PyPI"
        rm -rf "$venv"
        python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check -r "$root/infra/check/$1" >&2 || return 1
        : >"$venv/complete"
    fi
    echo "$venv/bin/python"
}

say "form"
terraform fmt -check -recursive -diff "$root/infra"

rm -rf "$work/infra"
cp -R "$root/infra" "$work/infra"
cd "$work/infra"
for module in . edge-region; do
    say "validity and tests of $module"
    (cd "$module" && init && terraform validate -no-color >&2 && terraform test -no-color >&2)
done
say "what is watched"
python3 check/watched.py data/observability.json "$root/docs/EVENTS.md" "$root/docs/METRICS.md" "$root/docs/OPERATIONS.md" >&2
say "the encoder's scripts"
python3 check/protect.py "$root/encoder-task" >&2
[ "$what" != fast ] || exit 0

say "policy scan"
# Its own copy: the scanner would take the tests' .terraform for more modules.
rm -rf "$work/scan"
cp -R "$root/infra" "$work/scan"
checkov=$(python_with requirements-checkov.txt checkov) || die "checkov can't be installed"
python3 check/scan.py "$(dirname "$checkov")/checkov" "$work/scan" check/checkov.json >&2

say "an AWS emulator on port $port"
python=$(python_with requirements-moto.txt moto) || die "moto can't be installed"
export AWS_ENDPOINT_URL="http://127.0.0.1:$port" AWS_EC2_METADATA_DISABLED=true
"$python" check/emulator.py "$port" >"$work/emulator.log" 2>&1 &
emulator_pid=$!
tries=0
until python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 120 ] && kill -0 "$emulator_pid" 2>/dev/null || { tail -5 "$work/emulator.log" >&2; die "the emulator did not start"; }
    sleep 0.5
done

openssl genrsa 2048 2>/dev/null | openssl rsa -pubout 2>/dev/null >"$work/viewer.pem"
secret='arn:aws:secretsmanager:eu-west-1:123456789012:secret:tls-AbCdEf'
python3 - "$work/viewer.pem" "$secret" >main.auto.tfvars.json <<'PY'
import json, sys
print(json.dumps({
    "region": "eu-west-1", "ingest_domain": "ingest.example.com", "tls_secret_arn": sys.argv[2], "gateway_zip": "tests/function.zip", "events_zip": "tests/function.zip",
    "image_tag": "1.0.0", "disposable": True, "viewer_keys": {"check": open(sys.argv[1]).read()},
}))
PY
cp check/emulator.tf emulator_override.tf
python3 - <<'PY'
# The edge region has one provider.
text = open("check/emulator.tf").read()
first = text[: text.rindex('provider "aws"')].replace("var.name", "var.stack.name")
open("edge-region/emulator_override.tf", "w").write(first)
PY

# Applies the module in the current directory, plans again, and leaves that plan in $1.
apply_twice() {
    timeout 600 terraform apply -no-color -auto-approve >"$work/apply.log" 2>&1 || { tail -30 "$work/apply.log" >&2; die "apply failed"; }
    terraform plan -no-color -out=again >"$work/plan.log" 2>&1 || { tail -30 "$work/plan.log" >&2; die "the second plan failed"; }
    terraform show -json again >"$1"
    grep '^Apply complete' "$work/apply.log" >&2
    python3 "$root/infra/check/drift.py" "$1" "$root/infra/check/drift.json" >&2
}

say "apply, and a second plan"
init
apply_twice "$work/plan.json"
terraform output -json edge_region >edge.json
python3 - "$secret" >edge-region/main.auto.tfvars.json <<'PY'
import json, sys
print(json.dumps({"region": "us-east-1", "stack": json.load(open("edge.json")), "tls_secret_arn": sys.argv[1], "events_zip": "../tests/function.zip", "disposable": True}))
PY
say "apply, and a second plan, of another region's edges"
(cd edge-region && init && apply_twice "$work/plan-edge-region.json")

if [ "$what" = tables ]; then
    python3 check/access.py "$work/plan.json" "$work/plan-edge-region.json" - --print
else
    say "what is open, and what the CDN does"
    python3 check/access.py "$work/plan.json" "$work/plan-edge-region.json" "$root/docs/INFRA-ACCESS.md"
    python3 check/cdn.py "$work/plan.json" data/cdn.json
    say "what the processes are told"
    python3 check/env.py "$root/docs/CONFIGURATION.md" "$work/plan.json" "$work/plan-edge-region.json"
fi

say "destroy"
for module in edge-region .; do
    (cd "$module" && timeout 600 terraform destroy -no-color -auto-approve >"$work/destroy.log" 2>&1) || { tail -30 "$work/destroy.log" >&2; die "destroy failed"; }
    [ -z "$(cd "$module" && terraform state list)" ] || die "destroy left something"
done
say "all well"
