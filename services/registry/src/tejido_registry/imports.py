"""Bringing another register in: read and judge the file, compare with what is here, write what is new.

The first two steps need no transaction and change nothing; a dry run stops after them.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session, selectinload

from tejido_registry import checks, service, tables
from tejido_registry.models import ExternalReference, Organization
from tejido_registry.queries import fold
from tejido_registry.schemas import ImportMapping, ImportOut, OrganizationIn, RowProblem
from tejido_registry.service import PACKAGE, Refused
from tejido_registry.settings import jurisdiction
from tejido_shared import i18n
from tejido_shared.clock import now
from tejido_shared.problems import reason

BATCH = 1000
_LOCK = 0x7E11D1
