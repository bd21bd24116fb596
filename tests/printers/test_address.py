"""Where a printer may be, and every disguise of where it may not."""

from __future__ import annotations

import ipaddress

import pytest

from printers.address import ForbiddenAddress, NotAnAddress, UnknownHost, check_printer_url, may_be_printer


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:5000", "https://10.0.0.7/", "http://192.168.1.20/printer-2/", " http://[::1]:80 "]
)
def test_private_and_local_addresses_are_where_printers_live(url: str) -> None:
    assert check_printer_url(url) == url.strip().rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://0.0.0.0:5432",
        "http://0/",
        "http://224.0.0.251",
        "http://255.255.255.255",
        "http://100.100.100.200/",
        "http://192.0.0.192/",
        "http://2852039166/",  # 169.254.169.254 in decimal
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://169.16689662/",
        "http://[::]/",
        "http://[fe80::1%25lo]/",
        "http://[ff02::1]/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::]/",
    ],
)
def test_metadata_multicast_and_their_disguises_are_refused(url: str) -> None:
    with pytest.raises((ForbiddenAddress, UnknownHost)) as refused:
        check_printer_url(url)
    assert refused.type is ForbiddenAddress or "%25" in url


@pytest.mark.parametrize(
    "url",
    [
        "", "octopi.local", "ftp://10.0.0.1", "file:///etc/passwd", "http://", "http://:80", "gopher://10.0.0.1",
        "http://user:password@10.0.0.1", "http://10.0.0.1?x=1", "http://10.0.0.1#x", "http://10.0.0.1:99999",
        "http://[::1", "http://10.0.0.1\\@169.254.169.254",
    ],
)  # fmt: skip
def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    with pytest.raises(NotAnAddress):
        check_printer_url(url)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 300])
def test_a_name_that_leads_nowhere_is_named(host: str) -> None:
    with pytest.raises(UnknownHost) as unknown:
        check_printer_url(f"http://{host}/")
    assert host in str(unknown.value)


def test_every_address_of_a_name_must_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(0, 0, 0, "", ("10.0.0.7", 80)), (0, 0, 0, "", ("169.254.169.254", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: both)
    with pytest.raises(ForbiddenAddress) as refused:
        check_printer_url("http://two-faced.example/")
    assert "169.254.169.254" in str(refused.value)


def test_a_site_narrows_where_printers_may_be() -> None:
    assert check_printer_url("http://10.1.2.3", allow=["10.1.0.0/16", "fd12::/16"])
    with pytest.raises(ForbiddenAddress):
        check_printer_url("http://10.2.2.3", allow=["10.1.0.0/16", "fd12::/16"])


def test_an_allow_list_does_not_open_what_is_never_right() -> None:
    assert not may_be_printer(ipaddress.ip_address("169.254.169.254"), allow=["0.0.0.0/0"])
    assert may_be_printer(ipaddress.ip_address("::ffff:10.0.0.7"), allow=["10.0.0.0/8"])
