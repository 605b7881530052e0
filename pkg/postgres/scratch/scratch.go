package scratch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Superuser is the role that the cluster is made with and that ConnString names.
const Superuser = "postgres"

// Options of Start. Dir and Runner are required.
type Options struct {
	BinDir string // of initdb and postgres; default: the newest in Debian's /usr/lib/postgresql
	Dir    string // where clusters live (scratch_dir); made if missing
	OSUser string // runs the server when this process is root; default postgres
	Runner proc.Runner
	Logger *slog.Logger // nil: silent

	Encoding       string // default UTF8
	Locale         string // LC_COLLATE and LC_CTYPE; default C
	LocaleProvider string // libc, icu or builtin, or pg_database's letter c, i, b; default libc
	ICULocale      string // locale of the provider, unless that is libc

	PreloadLibraries []string          // shared_preload_libraries
	Settings         map[string]string // server settings on top of, or instead of, the defaults
	TCP              bool              // also listen on 127.0.0.1, where everybody on this host is trusted: for tests

	step func(string) // tests: called at the named points of a cluster's life
}

// Cluster is a running server.
type Cluster struct {
	DataDir   string
	SocketDir string
	Port      int              // of the socket's name; with TCP also the one on 127.0.0.1
	User      *proc.Credential // of the server; nil: this process's own

	o      Options
	run    *runDir
	log    *logTail
	cancel context.CancelFunc
	exited chan struct{} // closed when the server has ended
	err    error         // how; valid then

	mu   sync.Mutex
	gone bool
}

// stopTimeout bounds what Stop does after the server has been told to end.
const stopTimeout = 30 * time.Second

// Start makes a cluster and starts its server. ctx bounds the start, not the server.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("start scratch cluster: %w", err)
	}
	user, err := serverUser(o.OSUser)
	if err != nil {
		return nil, fmt.Errorf("start scratch cluster: %w", err)
	}
	if err := checkPreload(ctx, o); err != nil {
		return nil, fmt.Errorf("start scratch cluster: %w", err)
	}
	run, err := newRunDir(ctx, o, user)
	if err != nil {
		return nil, fmt.Errorf("start scratch cluster: %w", err)
	}
	c := &Cluster{DataDir: run.data, SocketDir: run.socket, User: user, o: o, run: run, log: &logTail{}}
	if err := c.start(ctx); err != nil {
		// Removing can fail for the same reason as starting; the first error is the one that explains.
		if rerr := c.Stop(ctx); rerr != nil {
			o.Logger.Warn("scratch cluster not removed", "dir", run.path, "error", rerr)
		}
		return nil, fmt.Errorf("start scratch cluster: %w", err)
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	c.o.step("claimed")
	if err := c.initdb(ctx); err != nil {
		return err
	}
	c.o.step("initialized")
	if err := c.startServer(ctx); err != nil {
		return err
	}
	c.o.step("ready")
	return nil
}

func (o Options) withDefaults() (Options, error) {
	if o.Runner == nil {
		return o, errors.New("no runner given")
	}
	if o.Dir == "" {
		return o, errors.New("no directory given")
	}
	if o.OSUser == "" {
		o.OSUser = "postgres"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Encoding == "" {
		o.Encoding = "UTF8"
	}
	if o.Locale == "" {
		o.Locale = "C"
	}
	if o.step == nil {
		o.step = func(string) {}
	}
	var err error
	if o.LocaleProvider, err = providerName(o.LocaleProvider); err != nil {
		return o, err
	}
	if o.BinDir, err = findBinDir(o.BinDir); err != nil {
		return o, err
	}
	o.Settings = maps.Clone(o.Settings)
	return o, checkSettings(o.Settings)
}

// serverUser is the user to run the server as: PostgreSQL refuses root.
func serverUser(name string) (*proc.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	user, err := proc.LookupUser(name)
	if err != nil {
		return nil, &UnavailableError{
			What: "operating system user", Names: []string{name}, Err: err,
			Hint: "PostgreSQL does not run as root: install package postgresql, which makes the user postgres, or name another user",
		}
	}
	if user.UID == 0 {
		return nil, fmt.Errorf("run server as %s: PostgreSQL does not run as root", name)
	}
	return user, nil
}

// ConnString is how to connect to a database of the cluster, in libpq's keyword/value form.
func (c *Cluster) ConnString(db string) string {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	return fmt.Sprintf("host='%s' port=%s user=%s dbname='%s' sslmode=disable",
		quote.Replace(c.SocketDir), strconv.Itoa(c.Port), Superuser, quote.Replace(db))
}

// LogTail is the end of the server's log.
func (c *Cluster) LogTail() []string { return c.log.lines() }

// Exited is closed when the server has ended, by Stop or by itself.
func (c *Cluster) Exited() <-chan struct{} { return c.exited }

// Stop ends the server at once and removes the cluster.
func (c *Cluster) Stop(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if c.cancel != nil {
		c.cancel()
		select {
		case <-c.exited:
		case <-ctx.Done():
			return fmt.Errorf("stop scratch cluster %s: server does not end", c.run.path)
		}
	}
	c.o.step("ended")
	if err := c.run.remove(ctx); err != nil {
		return fmt.Errorf("stop scratch cluster: %w", err)
	}
	c.gone = true
	return nil
}
