package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// writeSet is the operation that writes a set of a group: what the commands of all kinds have in common. write does it,
// with what its kind needs; what it returns is called to tell of the set.
func (a *App) writeSet(spec job.Spec, group catalog.Group, write func(ctx context.Context, run *job.Run, repo *repository, to backup.SetOptions) (tell func() result, err error)) operation {
	var repo *repository
	return operation{
		Spec: spec,
		Open: func(ctx context.Context) (_ string, err error) {
			if repo, err = a.Repository(ctx); err != nil {
				return "", err
			}
			return repo.lock(group.WriteLock())
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			to, err := a.setOptions(ctx, repo)
			if err != nil {
				return result{}, err
			}
			to.Logger = run.Log
			progress := a.Stages()
			defer progress.done()
			to.Progress = progress.report
			tell, err := write(ctx, run, repo, to)
			if err != nil {
				return result{}, err
			}
			progress.done()
			told := tell()
			if err := repo.memory.Keep(ctx, repo.Catalog); err != nil {
				run.Log.Info("an unmounted repository may not be noticed", "error", err) // the backup is good
			}
			return told, nil
		},
	}
}

// setOptions are what sets of all kinds are written with.
func (a *App) setOptions(ctx context.Context, repo *repository) (backup.SetOptions, error) {
	to := backup.SetOptions{Catalog: repo.Catalog, Free: repo.free, Release: backup.FindRelease(a.loaded.App.Root), Shrink: a.loaded.Guard.Shrink}
	signer, err := a.Signer(ctx)
	if err == nil && signer != nil { // a nil *seal.Signer is no nil interface
		to.Signer = signer
	}
	return to, err
}

// packing is how artifacts are sealed and read back.
func (a *App) packing(ctx context.Context) (backup.Sealing, error) {
	seal, err := a.Sealing(ctx)
	return backup.Sealing{Seal: seal, RequireSealed: a.loaded.Backup.Encrypt.Required, Readback: a.loaded.Backup.Readback}, err
}

// aftermath is what is said of every set that was written.
type aftermath struct {
	SignedBy   string
	Suspect    string
	Removed    []string
	FreedBytes int64
	signer     string // for people
}

// conclude warns of what is odd about a set that was written, and removes the sets that are not wanted any longer.
func (a *App) conclude(ctx context.Context, run *job.Run, repo *repository, done backup.Result, incomplete []string) aftermath {
	var after aftermath
	set, name := done.Set, done.Set.Ref.String()
	if s := set.Manifest.Signature; s != nil {
		after.SignedBy, after.signer = s.Fingerprint, cmp.Or(s.UserID, s.Fingerprint)
	}
	for _, removed := range done.Removed {
		run.Log.Info("removed what a dead run left", "set", removed)
	}
	for _, w := range done.Warnings {
		run.Warn(name + ": " + w)
	}
	for _, reason := range incomplete {
		run.Warn(name + " is incomplete: " + reason)
	}
	if k := set.Suspicion(); k != nil {
		after.Suspect = k.Reason
		run.Warn(fmt.Sprintf("%s is suspect: %s; %s", name, k.Reason, acceptHint(set.Ref)))
	}
	pruned := a.pruneAfter(ctx, run, repo, set)
	after.Removed, after.FreedBytes = setNames(pruned.Removed), pruned.Bytes()
	return after
}

// sealed is whom the set is for, and who signed it.
func (f aftermath) sealed(to []string) string {
	text := sealedTo(to)
	if f.signer != "" {
		text += ", signed by " + ui.Printable(f.signer)
	}
	return text
}

// pruned says which sets went; freed 0 leaves the bytes out.
func (f aftermath) pruned(w io.Writer, freed int64) error {
	if len(f.Removed) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "removed, as backup.keep says: %s: %s\n", countSets(len(f.Removed), freed), ui.Printable(strings.Join(f.Removed, ", ")))
	return err
}
