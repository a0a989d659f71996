"""The pure core: when a request is due, and why. No I/O, no framework, no clock of its own.

Dates, not instants: a receipt is brought to the municipality's time zone once and everything after that is counted in whole local
days. Sources: Ley 1755/2015 art. 14 (the term runs from the day after receipt) and 17 (completing suspends it), Ley 4/1913 arts. 59-62
(a term ends at midnight of its last day; closed days do not count in terms of days; a term of months that ends on a closed day runs
to the next open one), Código Civil art. 67 (months are clamped to the month's end).
"""

from tejido_shared.deadlines.calendar import FIRST, LAST, Calendar, Closed, OutOfCalendar, months_after
from tejido_shared.deadlines.counting import (
    Act,
    CalendarChanged,
    ClosuresAdded,
    ClosuresRemoved,
    CountedDay,
    Deadline,
    Extend,
    Pause,
    Policy,
    ReceiptRule,
    Resume,
    Retype,
    Stop,
    Term,
    Transfer,
    Transferred,
    Unit,
    deadline,
    effective_receipt_date,
    set_deadline,
)

__all__ = [
    "FIRST",
    "LAST",
    "Act",
    "Calendar",
    "CalendarChanged",
    "Closed",
    "ClosuresAdded",
    "ClosuresRemoved",
    "CountedDay",
    "Deadline",
    "Extend",
    "OutOfCalendar",
    "Pause",
    "Policy",
    "ReceiptRule",
    "Resume",
    "Retype",
    "Stop",
    "Term",
    "Transfer",
    "Transferred",
    "Unit",
    "deadline",
    "effective_receipt_date",
    "months_after",
    "set_deadline",
]
