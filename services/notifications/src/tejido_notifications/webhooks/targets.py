"""Where another system may be called: with TLS, and never at an address behind which our own house would answer."""

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from httpx2 import URL, InvalidURL

_OWN_NETWORKS = [ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]
"""Private ones of a municipality (RFC 1918, RFC 4193). Loopback and link-local addresses are nobody's system."""
_METADATA = {
    ip_address(address)
    for address in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
}
"""Where clouds tell a machine its secrets, besides 169.254.0.0/16."""
_GLOBAL_UNICAST, _NAT64 = ip_network("2000::/3"), ip_network("64:ff9b::/96")
_TUNNELS = [ip_network(net) for net in ("2001::/32", "2002::/16")]
"""Teredo and 6to4: another address is inside."""
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*")


def problem_of(url: str, *, private: bool) -> str | None:
    """Why nobody is called there, as a `field.` code; none if nothing speaks against it. Resolves no names.

    `private`: whether the municipality's own network is allowed.
    """
    try:
        parts = URL(url)
        host, port = parts.raw_host.decode("ascii"), parts.port or 443
    except (InvalidURL, ValueError):
        return "webhook_url"
    if parts.scheme != "https":
        return "webhook_https"
    if parts.userinfo or parts.fragment:
        return "webhook_url"
    literal = _literal(host)
    if literal is None and not _NAME.fullmatch(host):
        return "webhook_url"
    if port != 443 and not 1024 <= port <= 65535:
        return "webhook_port"
    inside = not may_be_called(literal, private=private) if literal is not None else "." not in host and not private
    return "webhook_address" if inside else None


def may_be_called(address: str, *, private: bool) -> bool:
    """Whether a numeric address is a public one, or `private` and one of the municipality's own network."""
    ip = _outermost(address)
    if ip in _METADATA or ip.is_multicast:
        return False
    if private and any(ip in network for network in _OWN_NETWORKS):
        return True
    return ip.is_global and (ip.version == 4 or ip in _GLOBAL_UNICAST) and not any(ip in net for net in _TUNNELS)


def is_loopback(address: str) -> bool:
    return _outermost(address).is_loopback


def _outermost(address: str) -> IPv4Address | IPv6Address:
    """The address that is really spoken to: of an IPv4 address in IPv6 clothes, the former."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip


def _literal(host: str) -> str | None:
    """The address that a host is written as, also in the ways of old: 127.1, 0x7f000001."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None
