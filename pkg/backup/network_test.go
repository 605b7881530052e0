package backup_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/networktest"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: a connection that is cut, reset or half closed ends the backup at
// once, whichever it is: that of the guard, of pg_dump, of the count. One that
// stalls without a word ends it by its time limit. Nothing is left, here or on the
// server.
func TestNetwork(t *testing.T) {
	t.Parallel()
	s := newServer(t, scratch.Options{})
	e := s.database("forge", small, large)
	limit := errors.New("time is up")
	for _, who := range []struct {
		name, say string
		after     int64
	}{
		{"guard", "pg_export_snapshot", 200},
		{"guard's question", "SELECT 1\x00", 0},
		{"pg_dump", "COPY public.large", 3 << 20},
		{"count", "count(*)", 20},
	} {
		for _, how := range networktest.Faults() {
			t.Run(who.name+" "+string(how), func(t *testing.T) {
				t.Parallel()
				n := networktest.Start(t, s.Cluster, networktest.Harm{How: how, Say: who.say, After: who.after})
				c, dir := repository(t)
				o := options(n.Through(t, e), c)
				ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the backup waits for ever"))
				defer cancel()
				if who.name == "guard's question" { // it is asked once a second
					o.Runner = slowly{scratchtest.Runner(), "--section=data", func() {
						for !n.Hit() && ctx.Err() == nil {
							time.Sleep(5 * time.Millisecond)
						}
					}}
				}
				running, stop := context.WithCancelCause(ctx)
				defer stop(nil)
				if how == networktest.Stall {
					go func() { // the time limit is over as soon as nothing goes through any more
						for !n.Hit() && ctx.Err() == nil {
							time.Sleep(5 * time.Millisecond)
						}
						stop(limit)
					}()
				}
				_, err := backup.Database(running, o)
				switch {
				case !n.Hit():
					t.Fatalf("no connection was hit: %v", err)
				case err == nil, ctx.Err() != nil, how == networktest.Stall && !errors.Is(err, limit):
					t.Errorf("got %v", err)
				}
				oneLine(t, err)
				nothingLeft(t, dir)
			})
		}
	}
	t.Cleanup(func() { sessionsEnd(t, e) })
}

// sessionsEnd waits until no session but its own is connected to the database.
func sessionsEnd(t testing.TB, e *postgres.Endpoint) {
	t.Helper()
	admin := e.WithDatabase("postgres")
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		left := scratchtest.Query(background{t}, admin, "SELECT string_agg(pid || ' ' || state || ': ' || query, '; ') FROM pg_stat_activity WHERE datname = "+postgres.QuoteLiteral(e.Database()))
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("still connected: %s", left)
			return
		}
	}
}

// Promise: the same for a connection that breaks anywhere, as long as the dump is
// not over: the set is whole or is not there.
func TestNetworkAtRandom(t *testing.T) {
	t.Parallel()
	s := newServer(t, scratch.Options{})
	e := s.database("forge", small, large)
	whole := networktest.Start(t, s.Cluster, networktest.Harm{How: networktest.Cut, After: 1 << 60})
	c, _ := repository(t)
	_, err := inTime(t, options(whole.Through(t, e), c))
	must(t, err)
	whole.End()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d; a backup reads %d bytes", seed, whole.Passed())
	random := rand.New(rand.NewPCG(seed, 1))
	ended := map[string]int{}
	for range networkRounds {
		how := []networktest.Fault{networktest.Cut, networktest.Reset, networktest.Half}[random.IntN(3)]
		after := random.Int64N(whole.Passed())
		if random.IntN(2) == 0 { // most of the bytes are rows of one table
			after = random.Int64N(100_000)
		}
		n := networktest.Start(t, s.Cluster, networktest.Harm{How: how, After: after})
		c, dir := repository(t)
		_, err := inTime(t, options(n.Through(t, e), c))
		oneLine(t, err)
		if err == nil {
			ended["good"]++
			sets, err := c.List(t.Context(), group(e))
			must(t, err)
			if ok, why := sets[0].Good(); !ok {
				t.Errorf("%s after %d bytes: %s", how, after, why)
			}
			drill(t, c, sets[0], nil)
		} else {
			nothingLeft(t, dir)
			if errors.Is(err, pgdump.ErrGuardLost) {
				ended["guard lost"]++
			} else {
				ended["failed"]++
			}
		}
		if t.Failed() {
			t.Fatalf("%s after %d bytes: %v", how, after, err)
		}
		n.End()
		sessionsEnd(t, e)
	}
	t.Logf("ended: %v", ended)
}
