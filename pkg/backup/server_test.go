package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// ownServer is a server that a test may harm.
type ownServer struct {
	*scratch.Cluster
	t       testing.TB
	command proc.Cmd // that started it
}

func newServer(t testing.TB, o scratch.Options) *ownServer {
	t.Helper()
	s := &ownServer{t: t}
	dir, err := os.MkdirTemp("/tmp", "fb") // short enough for a socket
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	o.Dir, o.Locale = dir, "C.UTF-8"
	o.Runner = witnessed{scratchtest.Runner(), func(c proc.Cmd) {
		if filepath.Base(c.Path) == "postgres" {
			s.command = c
		}
	}}
	s.Cluster, err = scratch.Start(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// witnessed is a runner that shows what it starts.
type witnessed struct {
	proc.Runner
	see func(proc.Cmd)
}

func (w witnessed) Start(ctx context.Context, c proc.Cmd) (proc.Process, error) {
	w.see(c)
	return w.Runner.Start(ctx, c)
}

// signal sends the server a signal, and waits until it has ended.
func (s *ownServer) signal(how syscall.Signal) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.DataDir, "postmaster.pid"))
	must(s.t, err)
	var pid int
	_, err = fmt.Sscan(string(text), &pid)
	must(s.t, err)
	must(s.t, syscall.Kill(pid, how))
	for deadline := time.Now().Add(patience); !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the server does not end after %v", how)
		}
	}
}

// again starts it once more, with what it had.
func (s *ownServer) again() {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p, err := scratchtest.Runner().Start(ctx, s.command)
	must(s.t, err)
	s.t.Cleanup(func() { stop(); _ = p.Wait() })
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := pgx.Connect(context.Background(), s.ConnString("postgres"))
		if err == nil {
			_ = conn.Close(context.Background())
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the server does not come back: %v", err)
		}
	}
}

// database makes one, as the scratchtest function of that name does in the shared server.
func (s *ownServer) database(name string, sql ...string) *postgres.Endpoint {
	s.t.Helper()
	admin := scratchtest.Connect(s.t, s.Cluster, "postgres", scratch.Superuser)
	scratchtest.Exec(s.t, admin, "CREATE DATABASE "+name+" TEMPLATE template0")
	e := admin.WithDatabase(name)
	scratchtest.Exec(s.t, e, sql...)
	return e
}

// inTime runs a backup that must not wait for ever.
func inTime(t testing.TB, o backup.DatabaseOptions) (backup.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the backup waits for ever"))
	defer cancel()
	r, err := backup.Database(ctx, o)
	if ctx.Err() != nil {
		t.Errorf("%v", context.Cause(ctx))
	}
	return r, err
}

// Promise: a server that stops in the middle of a backup, however, or that stops
// and is there again a moment later, fails the backup, which leaves nothing and
// says that the session was lost once the snapshot was taken. After the dump the
// server is not needed any more. The next backup works.
func TestServerStops(t *testing.T) {
	t.Parallel()
	s := newServer(t, scratch.Options{})
	e := s.database("forge", small)
	up := true
	for _, how := range []struct {
		name   string
		signal syscall.Signal
		again  bool
	}{{"fast", syscall.SIGINT, false}, {"immediate", syscall.SIGQUIT, false}, {"restart", syscall.SIGINT, true}} {
		for _, name := range steps[1 : len(steps)-2] {
			t.Run(how.name+" at "+name, func(t *testing.T) {
				if !up {
					s.again()
				}
				up = true
				c, dir := repository(t)
				o := options(e, c)
				step, happened := at(t, name, func() {
					s.signal(how.signal)
					if up = how.again; up {
						s.again()
					}
				})
				o.Step = step
				r, err := inTime(t, o)
				happened()
				if name == "dumped" {
					must(t, err)
					if ok, why := r.Set.Good(); !ok {
						t.Error(why)
					}
					return
				}
				if err == nil || (name == "before close" || name == "compared") && how.again && !errors.Is(err, pgdump.ErrGuardLost) {
					t.Errorf("got %v", err)
				}
				oneLine(t, err)
				nothingLeft(t, dir)
			})
		}
	}
	if !up {
		s.again()
	}
	c, _ := repository(t)
	r, err := inTime(t, options(e, c))
	must(t, err)
	drill(t, c, r.Set, nil)
}

