//go:build long

package insight_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: a database with 5,000 tables is no reason to wait: no statement of a
// report takes longer than the timeout that is set here. What each report took is
// logged; the aim is 2 s on a machine that has nothing else to do.
func TestManyTables(t *testing.T) {
	e := scratchtest.Database(t, "CREATE TABLE head (id bigint PRIMARY KEY); INSERT INTO head SELECT generate_series(1, 20)")
	for part := range 50 { // a transaction has a limited number of locks
		scratchtest.Exec(t, e, `DO $$ BEGIN FOR i IN 1..100 LOOP
			EXECUTE format('CREATE TABLE t%s_%s (id bigint PRIMARY KEY, name text, other bigint)', `+strconv.Itoa(part)+`, i);
			EXECUTE format('CREATE INDEX ON t%s_%s (name)', `+strconv.Itoa(part)+`, i);
			EXECUTE format('ALTER TABLE t%s_%s ADD FOREIGN KEY (other) REFERENCES head', `+strconv.Itoa(part)+`, i);
			EXECUTE format('INSERT INTO t%s_%s SELECT g, g, g FROM generate_series(1, 20) g', `+strconv.Itoa(part)+`, i);
		END LOOP; END $$`)
	}
	scratchtest.Exec(t, e, "ANALYZE")
	// The sizes of so many files take longer than this: that is bounded as well.
	var server *pgconn.PgError
	hasty, err := insight.Open(t.Context(), insight.Options{Endpoint: e, Timeout: 5 * time.Millisecond})
	if err == nil {
		_, err = hasty.Size(t.Context(), insight.SizeOptions{})
		_ = hasty.Close()
	}
	if !errors.As(err, &server) || server.Code != "57014" {
		t.Errorf("measured without a bound: %v", err)
	}
	s, err := insight.Open(t.Context(), insight.Options{Endpoint: e, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	began := time.Now()
	indexes, err := s.Indexes(t.Context(), limits)
	if err != nil || indexes.Indexes != 10001 {
		t.Fatalf("%d %v", indexes.Indexes, err)
	}
	t.Logf("indexes %s", time.Since(began))
	began = time.Now()
	size, err := s.Size(t.Context(), insight.SizeOptions{})
	if err != nil || len(size.Tables) != 5001 {
		t.Fatalf("%d %v", len(size.Tables), err)
	}
	t.Logf("size %s", time.Since(began))
	began = time.Now()
	if _, err := s.Connections(t.Context(), insight.ConnectionLimits{Warning: 2, Critical: 2}); err != nil {
		t.Fatal(err)
	}
	t.Logf("connections %s", time.Since(began))
	began = time.Now()
	if _, err := s.Slow(t.Context(), insight.SlowOptions{}); !errors.As(err, new(*insight.StatementsError)) {
		t.Fatal(err)
	}
	t.Logf("slow %s", time.Since(began))
}
