"""Prints, for each value and each protocol: name, protocol, base64 of the pickle, repr in the notation of the package."""
import base64
import collections
import datetime as d
import decimal
import io
import json
import pickle
import sys
import uuid
import zoneinfo

import pytz


class Odd:
    def __init__(self):
        self.a = [1]


Odd.__module__ = "forge.odd"
Odd.__qualname__ = "Odd"
sys.modules["forge"] = type(sys)("forge")
sys.modules["forge.odd"] = type(sys)("forge.odd")
sys.modules["forge.odd"].Odd = Odd

berlin = zoneinfo.ZoneInfo("Europe/Berlin")
noon = (2024, 2, 29, 12, 30)
shared = [1, 2]
loop = []
loop.append(loop)
values = {
    "none": None,
    "bools": [True, False],
    "ints": [0, 1, -1, 255, 256, 65535, 65536, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 10**100, -(10**100), 2**2048, -(2**2047)],
    "floats": [0.0, -0.0, 1.5, -1e300, 1e16, 1e15, 1e-5, 0.0001, 1 / 3, float("inf"), float("-inf"), float("nan"), 5e-324],
    "strings": ["", "a", "it's", 'both \' and "', "\\u0041 \\ \\\\", "a\nb\tc\r\0\x7f", "grüße \u4e16\u754c \U0001f600", "\x85\xa0\u2028", "x" * 300],
    "bytes": [b"", b"abc", bytes(range(256)), b"'"],
    "bytearray": [bytearray(b""), bytearray(b"\x00\xffab")],
    "list": [[], [1], [[], [[]]], list(range(2000))],
    "tuple": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((),)],
    "dict": [{}, {"a": 1}, {1: {2: 3}, (1, 2): None}, {i: str(i) for i in range(1500)}],
    "set": [set(), {1}, frozenset(), frozenset([1])],
    "date": [d.date(1, 1, 1), d.date(2024, 2, 29), d.date(9999, 12, 31)],
    "datetime": [d.datetime(*noon), d.datetime(*noon, 1, 2), d.datetime(*noon, 0, 7), d.datetime(*noon, fold=1), d.datetime(9999, 12, 31, 23, 59, 59, 999999)],
    "zones": [d.datetime(*noon, tzinfo=d.timezone.utc), d.datetime(*noon, tzinfo=pytz.utc), d.datetime(*noon, tzinfo=berlin),
              pytz.timezone("Europe/Berlin").localize(d.datetime(*noon)), d.datetime(*noon, tzinfo=d.timezone(d.timedelta(hours=2))),
              d.time(1, 2, tzinfo=d.timezone.utc), d.datetime(*noon, tzinfo=zoneinfo.ZoneInfo("UTC"))],
    "time": [d.time(0, 0), d.time(23, 59, 59, 999999), d.time(1, 2, 3), d.time(1, 2, fold=1)],
    "timedelta": [d.timedelta(0), d.timedelta(-1, 5, 6), d.timedelta(999999999, 86399, 999999), d.timedelta(microseconds=-1)],
    "decimal": [decimal.Decimal(x) for x in ["0", "-0", "1.50", "1E+3", "NaN", "-Infinity", "123456789012345678901234567890.5"]],
    "uuid": [uuid.UUID(int=0), uuid.UUID("12345678-1234-5678-9abc-def012345678"), uuid.UUID(int=2**128 - 1)],
    "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
    "default": collections.defaultdict(list, {"k": [1]}),
    "odd": Odd(),
    "shared": [shared, shared],
    "loop": loop,
}


def name_of(zone):
    if zone.utcoffset(d.datetime(*noon)) == d.timedelta(0):
        return "utc"
    if isinstance(zone, d.timezone):
        return "2h0m0s"
    return repr(getattr(zone, "zone", None) or zone.key)


def clock(t):
    out = "%d, %d" % (t.hour, t.minute)
    if t.second or t.microsecond:
        out += ", %d" % t.second
    if t.microsecond:
        out += ", %d" % t.microsecond
    if t.fold:
        out += ", fold=1"
    if t.tzinfo:
        out += ", tzinfo=" + name_of(t.tzinfo)
    return out


def show(v, deep=0):
    if deep > 30:
        return "…"
    def inner(x):
        return show(x, deep + 1)

    kind = type(v)
    if kind is list:
        return "[" + ", ".join(map(inner, v)) + "]"
    if kind is tuple:
        return "(" + ", ".join(map(inner, v)) + (",)" if len(v) == 1 else ")")
    if kind is dict:
        return "{" + ", ".join(inner(k) + ": " + inner(x) for k, x in v.items()) + "}"
    if kind is d.date:
        return "date(%d, %d, %d)" % (v.year, v.month, v.day)
    if kind is d.datetime:
        return "datetime(%d, %d, %d, %s)" % (v.year, v.month, v.day, clock(v))
    if kind is d.time:
        return "time(%s)" % clock(v)
    if kind is d.timedelta:
        return "timedelta(%d, %d, %d)" % (v.days, v.seconds, v.microseconds)
    if kind is collections.OrderedDict:
        return "collections.OrderedDict()" + show(dict(v))
    if kind is collections.defaultdict:
        return "collections.defaultdict(<class 'builtins.list'>)" + show(dict(v))
    if kind is Odd:
        return "forge.odd.Odd() with " + show(v.__dict__)
    return repr(v)


for name, value in values.items():
    for protocol in range(6):
        for fast in (False, True):
            if fast and name == "loop":
                continue
            out = io.BytesIO()
            pickler = (pickle.Pickler if protocol % 2 else pickle._Pickler)(out, protocol)
            pickler.fast = fast
            pickler.dump(value)
            print(json.dumps([name, protocol, base64.b64encode(out.getvalue()).decode(), show(value)]))
