"""The proofs' own command: `python -m tejido_notifications proofs verify`."""

import argparse
import sys
from typing import Any

from tejido_notifications.db import database
from tejido_notifications.proof import service
from tejido_shared import i18n

PACKAGE = "tejido_notifications"


def add(commands: Any) -> None:
    """Adds `proofs` to the service's commands."""
    proofs: argparse.ArgumentParser = commands.add_parser("proofs", help="the sealed records of legal notices")
    actions = proofs.add_subparsers(required=True, dest="action")
    verify = actions.add_parser("verify", help="recompute hashes and signatures; ends with 1 if anything is wrong")
    verify.set_defaults(run=verify_proofs)


def verify_proofs(_: argparse.Namespace) -> int:
    """Prints what is wrong, a line each (message, what, proof), then the counts. Returns 1 if anything is."""
    with database.tx() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        report = service.verify(session)
    database.close()
    for finding in report.findings:
        print(finding.delivery_id, _text(finding.kind), finding.proof_id or "", sep="\t")
    for kind, count in sorted(report.counts.items()):
        print(f"{_text(kind)}: {count}", file=sys.stderr)
    print(_text("counts", proofs=report.proofs, unsigned=report.unsigned, erased=report.erased))
    return 1 if report.findings else 0


def _text(code: str, **params: Any) -> str:
    return i18n.text(PACKAGE, f"proofs.{code}", **params)
