"""Which addresses a printer may have. Refuses what is never a printer: metadata services, multicast, our own 0.0.0.0.

Private and loopback addresses are where printers live, so they are let through; a site narrows them by `allow`.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from api.domain.core.errors import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NEVER = tuple(
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata service of every cloud
        "100.100.100.200/32",  # metadata of Alibaba Cloud
        "192.0.0.0/24",  # protocol assignments, and metadata of Oracle Cloud
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "fd00:ec2::254/128",  # metadata of AWS
        "ff00::/8",
        "2002::/16",  # 6to4 and NAT64 would carry any of the above in disguise
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
    )
)


class NotAnAddress(Invalid):
    """Enter the address of the OctoPrint server, such as http://octopi.local or http://192.168.1.20:5000."""


class UnknownHost(Invalid):
    """No machine called {host} can be found on the network."""


class ForbiddenAddress(Invalid):
    """{host} leads to {address}, where no printer may be."""


def check_printer_url(url: str, *, allow: Sequence[str] | None = None) -> str:
    """The URL, without a slash at its end, if every address of its host may be a printer's.

    `allow` is a list of CIDR blocks (None: all but the ones that are never right). Looks the name up, so it does I/O.
    Raises NotAnAddress, UnknownHost or ForbiddenAddress. Check again before each use: a name may change its address.
    """
    host, port = _parts(url)
    for address in _resolve(host, port):
        if not may_be_printer(address, allow=allow):
            raise ForbiddenAddress(host=host, address=str(address))
    return url.strip().rstrip("/")


def may_be_printer(address: Address, *, allow: Sequence[str] | None = None) -> bool:
    """An IPv4 address mapped into IPv6 is judged as what it carries."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    real = mapped or address
    if any(real in network for network in _NEVER if network.version == real.version):
        return False
    blocks = [ipaddress.ip_network(block) for block in allow] if allow is not None else None
    return blocks is None or any(real in block for block in blocks if block.version == real.version)


def _parts(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as wrong:
        raise NotAnAddress from wrong
    odd = parts.username or parts.password or parts.query or parts.fragment or "\\" in url
    if parts.scheme not in ("http", "https") or not host or odd:
        raise NotAnAddress
    return host, port or (443 if parts.scheme == "https" else 80)


def _resolve(host: str, port: int) -> set[Address]:
    """All addresses, in every spelling that the system reads (decimal, octal, short)."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as unknown:
        raise UnknownHost(host=host) from unknown
    return {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}
