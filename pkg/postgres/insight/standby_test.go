package insight_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: on a hot standby each report says what the standby has, and what only
// the primary knows or can do; its scans are remembered apart from those of the
// primary. The primary shows the slot that the standby streams from, and what a
// slot holds that nobody uses is a finding with the statement that ends it.
func TestStandby(t *testing.T) {
	e := scratchtest.Database(t, shop, "CREATE EXTENSION pg_stat_statements")
	standby := scratchtest.StartStandby(t, scratchtest.Server(t), "shared_preload_libraries=pg_stat_statements")
	standby.CatchUp(t)
	replica := standby.Connect(t, e.Database(), "postgres")
	l, primary := look(t, replica), look(t, e)
	primary.memory = l.memory

	scratchtest.Exec(t, replica, "SET enable_seqscan = off; SELECT * FROM customer WHERE lower(name) = 'n7'")
	wait(t, replica, "SELECT sum(idx_scan) > 0 FROM pg_stat_user_indexes WHERE indexrelname LIKE 'name_lower%'")
	indexes, err := l.session().Indexes(t.Context(), limits)
	if err != nil || !indexes.Standby || len(indexes.Findings) == 0 || !strings.Contains(strings.Join(indexes.Notes, "\n"), "what is dropped is dropped on the primary") {
		t.Errorf("%+v %v", indexes, err)
	}
	there := primary.indexes()
	if !strings.Contains(there["notes"].Why, "standbys follow this server") || there["name_pattern:unused"].SQL == "" {
		t.Errorf("the primary: %+v", there["notes"])
	}
	slow, err := l.session().Slow(t.Context(), insight.SlowOptions{})
	if err != nil || !slow.Standby || !strings.Contains(queries(slow), "FROM customer WHERE lower(name)") {
		t.Errorf("%+v %v", slow, err)
	}
	size, err := l.session().Size(t.Context(), insight.SizeOptions{})
	if err != nil || !size.Standby || size.Sum.Heap.Bytes == 0 || size.Sum.Heap.How != "estimate" || size.Free == nil {
		t.Errorf("%+v %v", size, err)
	}
	connections, err := l.session().Connections(t.Context(), insight.ConnectionLimits{Warning: 2, Critical: 2})
	if err != nil || !connections.Standby || connections.Used == 0 || len(connections.Findings) > 0 {
		t.Errorf("%+v %v", connections, err)
	}
	slot := func(name string) (insight.Slot, insight.ConnectionReport) {
		r, err := primary.session().Connections(t.Context(), insight.ConnectionLimits{Warning: 2, Critical: 2, Transaction: time.Hour, Idle: time.Hour, SlotBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Slots {
			if s.Name == name {
				return s, r
			}
		}
		t.Fatalf("no slot %s in %+v", name, r.Slots)
		return insight.Slot{}, r
	}
	if s, _ := slot(standby.Slot); !s.Active || s.State != "reserved" {
		t.Errorf("%+v", s)
	}
	left := scratchtest.Name("left")
	scratchtest.Exec(t, e, "SELECT pg_create_physical_replication_slot('"+left+"', true)")
	t.Cleanup(func() {
		scratchtest.Exec(cleanup{t}, scratchtest.Admin(cleanup{t}), "SELECT pg_drop_replication_slot('"+left+"')")
	})
	scratchtest.Exec(t, e, "CREATE TABLE wide AS SELECT repeat(md5(i::text), 30) FROM generate_series(1, 4000) i")
	s, r := slot(left)
	found := false
	for _, f := range r.Findings {
		found = found || f.Level == insight.Warning && strings.Contains(f.Text, "the slot "+left+", which nobody uses, holds ") &&
			f.Remedy == "SELECT pg_drop_replication_slot('"+left+"'); if its consumer is gone for good"
	}
	if !found || s.Active || s.Bytes < 1<<20 {
		t.Errorf("%+v %+v", s, r.Findings)
	}
}

func queries(r insight.SlowReport) string {
	var all []string
	for _, s := range r.Statements {
		all = append(all, s.Query)
	}
	return strings.Join(all, "\n")
}
