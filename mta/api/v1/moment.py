"""Times in requests, as RFC 3339 writes them: with a zone, and no numbers of seconds."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

#: The end of the year 9999.
_LAST = 253402300799
#: RFC 3339, 5.6: date-time; seconds may be left out.
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)")


def _read(value: Any) -> Any:
    # In a query "+" stands for a space.
    if not isinstance(value, str):
        return value
    text = value[:11] + value[11:].replace(" ", "+")
    if not _WRITTEN.fullmatch(text):
        raise ValueError('it is no time with a zone, such as "2027-01-31T08:00:00Z"')
    # Here, since a strict model takes no text from a validator for a time.
    return datetime.fromisoformat(text.upper())


def _within_bounds(value: datetime) -> datetime:
    if not 0 < value.timestamp() < _LAST:
        raise ValueError("it is before 1970, or after 9999")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_read), AfterValidator(_within_bounds)]
