package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

// pair is a live database and one to take its place, each with a table that says which it is.
type pair struct {
	live, candidate, before string
	run                     string
	admin                   *postgres.Endpoint
}

func newPair(t *testing.T, live string) pair {
	t.Helper()
	run := cutover.Run(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC))
	p := pair{
		live: live, candidate: cutover.Name(live, cutover.Candidate, run), before: cutover.Name(live, cutover.Before, run),
		run: run, admin: scratchtest.Admin(t),
	}
	scratchtest.NamedDatabase(t, p.live, "CREATE TABLE which AS SELECT 'old'::text AS name", "CREATE TABLE log (client int, n int)")
	scratchtest.NamedDatabase(t, p.candidate, "CREATE TABLE which AS SELECT 'new'::text AS name", "CREATE TABLE log (client int, n int)")
	scratchtest.Drop(t, p.before)
	return p
}

func (p pair) origin() cutover.Origin {
	return cutover.Origin{Forgectl: cutover.Before, Of: p.live, Run: p.run, Comment: "it's the live one"}
}

func (p pair) swap(o cutover.Options) cutover.Options {
	comment, none := p.origin().String(), ""
	o.Admin = p.admin
	o.Renames = []cutover.Rename{{From: p.live, To: p.before, Comment: &comment}, {From: p.candidate, To: p.live, Comment: &none}}
	return o
}

// is reads which database has a name.
func (p pair) is(t *testing.T, name string) string {
	t.Helper()
	return scratchtest.Query(t, p.admin.WithDatabase(name), "SELECT name FROM which")
}

func (p pair) mustBeUntouched(t *testing.T) {
	t.Helper()
	if p.is(t, p.live) != "old" || p.is(t, p.candidate) != "new" {
		t.Error("the databases are not what they were")
	}
}

// Promise: clients that hammer the database through a swap find it under its
// name whenever they connect again, and every commit that they were told of
// before is in the database that was moved aside, every later one in the new.
func TestSwapUnderLoad(t *testing.T) {
	p := newPair(t, scratchtest.Name("hammer"))
	type client struct {
		committed int // the last n whose commit was acknowledged
		gap       time.Duration
	}
	clients := make([]client, 50)
	stop := make(chan struct{})
	var started, running sync.WaitGroup
	started.Add(len(clients))
	for i := range clients {
		running.Go(func() {
			c, once, last := &clients[i], sync.OnceFunc(started.Done), time.Now()
			e := p.admin.WithDatabase(p.live)
			for {
				conn, err := e.Connect(context.Background())
				for err == nil {
					_, err = conn.Exec(context.Background(), "INSERT INTO log VALUES ($1, $2)", i, c.committed+1)
					if err != nil {
						break
					}
					c.committed++
					c.gap, last = max(c.gap, time.Since(last)), time.Now()
					once()
					select {
					case <-stop:
						_ = conn.Close(context.Background())
						return
					default:
					}
				}
				if conn != nil {
					_ = conn.Close(context.Background())
				}
				if text := fmt.Sprint(err); !strings.Contains(text, "terminat") && !strings.Contains(text, "dropped or renamed") &&
					!strings.Contains(text, "does not exist") && !strings.Contains(text, "EOF") && !strings.Contains(text, "reset") && !strings.Contains(text, "conn closed") && !strings.Contains(text, "broken pipe") {
					t.Errorf("client %d: %v", i, err)
					once()
					return
				}
			}
		})
	}
	started.Wait()
	bystander := scratchtest.Open(t, p.admin) // in another database: none of a swap's business
	result, err := cutover.Swap(t.Context(), p.swap(cutover.Options{}))
	if err != nil {
		t.Error(err)
	}
	p.is(t, p.live) // it answers at once
	if _, err := bystander.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("a session in another database: %v", err)
	}
	close(stop)
	running.Wait()
	var longest time.Duration
	for i, c := range clients {
		longest = max(longest, c.gap)
		// An unacknowledged commit may be there too, under the number that was then used again.
		got := scratchtest.Query(t, p.admin.WithDatabase(p.before), fmt.Sprintf("SELECT count(DISTINCT n) FROM log WHERE client = %d", i))
		rest := scratchtest.Query(t, p.admin.WithDatabase(p.live), fmt.Sprintf("SELECT count(DISTINCT n) FROM log WHERE client = %d", i))
		var before, after int
		_, _ = fmt.Sscan(got, &before)
		_, _ = fmt.Sscan(rest, &after)
		if before+after < c.committed || after == 0 {
			t.Errorf("client %d was told of %d commits: %d are in the old database, %d in the new one", i, c.committed, before, after)
		}
	}
	if p.is(t, p.live) != "new" || p.is(t, p.before) != "old" {
		t.Error("not swapped")
	}
	t.Logf("the lock was held for %v, the longest pause of a client was %v, %d sessions ended", result.Gap, longest, result.Ended)
	kept, err := cutover.ListKept(t.Context(), p.admin, p.live)
	if err != nil || len(kept) != 1 || kept[0].Name != p.before || kept[0].Origin != p.origin() || kept[0].Bytes <= 0 {
		t.Errorf("kept: %+v, %v", kept, err)
	}
	if comment := scratchtest.Query(t, p.admin, "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '"+p.live+"'"); comment != "" {
		t.Errorf("comment of the live database: %q", comment)
	}
}

