package warm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
	"github.com/bmad-forge/forgectl/pkg/rediscache/warm"
)

// servers are a database and a Redis without an application.
func servers(t *testing.T, args ...string) *app {
	t.Helper()
	a := &app{t: t, db: scratchtest.Database(t), redis: redistest.Start(t, args...)}
	a.client = a.redis.Client(t)
	return a
}

// value warms the one value of an expression, and reads it.
func (a *app) value(sql string) (pickle.Value, error) {
	a.t.Helper()
	if _, err := a.run(warm.Entry{Query: "SELECT " + sql + " AS v", Key: "v", Value: "v", Codec: warm.Pickle}, warm.Options{}); err != nil {
		return nil, err
	}
	data, err := a.client.Get(a.t.Context(), prefix.Key("v")).Bytes()
	if err != nil {
		a.t.Fatal(err)
	}
	return pickle.Stored(data, pickle.Limits{})
}

// Promise: the type of a column decides the type of Python, whatever the session's or the database's settings say.
func TestTypes(t *testing.T) {
	a := servers(t)
	scratchtest.Exec(t, a.db, "CREATE TYPE mood AS ENUM ('sad', 'ok')",
		"ALTER DATABASE "+a.db.Database()+" SET datestyle = 'German'", "ALTER DATABASE "+a.db.Database()+" SET intervalstyle = 'sql_standard'",
		"ALTER DATABASE "+a.db.Database()+" SET timezone = 'Asia/Tokyo'", "ALTER DATABASE "+a.db.Database()+" SET bytea_output = 'escape'",
		"ALTER DATABASE "+a.db.Database()+" SET extra_float_digits = -10")
	for sql, want := range map[string]string{
		"'x'::text": "'x'", "'x'::char(3)": "'x  '", "'a'::varchar": "'a'", "'n'::name": "'n'", "'ok'::mood": "'ok'",
		"7::int2": "7", "-7::int4": "-7", "(-9223372036854775808)::int8": "-9223372036854775808", "5::oid": "5",
		"1.50::numeric": "Decimal('1.50')", "'NaN'::numeric": "Decimal('NaN')", "0.1::float8": "0.1", "0.1::float4": "0.1", "'-Infinity'::float8": "-inf",
		"true": "True", "NULL::int": "None", `'\x00ff'::bytea`: `b'\x00\xff'`,
		"'2024-02-29'::date": "date(2024, 2, 29)", "'2024-02-29 12:30:00.5'::timestamp": "datetime(2024, 2, 29, 12, 30, 0, 500000)",
		"'2024-02-29 12:30:01+02'::timestamptz": "datetime(2024, 2, 29, 10, 30, 1, tzinfo=utc)", "'0001-01-01'::date": "date(1, 1, 1)",
		"'23:59:59.999999'::time":    "time(23, 59, 59, 999999)",
		"'-1 day 2 hours'::interval": "timedelta(-1, 7200, 0)", "'-00:00:00.000001'::interval": "timedelta(-1, 86399, 999999)", "'100:00:01'::interval": "timedelta(4, 14401, 0)", "'0'::interval": "timedelta(0, 0, 0)",
		"'12345678-1234-5678-9abc-def012345678'::uuid":                       "UUID('12345678-1234-5678-9abc-def012345678')",
		`'{"b": 1, "a": [1.0, null, 123456789012345678901234567890]}'::json`: "{'b': 1, 'a': [1.0, None, 123456789012345678901234567890]}",
		"'\"x\"'::jsonb": "'x'", "'null'::jsonb": "None", "'10.0.0.1'::inet": "'10.0.0.1'", "'10.0.0.0/8'::cidr": "'10.0.0.0/8'", "'08:00:2b:01:02:03'::macaddr": "'08:00:2b:01:02:03'",
		"ARRAY[1,NULL,3]": "[1, None, 3]", "ARRAY[[1,2],[3,4]]": "[[1, 2], [3, 4]]", "'{}'::text[]": "[]", "'[0:1]={5,6}'::int[]": "[5, 6]",
		`ARRAY['a"\,{}', 'NULL', NULL, '']`: `['a"\\,{}', 'NULL', None, '']`, "ARRAY['2024-02-29'::date]": "[date(2024, 2, 29)]", `ARRAY['\x01'::bytea]`: `[b'\x01']`,
	} {
		v, err := a.value(sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
		} else if got := pickle.Repr(v, 1000); got != want {
			t.Errorf("%s is %s, want %s", sql, got, want)
		}
	}
}

