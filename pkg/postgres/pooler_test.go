package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// pooler starts a pgbouncer in front of a database of the shared server.
func pooler(t *testing.T, e *postgres.Endpoint, settings string) *postgres.Endpoint {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // not in everybody's PATH
	}
	s := scratchtest.Server(t)
	dir, err := os.MkdirTemp("", "forgectl-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // pgbouncer's user must pass
		t.Fatal(err)
	}
	port := closedPort(t)
	ini := fmt.Sprintf("[databases]\n%s = host=%s port=%d user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = any\nserver_lifetime = 3600\n%s\n",
		e.Database(), s.SocketDir, s.Port, port, settings)
	path := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(ini), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	var said []string
	p, err := scratchtest.Runner().Start(ctx, proc.Cmd{Path: program, Args: []string{path}, As: s.User, Dir: "/", Stderr: func(line string) { said = append(said, line) }})
	if err != nil {
		end()
		t.Fatalf("no pgbouncer for tests (scripts/setup installs one): %v", err)
	}
	t.Cleanup(func() {
		end()
		_ = p.Wait()
		if t.Failed() {
			t.Logf("pgbouncer said %q", said)
		}
	})
	for stop := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(stop) {
			t.Fatal("pgbouncer does not listen")
		}
	}
	return resolve(t, postgres.Target{URL: fmt.Sprintf("host=127.0.0.1 port=%d user=any sslmode=disable", port), Database: e.Database()})
}

// Promise: a pooler that does not keep sessions apart is refused, whichever way
// it deals out backends and however many it has; a pooler that does, and a
// direct connection, are not.
func TestPooler(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, settings string
		idle           int // backends that others have used before
		refused        bool
	}{
		{"transaction", "pool_mode = transaction", 0, true},
		{"transaction, three idle", "pool_mode = transaction", 3, true},
		{"transaction, dealt in turn, one idle", "pool_mode = transaction\nserver_round_robin = 1", 1, true},
		{"transaction, dealt in turn, two idle", "pool_mode = transaction\nserver_round_robin = 1", 2, true},
		{"transaction, dealt in turn, five idle", "pool_mode = transaction\nserver_round_robin = 1", 5, true},
		{"statement", "pool_mode = statement", 0, true},
		{"session", "pool_mode = session", 0, false},
		{"session, three idle", "pool_mode = session", 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			direct := scratchtest.Database(t, "CREATE TABLE a (id int)")
			e := pooler(t, direct, c.settings)
			warm(t, e, c.idle)
			conn := scratchtest.Open(t, e)
			if err := postgres.RefusePooler(t.Context(), e, conn); errors.Is(err, postgres.ErrPooled) != c.refused || err != nil && !c.refused {
				t.Errorf("got %v", err)
			}
			_ = conn.Close(t.Context())
			g, _, err := pgdump.OpenGuard(t.Context(), e, pgdump.GuardOptions{})
			if errors.Is(err, postgres.ErrPooled) != c.refused || err != nil && !c.refused {
				t.Errorf("a guard: %v", err)
			}
			if err == nil {
				if err := g.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Run("direct", func(t *testing.T) {
		e := scratchtest.Admin(t)
		if err := postgres.RefusePooler(t.Context(), e.WithDatabase("not asked"), scratchtest.Open(t, e)); err != nil {
			t.Error(err)
		}
	})
}

// warm makes the pool of e have n idle backends, by n transactions at once.
func warm(t *testing.T, e *postgres.Endpoint, n int) {
	t.Helper()
	var open []*pgx.Conn
	for range n {
		conn := scratchtest.Open(t, e)
		if _, err := conn.Exec(t.Context(), "BEGIN"); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	for _, conn := range open {
		if _, err := conn.Exec(t.Context(), "COMMIT"); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close(t.Context())
	}
}