// Promise: until the commit nothing has happened, whoever dies.
func TestSwapLost(t *testing.T) {
	p := newPair(t, scratchtest.Name("lost"))
	for _, at := range []string{"begun", "renamed", "renamed"} {
		steps := 0
		want := steps
		if at == "renamed" {
			want = 1
		}
		_, err := cutover.Swap(t.Context(), p.swap(cutover.Options{Step: func(name string) {
			if name != at || steps > want {
				return
			}
			steps++
			scratchtest.Exec(t, p.admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'forgectl' AND pid <> pg_backend_pid() AND query ~ 'BEGIN|RENAME|COMMENT'")
		}}))
		if err == nil || steps == 0 {
			t.Errorf("at %s: %v after %d interruptions", at, err, steps)
		}
		p.mustBeUntouched(t)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped from outside")
	_, err := cutover.Swap(ctx, p.swap(cutover.Options{Step: func(name string) {
		if name == "renamed" {
			cancel(stopped)
		}
	}}))
	if !errors.Is(err, stopped) {
		t.Errorf("cancelled: %v", err)
	}
	p.mustBeUntouched(t)
}

// Promise: what cannot be moved out of the way is an error that says so, and
// nothing has changed.
func TestSwapBusy(t *testing.T) {
	t.Run("prepared transaction", func(t *testing.T) {
		p := newPair(t, scratchtest.Name("prepared"))
		conn := scratchtest.Open(t, p.admin.WithDatabase(p.live))
		for _, sql := range []string{"BEGIN", "INSERT INTO log VALUES (1, 1)", "PREPARE TRANSACTION '" + p.live + "'"} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		defer scratchtest.Exec(t, p.admin.WithDatabase(p.live), "ROLLBACK PREPARED '"+p.live+"'")
		_, err := cutover.Swap(t.Context(), p.swap(cutover.Options{}))
		if !errors.Is(err, cutover.ErrBusy) || !strings.Contains(err.Error(), "prepared transaction") {
			t.Errorf("%v", err)
		}
		p.mustBeUntouched(t)
	})
	t.Run("session of a superuser", func(t *testing.T) {
		p := newPair(t, scratchtest.Name("proud"))
		role := scratchtest.Role(t, p.admin, "LOGIN CREATEDB IN ROLE pg_signal_backend")
		for _, db := range []string{p.live, p.candidate} {
			scratchtest.Exec(t, p.admin, "ALTER DATABASE "+db+" OWNER TO "+role)
		}
		idle := scratchtest.Open(t, p.admin.WithDatabase(p.live))
		o := p.swap(cutover.Options{})
		o.Admin = scratchtest.Connect(t, scratchtest.Server(t), "postgres", role)
		_, err := cutover.Swap(t.Context(), o)
		if !errors.Is(err, cutover.ErrBusy) || !strings.Contains(err.Error(), "superuser") {
			t.Errorf("%v", err)
		}
		if _, err := idle.Exec(t.Context(), "SELECT 1"); err != nil {
			t.Errorf("the session of the superuser: %v", err)
		}
		p.mustBeUntouched(t)
		_ = idle.Close(t.Context())
		if _, err := cutover.Swap(t.Context(), o); err != nil {
			t.Errorf("without it: %v", err)
		}
	})
	t.Run("the name is taken", func(t *testing.T) {
		p := newPair(t, scratchtest.Name("taken"))
		scratchtest.NamedDatabase(t, p.before, "CREATE TABLE mine ()")
		if _, err := cutover.Swap(t.Context(), p.swap(cutover.Options{})); err == nil || !strings.Contains(err.Error(), "already exists") {
			t.Errorf("%v", err)
		}
		p.mustBeUntouched(t)
	})
}

// Promise: a long transaction does not hold a swap up. Its session is ended, and
// what it had not committed is nowhere.
func TestSwapLongTransaction(t *testing.T) {
	p := newPair(t, scratchtest.Name("long"))
	session := scratchtest.Open(t, p.admin.WithDatabase(p.live))
	for _, sql := range []string{"BEGIN", "LOCK TABLE which IN ACCESS EXCLUSIVE MODE", "INSERT INTO log VALUES (1, 1)"} {
		if _, err := session.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	result, err := cutover.Swap(t.Context(), p.swap(cutover.Options{}))
	if err != nil || result.Ended != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := session.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("the transaction was committed")
	}
	if p.is(t, p.live) != "new" || p.is(t, p.before) != "old" {
		t.Error("not swapped")
	}
	if n := scratchtest.Query(t, p.admin.WithDatabase(p.before), "SELECT count(*) FROM log"); n != "0" {
		t.Errorf("%s rows of it are there", n)
	}
}

// Promise: names are found for whatever the database is called.
func TestNames(t *testing.T) {
	run := cutover.Run(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC))
	for _, live := range []string{"bmad_forge", strings.Repeat("x", 63), strings.Repeat("ü", 31), "日本語のデータベースの名前です", `odd "name"`} {
		seen := map[string]bool{live: true}
		for _, role := range []cutover.Role{cutover.Candidate, cutover.Before, cutover.Failed, cutover.Undone} {
			name := cutover.Name(live, role, run)
			if len(name) > 63 || !utf8.ValidString(name) || !strings.HasSuffix(name, "_"+string(role)+"_20261123t020000z") || seen[name] {
				t.Errorf("%s as %s: %q", live, role, name)
			}
			seen[name] = true
		}
	}
	for _, live := range []string{strings.Repeat("n", 63), strings.Repeat("ö", 31), `odd "name' \ it`} {
		p := newPair(t, live)
		if _, err := cutover.Swap(t.Context(), p.swap(cutover.Options{})); err != nil {
			t.Errorf("%s: %v", live, err)
			continue
		}
		if p.is(t, p.live) != "new" || p.is(t, p.before) != "old" {
			t.Errorf("%s: not swapped", live)
		}
	}
}

// Promise: only what a restore left is ever dropped, and only while nobody uses it.
func TestDrop(t *testing.T) {
	p := newPair(t, scratchtest.Name("drop"))
	if _, err := cutover.Swap(t.Context(), p.swap(cutover.Options{})); err != nil {
		t.Fatal(err)
	}
	kept, err := cutover.ListKept(t.Context(), p.admin, p.live)
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v", kept, err)
	}
	user := scratchtest.Open(t, p.admin.WithDatabase(p.before))
	if err := cutover.Drop(t.Context(), p.admin, kept[0]); err == nil {
		t.Error("dropped while somebody was connected")
	}
	_ = user.Close(t.Context())
	liar := kept[0]
	liar.Name = p.live
	if err := cutover.Drop(t.Context(), p.admin, liar); err == nil {
		t.Error("dropped the live database")
	}
	scratchtest.Exec(t, p.admin, "COMMENT ON DATABASE "+p.before+" IS 'mine now'")
	if err := cutover.Drop(t.Context(), p.admin, kept[0]); err == nil {
		t.Error("dropped what is no longer marked")
	}
	scratchtest.Exec(t, p.admin, "COMMENT ON DATABASE "+p.before+" IS "+postgres.QuoteLiteral(kept[0].Origin.String()))
	if err := cutover.Drop(t.Context(), p.admin, kept[0]); err != nil {
		t.Error(err)
	}
	if kept, err = cutover.ListKept(t.Context(), p.admin, p.live); err != nil || len(kept) != 0 {
		t.Errorf("%v, %v", kept, err)
	}
	if p.is(t, p.live) != "new" {
		t.Error("the live database")
	}
}

