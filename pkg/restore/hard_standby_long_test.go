//go:build long

package restore_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
)

// pair is a server and a hot standby of it, which lets nobody stand in the way
// of recovery.
type pair struct {
	primary *scratch.Cluster
	follows *scratchtest.Standby
}

func newPair(t *testing.T) *pair {
	t.Helper()
	primary := server(t, map[string]string{"wal_level": "replica", "max_wal_senders": "4", "max_replication_slots": "4", "synchronous_commit": "on"})
	return &pair{primary, scratchtest.StartStandby(t, primary)}
}

func (p *pair) standby(t testing.TB, database string) *postgres.Endpoint {
	t.Helper()
	return p.follows.Connect(t, database, scratch.Superuser)
}

func (p *pair) admin(t testing.TB) *postgres.Endpoint {
	return scratchtest.Connect(t, p.primary, "postgres", scratch.Superuser)
}

// conflicts waits until recovery has ended a session of a database.
func (p *pair) conflicts(t testing.TB, database string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if scratchtest.Query(t, p.standby(t, "postgres"), "SELECT confl_snapshot + confl_lock > 0 FROM pg_stat_database_conflicts WHERE datname = '"+database+"'") == "true" {
			return
		}
		if time.Now().After(deadline) {
			t.Error("recovery ends nothing")
			return
		}
	}
}

// Promise: a hot standby is backed up as its primary would be, but for the rows
// of unlogged tables, which it does not have: the set names them, and their tables
// come back empty.
func TestHardStandby(t *testing.T) {
	p := newPair(t)
	scratchtest.Exec(t, p.admin(t), "CREATE ROLE hard_owner", "CREATE ROLE hard_reader")
	hard{
		name: "standby", database: "a=b", files: []string{"large_objects", "partitions", "columns"},
		from: func(made *postgres.Endpoint) *postgres.Endpoint {
			p.follows.CatchUp(t)
			return p.standby(t, made.Database())
		},
		said: []string{
			"rows of the unlogged table cols.scribble: a standby has none",
			"value of the unlogged sequence cols.light: a standby has none",
			"value of the unlogged sequence cols.scribble_id_seq: a standby has none",
		},
		dumpArgs: []string{"--no-unlogged-table-data"},
		same:     []string{"SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relpersistence = 'u' AND relname !~ '^pg_toast'"},
	}.run(t, p.primary)
}

// Promise: what the primary does to a table while a standby is dumped either
// does not matter or ends the backup, with an error that says that recovery did
// it, why, and which settings decide; nothing is published.
func TestHardStandbyConflict(t *testing.T) {
	p := newPair(t)
	vacuum := []string{"DELETE FROM t WHERE id % 2 = 0", "VACUUM t"}
	for _, tt := range []struct {
		name, step string // "": as soon as rows come out of pg_dump
		sql        []string
		why        string
	}{
		{"vacuum at the end", "before close", vacuum, "row versions that must be removed"},
		{"drop at the end", "before close", []string{"DROP TABLE t"}, "holding a relation lock for too long"},
		{"truncate at the end", "before close", []string{"TRUNCATE t"}, "holding a relation lock for too long"},
		{"vacuum while rows are dumped", "", vacuum, "row versions that must be removed"},
		{"column at the end", "before close", []string{"ALTER TABLE t ADD c int"}, "holding a relation lock for too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := scratchtest.Name("conflict")
			scratchtest.Exec(t, p.admin(t), "CREATE DATABASE "+name)
			made := p.admin(t).WithDatabase(name)
			scratchtest.Exec(t, made, "CREATE TABLE t AS SELECT i AS id, repeat(md5(i::text), 100) AS t FROM generate_series(1, 5000) i")
			p.follows.CatchUp(t)
			c := catalogtest.Open(t, t.TempDir())
			var once sync.Once
			interfere := func() {
				once.Do(func() {
					scratchtest.Exec(background{t}, made, tt.sql...)
					p.conflicts(background{t}, name)
				})
			}
			runner := scratchtest.Runner()
			o := backup.DatabaseOptions{
				SetOptions: backup.SetOptions{Catalog: c, Step: func(step string) {
					if step == tt.step {
						interfere()
					}
				}},
				Endpoint: p.standby(t, name),
				Runner:   runner,
				Finder:   postgres.ToolFinder{Runner: runner},
			}
			if tt.step == "" {
				o.Runner = proctest.Wrapped{Runner: runner, OnStart: func(ctx context.Context, next proc.Runner, cmd proc.Cmd) (proc.Process, error) {
					if strings.HasSuffix(cmd.Path, "pg_dump") && strings.Contains(strings.Join(cmd.Args, " "), "--section=data") {
						cmd.Stdout = first{cmd.Stdout, interfere}
					}
					return next.Start(ctx, cmd)
				}}
			}
			_, err := backup.Database(t.Context(), o)
			var conflict *pgdump.ConflictError
			if !errors.As(err, &conflict) || !errors.Is(err, pgdump.ErrConflict) || !strings.Contains(conflict.Why, tt.why) || !strings.Contains(err.Error(), tt.why) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(conflict.Hint(), "hot_standby_feedback") || !strings.Contains(conflict.Hint(), "max_standby_streaming_delay") {
				t.Errorf("hint %q", conflict.Hint())
			}
			if sets, err := c.List(t.Context(), catalog.Group{Kind: catalog.KindDatabase, Database: name}); err != nil || len(sets) > 0 {
				t.Errorf("sets %v, %v", sets, err)
			}
		})
	}
}

// first calls do before the first byte is written.
type first struct {
	io.Writer
	do func()
}

func (f first) Write(p []byte) (int, error) {
	f.do()
	return f.Writer.Write(p)
}