// oneLine fails for an error that says the same thing twice, or in two lines.
func oneLine(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	if strings.Contains(text, "\n") {
		t.Errorf("in more than one line: %q", text)
	}
	parts := strings.Split(text, ": ")
	for i, part := range parts {
		if len(part) > 20 && slices.Contains(parts[:i], part) {
			t.Errorf("twice: %q in %q", part, text)
		}
	}
}

// Promise: a server that has no connection left, before the backup or in its
// middle, fails it at once with an error that says so and what to look at,
// whoever asked for the connection; nothing is left.
func TestNoConnectionLeft(t *testing.T) {
	t.Parallel()
	const room = 15
	s := newServer(t, scratch.Options{Settings: map[string]string{"max_connections": fmt.Sprint(room), "superuser_reserved_connections": "4", "max_wal_senders": "0"}})
	super := s.database("forge", small)
	scratchtest.Exec(t, super, "CREATE ROLE reader LOGIN", "GRANT pg_read_all_data TO reader")
	e := scratchtest.Connect(t, s.Cluster, "forge", "reader")
	// fill leaves so many slots for the reader.
	fill := func(t *testing.T, leave int) {
		t.Helper()
		var open []*pgx.Conn
		t.Cleanup(func() {
			for _, c := range open {
				_ = c.Close(context.Background())
			}
		})
		for {
			c, err := e.Connect(t.Context())
			if err != nil {
				break
			}
			open = append(open, c)
		}
		if len(open) < leave {
			t.Fatalf("%d slots", len(open))
		}
		before := scratchtest.Query(t, super, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader'")
		for _, c := range open[:leave] {
			must(t, c.Close(t.Context()))
		}
		var n int
		_, err := fmt.Sscan(before, &n)
		must(t, err)
		for deadline := time.Now().Add(patience); scratchtest.Query(t, super, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader'") != fmt.Sprint(n-leave); {
			if time.Now().After(deadline) {
				t.Fatal("the sessions do not end")
			}
		}
	}
	ours := 0
	for _, name := range []string{"", "exported", "before close"} {
		for leave := range 7 {
			if name != "exported" && leave > 0 {
				continue
			}
			t.Run(fmt.Sprintf("%d left at %q", leave, name), func(t *testing.T) {
				c, dir := repository(t)
				o := options(e, c)
				var happened func()
				if name == "" {
					fill(t, leave)
				} else {
					o.Step, happened = at(t, name, func() { fill(t, leave) })
				}
				_, err := inTime(t, o)
				if happened != nil {
					happened()
				}
				if err == nil {
					if leave < 3 {
						t.Error("it worked")
					}
					return
				}
				var connect *postgres.ConnectError // one of our own
				var full *pgdump.ConnectionsError  // one of a program
				if errors.As(err, &connect) {
					ours++
					if !strings.Contains(connect.Hint, "max_connections") {
						t.Errorf("no hint: %v", err)
					}
				} else if !errors.As(err, &full) {
					t.Errorf("not told that connections are missing: %v", err)
				}
				oneLine(t, err)
				nothingLeft(t, dir)
			})
		}
	}
	if ours < 3 {
		t.Errorf("%d of our own sessions failed", ours)
	}
	c, _ := repository(t)
	_, err := inTime(t, options(e, c))
	must(t, err)
}

// slowly is a runner whose programs' output is taken up only when first, which is
// called with their first bytes, has returned.
type slowly struct {
	proc.Runner
	part  string // of the arguments
	first func()
}

func (s slowly) Start(ctx context.Context, c proc.Cmd) (proc.Process, error) {
	if slices.Contains(c.Args, s.part) {
		c.Stdout = &gate{Writer: c.Stdout, first: s.first}
	}
	return s.Runner.Start(ctx, c)
}

func (s slowly) Run(ctx context.Context, c proc.Cmd) error {
	p, err := s.Start(ctx, c)
	if err != nil {
		return err
	}
	return p.Wait()
}

type gate struct {
	io.Writer
	once  sync.Once
	first func()
	seen  int
}

func (g *gate) Write(p []byte) (int, error) {
	// The head and the table of contents come first: by now rows are on their way.
	if g.seen += len(p); g.seen > 256<<10 {
		g.once.Do(g.first)
	}
	return g.Writer.Write(p)
}

// large does not fit into the pipes and sockets between a server and us.
const large = "CREATE TABLE large AS SELECT i, repeat(md5(i::text), 30) AS text FROM generate_series(1, 20000) i;"

// Promise: an administrator who ends the session of the guard, of pg_dump or of
// the count in the middle of a backup ends the backup: the error says so, nothing
// is left.
func TestSessionEnded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, query, says string }{
		{"guard", "SELECT 1", "the session that holds the snapshot was lost"},
		// Which of libpq's calls meets the end, and with which words, depends on how far the rows came.
		{"pg_dump", "COPY public.large%", `pg_dump: exit status 1: error: Dumping the contents of table "large" failed: PQget`},
		// Between two statements only the next write notices, and then the server's words cannot be read any more.
		{"count", "SELECT count(*)%FROM ONLY%", "take fingerprint: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := scratchtest.Database(t, small, large)
			if tt.name == "count" { // there is time to find it
				scratchtest.Exec(t, e, "DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE format('CREATE TABLE t%s AS SELECT 1 AS i', i); END LOOP; END $$")
			}
			c, dir := repository(t)
			o := options(e, c)
			ended := "0"
			end := func() {
				watch, err := scratchtest.Admin(background{t}).Connect(context.Background())
				must(t, err)
				defer watch.Close(context.Background())
				for deadline := time.Now().Add(patience); ended == "0" && time.Now().Before(deadline); {
					must(t, watch.QueryRow(context.Background(), "SELECT count(pg_terminate_backend(pid, 10000))::text FROM pg_stat_activity WHERE datname = $1 AND query LIKE $2", e.Database(), tt.query).Scan(&ended))
				}
			}
			var watching sync.WaitGroup
			if tt.name == "count" {
				o.Step = func(name string) {
					if name == "exported" {
						watching.Go(end)
					}
				}
			} else {
				o.Runner = slowly{scratchtest.Runner(), "--section=data", end}
			}
			_, err := inTime(t, o)
			watching.Wait()
			if ended == "0" || err == nil || !strings.Contains(err.Error(), tt.says) || (tt.name == "guard") != errors.Is(err, pgdump.ErrGuardLost) {
				t.Errorf("ended %s sessions, %v", ended, err)
			}
			oneLine(t, err)
			nothingLeft(t, dir)
		})
	}
}

// Promise: a run that is killed does not leave a statement running on the server:
// one that nobody waits for any more ends within seconds.
func TestServerNotices(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, small)
	g, _, err := pgdump.OpenGuard(t.Context(), e, pgdump.GuardOptions{})
	must(t, err)
	defer g.Abort()
	conn, err := g.Session(t.Context())
	must(t, err)
	pid := conn.PgConn().PID()
	raw, err := conn.PgConn().Hijack() // so that nobody sends a request to cancel
	must(t, err)
	raw.Frontend.SendQuery(&pgproto3.Query{String: "SELECT pg_sleep(600)"})
	must(t, raw.Frontend.Flush())
	watch := scratchtest.Admin(t)
	runs := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(patience); scratchtest.Query(t, watch, fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND query LIKE '%%pg_sleep(600)'", pid)) != want; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not %s", want)
			}
		}
	}
	runs("1")
	must(t, raw.Conn.Close()) // as the kernel does for a process that is killed
	runs("0")
}
