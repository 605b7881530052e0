package restore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// application is a unit that writes to the database as long as it runs. Whether
// it runs stands in a file, so that it outlives a process of the test.
type application struct {
	file     string
	endpoint *postgres.Endpoint // nil: it writes nothing
	failStop error
	failTo   error // start

	mu        sync.Mutex
	stop      chan struct{}
	clients   sync.WaitGroup
	committed atomic.Int64 // the highest number that was acknowledged
	errs      atomic.Int64
}

func (a *application) runs() bool {
	state, _ := os.ReadFile(a.file)
	return string(state) == "running"
}

func (a *application) Running(context.Context) ([]string, error) {
	if a.runs() {
		return []string{"app"}, nil
	}
	return nil, nil
}

func (a *application) Stop(_ context.Context, units []string) error {
	if a.failStop != nil {
		return a.failStop
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop != nil {
		close(a.stop)
		a.clients.Wait()
		a.stop = nil
	}
	return os.WriteFile(a.file, []byte("stopped"), 0o600)
}

func (a *application) Start(context.Context, []string) error {
	if a.failTo != nil {
		return a.failTo
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop == nil && a.endpoint != nil {
		a.stop = make(chan struct{})
		stop := a.stop
		a.clients.Go(func() { a.work(stop) })
	}
	return os.WriteFile(a.file, []byte("running"), 0o600)
}

// work inserts numbers, reconnecting for ever, as an application does.
func (a *application) work(stop chan struct{}) {
	ctx := context.Background()
	for {
		conn, err := a.endpoint.Connect(ctx)
		for err == nil {
			n := a.committed.Load() + 1
			if _, err = conn.Exec(ctx, "INSERT INTO heartbeat VALUES ($1)", n); err == nil {
				a.committed.Store(n)
			}
			select {
			case <-stop:
				_ = conn.Close(ctx)
				return
			default:
			}
		}
		a.errs.Add(1)
		if conn != nil {
			_ = conn.Close(ctx)
		}
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond): // not luck: a polite client
		}
	}
}

// service is a live database with an application, and a set to restore into its place.
type service struct {
	t    *testing.T
	live string
	app  *application
	o    restore.Options
	set  *copied
}

const heartbeat = "CREATE TABLE heartbeat (n bigint)"

func newService(t *testing.T, live string) *service {
	t.Helper()
	set := copySet(t, false)
	o := options(t, set.Catalog, set.Set(), live)
	scratchtest.NamedDatabase(t, live, "CREATE TABLE old_one (x int)", heartbeat, "COMMENT ON DATABASE "+postgres.QuoteIdent(live)+" IS 'the live one'")
	dir := t.TempDir()
	app := &application{file: filepath.Join(dir, "unit"), endpoint: o.Admin.WithDatabase(live)}
	must(t, app.Start(t.Context(), nil))
	t.Cleanup(func() { _ = app.Stop(context.Background(), nil) })
	o.Live, o.Intents, o.Units, o.Host, o.Now = live, restore.Intents{Dir: filepath.Join(dir, "intents")}, app, "web1", time.Now
	t.Cleanup(func() { dropLike(t, live) })
	return &service{t: t, live: live, app: app, o: o, set: set}
}

