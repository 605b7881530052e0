package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

type restoreFullOptions struct {
	name    setName
	at      time.Time
	without []string
	dryRun  bool
}

func newRestoreFullCmd(app *App) *cobra.Command {
	var o restoreFullOptions
	var at string
	kinds := []string{string(catalog.KindMedia), string(catalog.KindConfig)}
	cmd := &cobra.Command{
		Use:   "full [ID|latest]",
		Short: "Restore database, media and configuration of one recovery point",
		Long: `Restores what a full set refers to. All three are planned first, as by restore db,
restore media and restore config, and shown; one confirmation, by the name of the
database, is for all. Then, in this order:

  1. The database is loaded beside the live one, and compared. Nothing is in service yet,
     and this is what takes longest and fails most.
  2. The media are built beside the live ones, compared, and exchanged with them.
  3. The configuration files that differ are written; what they replace is kept.
  4. The units are stopped, the database takes the live one's place, the units are
     started, and the health check is asked.

So units start with all three in place, and what fails in step 1, or while the media are
built, leaves everything as it was. The database comes last, because its exchange is the
one that takes itself back when the application is not well; media and configuration then
stay as they are, and the commands that put them back are named.

A full set that refers to a set which is missing or was exchanged is refused. --without
leaves out media or config (repeatable). The release that was live is shown; deploying it
is up to you. "latest" (the default) is the newest full set that is good with all it
refers to; --at takes the newest that was started at or before a time.

With -o json: {"set", "release", "parts": [what the commands of the parts print],
"undo": [], "dry_run"}.`,
		Example: `  forgectl restore full --dry-run
  forgectl restore full 20261123T020000Z
  forgectl restore full --at '2026-11-23 12:00' --without config`,
		Annotations:       operationCodes(),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: app.completeSetsOf(catalog.KindFull),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if at != "" && len(args) > 0 {
				return app.misuse("--at and a set were given: which is it?")
			}
			for _, kind := range o.without {
				if !slices.Contains(kinds, kind) {
					return app.misuse("--without %s: want media or config", kind)
				}
			}
			if o.name, err = app.parseSetOf(catalog.KindFull, append(args, latest)[0]); err != nil {
				return err
			}
			if o.at, err = app.parseAt(at); err != nil {
				return err
			}
			return app.restoreFull(cmd.Context(), o)
		},
	}
	jobsFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&at, "at", "", "the newest good set at or before this `TIME`: RFC 3339, or local time as in '2026-11-23 12:00'")
	complete(cmd, "at", cobra.NoFileCompletions)
	f.StringSliceVar(&o.without, "without", nil, "leave out this `KIND`, media or config; may be repeated")
	complete(cmd, "without", cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&o.dryRun, "dry-run", false, "check everything, show the plan, change nothing")
	return cmd
}

// restorePart is one of the sets beside the database's, on its way into service.
type restorePart interface {
	// lock is taken for as long as the whole restore lasts; "": none.
	lock() (string, error)
	// plan finds out everything, and changes nothing.
	plan(ctx context.Context) error
	showPlan(s *ui.Streams) error
	// words is what will be replaced, for the question.
	words() string
	// run puts it into service, and undo is how that is taken back, "" when it
	// need not be.
	run(ctx context.Context) error
	undo() string
	shown(dryRun bool) result
}

// fullRestore is one restore of a full set.
type fullRestore struct {
	restoreFullOptions
	app      *App
	run      *job.Run
	repo     *repository
	set      catalog.Set
	database catalog.Part
	live     string // database
	parts    []restorePart
	done     []restorePart // in service by now
}

func (a *App) restoreFull(ctx context.Context, o restoreFullOptions) error {
	group, err := a.databaseGroup()
	if err != nil {
		return err
	}
	r := &fullRestore{restoreFullOptions: o, app: a, live: group.Database}
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "restore full", Target: r.live},
		Check: o.dryRun,
		Open: func(ctx context.Context) (lock string, err error) {
			if r.repo, err = a.Repository(ctx); err != nil || o.dryRun {
				return "", err
			}
			return a.restoreLock(r.live)
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			r.run = run
			res, err := r.do(ctx)
			if err != nil {
				err = fmt.Errorf("restore %s: %w", r.what(), err)
			}
			return res, err
		},
	})
}