// Promise: what has no counterpart in Python is an error that names the column and its type, and nothing is written.
func TestUnknownTypes(t *testing.T) {
	a := servers(t)
	for sql, want := range map[string]string{
		"'1'::money": "type money", "int4range(1, 2)": "type int4range", "'infinity'::date": "type date", "'10000-01-01'::date": "type date", "'0044-03-15 BC'::date": "type date",
		"'1 mon'::interval": "type interval", "'24:00'::time": "type time", "point(1,2)": "type point", "ARRAY[point(1,2)]": "type point[]", "'infinity'::timestamptz": "type timestamp with time zone",
		"'1'::bit": "type bit", "'12:00+02'::timetz": "type time with time zone",
	} {
		_, err := a.value(sql)
		var column *warm.ColumnError
		if !errors.As(err, &column) || column.Column != "v" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if n := a.client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

// Promise: an entry that cannot be meant is refused before anything is written, and no query can change anything.
func TestRefused(t *testing.T) {
	a := servers(t)
	scratchtest.Exec(t, a.db, "CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (1)")
	good := warm.Entry{Query: "SELECT id FROM kept", Key: "k:{id}", Codec: warm.Pickle, TTL: time.Minute}
	for name, change := range map[string]func(*warm.Entry){
		"no query": func(e *warm.Entry) { e.Query = "" }, "no key": func(e *warm.Entry) { e.Key = "" }, "codec": func(e *warm.Entry) { e.Codec = "yaml" },
		"jitter": func(e *warm.Entry) { e.Jitter = e.TTL }, "brace": func(e *warm.Entry) { e.Key = "k:{id" }, "column": func(e *warm.Entry) { e.Key = "k:{ID}" },
		"value": func(e *warm.Entry) { e.Value = "other" }, "raw": func(e *warm.Entry) { e.Codec = warm.Raw },
		"one key": func(e *warm.Entry) { e.Key, e.Query = "k", "SELECT 1 AS a UNION ALL SELECT 2" }, "twice": func(e *warm.Entry) { e.Query = "SELECT id, id FROM kept" },
	} {
		e := good
		change(&e)
		if _, err := a.run(e, warm.Options{}); !errors.Is(err, warm.ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, query := range []string{
		"DELETE FROM kept RETURNING id", "SELECT 1 AS id; COMMIT; DELETE FROM kept", "WITH gone AS (DELETE FROM kept RETURNING id) SELECT id FROM gone", "SELECT nothing", "SELECT NULL::int AS id",
	} {
		e := good
		e.Query = query
		if _, err := a.run(e, warm.Options{}); err == nil {
			t.Errorf("%s was run", query)
		}
	}
	if got := scratchtest.Query(t, a.db, "SELECT count(*) FROM kept"); got != "1" {
		t.Errorf("%s rows are left", got)
	}
	if n := a.client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

// Promise: --missing leaves alone what is there; a dry run writes nothing and shows a sample; TTLs are spread by the jitter;
// braces can be written; raw are the bytes of the column.
func TestWays(t *testing.T) {
	a := servers(t)
	ctx := t.Context()
	rows := warm.Entry{Query: "SELECT g AS id, 'text ' || g AS s FROM generate_series(1, 1200) g;", Key: "{{x}}:{id}", TTL: time.Hour, Jitter: 30 * time.Minute, Codec: warm.Pickle}
	sum, err := a.run(rows, warm.Options{DryRun: true})
	if err != nil || sum.Written != 0 || sum.Rows != 1200 || sum.Need < 1200*100 || sum.Sample == nil ||
		sum.Sample.Key != "bmad:3:{x}:1" || sum.Sample.Value != "{'id': 1, 's': 'text 1'}" || sum.Sample.TTL != time.Hour {
		t.Errorf("%+v, %+v, %v", sum, sum.Sample, err)
	}
	if n := a.client.DBSize(ctx).Val(); n != 0 {
		t.Errorf("a dry run wrote %d keys", n)
	}
	a.client.Set(ctx, prefix.Key("{x}:7"), "mine", 0)
	if sum, err = a.run(rows, warm.Options{Missing: true}); err != nil || sum.Written != 1199 || sum.Present != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	if got := a.client.Get(ctx, prefix.Key("{x}:7")).Val(); got != "mine" {
		t.Errorf("what was there became %q", got)
	}
	if sum, err = a.run(rows, warm.Options{}); err != nil || sum.Written != 1200 || sum.Present != 0 {
		t.Errorf("%+v, %v", sum, err)
	}
	low, high := time.Hour, time.Duration(0)
	for _, id := range []string{"1", "2", "3", "4", "5", "600", "601", "602", "1199", "1200"} {
		ttl := a.client.PTTL(ctx, prefix.Key("{x}:"+id)).Val()
		low, high = min(low, ttl), max(high, ttl)
	}
	if low < 25*time.Minute || high > time.Hour || high-low < time.Second {
		t.Errorf("the TTLs are between %s and %s", low, high)
	}
	if _, err = a.run(warm.Entry{Query: `SELECT '\x00ff61'::bytea AS v`, Key: "raw", Value: "v", Codec: warm.Raw}, warm.Options{}); err != nil {
		t.Error(err)
	}
	if got := a.client.Get(ctx, prefix.Key("raw")).Val(); got != "\x00\xffa" {
		t.Errorf("raw is %q", got)
	}
}

// Promise: a Redis without room, or one that is throwing keys away, is not filled, unless somebody insists; what it then
// refuses is an error with the count of what was written.
func TestRoom(t *testing.T) {
	rows := warm.Entry{Query: "SELECT g AS id, repeat('x', 1000) AS s FROM generate_series(1, 20000) g", Key: "k:{id}", Codec: warm.Pickle}
	t.Run("no room", func(t *testing.T) {
		a := servers(t, "--maxmemory", "8mb", "--maxmemory-policy", "noeviction")
		var room *warm.RoomError
		sum, err := a.run(rows, warm.Options{})
		if !errors.As(err, &room) || room.Evicting || room.Need < 20_000_000 || sum.Written != 0 || a.client.DBSize(t.Context()).Val() != 0 {
			t.Errorf("%+v, %v", sum, err)
		}
		sum, err = a.run(rows, warm.Options{Force: true})
		if !errors.Is(err, rediscache.ErrFull) || sum.Written == 0 || sum.Written != a.client.DBSize(t.Context()).Val() {
			t.Errorf("%+v, %v", sum, err)
		}
	})
	t.Run("evicting", func(t *testing.T) {
		a := servers(t, "--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru")
		if sum, err := a.run(rows, warm.Options{Force: true}); err != nil || sum.Written != 20000 {
			t.Errorf("%+v, %v", sum, err)
		}
		small := rows
		small.Query = "SELECT 1 AS id"
		var room *warm.RoomError
		if _, err := a.run(small, warm.Options{}); !errors.As(err, &room) || !room.Evicting {
			t.Error(err)
		}
	})
}

// Promise: who interrupts in the middle is told how much was written, and that is what Redis has.
func TestInterrupted(t *testing.T) {
	a := servers(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	sum, err := warm.Run(ctx, scratchtest.Open(t, a.db), a.client, warm.Entry{
		Query: "SELECT g AS id FROM generate_series(1, 100000) g", Key: "k:{id}", Codec: warm.Pickle,
	}, warm.Options{Prefix: prefix, Progress: func(done, total int64) {
		if total != 0 {
			t.Errorf("%d rows in all were counted, and a Redis without a limit needs no count", total)
		}
		if done >= 5000 {
			cancel(stop)
		}
	}})
	if !errors.Is(err, stop) || sum.Written < 5000 || sum.Written > 50000 {
		t.Errorf("%+v, %v", sum, err)
	}
	if n := a.client.DBSize(context.Background()).Val(); n != sum.Written {
		t.Errorf("Redis has %d keys, the summary says %d", n, sum.Written)
	}
}

// Promise: a Redis that dies, or takes no writes, in the middle is an error with the count.
func TestRedisDies(t *testing.T) {
	a := servers(t)
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: a.redis.Socket, MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	sum, err := warm.Run(t.Context(), scratchtest.Open(t, a.db), client, warm.Entry{
		Query: "SELECT g AS id FROM generate_series(1, 100000) g", Key: "k:{id}", Codec: warm.Pickle,
	}, warm.Options{Prefix: prefix, Progress: func(done, _ int64) {
		if done >= 5000 {
			a.redis.Kill()
		}
	}})
	if err == nil || sum.Written < 5000 || sum.Written > 50000 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// Promise: memory does not grow with the number of rows: 100,000 of them with 1 kB each take less than 50 MB.
func TestMemory(t *testing.T) {
	a := servers(t)
	var worst uint64
	var looks int64
	runtime.GC()
	var start runtime.MemStats
	runtime.ReadMemStats(&start)
	sum, err := a.run(warm.Entry{Query: "SELECT g AS id, repeat('x', 1000) AS s FROM generate_series(1, 100000) g", Key: "k:{id}", Codec: warm.Pickle}, warm.Options{
		Progress: func(done, _ int64) {
			if done/10000 > looks {
				looks = done / 10000
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				worst = max(worst, m.HeapAlloc)
			}
		},
	})
	if err != nil || sum.Written != 100000 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if looks < 9 || worst > start.HeapAlloc+50<<20 {
		t.Errorf("%d MB, %d looks", worst>>20, looks)
	}
}

// Promise: the version of Django is what the release pins, and no guess where it pins none or two.
func TestDjangoVersion(t *testing.T) {
	root := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := warm.DjangoVersion(root); !errors.Is(err, warm.ErrDjangoVersion) {
		t.Error(v, err)
	}
	put("requirements.txt", "django>=4.2\ndjango-redis==5.4\n")
	if v, err := warm.DjangoVersion(root); !errors.Is(err, warm.ErrDjangoVersion) {
		t.Error(v, err)
	}
	put("requirements.txt", "# Django==1.0\nDjango==5.2.11 ; python_version > '3.9'\n")
	if v, err := warm.DjangoVersion(root); err != nil || v != "5.2.11" {
		t.Error(v, err)
	}
	put("current/requirements/base.txt", "Django == 4.2.1\n")
	if v, err := warm.DjangoVersion(root); err != nil || v != "4.2.1" {
		t.Error(v, err)
	}
	put("current/requirements/prod.txt", "django==4.2.2\n")
	if v, err := warm.DjangoVersion(root); err == nil {
		t.Error(v)
	}
}
