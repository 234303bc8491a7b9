"""Small Debian packages, as dpkg-deb writes them."""

from __future__ import annotations

import io
import tarfile


def build_deb(version: str, files: dict[str, bytes], name: str = "p") -> bytes:
    """The bytes of a .deb with these files (name without leading ./ -> content)."""
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": _archive({"control": f"Package: {name}\nVersion: {version}\n".encode()}),
        "data.tar.xz": _archive(files),
    }
    out = b"!<arch>\n"
    for member, content in parts.items():
        out += f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        out += b"\n" * (len(content) % 2)
    return out


def _archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()