// Promise: a database that somebody has renamed is none of ours any more, whatever
// its comment says: above all the one that was put back into service by hand.
func TestRenamedByHand(t *testing.T) {
	p := newPair(t, scratchtest.Name("byhand"))
	if _, err := cutover.Swap(t.Context(), p.swap(cutover.Options{})); err != nil {
		t.Fatal(err)
	}
	bad := p.live + "_bad"
	scratchtest.Drop(t, bad)
	scratchtest.Exec(t, p.admin, "ALTER DATABASE "+p.live+" RENAME TO "+bad, "ALTER DATABASE "+p.before+" RENAME TO "+p.live)
	kept, err := cutover.ListKept(t.Context(), p.admin, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kept {
		if k.Name == p.live {
			t.Error("the live database is taken for a kept one")
		}
	}
	names, err := cutover.Databases(t.Context(), p.admin)
	if err != nil || !slices.Contains(names, p.live) {
		t.Errorf("the live database is not among those in use: %q, %v", names, err)
	}
}

// Promise: names that have changed hands since they were looked at are left alone.
func TestSwapOther(t *testing.T) {
	p := newPair(t, scratchtest.Name("other"))
	o := p.swap(cutover.Options{})
	o.Renames[1].OID = 1
	if _, err := cutover.Swap(t.Context(), o); !errors.Is(err, cutover.ErrOther) {
		t.Errorf("%v", err)
	}
	p.mustBeUntouched(t)
}

// Promise: what is backed up with all of a server is what is in use.
func TestDatabases(t *testing.T) {
	p := newPair(t, scratchtest.Name("all"))
	mark := cutover.Origin{Forgectl: cutover.Candidate, Of: p.live, Run: p.run}
	scratchtest.Exec(t, p.admin, "COMMENT ON DATABASE "+p.candidate+" IS "+postgres.QuoteLiteral(mark.String()))
	names, err := cutover.Databases(t.Context(), p.admin)
	if err != nil || !slices.Contains(names, p.live) || !slices.Contains(names, "postgres") || slices.Contains(names, p.candidate) || slices.Contains(names, "template1") {
		t.Errorf("%q, %v", names, err)
	}
}

// Promise: a comment that somebody wrote is never taken for ours.
func TestParseOrigin(t *testing.T) {
	o := cutover.Origin{Forgectl: cutover.Failed, Of: `a"b`, Run: "20261123t020000z", Set: "x/y", Comment: "it's\nold"}
	if got, ok := cutover.ParseOrigin(o.String()); !ok || got != o {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, comment := range []string{"", "the live database", "{}", `{"forgectl":"live","of":"a","run":"b"}`, `{"forgectl":"before"}`, `{"forgectl":`} {
		if o, ok := cutover.ParseOrigin(comment); ok {
			t.Errorf("%q: %+v", comment, o)
		}
	}
}
