"""Starts a function's zip file (FUNCTION-ARCH.zip) against a Runtime API, as Lambda does, and measures.

Usage: lambda.py ZIP [START_MS_MAX] [RSS_MIB_MAX]. Takes the binary out of the zip, runs it several times, each time with a Runtime API
(https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) that hands it one event, a DynamoDB in which there is nothing, and an event bus. Start is
from exec to the first request for an event: the median. Memory is the resident set when it waits for its second event. A binary of another
architecture runs in qemu-user if there is one, unmeasured; else it is only said that it was not run.
"""

import base64
import gzip
import http.server
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

RUNS = 15
# EM_X86_64 and EM_AARCH64, ELF header bytes 18 and 19.
MACHINES = {62: "x86_64", 183: "aarch64"}

LINE = '{"timestamp":"2026-11-22T18:00:01.5Z","level":"INFO","event":"rebound","live":"demo"}'
LOGS = gzip.compress(json.dumps({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "timestamp": 1, "message": LINE}]}).encode())
# Function → an event, and what is in the answer to it.
EVENTS = {
    "gateway-fn": ({"event": "end", "live": "nobody"}, "no-such-live"),
    "events-fn": ({"awslogs": {"data": base64.b64encode(LOGS).decode()}}, '{"events":1}'),
}


class Api(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, event):
        super().__init__(("127.0.0.1", 0), Handler)
        self.event = event
        self.asked = threading.Event()
        self.idle = threading.Event()
        self.first = 0.0
        self.lock = threading.Lock()
        self.nexts = 0
        self.said = None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with self.server.lock:
            self.server.nexts += 1
            number = self.server.nexts
        if number == 1:
            self.server.first = time.monotonic()
            self.server.asked.set()
            self.reply(
                200,
                json.dumps(self.server.event).encode(),
                Lambda_Runtime_Aws_Request_Id="8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                Lambda_Runtime_Deadline_Ms=str(int(time.time() * 1000) + 10000),
                Lambda_Runtime_Invoked_Function_Arn="arn:aws:lambda:us-east-1:123456789012:function:check",
            )
        else:
            self.server.idle.set()
            time.sleep(60)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/2018-06-01/"):
            self.server.said = (self.path.rsplit("/", 1)[1], body.decode())
            self.reply(202, b"{}")
        else:
            self.reply(200, b'{"FailedEntryCount":0}' if self.headers["X-Amz-Target"] == "AWSEvents.PutEvents" else b"{}")


def run(command, event):
    """One life: seconds to the first request, MiB when idle, CPU seconds, what it answered."""
    api = Api(event)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    at = f"127.0.0.1:{api.server_address[1]}"
    environment = {
        "AWS_LAMBDA_RUNTIME_API": at, "AWS_LAMBDA_FUNCTION_NAME": "check", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_LOG_GROUP_NAME": "check", "AWS_LAMBDA_LOG_STREAM_NAME": "check",
        "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL_DYNAMODB": f"http://{at}",
        "AWS_ENDPOINT_URL_EVENTBRIDGE": f"http://{at}/",
        "GOPCAST_TABLE": "gopcast", "GOPCAST_HOP_SECRET": "0123456789abcdef0123456789abcdef",
        "GOPCAST_EVENT_BUS": "arn:aws:events:us-east-1:123456789012:event-bus/default", "GOPCAST_STACK": "check",
    }
    began = time.monotonic()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if not api.asked.wait(20) or not api.idle.wait(20):
        child.kill()
        sys.exit(f"it asks for no event: {child.communicate()[0].decode()[-2000:]}")
    with open(f"/proc/{child.pid}/status") as status:
        rss = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))
    child.kill()
    usage = os.wait4(child.pid, 0)[2]
    child.returncode = 0
    child.stdout.close()
    api.shutdown()
    return api.first - began, rss, usage.ru_utime + usage.ru_stime, api.said


def main():
    path = sys.argv[1]
    start_max, rss_max = float((sys.argv + ["", "50"])[2] or 50), float((sys.argv[3:] + ["30"])[0])
    with tempfile.TemporaryDirectory() as directory:
        with zipfile.ZipFile(path) as archive:
            binary = archive.extract("bootstrap", directory)
        os.chmod(binary, 0o755)
        with open(binary, "rb") as file:
            head = file.read(20)
        machine = MACHINES.get(head[18] | head[19] << 8, "unknown")
        command = [binary]
        if machine != platform.machine():
            qemu = shutil.which(f"qemu-{machine}-static") or shutil.which(f"qemu-{machine}")
            if qemu is None:
                print(f"{path}: {machine}, not run on {platform.machine()} (no qemu-user)")
                return
            command = [qemu, binary]
        event, wanted = next(known for function, known in EVENTS.items() if os.path.basename(path).startswith(function))
        lives = [run(command, event) for _ in range(RUNS if len(command) == 1 else 1)]
        answers = {life[3] for life in lives}
        if len(answers) != 1 or lives[0][3][0] != "response" or wanted not in lives[0][3][1]:
            sys.exit(f"{path}: it answered {answers}")
        if len(command) > 1:
            print(f"{path}: {machine}, runs and answers in qemu-user")
            return
        start = statistics.median(life[0] for life in lives) * 1000
        cpu = statistics.median(life[2] for life in lives) * 1000
        rss = max(life[1] for life in lives)
        best = min(life[0] for life in lives) * 1000
        print(f"{path}: asks for its first event {start:.1f} ms after exec (median of {RUNS}; best {best:.1f}; {cpu:.0f} ms of CPU in all), idle {rss:.1f} MiB")
        if start > start_max:
            sys.exit(f"{path}: the start takes more than {start_max:.0f} ms")
        if rss > rss_max:
            sys.exit(f"{path}: more than {rss_max:.0f} MiB when idle")


if __name__ == "__main__":
    main()
