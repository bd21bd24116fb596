"""Which addresses a printer may have: not those of metadata services, multicast or 0.0.0.0.

Private and loopback addresses are allowed, because printers stand there; an installation narrows them by `allow`.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from api.domain.core.errors import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Staff type an address and our server then calls it, so it must not lead to what only our server can reach: a cloud's
# metadata service hands out credentials to whoever asks from inside.
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
    """“{host}” cannot be found on this network: check the address."""


class ForbiddenAddress(Invalid):
    """{host} leads to {address}, which cannot be a printer: check the address."""


def check_printer_url(url: str, *, allow: Sequence[str] | None = None) -> str:
    """The URL, without a slash at its end, if every address of its host may be a printer's.

    `allow` is a list of CIDR blocks (None: all but the ones that are never right). Looks the name up, so it does I/O.
    Raises NotAnAddress, UnknownHost or ForbiddenAddress. The answer holds for now only, because a name may change its
    address: each connection checks again (`octoprint.pinned`).
    """
    check_host(*_parts(url), allow=allow)
    return url.strip().rstrip("/")


def server_of(url: str, *, allow: Sequence[str] | None = None) -> str:
    """Which server it leads to now, as `address:port/path`: of several addresses the lowest. Raises as check_host."""
    host, port = _parts(url)
    lowest = min(check_host(host, port, allow=allow), key=lambda address: (address.version, int(address)))
    return f"{lowest}:{port}{urlsplit(url.strip()).path.rstrip('/')}"


def check_host(host: str, port: int, *, allow: Sequence[str] | None = None) -> list[Address]:
    """Its addresses, in the order in which to try them. Raises UnknownHost, or ForbiddenAddress for any of them."""
    addresses = _resolve(host, port)
    for address in addresses:
        if not may_be_printer(address, allow=allow):
            raise ForbiddenAddress(host=host, address=str(address))
    return addresses


def may_be_printer(address: Address, *, allow: Sequence[str] | None = None) -> bool:
    # ::ffff:169.254.169.254 is an IPv6 address on paper and reaches the IPv4 address that it carries.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    target = mapped or address
    if any(target in network for network in _NEVER if network.version == target.version):
        return False
    blocks = [ipaddress.ip_network(block) for block in allow] if allow is not None else None
    return blocks is None or any(target in block for block in blocks if block.version == target.version)


def _parts(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise NotAnAddress from error
    # A user name or a backslash is how an address shows one host to a reader and another to the client.
    odd = parts.username or parts.password or parts.query or parts.fragment or "\\" in url
    if parts.scheme not in ("http", "https") or not host or odd:
        raise NotAnAddress
    return host, port or (443 if parts.scheme == "https" else 80)


def _resolve(host: str, port: int) -> list[Address]:
    """All addresses of the host, in the order of the system. Raises UnknownHost."""
    # The system's own resolver, because it also reads 0x7f000001, 0177.1 and 127.1: what it makes of them is what the
    # client will connect to.
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnknownHost(host=host) from error
    # "fe80::1%eth0": the zone after the % is not part of the address.
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in entries)
    return [ipaddress.ip_address(text) for text in texts]
