"""Official documents as PDF: the receipt of a request and the periodic report. Plain data in, bytes out; no database."""

from tejido_requests.documents.receipts import LegalTerm, Petitioner, Receipt, receipt
from tejido_requests.documents.reports import (
    Acts,
    AgeBand,
    Chart,
    Column,
    Counts,
    Figure,
    InformationRequests,
    OnTime,
    Report,
    Section,
    Table,
    acts_section,
    backlog_section,
    counts_section,
    information_section,
    report,
)
from tejido_requests.documents.typesetting import Words

__all__ = [
    "Acts",
    "AgeBand",
    "Chart",
    "Column",
    "Counts",
    "Figure",
    "InformationRequests",
    "LegalTerm",
    "OnTime",
    "Petitioner",
    "Receipt",
    "Report",
    "Section",
    "Table",
    "Words",
    "acts_section",
    "backlog_section",
    "counts_section",
    "information_section",
    "receipt",
    "report",
]
