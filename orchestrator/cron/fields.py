"""The fields of an expression: which values each takes, and what is said when it gets another."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from orchestrator.cron.errors import ExpressionError

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the six kinds of field: its values run from *low* to *high*; *names* stand for *low* and those after."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    also: str = ""

    @property
    def allowed(self) -> str:
        """What may stand in it, for people."""
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{names}{self.also}"


_KINDS = (
    Kind("second", 0, 59),
    Kind("minute", 0, 59),
    Kind("hour", 0, 23),
    Kind("day-of-month", 1, 31, also=", L (the last day) or LW (the last weekday)"),
    Kind("month", 1, 12, _MONTHS),
    Kind("day-of-week", 0, 7, _DAYS, also=" (0 and 7 are Sunday), 5L (the last Friday) or 5#2 (the second Friday)"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """What stands in one field of the expression *text*."""

    kind: Kind
    value: str
    position: int
    fields: int
    text: str

    def check(self) -> None:
        """ExpressionError unless every element of the list can be understood."""
        for element in self.value.split(","):
            self._element(element)

    def caution(self) -> str | None:
        """What a step does that its writer may not expect; None when nothing."""
        if not self.value.startswith("*/"):
            return None
        step, span = int(self.value.split(",")[0][2:]), self.kind.high - self.kind.low + 1
        if self.kind.name == "day-of-week":
            span = 7
        if step >= span:
            return f"{self._place()} is {self.value!r}: a step of {step} leaves only {self.kind.low}"
        if span % step:
            last = self.kind.low + (span - 1) // step * step
            return f"{self._place()} is {self.value!r}: the steps are uneven, after {last} comes {self.kind.low} again"
        return None

    def _element(self, element: str) -> None:
        base, slash, step = element.partition("/")
        if slash and not (_number(step) and int(step) > 0):
            self._refuse(element, f"the step behind / is {step!r}; give a whole number of at least 1")
        if base == "*":
            return
        if not slash and self._special(base):
            return
        first, dash, last = base.partition("-")
        low = self._one(first, element)
        if dash and self._one(last, element) < low:
            self._backwards(element, first, last)

    def _special(self, base: str) -> bool:
        """Whether *base* is one of ``L LW`` (days of the month) or ``5L 5#2`` (days of the week)."""
        if self.kind.name == "day-of-month":
            if base.endswith("W") and base != "LW":
                self._refuse(base, "of the weekday marks only LW, the last weekday, is known")
            if base.startswith("L-"):
                self._refuse(base, "days before the last are not known; L is the last day")
            return base in ("L", "LW")
        if self.kind.name != "day-of-week":
            return False
        day, hash_, which = base.partition("#")
        if hash_:
            if not (_number(which) and 1 <= int(which) <= 5):
                self._refuse(base, f"behind # stands {which!r}; give 1-5, the first to the fifth of the month")
            self._one(day, base)
            return True
        if base.endswith("L") and len(base) > 1:
            day = base[:-1]
            if day in self.kind.names:
                self._refuse(base, f"write {self.kind.names.index(day)}L, with the number of the day")
            self._one(day, base)
            return True
        return False

    def _one(self, value: str, element: str) -> int:
        if value in self.kind.names:
            return self.kind.low + self.kind.names.index(value)
        if not _number(value):
            self._refuse(element, self._meant(value))
        number = int(value)
        if not self.kind.low <= number <= self.kind.high:
            self._refuse(element, self._nearest(number))
        return number

    def _meant(self, value: str) -> str:
        if not value:
            return "an element is missing; take away the comma, dash or slash that is too many"
        near = self._names_near(value)
        return f"did you mean {near}?" if near else f"{value!r} is no value of it"

    def _names_near(self, value: str) -> str | None:
        if value[:3] in self.kind.names:  # MONDAY
            return value[:3]
        return next(iter(get_close_matches(value, self.kind.names, 1, 0.5)), None)

    def _nearest(self, number: int) -> str:
        if self.kind.high < number <= self.kind.high + 1 and self.kind.low == 0 and not self.kind.names:
            return f"did you mean 0? The {self.kind.name} after {self.kind.high} is 0"
        if number < self.kind.low:
            return f"did you mean {self.kind.low}? It counts from {self.kind.low}"
        if self.kind.name == "day-of-month":
            return "did you mean L, the last day of the month?"
        return f"the highest is {self.kind.high}"

    def _backwards(self, element: str, first: str, last: str) -> NoReturn:
        if last == "SUN":  # Sunday is 0 by name, and the end of the week for most who write it
            start = first if _number(first) else str(self.kind.names.index(first))
            self._refuse(element, f"a range must not run backwards and SUN is 0; write {start}-7")
        lowest = self.kind.names[0] if self.kind.names and not _number(last) else str(self.kind.low)
        highest = self.kind.names[-1] if self.kind.names and not _number(first) else str(self.kind.high)
        self._refuse(element, f"a range must not run backwards; write {first}-{highest},{lowest}-{last}")

    def _refuse(self, element: str, why: str) -> NoReturn:
        stop = "" if why.endswith("?") else "."
        raise ExpressionError(
            f"{self._place()} of the cron expression {self.text!r} is {element!r}; {why}{stop} "
            f"Allowed: {self.kind.allowed}",
            text=self.text,
            field=self.kind.name,
            position=self.position,
            value=element,
        )

    def _place(self) -> str:
        return f"{self.kind.name} (field {self.position} of {self.fields})"


def fields_of(text: str) -> Sequence[Field]:
    """The five fields of *text*, or six with the seconds first, each understood; ExpressionError otherwise."""
    words = text.upper().split()
    if len(words) not in (5, 6):
        raise ExpressionError(_miscounted(text, len(words)), text=text)
    kinds = _KINDS[-len(words) :]
    fields = []
    for position, (kind, word) in enumerate(zip(kinds, words, strict=True), 1):
        value = "*" if word == "?" and kind.name.startswith("day") else word
        fields.append(Field(kind, value, position, len(words), text))
    for field in fields:
        field.check()
    return fields


def _miscounted(text: str, count: int) -> str:
    remedy = "give five: minute hour day-of-month month day-of-week, or six with the seconds first"
    if count == 7:
        remedy += "; there is no field for the year"
    if count == 1:
        remedy += "; or @hourly, @daily, @weekly, @monthly, @yearly, or an interval such as 'every 5m'"
    return f"the cron expression {text!r} has {count} field{'' if count == 1 else 's'}; {remedy}"


def _number(value: str) -> bool:
    return value.isascii() and value.isdigit()
