package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// errNoSet is for checks that are about a set.
var errNoSet = errors.New("there is no good set to say it of")

// checkIntents looks for restores that have begun to exchange a database and have
// not ended: units may be stopped, and the next restore will not begin.
func checkIntents(ctx context.Context, x *exam) []Finding {
	open, err := x.Intents.List(ctx)
	var all []Finding
	for _, in := range open {
		resume := "forgectl restore resume"
		if in.Kind == restore.IntentMedia {
			resume += " --media"
		} else if in.Live != x.Database {
			resume += " --database " + proc.ShellWord(in.Live)
		}
		all = append(all, found(Critical, []string{resume}, "the %s of %s that began %s (pid %d on %s) has not ended: it was %s",
			in.Action, in.Live, in.Started.UTC().Format(time.RFC3339), in.PID, in.Host, in.Stage))
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return append(all, unknown(err, "sudo forgectl doctor")...)
	case err != nil: // one that cannot be read must not be overlooked
		return append(all, found(Critical, []string{"ls -l " + proc.ShellWord(x.Intents.Dir), "forgectl restore resume"}, "%v", err))
	case len(all) == 0:
		return ok("no restore is unfinished")
	}
	return all
}

// checkLeftovers looks for what dead runs left: half sets, and drills' servers.
func checkLeftovers(ctx context.Context, x *exam) []Finding {
	c, err := x.catalog(ctx)
	if err != nil {
		return unknown(errUnopened)
	}
	groups, err := c.Groups(ctx, "")
	if err != nil {
		return unknown(err)
	}
	var all []Finding
	for _, g := range groups {
		names, err := c.Unfinished(ctx, g)
		if err != nil {
			all = append(all, unknown(err)...)
		}
		if len(names) == 0 {
			continue
		}
		if holder, runs := x.writer(g); runs {
			all = append(all, found(Info, nil, "a set of %s is being made by %s", g, holder))
			continue
		}
		f := found(Warning, []string{"forgectl doctor --fix"}, "%s of %s left by dead runs: %s", count(len(names), "half set"), g, names[0])
		f.Fix = &Fix{What: fmt.Sprintf("remove %s of %s", count(len(names), "half set"), g), Do: func(ctx context.Context) error { return x.sweep(ctx, c, g) }}
		all = append(all, f)
	}
	clusters, err := scratchClusters(x.ScratchDir)
	if err != nil {
		all = append(all, unknown(err)...)
	}
	if len(clusters) > 0 {
		all = append(all, found(Info, []string{"forgectl backup verify --drill"}, "%s in %s: a drill runs, or was killed and left plain data, which the next one removes",
			count(len(clusters), "throwaway server"), x.ScratchDir))
	}
	if len(all) == 0 {
		return ok("no dead run has left anything")
	}
	return all
}

// sweep removes what dead runs left in a group, as the next backup would: under
// the lock that every writer holds.
func (x *exam) sweep(ctx context.Context, c *catalog.Catalog, g catalog.Group) error {
	l, err := lock.Acquire(filepath.Join(x.Repository, filepath.FromSlash(g.WriteLock())), lock.Holder{User: x.User, Operation: "doctor --fix"})
	if err != nil {
		return err
	}
	_, err = c.Sweep(ctx, g)
	return errors.Join(err, l.Release())
}

// writer is who holds the group's write lock, as far as its file tells. To ask the
// kernel one would have to take the lock.
func (x *exam) writer(g catalog.Group) (lock.Holder, bool) {
	data, err := os.ReadFile(filepath.Join(x.Repository, filepath.FromSlash(g.WriteLock())))
	if err != nil {
		return lock.Holder{}, false
	}
	host, _ := os.Hostname()
	for line := range bytes.Lines(data) {
		var h lock.Holder
		if json.Unmarshal(line, &h) != nil || h.PID <= 0 {
			continue
		}
		if h.Host != host {
			return h, true // nobody knows from here
		}
		if err := syscall.Kill(h.PID, 0); err == nil || errors.Is(err, syscall.EPERM) {
			return h, true
		}
	}
	return lock.Holder{}, false
}

var clusterName = regexp.MustCompile(`^forgectl-pg-[0-9a-f]{8}$`)

func scratchClusters(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && clusterName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
