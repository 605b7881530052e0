package insight_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: a report that is interrupted while the server works on it ends at
// once, with the reason, and nothing of it is remembered; one that meets a lock
// does not wait for it without bound.
func TestInterrupted(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE t (a int PRIMARY KEY)")
	admin := scratchtest.Admin(t)
	reports := map[string]func(context.Context, *insight.Session) error{
		"indexes": func(ctx context.Context, s *insight.Session) error { _, err := s.Indexes(ctx, limits); return err },
		"size": func(ctx context.Context, s *insight.Session) error {
			_, err := s.Size(ctx, insight.SizeOptions{})
			return err
		},
		"slow": func(ctx context.Context, s *insight.Session) error {
			_, err := s.Slow(ctx, insight.SlowOptions{})
			return err
		},
		"connections": func(ctx context.Context, s *insight.Session) error {
			_, err := s.Connections(ctx, insight.ConnectionLimits{})
			return err
		},
	}
	catalog := map[string]string{"indexes": "pg_index", "size": "pg_statistic", "slow": "pg_extension"}
	stop := errors.New("stopped by the operator")
	for name, report := range reports {
		l := look(t, e)
		s := l.session()
		ctx, cancel := context.WithCancelCause(t.Context())
		ended, free := make(chan error, 1), func() {}
		if catalog[name] == "" { // its views cannot be locked without locking out everybody
			cancel(stop)
			ended <- report(ctx, s)
		} else {
			holder := scratchtest.Open(t, e)
			if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE pg_catalog."+catalog[name]+" IN ACCESS EXCLUSIVE MODE"); err != nil {
				t.Fatal(err)
			}
			go func() { ended <- report(ctx, s) }()
			wait(t, admin, "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = '"+e.Database()+"' AND wait_event_type = 'Lock'")
			cancel(stop)
			defer func() { _ = holder.Close(context.Background()) }()
			free = func() { _, _ = holder.Exec(t.Context(), "ROLLBACK") }
		}
		err := <-ended
		free()
		if !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
		if kept, _ := os.ReadDir(l.memory.Dir); len(kept) > 0 {
			t.Errorf("%s: it was remembered", name)
		}
	}
}
