package warm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
	"github.com/bmad-forge/forgectl/pkg/rediscache/warm"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

// prefix is that of testdata/settings.py.
var prefix = rediscache.Prefix{KeyPrefix: "bmad", Version: 3}

// app is a Django project with its database and its Redis.
type app struct {
	t      *testing.T
	db     *postgres.Endpoint
	redis  *redistest.Server
	client *redis.Client
	host   string
	port   uint16
}

// newApp starts Redis and makes the project's tables and rows.
func newApp(t *testing.T, args ...string) *app {
	t.Helper()
	needDjango(t)
	a := &app{t: t, db: scratchtest.Database(t), redis: redistest.Start(t, args...)}
	a.client = a.redis.Client(t)
	config := scratchtest.Open(t, a.db).Config()
	a.host, a.port = config.Host, config.Port
	a.python("make")
	return a
}

// needDjango leaves a test out where the system's Python has no Django, but not in CI.
func needDjango(t *testing.T) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", "import django, django_redis, psycopg2").CombinedOutput(); err != nil {
		scratchtest.Skip(t, "Django is not installed (scripts/setup installs it): "+string(out))
	}
}

// python runs parts of testdata/app.py, and returns what it printed.
func (a *app) python(parts ...string) string {
	a.t.Helper()
	cmd := exec.CommandContext(a.t.Context(), "/usr/bin/python3", append([]string{"-B", "testdata/app.py"}, parts...)...)
	serializer := "pickle.PickleSerializer"
	if parts[0] == "json" {
		serializer = "json.JSONSerializer"
	}
	cmd.Env = append(os.Environ(), "WARM_DB="+a.db.Database(), "WARM_USER="+a.db.User(), "WARM_HOST="+a.host,
		"WARM_PORT="+strconv.Itoa(int(a.port)), "WARM_REDIS="+a.redis.URL(), "WARM_SERIALIZER=django_redis.serializers."+serializer)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		a.t.Fatalf("%s: %v\n%s", parts, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func (a *app) run(e warm.Entry, o warm.Options) (warm.Summary, error) {
	a.t.Helper()
	o.Prefix = prefix
	return warm.Run(a.t.Context(), scratchtest.Open(a.t, a.db), a.client, e, o)
}

func (a *app) must(e warm.Entry) warm.Summary {
	a.t.Helper()
	sum, err := a.run(e, warm.Options{})
	if err != nil {
		a.t.Fatal(err)
	}
	return sum
}

func templates(codec string) warm.Entry {
	return warm.Entry{Name: "templates", Query: "SELECT * FROM forge_template WHERE is_active", Key: "template:{id}", TTL: time.Hour, Codec: codec}
}

// Promise: what warm writes, cache.get returns with the types and values that the ORM has, of every field; and a model
// instance is the one of the ORM: no warning, nothing deferred, no query, and it saves.
func TestDjangoReads(t *testing.T) {
	a := newApp(t)
	version := a.python("version")

	sum := a.must(templates(warm.Pickle))
	if sum.Rows != 3 || sum.Written != 3 || sum.Present != 0 || sum.Bytes == 0 {
		t.Errorf("%+v", sum)
	}
	a.python("dicts")

	e := templates(warm.Model)
	e.Model, e.DjangoVersion = "forge.Template", version
	a.must(e)
	a.python("models")

	for name, sql := range map[string]string{"n": "7", "s": "'1_000'::text", "b": "true", "none": "NULL::text", "big": "(-9223372036854775808)::int8"} {
		a.must(warm.Entry{Query: "SELECT " + sql + " AS v", Key: "value:" + name, Value: "v", Codec: warm.Pickle})
	}
	a.python("values")
	if ttl := a.client.TTL(t.Context(), prefix.Key("value:n")).Val(); ttl != -1 {
		t.Errorf("without a TTL it lives for %s", ttl)
	}

	e = templates(warm.JSON)
	e.Query = `SELECT id, title, at, day, clock, length, price, key, extra, tags, ratio FROM forge_template WHERE id < 3`
	a.must(e)
	a.python("json")
}

// Promise: what Django writes, our reader reads: instances, dicts, lists and querysets of them, in protocols 0 to 5, each
// model with its label and the version of Django.
func TestReadsWhatDjangoWrites(t *testing.T) {
	a := newApp(t)
	var said struct {
		Version string
		Written [][3]string
	}
	if err := json.Unmarshal([]byte(a.python("write")), &said); err != nil {
		t.Fatal(err)
	}
	if len(said.Written) != 72 {
		t.Fatalf("Django wrote %d values", len(said.Written))
	}
	for _, w := range said.Written {
		name, key, title := w[0], w[1], w[2]
		data, err := a.client.Get(t.Context(), key).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		v, err := pickle.Stored(data, pickle.Limits{})
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		if shown := pickle.Repr(v, 1<<20); name != "query" && !strings.Contains(shown, pickle.Repr(pickle.Str(title), 1<<10)) {
			t.Errorf("%s: %s", key, shown)
		}
		models := pickle.Models(v)
		for _, m := range models {
			if m.Version != said.Version || name != "query" && m.Class != "forge.Template" {
				t.Errorf("%s: %s of Django %q", key, m.Class, m.Version)
			}
		}
		if want := map[string]int{"instance": 1, "list": 4, "dict": 0}[name]; name != "query" && len(models) != want || name == "query" && len(models) == 0 {
			t.Errorf("%s: %d models", key, len(models))
		}
	}
}

// Promise: a query that does not return the whole model is refused, naming the column: a deferred field would cost a
// query for each instance.
func TestModelIsWhole(t *testing.T) {
	a := newApp(t)
	e := templates(warm.Model)
	e.Model, e.DjangoVersion = "forge.Template", "3.2"
	e.Query = "SELECT id, title FROM forge_template"
	if _, err := a.run(e, warm.Options{}); !errors.Is(err, warm.ErrEntry) || !strings.Contains(err.Error(), `"body"`) {
		t.Error(err)
	}
	e.Query = "SELECT *, 1 AS one FROM forge_template"
	if _, err := a.run(e, warm.Options{}); !errors.Is(err, warm.ErrEntry) || !strings.Contains(err.Error(), `"one"`) {
		t.Error(err)
	}
	e.Query, e.DjangoVersion = "SELECT * FROM forge_template", ""
	if _, err := a.run(e, warm.Options{}); !errors.Is(err, warm.ErrEntry) {
		t.Error(err)
	}
	if n := a.client.DBSize(context.Background()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}