// dropLike drops what restores left of a live database.
func dropLike(t *testing.T, live string) {
	admin := scratchtest.Admin(t)
	kept, err := cutover.ListKept(context.Background(), admin, live)
	if err != nil {
		t.Error(err)
	}
	for _, k := range kept {
		if err := (pgdump.Candidate{Admin: admin, Name: k.Name}).Drop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// is tells which database has a name.
func (s *service) is(name string) string {
	s.t.Helper()
	return scratchtest.Query(s.t, s.o.Admin.WithDatabase(name), "SELECT CASE WHEN to_regclass('old_one') IS NOT NULL THEN 'old' WHEN to_regclass('forge_document') IS NOT NULL THEN 'restored' ELSE 'neither' END")
}

func (s *service) comment(name string) string {
	s.t.Helper()
	return scratchtest.Query(s.t, s.o.Admin, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = "+postgres.QuoteLiteral(name))
}

// kept are the roles of the databases beside the live one.
func (s *service) kept() []cutover.Role {
	s.t.Helper()
	list, err := cutover.ListKept(s.t.Context(), s.o.Admin, s.live)
	must(s.t, err)
	var roles []cutover.Role
	for _, k := range list {
		roles = append(roles, k.Origin.Forgectl)
	}
	slices.Sort(roles)
	return roles
}

// settled fails unless no exchange is open and the unit runs.
func (s *service) settled() {
	s.t.Helper()
	open, err := s.o.Intents.List(s.t.Context())
	if err != nil || len(open) > 0 {
		s.t.Errorf("open: %+v, %v", open, err)
	}
	if !s.app.runs() {
		s.t.Error("the unit does not run")
	}
}

// Promise: a restore puts the set into service under load; what the application
// was told is committed is in the database that is kept, and undo brings it back.
func TestReplace(t *testing.T) {
	for _, live := range []string{scratchtest.Name("live"), strings.Repeat("ü", 30) + "!"} {
		t.Run(live, func(t *testing.T) {
			s := newService(t, live)
			s.o.Gate = func(ctx context.Context) error { // well when it has written to the new database
				before := s.app.committed.Load()
				for s.app.committed.Load() == before {
					if ctx.Err() != nil {
						return context.Cause(ctx)
					}
					time.Sleep(time.Millisecond)
				}
				return nil
			}
			// The application needs its table in the restored database too.
			s.o.Step = func(name string) {
				if name == "finish" {
					scratchtest.Exec(t, s.o.Admin.WithDatabase(candidateOf(t, s)), heartbeat)
				}
			}
			// What was derived from the other database goes while the units stand still.
			swaps, running := 0, false
			s.o.Swapped = func(context.Context) { swaps, running = swaps+1, running || s.app.runs() }
			var plan restore.Plan
			s.o.Confirm = func(_ context.Context, p restore.Plan) error { plan = p; return nil }
			r, err := restore.Replace(t.Context(), s.o)
			must(t, err)
			atSwap := scratchtest.Query(t, s.o.Admin.WithDatabase(r.Aside), "SELECT max(n) FROM heartbeat")
			first := scratchtest.Query(t, s.o.Admin.WithDatabase(live), "SELECT min(n) FROM heartbeat")
			if !follows(atSwap, first) {
				t.Errorf("the old database ends with commit %s, the new one begins with %s", atSwap, first)
			}
			if s.is(live) != "restored" || s.is(r.Aside) != "old" || s.comment(live) != "" || !slices.Equal(s.kept(), []cutover.Role{cutover.Before}) {
				t.Errorf("%s is %s, comment %q, kept %v", live, s.is(live), s.comment(live), s.kept())
			}
			if plan.Live == nil || len(plan.Units) != 1 || plan.Aside != r.Aside || len(r.Warnings) > 0 {
				t.Errorf("plan %+v", plan)
			}
			s.settled()
			t.Logf("gap %v, downtime %v, %d sessions ended", r.Gap, r.Downtime, r.Ended)

			undone, err := restore.Undo(t.Context(), s.o)
			must(t, err)
			if s.is(live) != "old" || s.is(undone.Aside) != "restored" || s.comment(live) != "the live one" || !slices.Equal(s.kept(), []cutover.Role{cutover.Undone}) {
				t.Errorf("after undo %s is %s, comment %q, kept %v", live, s.is(live), s.comment(live), s.kept())
			}
			s.settled()
			// Undoing the undo goes forward again, and whether the application likes it is only said.
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // names are to the second
			ill := errors.New("ill")
			s.o.Gate = func(context.Context) error { return ill }
			again, err := restore.Undo(t.Context(), s.o)
			must(t, err)
			if s.is(live) != "restored" || s.is(again.Aside) != "old" || !errors.Is(again.Unwell, ill) {
				t.Errorf("after a second undo %s is %s, unwell %v", live, s.is(live), again.Unwell)
			}
			if swaps != 3 || running {
				t.Errorf("%d swaps were told, a unit ran meanwhile: %t", swaps, running)
			}
			s.settled()
		})
	}
}

func follows(last, first string) bool {
	var a, b int64
	_, errA := fmt.Sscan(last, &a)
	_, errB := fmt.Sscan(first, &b)
	return errA == nil && errB == nil && b == a+1
}

func candidateOf(t *testing.T, s *service) string {
	t.Helper()
	list, err := cutover.ListKept(context.Background(), s.o.Admin, s.live)
	must(t, err)
	for _, k := range list {
		if k.Origin.Forgectl == cutover.Candidate {
			return k.Name
		}
	}
	t.Fatal("no candidate")
	return ""
}

// Promise: whatever fails, the database that was live is live again, its
// application runs, and what the application may have written to is kept.
func TestReplaceFails(t *testing.T) {
	broken := errors.New("broken on purpose")
	for _, c := range []struct {
		name  string
		spoil func(*service)
		kept  []cutover.Role
		is    func(error) bool
	}{
		{"the operator says no", func(s *service) {
			s.o.Confirm = func(context.Context, restore.Plan) error { return broken }
		}, nil, func(err error) bool { return errors.Is(err, broken) }},
		{"what should come with it does not", func(s *service) {
			s.o.Ready = func(context.Context) error {
				if s.is(candidateOf(s.t, s)) != "restored" || s.is(s.live) != "old" {
					s.t.Error("called before the restored database was loaded, or after it was live")
				}
				return broken
			}
		}, nil, func(err error) bool { return errors.Is(err, broken) }},
		{"the unit does not stop", func(s *service) { s.app.failStop = broken }, nil, func(err error) bool { return errors.Is(err, broken) }},
		{"the unit does not start", func(s *service) {
			s.o.Step = func(name string) {
				switch name {
				case "swapped":
					s.app.failTo = broken
				case "swapped back":
					s.app.failTo = nil
				}
			}
		}, []cutover.Role{cutover.Failed}, func(err error) bool { return errors.Is(err, broken) && errors.As(err, new(*restore.ReturnedError)) }},
		{"the application is not well", func(s *service) { s.o.Gate = func(context.Context) error { return broken } },
			[]cutover.Role{cutover.Failed}, func(err error) bool { return errors.Is(err, broken) && errors.As(err, new(*restore.ReturnedError)) }},
		{"a prepared transaction", func(s *service) {
			conn := scratchtest.Open(s.t, s.o.Admin.WithDatabase(s.live))
			for _, sql := range []string{"BEGIN", "INSERT INTO old_one VALUES (1)", "PREPARE TRANSACTION '" + s.live + "'"} {
				_, err := conn.Exec(s.t.Context(), sql)
				must(s.t, err)
			}
			s.t.Cleanup(func() {
				conn, err := s.o.Admin.WithDatabase(s.live).Connect(context.Background())
				if err == nil {
					_, _ = conn.Exec(context.Background(), "ROLLBACK PREPARED '"+s.live+"'")
					_ = conn.Close(context.Background())
				}
			})
		}, nil, func(err error) bool {
			var e *restore.UnendableError
			return errors.As(err, &e) && len(e.Prepared) == 1 && strings.Contains(e.Remedies()[0], "COMMIT PREPARED")
		}},
		{"one that appears during the load", func(s *service) {
			s.o.Step = func(name string) {
				if name != "stopped" {
					return
				}
				conn := scratchtest.Open(s.t, s.o.Admin.WithDatabase(s.live))
				for _, sql := range []string{"BEGIN", "INSERT INTO old_one VALUES (1)", "PREPARE TRANSACTION '" + s.live + "'"} {
					_, err := conn.Exec(context.Background(), sql)
					must(s.t, err)
				}
				s.t.Cleanup(func() {
					conn, err := s.o.Admin.WithDatabase(s.live).Connect(context.Background())
					if err == nil {
						_, _ = conn.Exec(context.Background(), "ROLLBACK PREPARED '"+s.live+"'")
						_ = conn.Close(context.Background())
					}
				})
			}
		}, nil, func(err error) bool { return errors.Is(err, cutover.ErrBusy) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, scratchtest.Name("fails"))
			c.spoil(s)
			_, err := restore.Replace(t.Context(), s.o)
			if err == nil || !c.is(err) {
				t.Errorf("got %v", err)
			}
			if s.is(s.live) != "old" || s.comment(s.live) != "the live one" || !slices.Equal(s.kept(), c.kept) {
				t.Errorf("%s is %s, comment %q, kept %v", s.live, s.is(s.live), s.comment(s.live), s.kept())
			}
			s.settled()
		})
	}
}

// Promise: a run that is told to end, at whatever step, leaves the old database
// in service.
func TestReplaceCancelled(t *testing.T) {
	stopped := errors.New("stopped from outside")
	for _, at := range exchangeSteps {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := newService(t, scratchtest.Name("cancelled"))
			s.o.Gate = func(ctx context.Context) error { return context.Cause(ctx) }
			ctx, cancel := context.WithCancelCause(t.Context())
			hit := false
			s.o.Step = func(name string) {
				if name == at {
					hit = true
					cancel(stopped)
				}
			}
			_, err := restore.Replace(ctx, s.o)
			if !hit {
				t.Fatal("the step did not happen")
			}
			if at == "well" { // too late: it is done
				must(t, err)
				return
			}
			if !errors.Is(err, stopped) || s.is(s.live) != "old" {
				t.Errorf("%v; %s is %s", err, s.live, s.is(s.live))
			}
			s.settled()
		})
	}
}

