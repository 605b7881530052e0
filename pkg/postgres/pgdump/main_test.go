package pgdump

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

// patience bounds every wait for something that must happen; a test that needs
// all of it has failed.
const patience = 30 * time.Second

// tools are the client programs that fit the shared server.
func tools(t testing.TB) postgres.Tools {
	t.Helper()
	installed.once.Do(func() {
		var facts postgres.Server
		if facts, installed.err = postgres.Facts(t.Context(), scratchtest.Open(t, scratchtest.Admin(t))); installed.err == nil {
			f := postgres.ToolFinder{Runner: scratchtest.Runner(), Path: os.Getenv("PATH")}
			installed.tools, installed.err = f.Find(t.Context(), "pg_dump", facts.Version.Major())
		}
	})
	if installed.err != nil {
		t.Fatal(installed.err)
	}
	return installed.tools
}

var installed struct {
	once  sync.Once
	tools postgres.Tools
	err   error
}

func dumper(t testing.TB, e *postgres.Endpoint) Dumper {
	t.Helper()
	return Dumper{Endpoint: e, Tools: tools(t), Runner: scratchtest.Runner()}
}

// openGuard opens a guard that ends with the test.
func openGuard(t testing.TB, e *postgres.Endpoint, o GuardOptions) (*Guard, context.Context) {
	t.Helper()
	g, ctx, err := OpenGuard(t.Context(), e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Abort)
	return g, ctx
}

// openError opens a guard that should not open. One that does is ended, or it
// would hold its locks against everything that cleans up after the test.
func openError(ctx context.Context, e *postgres.Endpoint, o GuardOptions) error {
	g, _, err := OpenGuard(ctx, e, o)
	if err == nil {
		g.Abort()
	}
	return err
}

// dumped is what a backup takes out of a database.
type dumped struct {
	parts       map[Part][]byte
	fingerprint *catalog.Fingerprint
	properties  []byte
	said        []Said
}

// take dumps everything in the snapshot of g; the counts come last, so that
// whatever stands in the way of pg_dump is met by pg_dump.
func take(t testing.TB, ctx context.Context, g *Guard, level string) (dumped, error) {
	t.Helper()
	d := dumped{parts: map[Part][]byte{}}
	for _, part := range []Part{PreData, Data, PostData} {
		var b bytes.Buffer
		said, err := dumper(t, g.endpoint).Part(ctx, part, g.Snapshot, &b)
		d.said = append(d.said, said...)
		if err != nil {
			return d, err
		}
		d.parts[part] = b.Bytes()
	}
	var err error
	if d.fingerprint, err = Measure(ctx, g, level, nil); err != nil {
		return d, err
	}
	var b bytes.Buffer
	_, err = WriteProperties(ctx, g, &b)
	d.properties = b.Bytes()
	return d, err
}

// dump is a whole undisturbed backup of e.
func dump(t testing.TB, e *postgres.Endpoint, level string) dumped {
	t.Helper()
	g, ctx := openGuard(t, e, GuardOptions{})
	d, err := take(t, ctx, g, level)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// load makes a database of the shared server out of d, finished under its name.
func (d dumped) load(t testing.TB) *postgres.Endpoint {
	t.Helper()
	p, err := ReadProperties(bytes.NewReader(d.properties))
	if err != nil {
		t.Fatal(err)
	}
	name := scratchtest.Name("loaded")
	scratchtest.Drop(t, name)
	c := Candidate{Admin: scratchtest.Admin(t), Name: scratchtest.Name("candidate")}
	t.Cleanup(func() {
		if err := c.Drop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := c.Create(t.Context(), p, "a candidate"); err != nil {
		t.Fatal(err)
	}
	d.loadInto(t, c.Endpoint())
	if err := c.Finish(t.Context(), p, name); err != nil {
		t.Fatal(err)
	}
	return c.Admin.WithDatabase(name)
}

func (d dumped) loadInto(t testing.TB, e *postgres.Endpoint) {
	t.Helper()
	l := Loader{Endpoint: e, Tools: tools(t), Runner: scratchtest.Runner()}
	for _, part := range []Part{PreData, Data, PostData} {
		said, err := l.Load(t.Context(), part, bytes.NewReader(d.parts[part]))
		if err != nil {
			t.Fatal(err)
		}
		if len(said) > 0 {
			t.Errorf("load %s: %v", part, said)
		}
	}
}

// used are databases that tests have finished with: making and dropping one
// costs more than most of what is tested in it.
var used struct {
	mu  sync.Mutex
	all []*postgres.Endpoint
}

// tablesOnly is a database for tables in schema public and nothing else; it is
// emptied and used again.
func tablesOnly(t testing.TB, sql ...string) *postgres.Endpoint {
	t.Helper()
	var e *postgres.Endpoint
	used.mu.Lock()
	if n := len(used.all); n > 0 {
		e, used.all = used.all[n-1], used.all[:n-1]
	}
	used.mu.Unlock()
	if e == nil {
		e = scratchtest.Admin(t).WithDatabase(scratchtest.Name("tables"))
		scratchtest.Exec(t, scratchtest.Admin(t), "CREATE DATABASE "+e.Database()+" TEMPLATE template0")
	}
	// Cleanups run in reverse order: guards and sessions of the test have ended by then.
	t.Cleanup(func() {
		scratchtest.Exec(unended{t}, e, `DO $$ DECLARE tables text; BEGIN
			SELECT string_agg(oid::regclass::text, ', ') INTO tables FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r';
			IF tables IS NOT NULL THEN EXECUTE 'DROP TABLE ' || tables || ' CASCADE'; END IF; END $$`)
		used.mu.Lock()
		defer used.mu.Unlock()
		used.all = append(used.all, e)
	})
	if len(sql) > 0 {
		scratchtest.Exec(t, e, sql...)
	}
	return e
}

// await waits until sql selects true.
func await(t testing.TB, e *postgres.Endpoint, sql string) {
	t.Helper()
	conn := scratchtest.Open(t, e)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		var yes bool
		if err := conn.QueryRow(t.Context(), "SELECT "+sql).Scan(&yes); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if yes {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never true: %s", sql)
		}
	}
}

// program runs a client program against e and returns what it printed.
func program(t testing.TB, e *postgres.Endpoint, name string, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd, done, err := childCmd(e, tools(t).Path(name))
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	cmd.Args = append(cmd.Args, args...)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	out, err := proc.Output(t.Context(), scratchtest.Runner(), cmd)
	return string(out), err
}
