"""The table ``[analytics]``: what is counted, and for how long it is kept."""

from __future__ import annotations

from pydantic import field_validator, model_validator

from mta.config.values import Duration, Table


class Analytics(Table):
    """Numbers by minute, by hour, and by day."""

    enabled: bool = True
    minutes: Duration = 2 * 86400.0
    hours: Duration = 35 * 86400.0
    days: Duration = 730 * 86400.0

    @field_validator("minutes", "hours")
    @classmethod
    def _is_enough(cls, value: float) -> float:
        if value < 86400:
            raise ValueError("it is at least a day")
        return value

    @model_validator(mode="after")
    def _grows(self) -> Analytics:
        if not self.minutes <= self.hours <= self.days:
            raise ValueError("minutes are kept no longer than hours, and these no longer than days")
        return self
