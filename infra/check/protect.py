"""Runs encoder-task's `protect` and `healthz` against an encoder and an ECS agent played here, over real connections.

Usage: protect.py DIRECTORY (of the two scripts)
"""

import http.server
import json
import os
import queue
import subprocess
import sys
import threading

state = {"broadcasts": 0, "status": "ok", "agent": 200}
told = queue.Queue()


class Peer(http.server.BaseHTTPRequestHandler):
    """Both peers: the encoder's health page and the agent's protection endpoint."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, value):
        body = json.dumps(value, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(200 if self.path == "/healthz" else 404, {"broadcasts": state["broadcasts"], "status": state["status"]})

    def do_PUT(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = state["agent"]
        self.reply(status, {"protection": asked} if status == 200 else {"error": {"Code": "ThrottlingException"}})
        told.put((self.path, asked, status))


def expect(want):
    path, asked, status = told.get(timeout=20)
    while (asked.get("ProtectionEnabled"), status) != want:
        path, asked, status = told.get(timeout=20)
    assert path == "/api/task-1/task-protection/v1/state", path
    if want[0]:
        assert asked["ExpiresInMinutes"] == 5, asked


def quiet():
    """Nothing is asked over some looks."""
    try:
        while True:
            got = told.get(timeout=1.5)
            assert got[1] == {"ProtectionEnabled": False}, got
    except queue.Empty:
        pass


def main():
    scripts = sys.argv[1]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    environment = {**os.environ, "GOPCAST_HTTP_ADDR": f"0.0.0.0:{port}", "ECS_AGENT_URI": f"http://127.0.0.1:{port}/api/task-1"}
    subprocess.run([f"{scripts}/healthz"], env=environment, check=True)
    closed = {**environment, "GOPCAST_HTTP_ADDR": "0.0.0.0:1"}
    assert subprocess.run([f"{scripts}/healthz"], env=closed, stderr=subprocess.DEVNULL).returncode != 0

    without = {k: v for k, v in environment.items() if k != "ECS_AGENT_URI"}
    assert subprocess.run([f"{scripts}/protect"], env=without, stdout=subprocess.DEVNULL).returncode == 0

    process = subprocess.Popen([f"{scripts}/protect", "0.2"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        quiet()
        state["broadcasts"] = 2
        expect((True, 200))
        # Asked for anew, for it ends by itself.
        expect((True, 200))
        # A refusal is tried again.
        state["agent"] = 400
        expect((True, 400))
        state.update(agent=200, broadcasts=0)
        expect((False, 200))
        quiet()
        state.update(broadcasts=1)
        expect((True, 200))
        # Who drains is not to be kept.
        state.update(status="draining")
        expect((False, 200))
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0, process.returncode
    said = [json.loads(line)["message"] for line in out.splitlines()]
    assert said[0] == "protected" and "no longer protected" in said and "protection could not be changed" in said, said
    print("an encoder is protected while it has broadcasts, and only then")


if __name__ == "__main__":
    main()