// exchangeSteps are all steps between the complete candidate and the end.
var exchangeSteps = []string{
	"intent written", "stopped", "swapping", "swap begun", "swap renamed", "swap committed", "swapped", "starting", "started", "well",
}

// Promise: while an exchange is open nobody begins another one.
func TestReplaceOpen(t *testing.T) {
	s := newService(t, scratchtest.Name("open"))
	nested := s.o
	s.o.Step = func(name string) {
		if name != "swapped" {
			return
		}
		if _, err := restore.Replace(context.Background(), nested); !errors.Is(err, restore.ErrOpen) {
			t.Errorf("a second restore: %v", err)
		}
		if _, err := restore.PlanUndo(context.Background(), nested); !errors.Is(err, restore.ErrOpen) {
			t.Errorf("an undo: %v", err)
		}
	}
	_, err := restore.Replace(t.Context(), s.o)
	must(t, err)
}

// Promise: without a live database the restored one simply gets the name.
func TestReplaceNothing(t *testing.T) {
	s := newService(t, scratchtest.Name("nothing"))
	must(t, s.app.Stop(t.Context(), nil))
	scratchtest.Exec(t, s.o.Admin, "DROP DATABASE "+s.live)
	r, err := restore.Replace(t.Context(), s.o)
	must(t, err)
	if s.is(s.live) != "restored" || len(s.kept()) > 0 || r.Live != nil || r.Aside != "" {
		t.Errorf("%s is %s, kept %v, %+v", s.live, s.is(s.live), s.kept(), r.Plan)
	}
}
