package restore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/networktest"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// errLimit is what --timeout is.
var errLimit = errors.New("time is up")

// limited runs f, and tells it to end as soon as a connection has stalled: nobody
// else would. It must end by itself soon after.
func limited(t *testing.T, n *networktest.Network, f func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*patience, errors.New("it waits for ever"))
	defer cancel()
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if n.How == networktest.Stall {
		go func() {
			select {
			case <-n.Struck():
				stop(errLimit)
			case <-ctx.Done():
			}
		}()
	}
	err := f(running)
	if !n.Hit() {
		t.Fatalf("no connection was hit: %v", err)
	}
	if ctx.Err() != nil {
		t.Error(context.Cause(ctx))
	}
	return err
}

// faultsOf are the faults for the i-th moment: all, or for every day one of them.
// A stall at a moment that is seen through takes half a minute to be given up.
func faultsOf(i int, slow bool) []networktest.Fault {
	all := networktest.Faults()
	if everyFault {
		return all
	}
	if slow {
		all = slices.DeleteFunc(all, func(f networktest.Fault) bool { return f == networktest.Stall })
	}
	return all[i%len(all):][:1]
}

// intoMoments are the connections of a restore beside the live database, each at
// its worst moment.
var intoMoments = []struct {
	name string
	harm networktest.Harm
	// ends: a database of the name may be there in the end, and then is whole and
	// the run says so.
	ends bool
}{
	{"CREATE DATABASE unheard", networktest.Harm{Say: "CREATE DATABASE", Unheard: true}, false},
	{"CREATE DATABASE", networktest.Harm{Say: "CREATE DATABASE"}, false},
	{"the mark", networktest.Harm{Say: "COMMENT ON DATABASE"}, false},
	{"pre-data", networktest.Harm{Say: "CREATE TABLE", After: 50}, false},
	{"rows", networktest.Harm{Say: "COPY public.forge_document"}, false},
	{"post-data", networktest.Harm{Say: "ADD CONSTRAINT", After: 20}, false},
	{"compare", networktest.Harm{Say: "count(*)", After: 20}, false},
	{"statistics", networktest.Harm{Say: "ANALYZE "}, false},
	{"the name", networktest.Harm{Say: "RENAME TO"}, true},
	{"commit", networktest.Harm{Say: "RENAME TO", After: 30}, true}, // ALTER DATABASE is answered in 26
}

// Promise: a connection that breaks while a set is loaded beside fails the restore,
// whichever connection it is and however it breaks; one that stalls ends it by its
// time limit. Nothing is left of it, least of all something that nobody could tell
// from a database in use. If the last answer is lost, the server is asked.
func TestNetworkInto(t *testing.T) {
	t.Parallel()
	for i, m := range intoMoments {
		for _, how := range faultsOf(i, m.ends) {
			t.Run(m.name+" "+string(how), func(t *testing.T) {
				t.Parallel()
				s := copySet(t, false)
				o := options(t, s.Catalog, s.Set(), scratchtest.Name("net"))
				harm := m.harm
				harm.How = how
				n := networktest.Start(t, scratchtest.Server(t), harm)
				direct := o.Admin
				o.Admin = n.Through(t, o.Admin)
				err := limited(t, n, func(ctx context.Context) error {
					_, err := restore.Into(ctx, o)
					return err
				})
				left := like(t, o.Into)
				switch {
				case err == nil && m.ends:
					if left != o.Into || scratchtest.Dump(t, o.Into) != original.dump || scratchtest.Query(t, direct, commentOf(o.Into)) != "" {
						t.Errorf("it says that it is there: %q", left)
					}
				case err == nil, left != "", how == networktest.Stall && !errors.Is(err, errLimit):
					t.Errorf("left %q, %v", left, err)
				}
				if err != nil && strings.Contains(err.Error(), context.Canceled.Error()) {
					t.Errorf("it does not say what happened: %v", err)
				}
			})
		}
	}
}

