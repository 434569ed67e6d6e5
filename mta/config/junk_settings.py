"""The table ``[junk]``: what becomes of mail that a filter calls spam, and is taken all the same."""

from __future__ import annotations

import re

from pydantic import field_validator

from mta.config.values import Table


class Junk(Table):
    """By which header fields of filters it is known, and into which folder of a Maildir it goes."""

    folder: str = "Junk"
    fields: list[str] = ["X-Spam: yes*", "X-Spam-Flag: yes*", "X-Spam-Status: yes*"]

    @field_validator("folder")
    @classmethod
    def _is_folder(cls, value: str) -> str:
        if not value.isprintable() or "/" in value or (value and not all(value.split("."))):
            raise ValueError('it is a folder such as "Junk" or "Filed.Junk"; empty: the inbox')
        return value

    @field_validator("fields")
    @classmethod
    def _are_fields(cls, value: list[str]) -> list[str]:
        for item in value:
            if not re.fullmatch(r"[!-9;-~]+:\s*\S.*", item):
                raise ValueError(f'{item!r} is no field with a value, such as "X-Spam: yes*"')
        return value
