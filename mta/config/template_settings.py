"""The table ``[template]``: what a template may take of the machine."""

from __future__ import annotations

from pydantic import Field

from mta.config.values import Duration, Size, Table


class TemplateLimits(Table):
    """What one rendering may take, in processes of their own; see :mod:`mta.template`."""

    time: Duration = Field(1.0, gt=0, le=30, description="of the processor")
    output: Size = Field(1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="characters of one part")
    memory: Size = Field(256 * 1024 * 1024, ge=32 * 1024 * 1024)
    processes: int = Field(0, ge=0, le=64, description="0: one for each processor, and four at the most")
