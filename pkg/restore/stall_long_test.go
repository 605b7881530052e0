//go:build long

package restore_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// Promise: a COMMIT that takes longer than anybody waits for it is not taken for
// one that failed: as long as its session holds the names, nobody decides.
func TestCommitStalls(t *testing.T) {
	s := newService(t, scratchtest.Name("stall"))
	renamed, pid := 0, 0
	s.o.Step = func(name string) {
		if name != "swap renamed" {
			return
		}
		if renamed++; renamed < 2 {
			return
		}
		holder := scratchtest.Query(t, s.o.Admin, `SELECT pid FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass
			AND mode = 'AccessExclusiveLock' AND granted LIMIT 1`)
		if _, err := fmt.Sscan(holder, &pid); err != nil {
			t.Fatal(err)
		}
		must(t, syscall.Kill(pid, syscall.SIGSTOP))
		// Longer than the limit for a COMMIT, which is half a minute.
		time.AfterFunc(36*time.Second, func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	}
	_, err := restore.Replace(t.Context(), s.o)
	if pid == 0 {
		t.Fatal("nothing was stopped")
	}
	if err != nil || s.is(s.live) != "restored" {
		t.Errorf("%v; %s is %s", err, s.live, s.is(s.live))
	}
	s.settled()
}
