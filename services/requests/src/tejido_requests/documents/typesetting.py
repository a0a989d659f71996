"""How this service's documents speak. What is typeset, and how, is in `tejido_shared.typesetting`."""

from typing import ClassVar

from tejido_requests.settings import PACKAGE
from tejido_shared import typesetting
from tejido_shared.typesetting import Block, Language, pdf

__all__ = ["Block", "Language", "Words", "pdf"]


class Words(typesetting.Words):
    """Texts `document.…` of this service."""

    package: ClassVar[str] = PACKAGE
