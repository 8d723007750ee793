"""Times of the rows of a table: numbers, dates of any common format, durations and times of day, or
any texts that grow.
"""

import datetime
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
_DURATION = re.compile(r"(?:(-?\d+) days? \+?)?(\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?")
_DAYS = (  # where several fit and grow, the first is taken
    *("%Y/%m/%d", "%Y.%m.%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y"),
    *("%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
    *("%d-%b-%Y", "%d-%b-%y", "%Y-%m", "%Y/%m", "%m/%Y", "%b %Y", "%B %Y", "%b-%y"),
)
_CLOCK = re.compile(
    r"(?P<mark>[ T,]+)\d{1,2}:\d\d(?P<second>:\d\d)?(?P<fraction>\.\d{1,6})?"
    r"(?P<half>( ?)[AaPp][Mm])?(?P<zone>( ?)(Z|[-+]\d\d:?\d\d))?$"
)
_WORDS = {"%Y": "year", "%y": "year", "%m": "month", "%b": "month", "%B": "month", "%d": "day"}


class Order(NamedTuple):
    """What of a time decides whether it comes before another."""

    kind: str  # what the times are, for messages
    key: Callable[[str], Any]  # raises ValueError for what is no such time
    doubt: str = ""  # how dates were read that can be read in two ways


def find_order(times: Sequence[str]) -> Order:
    """Finds out how times are written.

    Example:
      >>> order = find_order(["30/1/2016", "31/1/2016", "1/2/2016"])
      >>> order.kind, order.key("1/2/2016").isoformat()
      ('dates such as 30/1/2016', '2016-02-01T00:00:00')
      >>> find_order(["9", "10"]).kind, find_order(["t1", "t2"]).kind
      ('numbers', 'texts')
      >>> find_order(["9:30", "10:00"]).kind
      'times such as 9:30'
    """
    if all(map(_NUMBER.fullmatch, times)):
        return Order("numbers", float)
    if _all_read(_seconds, times):
        return Order(f"times such as {times[0]}", _seconds)
    if _all_read(_iso, times):
        return Order(f"dates such as {times[0]}", _iso)
    fitting = [form for form in _formats(times[0]) if _all_read(_reader(form), times)]
    growing = [form for form in fitting if _grows(times, _reader(form))]
    if not fitting:
        return Order("texts", str)
    chosen = (growing or fitting)[0]
    doubt = f"dates are read as {_spelled(chosen)}" if len(growing) > 1 else ""
    return Order(f"dates such as {times[0]}", _either(_reader(chosen)), doubt)


def _seconds(text: str) -> float:
    """A time of day or a duration, such as 9:30 and, as pandas writes it, 1 days 09:30:00."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 86400 * days + 3600 * hours + 60 * minutes + seconds


def _iso(text: str) -> datetime.datetime:
    return _without_zone(datetime.datetime.fromisoformat(text))


def _reader(form: str) -> Callable[[str], datetime.datetime]:
    return lambda text: _without_zone(datetime.datetime.strptime(text, form))


def _either(read: Callable[[str], datetime.datetime]) -> Callable[[str], datetime.datetime]:
    """Reads a date as the table writes it or, as a person may give one beside it, as ISO 8601."""

    def key(text: str) -> datetime.datetime:
        try:
            return read(text)
        except ValueError:
            return _iso(text)

    return key


def _without_zone(time: datetime.datetime) -> datetime.datetime:
    """The same moment in UTC; one without a zone as it is."""
    return time if time.tzinfo is None else time.astimezone(datetime.UTC).replace(tzinfo=None)


def _formats(text: str) -> Iterator[str]:
    """The formats in which a text is a date, perhaps with a time of day behind it."""
    match, clock = _CLOCK.search(text), ""
    if match:
        hour, half = ("%I", f"{match[5]}%p") if match["half"] else ("%H", "")
        zone = f"{match[7]}%z" if match["zone"] else ""
        second, fraction = ":%S" * bool(match["second"]), ".%f" * bool(match["fraction"])
        clock = f"{match['mark']}{hour}:%M{second}{fraction}{half}{zone}"
    for form in (f"{day}{clock}" for day in _DAYS):
        if _all_read(_reader(form), [text]):
            yield form


def _all_read(read: Callable[[str], Any], times: Sequence[str]) -> bool:
    try:
        for time in times:
            read(time)
    except ValueError:
        return False
    return True


def _grows(times: Sequence[str], key: Callable[[str], Any]) -> bool:
    return all(before < after for before, after in itertools.pairwise(map(key, times)))


def _spelled(form: str) -> str:
    """A format of a day in words.

    Example:
      >>> _spelled("%m/%d/%Y %H:%M")
      'month/day/year'
    """
    day = re.split(r"[ T,]+%[HI]", form)[0]
    return re.sub(r"%[YymbBd]", lambda match: _WORDS[match[0]], day)
