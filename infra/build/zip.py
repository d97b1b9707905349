"""Packs a Lambda function's binary, the same bytes for the same binary, when it fits the runtime.

Usage: zip.py BINARY ZIP GLIBC BYTES_MAX. Fails when the binary wants a glibc newer than GLIBC or the zip is larger than BYTES_MAX.
"""

import hashlib
import os
import re
import sys
import zipfile


def main():
    binary, target, glibc, most = sys.argv[1:]
    with open(binary, "rb") as file:
        data = file.read()
    if data[:4] != b"\x7fELF":
        sys.exit(f"{binary} is no ELF file")
    wanted = max((tuple(map(int, v.split(b"."))) for v in re.findall(rb"GLIBC_(\d+\.\d+)", data)), default=(0, 0))
    if wanted > tuple(map(int, glibc.split("."))):
        sys.exit(f"{binary} wants glibc {wanted[0]}.{wanted[1]}, the runtime has {glibc}")
    entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
    entry.create_system = 3
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(entry, data, compresslevel=9)
    size = os.path.getsize(target)
    if size > int(most):
        sys.exit(f"{target} is {size} bytes, more than {most}")
    with open(target, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    print(f"{target}: {size} bytes, glibc {wanted[0]}.{wanted[1]}, sha256 {digest}")


if __name__ == "__main__":
    main()
