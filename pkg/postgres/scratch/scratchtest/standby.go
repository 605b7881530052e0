package scratchtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Standby is a hot standby of a server, which streams from a slot of its own.
type Standby struct {
	Slot    string // on the primary
	primary *scratch.Cluster
	socket  string
}

// StartStandby copies a server, which Debian's programs have made, and follows it
// until the test ends. settings ("name=value") are those of the standby; it lets
// nobody stand in the way of recovery.
func StartStandby(t testing.TB, primary *scratch.Cluster, settings ...string) *Standby {
	t.Helper()
	admin := Connect(t, primary, "postgres", scratch.Superuser)
	s := &Standby{Slot: Name("standby"), primary: primary}
	var err error
	if s.socket, err = os.MkdirTemp("/tmp", "fs"); err != nil { // short: the path of a socket is bounded
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(s.socket) })
	if primary.User != nil {
		if err := os.Chown(s.socket, int(primary.User.UID), int(primary.User.GID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(s.socket, 0o755); err != nil {
		t.Fatal(err)
	}
	major := Query(t, admin, "SELECT current_setting('server_version_num')::int / 10000")
	data := filepath.Join(s.socket, "data")
	var log []string
	var mu sync.Mutex
	command := func(program string, args ...string) proc.Cmd {
		return proc.Cmd{
			Path: "/usr/lib/postgresql/" + major + "/bin/" + program, Args: args, Dir: "/", Env: []string{"LC_ALL=C", "HOME=" + s.socket}, As: primary.User,
			StopSignal: syscall.SIGQUIT, DeathSignal: syscall.SIGQUIT,
			Stderr: func(line string) {
				mu.Lock()
				defer mu.Unlock()
				log = append(log, line)
			},
		}
	}
	if err := Runner().Run(t.Context(), command("pg_basebackup", "--host="+primary.SocketDir, fmt.Sprintf("--port=%d", primary.Port), "--username="+scratch.Superuser,
		"--pgdata="+data, "--wal-method=stream", "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--create-slot", "--slot="+s.Slot)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Exec(cleanup{t}, admin, "SELECT pg_drop_replication_slot('"+s.Slot+"')") })
	args := []string{"-D", data, "-c", "unix_socket_directories=" + s.socket, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "max_standby_streaming_delay=0", "-c", "hot_standby_feedback=off"}
	// A standby needs as much room as its primary.
	for _, name := range []string{"max_connections", "max_prepared_transactions", "max_locks_per_transaction", "max_worker_processes", "max_wal_senders"} {
		args = append(args, "-c", name+"="+Query(t, admin, "SELECT current_setting('"+name+"')"))
	}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	life, end := context.WithCancel(context.Background())
	running, err := Runner().Start(life, command("postgres", args...))
	if err != nil {
		end()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end()
		_ = running.Wait()
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if Query(cleanup{t}, admin, "SELECT active FROM pg_replication_slots WHERE slot_name = '"+s.Slot+"'") != "true" {
				break
			}
		}
		if t.Failed() {
			mu.Lock()
			defer mu.Unlock()
			t.Logf("the standby said\n%s", strings.Join(log, "\n"))
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := s.Connect(t, "postgres", scratch.Superuser).Connect(t.Context())
		if err == nil {
			_ = conn.Close(t.Context())
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// Connect is an endpoint for a role and a database of the standby.
func (s *Standby) Connect(t testing.TB, database, role string) *postgres.Endpoint {
	t.Helper()
	e, err := postgres.Resolve(t.Context(), postgres.Target{URL: "host='" + s.socket + "' port=5432 user='" + role + "'", Database: database, Environ: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// CatchUp waits until the standby has everything that was done on the primary.
func (s *Standby) CatchUp(t testing.TB) {
	t.Helper()
	at := Query(t, Connect(t, s.primary, "postgres", scratch.Superuser), "SELECT pg_current_wal_lsn()")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if Query(t, s.Connect(t, "postgres", scratch.Superuser), "SELECT pg_last_wal_replay_lsn() >= '"+at+"'") == "true" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the standby does not catch up")
		}
	}
}
