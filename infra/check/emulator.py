"""The AWS emulator that infra/ is applied to in checks: moto's server, with what it lacks and Terraform's AWS provider needs.

Added in front of moto: CloudFront's cache, origin-request and response-headers policies and functions, deletion of key groups, and the tags of
Application Auto Scaling; one header of S3's lifecycle. Policies are kept as they were written and given back so. One lock is around everything: moto is not made for
concurrent writers.

Usage: emulator.py PORT. Listens on loopback.
"""

import base64
import io
import json
import os
import re
import sys
import threading
import uuid
import xml.etree.ElementTree as ET

os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")

from moto.cloudfront.models import cloudfront_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
from werkzeug.wrappers import Request, Response

NAMESPACE = "http://cloudfront.amazonaws.com/doc/2020-05-31/"
CLOUDFRONT = re.compile(
    r"^/2020-05-31/(cache-policy|origin-request-policy|response-headers-policy|function|key-group)(?:/([^/]+))?(?:/(config|describe|publish))?$"
)
ELEMENTS = {
    "cache-policy": "CachePolicy",
    "origin-request-policy": "OriginRequestPolicy",
    "response-headers-policy": "ResponseHeadersPolicy",
}
TIME = "2026-01-01T00:00:00Z"
ET.register_namespace("", NAMESPACE)


def tag(name):
    return f"{{{NAMESPACE}}}{name}"


def text(element, name):
    found = element.find(tag(name))
    return "" if found is None or found.text is None else found.text


class Emulator:
    """moto behind the additions."""

    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()
        self.kept = {}
        self.tags = {}

    def __call__(self, environ, start_response):
        # Read once, for the additions and for moto: a body that was taken from the socket is not there a second time.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        request = Request(environ)
        if "lifecycle" in request.args:
            start_response = with_header(start_response, "x-amz-transition-default-minimum-object-size", "all_storage_classes_128K")
        with self.lock:
            response = self.cloudfront(request) or self.auto_scaling(request)
            if response is None:
                environ["wsgi.input"].seek(0)
                return self.moto(environ, start_response)
        return response(environ, start_response)

    def cloudfront(self, request):
        found = CLOUDFRONT.match(request.path)
        if not found:
            return None
        kind, name, part = found.groups()
        if kind == "key-group":
            if request.method != "DELETE":
                return None
            groups = cloudfront_backends[DEFAULT_ACCOUNT_ID]["aws"].key_groups
            return Response(status=204) if groups.pop(name, None) else missing("NoSuchResource")
        if kind == "function":
            return self.function(request, name, part)
        return self.policy(request, kind, name, part)

    def policy(self, request, kind, name, part):
        element = ELEMENTS[kind]
        if request.method in ("POST", "PUT"):
            name = name or str(uuid.uuid4())
            self.kept[kind, name] = (ET.fromstring(request.get_data()), uuid.uuid4().hex[:14].upper())
        if (kind, name) not in self.kept:
            return missing(f"NoSuch{element}")
        if request.method == "DELETE":
            del self.kept[kind, name]
            return Response(status=204)
        config, etag = self.kept[kind, name]
        reply = config
        if part != "config":
            reply = ET.Element(tag(element))
            ET.SubElement(reply, tag("Id")).text = name
            ET.SubElement(reply, tag("LastModifiedTime")).text = TIME
            reply.append(config)
        return xml(reply, etag, 201 if request.method == "POST" else 200)

    def function(self, request, name, part):
        status = 200
        if request.method in ("POST", "PUT") and part is None:
            asked = ET.fromstring(request.get_data())
            name = name or text(asked, "Name")
            self.kept["function", name] = (asked, uuid.uuid4().hex[:14].upper())
            status = 201 if request.method == "POST" else 200
        if ("function", name) not in self.kept:
            return missing("NoSuchFunctionExists")
        if request.method == "DELETE":
            del self.kept["function", name]
            return Response(status=204)
        asked, etag = self.kept["function", name]
        if request.method == "GET" and part is None:
            code = base64.b64decode(text(asked, "FunctionCode"))
            return Response(code, headers={"ETag": etag}, content_type="application/octet-stream")
        reply = ET.Element(tag("FunctionSummary"))
        ET.SubElement(reply, tag("Name")).text = name
        ET.SubElement(reply, tag("Status")).text = "UNASSOCIATED"
        reply.append(asked.find(tag("FunctionConfig")))
        metadata = ET.SubElement(reply, tag("FunctionMetadata"))
        ET.SubElement(metadata, tag("FunctionARN")).text = f"arn:aws:cloudfront::{DEFAULT_ACCOUNT_ID}:function/{name}"
        ET.SubElement(metadata, tag("Stage")).text = request.args.get("Stage", "LIVE")
        ET.SubElement(metadata, tag("CreatedTime")).text = TIME
        ET.SubElement(metadata, tag("LastModifiedTime")).text = TIME
        return xml(reply, etag, status)

    def auto_scaling(self, request):
        service, _, action = request.headers.get("X-Amz-Target", "").partition(".")
        if service != "AnyScaleFrontendService":
            return None
        asked = json.loads(request.get_data() or "{}")
        if action == "RegisterScalableTarget" and asked.get("Tags"):
            self.tags["last"] = asked["Tags"]
        elif action == "TagResource":
            self.tags["last"] = {**self.tags.get("last", {}), **asked["Tags"]}
            return amz_json({})
        elif action == "ListTagsForResource":
            return amz_json({"Tags": self.tags.get("last", {})})
        return None


def with_header(start_response, name, value):
    """Adds a header that moto leaves out."""
    return lambda status, headers, *rest: start_response(status, [*headers, (name, value)], *rest)


def xml(element, etag, status):
    return Response(ET.tostring(element), status=status, headers={"ETag": etag}, content_type="text/xml")


def amz_json(value):
    return Response(json.dumps(value), content_type="application/x-amz-json-1.1")


def missing(code):
    return Response(
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>not here</Message></Error></ErrorResponse>",
        status=404,
        content_type="text/xml",
    )


if __name__ == "__main__":
    port = int(sys.argv[1])
    os.environ["MOTO_PORT"] = str(port)
    run_simple("127.0.0.1", port, Emulator(), threaded=True)
