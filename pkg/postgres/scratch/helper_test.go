package scratch

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// The test binary also plays the process that is killed while it has a cluster.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SCRATCH_TEST_DIR"); dir != "" {
		if err := keepCluster(dir, os.Getenv("SCRATCH_TEST_KILL"), os.Getenv("SCRATCH_TEST_SURVIVE") != ""); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// keepCluster has a cluster until its stdin ends, or until it kills itself at a step.
func keepCluster(dir, killAt string, survive bool) error {
	o := Options{Dir: dir, Runner: system()}
	if survive {
		o.Runner = surviving{o.Runner}
	}
	o.step = func(step string) {
		if step == killAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	c, err := Start(context.Background(), o)
	if err != nil {
		return err
	}
	fmt.Println("ready", filepath.Base(c.run.path))
	_, _ = io.Copy(io.Discard, os.Stdin)
	return c.Stop(context.Background())
}

// surviving starts programs that outlive this process, as if the kernel's signal had been lost.
type surviving struct{ proc.Runner }

func (s surviving) Start(ctx context.Context, c proc.Cmd) (proc.Process, error) {
	c.DeathSignal = syscall.SIGWINCH // ignored by default
	return s.Runner.Start(ctx, c)
}

func system() proc.Runner { return proc.System{Environ: os.Environ()} }

// helper is a process of its own with a cluster.
type helper struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

func startHelper(t *testing.T, dir, killAt string, survive bool) *helper {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := &helper{cmd: exec.Command(exe)}
	h.cmd.Env = append(os.Environ(), "SCRATCH_TEST_DIR="+dir, "SCRATCH_TEST_KILL="+killAt)
	if survive {
		h.cmd.Env = append(h.cmd.Env, "SCRATCH_TEST_SURVIVE=1")
	}
	h.cmd.Stderr = os.Stderr
	in, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.stdin, h.out = in, bufio.NewReader(out)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.cmd.Process.Kill() })
	return h
}

// ready returns the name of the cluster's directory.
func (h *helper) ready(t *testing.T) string {
	t.Helper()
	line, err := h.out.ReadString('\n')
	name, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !ok {
		t.Fatalf("helper: %q, %v", line, err)
	}
	return name
}

// killed waits for the helper's end, which must be by SIGKILL.
func (h *helper) killed(t *testing.T) {
	t.Helper()
	_, _ = io.Copy(io.Discard, h.out)
	_ = h.cmd.Wait()
	if ws, ok := h.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		t.Fatalf("helper ended with %v, not by SIGKILL", h.cmd.ProcessState)
	}
}

// mustBeClean fails if anything of a cluster is left: in dir, in its memory of sockets, or a process.
func mustBeClean(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("left in the directory: %s", e.Name())
	}
	for pid, cwd := range workingDirs(t) {
		if strings.HasPrefix(cwd, dir) {
			t.Errorf("process %d is left in %s", pid, cwd)
		}
	}
}

func workingDirs(t *testing.T) map[int]string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[int]string{}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd")); err == nil {
				dirs[pid] = cwd
			}
		}
	}
	return dirs
}

func noSocketDir(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(socketBase, name)); err == nil {
		t.Errorf("directory of the socket is left: %s", name)
	}
}

func start(t *testing.T, o Options) *Cluster {
	t.Helper()
	if o.Runner == nil {
		o.Runner = system()
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func connect(t *testing.T, conninfo string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), conninfo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func query(t *testing.T, conn *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	var s string
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&s); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return s
}

// openDir is a directory that every user can enter, which t.TempDir is not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "scratch-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openSub(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(openDir(t), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
