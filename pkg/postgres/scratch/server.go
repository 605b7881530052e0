package scratch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	socketPort   = 5432 // no other server shares the directory
	startTimeout = time.Minute
	logLines     = 200
)

// reserved settings are those that the rest of the package relies on.
var reserved = []string{
	"config_file", "data_directory", "external_pid_file", "hba_file", "ident_file", "listen_addresses",
	"log_destination", "logging_collector", "port", "shared_preload_libraries", "unix_socket_directories",
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.$]*$`)

func checkSettings(settings map[string]string) error {
	for name, value := range settings {
		if !settingName.MatchString(name) || strings.ContainsRune(value, 0) {
			return fmt.Errorf("malformed setting %q", name)
		}
		if slices.Contains(reserved, strings.ToLower(name)) {
			return fmt.Errorf("setting %s cannot be changed", name)
		}
	}
	return nil
}

// settings are those of a server whose data need not survive and which has one client that loads much.
func (c *Cluster) settings() map[string]string {
	s := map[string]string{
		"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
		"wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "1GB",
		"shared_buffers": "128MB", "maintenance_work_mem": "128MB", "max_connections": "50",
		"autovacuum": "off", "jit": "off", "huge_pages": "off",
		// Segments are files of the cluster: a killed server leaves none in /dev/shm, and that being small, as in
		// a container, does not matter.
		"dynamic_shared_memory_type": "mmap",
		"restart_after_crash":        "off", // a crash must be seen
		"timezone":                   "UTC", "log_timezone": "UTC",
		"cluster_name": filepath.Base(c.run.path),
	}
	maps.Copy(s, c.o.Settings)
	s["listen_addresses"] = ""
	if c.o.TCP {
		s["listen_addresses"] = "127.0.0.1"
	}
	s["port"] = strconv.Itoa(c.Port)
	socket := c.run.socket
	if socket == c.run.path {
		socket = c.run.view
	}
	s["unix_socket_directories"] = quoteList(socket)
	s["unix_socket_permissions"] = "0700"
	s["log_destination"], s["logging_collector"] = "stderr", "off"
	s["shared_preload_libraries"] = quoteList(c.o.PreloadLibraries...)
	return s
}

// quoteList writes a list of names for a setting that is one.
func quoteList(names ...string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = `"` + strings.ReplaceAll(n, `"`, `""`) + `"`
	}
	return strings.Join(quoted, ",")
}

func (c *Cluster) startServer(ctx context.Context) error {
	c.Port = socketPort
	if !c.o.TCP {
		return c.launch(ctx)
	}
	for attempt := 1; ; attempt++ {
		port, err := freePort(ctx)
		if err != nil {
			return err
		}
		c.Port = port
		err = c.launch(ctx)
		if err == nil || attempt == 5 || !strings.Contains(strings.Join(c.LogTail(), "\n"), "Address already in use") {
			return err
		}
	}
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// launch runs postgres in the foreground as our child: it is told to end when we are killed.
func (c *Cluster) launch(ctx context.Context) error {
	cmd := c.command("postgres", "-D", filepath.Join(c.run.view, dataName))
	settings := c.settings()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		cmd.Args = append(cmd.Args, "-c", name+"="+settings[name])
	}
	cmd.StopSignal, cmd.DeathSignal = syscall.SIGQUIT, syscall.SIGQUIT // immediate shutdown
	cmd.Stderr = c.log.add
	c.log.clear()

	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p, err := c.o.Runner.Start(life, cmd)
	if err != nil {
		cancel()
		return err
	}
	c.cancel, c.exited = cancel, make(chan struct{})
	go func() {
		c.err = p.Wait()
		close(c.exited)
	}()
	c.o.step("launched")
	return c.awaitReady(ctx)
}

// awaitReady connects until the server lets us in.
func (c *Cluster) awaitReady(ctx context.Context) error {
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.ping(ctx)
		if err == nil {
			return nil
		}
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code != "57P03" { // cannot_connect_now
			return fmt.Errorf("connect: %w", err)
		}
		select {
		case <-c.exited:
			return c.startError()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return fmt.Errorf("connect within %v: %w", startTimeout, err)
		case <-tick.C:
		}
	}
}

func (c *Cluster) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	conn, err := pgconn.Connect(ctx, c.ConnString("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

var noLibrary = regexp.MustCompile(`could not (?:access file|load library) "([^"]+)"`)

// startError is why the server ended while it should start.
func (c *Cluster) startError() error {
	if m := noLibrary.FindStringSubmatch(strings.Join(c.LogTail(), "\n")); m != nil {
		return missingLibraries([]string{m[1]}, c.err)
	}
	if c.err == nil {
		return errors.New("server ended at once")
	}
	return c.err
}

// logTail keeps the end of the server's log.
type logTail struct {
	mu   sync.Mutex
	tail []string
}

func (l *logTail) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tail) == logLines {
		l.tail = slices.Delete(l.tail, 0, 1)
	}
	l.tail = append(l.tail, line)
}

func (l *logTail) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = nil
}

func (l *logTail) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.tail)
}
