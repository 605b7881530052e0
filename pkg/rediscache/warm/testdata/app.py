"""make: tables and rows. check: what warm wrote is what Django would have written. loop: what an application does by hand."""
import datetime as d
import decimal
import json
import os
import pickle
import sys
import uuid
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django  # noqa: E402

django.setup()
from django.core.cache import cache  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, models  # noqa: E402

from forge.models import Author, Template  # noqa: E402


def rows():
    author = Author.objects.create(name="Ada")
    berlin = d.timezone(d.timedelta(hours=2))
    common = dict(
        title="Grüße, \U0001f600 'x' \"y\" \\u0041", body="line\nline\t{}", author=author, maybe=False, small=-32768, number=2**31 - 1, big=-(2**63), ratio=1 / 3,
        price=decimal.Decimal("123456789012345678901234.50000"), day=d.date(1, 2, 3), at=d.datetime(2024, 2, 29, 12, 30, 1, 7, berlin),
        clock=d.time(23, 59, 59, 999999), length=d.timedelta(days=-3, seconds=5, microseconds=7), key=uuid.UUID(int=2**127 + 5),
        data=bytes(range(256)), extra={"b": [1, 2.5, None, True, "ü", 10**30], "a": {}}, tags=["a", None, 'q"\\ {},', "NULL", ""],
        grid=[[1, 2], [3, -4]], days=[d.date(2024, 2, 29)], address="10.0.0.1", slug="a-b", mail="a@example.com", file="x/y.pdf")
    yield Template(**common)
    yield Template(title="1_000")
    yield Template(title="", is_active=True, maybe=True, ratio=float("inf"), tags=[], grid=[], day=d.date(9999, 12, 31), length=d.timedelta(days=1000, hours=30),
                   at=d.datetime(9999, 12, 31, 0, 0, tzinfo=d.timezone.utc), address="fe80::1", extra=[], data=b"", price=decimal.Decimal("NaN"), clock=d.time(0, 0))
    yield Template(title="not active", is_active=False)


def make():
    call_command("migrate", run_syncdb=True, verbosity=0)
    for row in rows():
        row.save()


def plain(v):
    return bytes(v) if isinstance(v, memoryview) else v


def same(a, b, where):
    a, b = plain(a), plain(b)
    if isinstance(a, (float, decimal.Decimal)) and a != a:
        assert type(a) is type(b) and b != b, where
        return
    assert type(a) is type(b), (where, type(a), type(b))
    assert a == b, (where, a, b)
    if isinstance(a, d.datetime):
        assert a.utcoffset() == b.utcoffset(), where


def check_dicts():
    names = [f.attname for f in Template._meta.concrete_fields]
    want = {t.pk: t for t in Template.objects.filter(is_active=True)}
    for pk, template in want.items():
        got = cache.get("template:%d" % pk)
        assert list(got) == names, (list(got), names)
        for name in names:
            value = getattr(template, name)
            if isinstance(value, models.fields.files.FieldFile):
                value = value.name
            same(value, got[name], name)
    assert cache.get("template:4") is None
    assert 3000 < cache.ttl("template:1") <= 3600, cache.ttl("template:1")


def check_models():
    for pk in (1, 2, 3):
        want = Template.objects.get(pk=pk)
        cache.set("own", want)
        own = cache.get("own")
        before = len(connection.queries_log)
        connection.force_debug_cursor = True
        got = cache.get("template:%d" % pk)
        assert type(got) is Template and got == want and hash(got) == hash(want)
        assert got.get_deferred_fields() == set(), got.get_deferred_fields()
        assert got._state.adding is False and got._state.db == "default" and got._state.fields_cache == {}
        for f in Template._meta.concrete_fields:
            for other in (want, own):
                same(getattr(other, f.attname) if f.name != "file" else other.file.name, getattr(got, f.attname) if f.name != "file" else got.file.name, f.attname)
        assert set(got.__dict__) == set(own.__dict__), set(got.__dict__) ^ set(own.__dict__)
        assert str(got.file) == str(want.file)
        assert len(connection.queries_log) == before, "a query was needed"
        connection.force_debug_cursor = False
        if want.author_id:
            assert got.author.name == "Ada"
        got.title += "!"
        got.save()
        same(Template.objects.get(pk=pk).title, want.title + "!", "saved")
        got.refresh_from_db()
        again = pickle.loads(pickle.dumps(got))
        assert again == got


def check_values():
    """Single values: the bytes in Redis are read as what Django itself would have stored."""
    client = cache.client.get_client()
    for name, value in (("n", 7), ("s", "1_000"), ("b", True), ("none", None), ("big", -(2**63))):
        got = cache.get("value:" + name, "absent")
        same(value, got, name)
        cache.set("own", value)
        stored, ours = client.get(cache.make_key("own")), client.get(cache.make_key("value:" + name))
        assert stored.isdigit() == ours.isdigit(), (name, stored, ours)


def check_json():
    for pk in (1, 2):
        got = cache.get("template:%d" % pk)
        cache.set("own", dict(Template.objects.filter(pk=pk).values("id", "title", "at", "day", "clock", "length", "price", "key", "extra", "tags", "ratio")[0]))
        assert got == cache.get("own"), (got, cache.get("own"))


def write():
    """Everything that Django writes, for our reader: name, what it is, key."""
    out = []
    for pk in (1, 2, 3):
        template = Template.objects.get(pk=pk)
        for protocol in range(6):
            cache.client._serializer._pickle_version = protocol
            for name, value in (("instance", template), ("dict", Template.objects.filter(pk=pk).values().get() if pk == 2 else dict(template.__dict__, _state=None)),
                                ("list", list(Template.objects.all())), ("query", Template.objects.filter(pk=pk))):
                if name == "dict":
                    value = {k: plain(v) for k, v in value.items()}
                key = "written:%s:%d:%d" % (name, pk, protocol)
                cache.set(key, value)
                out.append([name, cache.make_key(key), template.title])
    print(json.dumps({"version": django.__version__, "written": out}))


def loop():
    count = 0
    for template in Template.objects.filter(is_active=True):
        cache.set(f"template:{template.id}", template, timeout=3600)
        sys.stdout.write(f"Cached template: {template.title}\n")
        count += 1
    sys.stderr.write("%d\n" % count)


warnings.simplefilter("error")
for what in sys.argv[1:]:
    {"make": make, "dicts": check_dicts, "models": check_models, "values": check_values, "json": check_json, "write": write, "loop": loop,
     "version": lambda: print(django.__version__)}[what]()