func (r *fullRestore) what() string {
	if r.set.ID != "" {
		return r.set.Ref.String()
	}
	return r.name.String()
}

func (r *fullRestore) do(ctx context.Context) (result, error) {
	if err := r.choose(ctx); err != nil {
		return result{}, err
	}
	groups := []catalog.Group{r.set.Group}
	for _, name := range r.set.Manifest.References {
		if ref, err := catalog.ParseRef(name); err == nil {
			groups = append(groups, ref.Group)
		}
	}
	release, err := r.repo.use("restore full", groups...)
	if err != nil {
		return result{}, err
	}
	defer release()
	if err := r.findParts(ctx); err != nil {
		return result{}, err
	}
	unlock, err := r.lockParts()
	if err != nil {
		return result{}, err
	}
	defer unlock()
	options, show, err := r.databaseOptions(ctx)
	if err != nil {
		return result{}, err
	}
	defer show.progress.done()
	var done restore.Result
	if r.dryRun {
		if done.Plan, err = restore.PlanReplace(ctx, options); err == nil {
			err = r.planParts(ctx)
		}
	} else {
		options.Confirm = func(ctx context.Context, p restore.Plan) error {
			show.progress.done()
			if err := r.planParts(ctx); err != nil {
				return err
			}
			show.progress.done()
			return r.confirm(ctx, p)
		}
		options.Ready = r.runParts
		done, err = restore.Replace(ctx, options)
	}
	show.progress.done()
	if err != nil {
		return result{}, r.halfDone(err)
	}
	return r.shown(done), nil
}

// choose finds the set, which must be one that can be read.
func (r *fullRestore) choose(ctx context.Context) (err error) {
	if r.set, err = r.app.setToRestore(ctx, r.repo, r.run, r.name, r.at); err != nil {
		return err
	}
	if r.set.Problem != nil {
		return r.set.Problem
	}
	policy, err := r.app.Provenance()
	if err != nil {
		return err
	}
	signature, err := policy.Examine(ctx, r.repo.Catalog, r.set)
	if err == nil {
		err = signature.Damage
	}
	if err == nil && signature.Warning != "" {
		r.run.Warn(r.set.Ref.String() + ": " + signature.Warning)
	}
	return err
}

// findParts looks up what the set refers to. One that is missing, or not the one
// that belongs to it, is no recovery point any more.
func (r *fullRestore) findParts(ctx context.Context) error {
	parts, err := catalog.Parts(ctx, r.set, r.repo.Get)
	if err != nil {
		return err
	}
	for _, p := range parts {
		switch {
		case slices.Contains(r.without, string(p.Ref.Kind)):
		case p.Problem != nil:
			return p.Problem
		case p.Ref.Kind == catalog.KindDatabase:
			r.database = p
		default:
			part, err := r.part(p.Set)
			if err != nil {
				return err
			}
			r.parts = append(r.parts, part)
		}
	}
	switch {
	case r.database.Ref.ID == "":
		return unknown("%s refers to no database", r.set.Ref)
	case r.database.Ref.Database != r.live:
		return withHint(unknown("%s is of the database %s, and database.name is %s", r.set.Ref, r.database.Ref.Database, r.live), "restore its parts by themselves: forgectl backup show %s", shellWord(r.set.Ref.String()))
	}
	return nil
}

// lockParts takes the locks of the parts, always in the order of a full set.
func (r *fullRestore) lockParts() (release func(), err error) {
	var held []func() error
	release = func() {
		for _, free := range held {
			_ = free() // the kernel does it at the latest when this process ends
		}
	}
	for _, p := range r.parts {
		if r.dryRun {
			break
		}
		path, err := p.lock()
		if err == nil && path != "" {
			var free func() error
			if free, err = holdLock(path, "restore full"); err == nil {
				held = append(held, free)
			}
		}
		if err != nil {
			release()
			return nil, err
		}
	}
	return release, nil
}

func (r *fullRestore) databaseOptions(ctx context.Context) (restore.Options, steps, error) {
	options, show, err := r.app.exchangeOptions(ctx, r.run, r.live)
	if err != nil {
		return options, show, err
	}
	options.Catalog, options.Set = r.repo.Catalog, r.database.Set
	if options.Provenance, err = r.app.Provenance(); err == nil {
		options.Unlock, err = r.app.Unlocker()
	}
	return options, show, err
}

