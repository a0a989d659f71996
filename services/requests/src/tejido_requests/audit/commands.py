"""The audit's own commands: `python -m tejido_requests audit head | verify`, `python -m tejido_requests retention`."""

import argparse
import sys
from typing import Any

from tejido_requests.audit import chain, retention
from tejido_requests.db import database
from tejido_requests.settings import PACKAGE
from tejido_shared import i18n


def add(commands: Any) -> None:
    """Adds `audit` and `retention` to the service's commands."""
    audit: argparse.ArgumentParser = commands.add_parser("audit", help="the chain that proves history unbroken")
    actions = audit.add_subparsers(required=True, dest="action")
    actions.add_parser("head", help="print the last link, to be noted elsewhere").set_defaults(run=print_head)
    verify = actions.add_parser("verify", help="recompute the chain; ends with 1 if anything is wrong")
    verify.add_argument("--from", dest="start", type=_positive, default=1, metavar="N", help="begin at link N")
    verify.add_argument("--head", type=_hash, metavar="HASH", help="a head noted before: it must be in the chain")
    verify.add_argument(
        "--minutes", type=_positive, default=10, help="how long an entry may wait for its link (default 10)"
    )
    verify.set_defaults(run=verify_chain)

    erase = commands.add_parser("retention", help="personal data past its time: say what is due, or erase it")
    erase.add_argument("--apply", action="store_true", help="erase; without it nothing is changed")
    erase.add_argument("--by", metavar="NAME", help="who erases, for the tombstones; needed with --apply")
    erase.add_argument("--reason", help="for the tombstones, beside the rule's article")
    erase.add_argument("--limit", type=_positive, metavar="N", help="erase, or list, at most N")
    erase.set_defaults(run=run_retention)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _hash(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != len(chain.GENESIS):
        raise ValueError(text)
    return value


def print_head(_: argparse.Namespace) -> int:
    """Prints the last link: its number and its hash."""
    with database.read() as session:
        end = chain.head(session)
    database.close()
    print(end.sequence if end else 0, (end.hash if end else chain.GENESIS).hex(), sep="\t")
    return 0


def verify_chain(arguments: argparse.Namespace) -> int:
    """Prints what is wrong, a line each (link, what, entry, request), then the counts and the head. Returns 1 if anything is."""
    with database.tx() as session:
        report = chain.verify(session, start=arguments.start, expected=arguments.head, minutes=arguments.minutes)
    database.close()
    for finding in report.findings:
        links = [finding.sequence] if finding.until in (None, finding.sequence) else [finding.sequence, finding.until]
        print(
            "-".join(str(link) for link in links if link is not None),
            _text(finding.kind),
            finding.entry_id or "",
            finding.request_id or "",
            sep="\t",
        )
    for kind, count in sorted(report.counts.items()):
        print(f"{_text(kind)}: {count}", file=sys.stderr)
    counts = {name: getattr(report, name) for name in ("entries", "accesses", "erased", "waiting", "sequence")}
    print(_text("counts", **counts, hash=report.hash.hex()))
    return 1 if report.counts else 0


def run_retention(arguments: argparse.Namespace) -> int:
    """Prints what is due by type and, with --apply, erases it. Returns 2 for --apply without --by."""
    if arguments.apply and not arguments.by:
        print(_text("by_needed"), file=sys.stderr)
        return 2
    with database.read() as session:
        found = retention.due(session, arguments.limit or 20)
    for code, rule, count in found.by_type:
        print(code, count, rule.after_months, rule.article, sep="\t")
    print(_text("due", due=found.count, held=found.held, related=found.related))
    if arguments.apply:
        batch, erased = retention.run(
            database,
            arguments.by,
            reason=arguments.reason,
            limit=arguments.limit,
            told=lambda so_far: print(_text("erasing", erased=so_far, due=found.count), file=sys.stderr),
        )
        print(_text("erased_batch", erased=erased, batch=batch))
    else:
        print(*found.first, sep="\n")
    database.close()
    return 0


def _text(code: str, **params: Any) -> str:
    return i18n.text(PACKAGE, f"audit.{code}", **params)
