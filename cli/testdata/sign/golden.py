"""Makes golden.json: policies by botocore's CloudFrontSigner, signatures by openssl. Needs botocore and openssl.

Usage: golden.py > golden.json, in this directory.
"""

import datetime
import json
import subprocess

from botocore.signers import CloudFrontSigner


def sign(message):
    return subprocess.run(["openssl", "dgst", "-sha256", "-sign", "rsa.pem"], input=message, capture_output=True, check=True).stdout


def at(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


signer = CloudFrontSigner("K2JCJMDEHXQW5F", sign)
URL = "https://d111111abcdef8.cloudfront.net/vod/shoes/b/poster.jpg"
cases = []
for url, until, ip in [
    (URL, 1767290400, None),
    (URL + "?v=1&x=%C3%A4", 1800000000, None),
    (URL, 1767290400, "192.0.2.0/24"),
    (URL, 1767290400, "192.0.2.7"),
]:
    if ip is None:
        signed = signer.generate_presigned_url(url, date_less_than=at(until))
    else:
        policy = signer.build_policy(url, at(until), ip_address=ip)
        signed = signer.generate_presigned_url(url, policy=policy)
    cases.append({"url": url, "until": until, "ip": ip, "signed": signed})
policy = signer.build_policy("https://d111111abcdef8.cloudfront.net/live/shoes/*", at(1767290400))
cookies = {"policy": signer._url_b64encode(policy.encode()).decode(), "signature": signer._url_b64encode(sign(policy.encode())).decode()}
print(json.dumps({"urls": cases, "cookies": cookies}, indent=1))