func (r *fullRestore) planParts(ctx context.Context) error {
	for _, p := range r.parts {
		if err := p.plan(ctx); err != nil {
			return err
		}
	}
	return nil
}

// confirm shows all plans and asks once.
func (r *fullRestore) confirm(ctx context.Context, p restore.Plan) error {
	a := r.app
	if a.Streams.OutTTY && a.flags.output.value != outputJSON {
		if err := r.showPlans(a.Streams, p); err != nil {
			return err
		}
	}
	things := []string{"the database " + p.Into + " on " + p.Server}
	for _, part := range r.parts {
		things = append(things, part.words())
	}
	return a.Confirm(ctx, "Replace "+strings.Join(things, ", and ")+"?", p.Into)
}

func (r *fullRestore) showPlans(s *ui.Streams, p restore.Plan) error {
	if release := releaseOf(r.set); release != "" {
		if _, err := fmt.Fprintln(s.Out, "the release then was "+ui.Printable(release)); err != nil {
			return err
		}
	}
	if err := planTable(s, p); err != nil {
		return err
	}
	for _, part := range r.parts {
		if err := part.showPlan(s); err != nil {
			return err
		}
	}
	return nil
}

func releaseOf(s catalog.Set) string {
	if s.Manifest == nil || s.Manifest.Source == nil {
		return ""
	}
	return strings.TrimSpace(s.Manifest.Source.ReleaseDir + " " + s.Manifest.Source.GitRevision)
}

// runParts puts into service what is to be there before the database.
func (r *fullRestore) runParts(ctx context.Context) error {
	for _, p := range r.parts {
		if err := p.run(ctx); err != nil {
			return err
		}
		r.done = append(r.done, p)
	}
	return nil
}

// halfDone says what is in service although the restore failed.
func (r *fullRestore) halfDone(err error) error {
	undo := r.undos(nil)
	if len(undo) == 0 {
		return err
	}
	hint := "these are in service already; to put back what was there: " + strings.Join(undo, "; ")
	if next := hintOf(err); next != "" {
		hint = next + "\n" + hint
	}
	return &hintError{err, hint}
}

// undos are the commands that take back what is in service, the last one first.
func (r *fullRestore) undos(database []string) []string {
	undo := slices.Clone(database)
	for _, p := range slices.Backward(r.done) {
		if command := p.undo(); command != "" {
			undo = append(undo, command)
		}
	}
	return undo
}

// restoredFull is the JSON of forgectl restore full.
type restoredFull struct {
	Set     string   `json:"set"`
	Release string   `json:"release"`
	Parts   []any    `json:"parts"`
	Undo    []string `json:"undo"`
	DryRun  bool     `json:"dry_run"`
}

func (r *fullRestore) shown(done restore.Result) result {
	var database []string
	if done.Aside != "" && !r.dryRun {
		database = []string{restoreCommand("undo", r.live)}
	}
	parts := []result{restored(r.run, done, r.dryRun, nil)}
	for _, p := range r.parts {
		parts = append(parts, p.shown(r.dryRun))
	}
	shown := restoredFull{Set: r.set.Ref.String(), Release: releaseOf(r.set), Parts: []any{}, Undo: append([]string{}, r.undos(database)...), DryRun: r.dryRun}
	for _, p := range parts {
		shown.Parts = append(shown.Parts, p.JSON)
	}
	r.run.Fact("set", shown.Set)
	r.run.Fact("undo", shown.Undo)
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		if r.dryRun {
			return r.showPlans(s, done.Plan)
		}
		for _, p := range parts {
			if err := p.Text(s); err != nil {
				return err
			}
		}
		text := s.Bold(ui.Printable(shown.Set)) + "  is restored"
		if shown.Release != "" {
			text += "; the release then was " + ui.Printable(shown.Release)
		}
		if len(shown.Undo) > 0 {
			text += "\nto undo all of it: " + ui.Printable(strings.Join(shown.Undo, " && "))
		}
		_, err := fmt.Fprintln(s.Out, text)
		return err
	}}
}