func commentOf(database string) string {
	return "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = " + postgres.QuoteLiteral(database)
}

// exchangeMoments are those of the two connections of an exchange.
var exchangeMoments = []struct {
	name string
	harm networktest.Harm
}{
	{"before anything", networktest.Harm{Say: "SET synchronous_commit = on"}},
	{"first name unheard", networktest.Harm{Say: "RENAME TO", Unheard: true}},
	{"first name", networktest.Harm{Say: "RENAME TO"}},
	{"second name unheard", networktest.Harm{Say: "RENAME TO", Times: 2, Unheard: true}},
	{"second name", networktest.Harm{Say: "RENAME TO", Times: 2}},
	{"commit unheard", networktest.Harm{Say: "COMMIT\x00", Unheard: true}},
	{"commit", networktest.Harm{Say: "COMMIT\x00"}},
	{"sessions", networktest.Harm{Say: "WITH concerned"}},
}

// Promise: a network that fails in the middle of an exchange leaves one of the two
// databases whole under the name; which one, the run says, or the record of it and
// then resume. Clients wait for it no longer than it takes to find out: the server
// does not go on with the lost session's locks. Nothing nameless is left.
func TestNetworkExchange(t *testing.T) {
	t.Parallel()
	for _, undo := range []bool{false, true} {
		for i, m := range exchangeMoments {
			name := "restore, "
			if undo {
				name, i = "undo, ", i+2
			}
			for _, how := range faultsOf(i, strings.HasPrefix(m.name, "commit")) {
				t.Run(name+m.name+" "+string(how), func(t *testing.T) {
					t.Parallel()
					harm := m.harm
					harm.How = how
					exchangeBroken(t, undo, harm)
				})
			}
		}
	}
}

func exchangeBroken(t *testing.T, undo bool, harm networktest.Harm) {
	s := newService(t, scratchtest.Name("net"))
	before, after := "old", "restored"
	run := func(ctx context.Context) error { _, err := restore.Replace(ctx, s.o); return err }
	if undo {
		_, err := restore.Replace(t.Context(), s.o)
		must(t, err)
		before, after = after, before
		run = func(ctx context.Context) error { _, err := restore.Undo(ctx, s.o); return err }
	}
	direct := s.o.Admin
	// Somebody is in it who has to be sent away.
	_ = scratchtest.Open(t, direct.WithDatabase(s.live))
	n := networktest.Start(t, scratchtest.Server(t), harm)
	s.o.Admin = n.Through(t, direct)
	err := limited(t, n, run)
	// Whoever connects now gets an answer.
	waiting, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the live database does not answer"))
	defer cancel()
	conn, connErr := direct.WithDatabase(s.live).Connect(waiting)
	must(t, connErr)
	_ = conn.Close(t.Context())
	live := s.is(s.live)
	var unfinished *restore.UnfinishedError
	if errors.As(err, &unfinished) {
		if got := s.resume(); got != string(restore.Finished) && got != string(restore.TakenBack) {
			t.Errorf("%v; resumed: %s", err, got)
		}
		live = s.is(s.live)
	} else if want := map[bool]string{true: after, false: before}[err == nil]; live != want {
		t.Errorf("%s is %s, want %s: %v", s.live, live, want, err)
	}
	if err != nil && strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("it does not say what happened: %v", err)
	}
	s.settled()
	// Of a restore that failed nothing is left, of one that worked the old one, with its mark.
	s.o.Admin = direct
	for _, role := range s.kept() {
		if live == "old" && !undo && role != cutover.Failed {
			t.Errorf("%s is old, and there is one marked %s", s.live, role)
		}
	}
	deadline := time.Now().Add(patience)
	for scratchtest.Query(t, direct, "SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND mode = 'AccessExclusiveLock' AND objid = (SELECT oid FROM pg_database WHERE datname = "+postgres.QuoteLiteral(s.live)+")") != "0" {
		if time.Now().After(deadline) {
			t.Fatal("a session still keeps clients out")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
