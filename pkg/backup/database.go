package backup

import (
	"cmp"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// DatabaseOptions say what to back up, where to, and how.
type DatabaseOptions struct {
	SetOptions
	Sealing
	Endpoint *postgres.Endpoint
	Finder   postgres.ToolFinder
	Runner   proc.Runner

	Fingerprint   string        // catalog.Fingerprint…; default counts
	LockTimeout   time.Duration // for a lock on a table; default 1 minute
	Jobs          int           // processor cores to use; 0: all
	Split         int64         // tables of more bytes than this get a data artifact of their own; 0: none
	RolePasswords bool          // password hashes in the globals: needs a superuser
}

// attempts is how often a backup that met a locked table starts over. Starting
// over lets go of all locks, so whoever waited behind them can finish.
const attempts = 3

// Database backs up one database. Errors that callers tell apart:
// *pgdump.RightsError, *pgdump.BusyError, *postgres.ToolsError,
// *postgres.ConnectError, postgres.ErrPooled, *SpaceError, ErrPlain, pgdump.ErrGuardLost.
func Database(ctx context.Context, o DatabaseOptions) (Result, error) {
	o = o.withDefaults()
	group := catalog.Group{Kind: catalog.KindDatabase, Database: o.Endpoint.Database()}
	if err := o.check(); err != nil {
		return Result{}, err
	}
	removed, err := o.sweep(ctx, group)
	if err != nil {
		return Result{}, err
	}
	for attempt := 1; ; attempt++ {
		run := &databaseRun{DatabaseOptions: o, setRun: setRun{to: o.SetOptions, group: group}, written: map[string]artifact.Written{}}
		result, err := run.write(ctx, run)
		run.forget()
		result.Removed = removed
		if err == nil || attempt == attempts || !errors.Is(err, pgdump.ErrBusy) || ctx.Err() != nil {
			return result, err
		}
		o.Logger.Info("a table was locked, starting over", "attempt", attempt, "error", err)
	}
}

func (o DatabaseOptions) withDefaults() DatabaseOptions {
	o.SetOptions, o.Sealing = o.SetOptions.withDefaults(), o.Sealing.withDefaults()
	o.Fingerprint = cmp.Or(o.Fingerprint, catalog.FingerprintCounts)
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	return o
}

// databaseRun is one attempt at a set.
type databaseRun struct {
	DatabaseOptions
	setRun
	guard  *pgdump.Guard
	dumper pgdump.Dumper

	mu       sync.Mutex                  // of what the parallel writers add here, to the manifest and to the warnings
	written  map[string]artifact.Written // by base name
	expected int64                       // bytes of the data archive: those of the last good set; 0: there is none
}

// forget wipes the keys that the read-back used.
func (r *databaseRun) forget() {
	for _, w := range r.written {
		w.Forget()
	}
}

// ordered are the artifacts in the order of their names, which is that of a restore.
func (r *databaseRun) ordered() []artifact.Written {
	all := make([]artifact.Written, 0, len(r.written))
	for _, w := range r.written {
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b artifact.Written) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// readBack proves what lies in the repository, as many artifacts at once as there are cores.
func (r *databaseRun) readBack(ctx context.Context) error {
	var total int64
	var done atomic.Int64
	for _, w := range r.written {
		total += w.Bytes
	}
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(min(r.Jobs, maxCompressors))
	for _, w := range r.ordered() {
		var inspect func(io.Reader) error
		if strings.Contains(w.Name, ".dump.") {
			inspect = func(plain io.Reader) error {
				_, err := pgdump.Inspect(plain)
				return err
			}
		}
		group.Go(func() error {
			return w.ReadBack(running, r.draft, r.Readback, func(n int64) { r.Progress("read back", done.Add(n), total) }, inspect)
		})
	}
	return group.Wait()
}

// describe fills in what the manifest says of the run.
func (r *databaseRun) describe() {
	m := &r.manifest
	m.Readback = r.Readback
	m.Tools = map[string]string{"pg_dump": r.dumper.Tools.Version.String()}
	m.Warnings = r.warnings
	for _, w := range r.ordered() {
		m.Artifacts = append(m.Artifacts, w.Artifact)
	}
	m.Encryption = r.encryption()
}
