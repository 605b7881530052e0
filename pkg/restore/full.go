package restore

import (
	"context"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/provenance"
)

// FullOptions say which full set comes back, and how each of its parts does.
type FullOptions struct {
	Catalog    *catalog.Catalog
	Set        catalog.Set // of kind full
	Provenance provenance.Policy
	Live       string         // the database whose place is taken
	Without    []catalog.Kind // media and config may be left out

	// Database, Media and Config say how a part is restored, each asked once its set is found. Full fills in set, catalog,
	// provenance, Live of the database, and the hooks Confirm and Ready.
	Database func(context.Context, catalog.Set) (Options, error)
	Media    func(context.Context, catalog.Set) (MediaOptions, error)
	Config   func(context.Context, catalog.Set) (ConfigOptions, error)

	// Hold keeps the sets of groups from being removed until release is called; nil: nobody removes any.
	Hold func(groups ...catalog.Group) (release func(), err error)
	// Lock keeps others from putting a part of that kind into service until release is called; nil: there are no others.
	// The database's lock is the caller's. PlanFull takes none.
	Lock func(catalog.Kind) (release func(), err error)
	// Confirm hears what Full is going to do, when everything has been checked and nothing has been changed. An error
	// ends it there.
	Confirm func(context.Context, FullPlan) error
}

// FullPlan is what a restore of a full set is going to do, found out without changing anything.
type FullPlan struct {
	Set      catalog.Set
	Database Plan
	Media    *MediaPlan // nil: the set has none, or they are left out
	Config   *ConfigPlan
}

// FullResult is how far a restore of a full set came; of PlanFull, not further than the plans.
type FullResult struct {
	Set      catalog.Set
	Warnings []string // about the full set itself: those of its parts are in their results
	Database Result
	Media    *MediaResult // nil: the set has none, or they are left out
	Config   *ConfigResult

	swapped bool // the database is in service
}

// Undo is what is in service by now and took the place of something that is kept, in the order in which to take it back:
// the last one first. After an error it is what the error has left in service. That of the database is restore.Undo, of
// the media UndoMedia, and of the configuration the script UndoName in Config.Kept.
func (r FullResult) Undo() []catalog.Kind {
	var undo []catalog.Kind
	if r.swapped && r.Database.Aside != "" {
		undo = append(undo, catalog.KindDatabase)
	}
	if r.Config != nil && r.Config.Kept != "" { // also when an error ended it: some files are restored
		undo = append(undo, catalog.KindConfig)
	}
	if r.Media != nil && r.Media.Kept != "" {
		undo = append(undo, catalog.KindMedia)
	}
	return undo
}

// Plan is what was found out before anything was changed.
func (r FullResult) Plan() FullPlan {
	p := FullPlan{Set: r.Set, Database: r.Database.Plan}
	if r.Media != nil {
		p.Media = &r.Media.MediaPlan
	}
	if r.Config != nil {
		p.Config = &r.Config.ConfigPlan
	}
	return p
}

// Full restores what a full set refers to. All parts are planned before anything is changed, and o.Confirm is asked once.
// Then the database is loaded beside the live one and compared; the media are exchanged; the configuration files are
// written; and last the database takes its place, with the units standing still. So the part that takes longest and fails
// most is done while nothing is in service yet, and the exchange that takes itself back is the last one.
//
// An error until the media are exchanged leaves everything as it was, but for roles that were made. After a later one,
// media and configuration stay in service: FullResult.Undo says which. The database is as Replace leaves it.
func Full(ctx context.Context, o FullOptions) (FullResult, error) {
	r, release, err := o.open(ctx)
	defer release()
	if err != nil {
		return r.result, err
	}
	unlock, err := r.lock()
	defer unlock()
	if err != nil {
		return r.result, err
	}
	options, err := r.databaseOptions(ctx)
	if err != nil {
		return r.result, err
	}
	options.Confirm = func(ctx context.Context, p Plan) error {
		r.result.Database.Plan = p
		if err := r.planParts(ctx); err != nil || o.Confirm == nil {
			return err
		}
		return o.Confirm(ctx, r.result.Plan())
	}
	options.Ready = r.runParts
	r.result.Database, err = Replace(ctx, options)
	r.result.swapped = err == nil
	return r.result, err
}

// PlanFull is what Full finds out before it changes anything.
func PlanFull(ctx context.Context, o FullOptions) (FullResult, error) {
	r, release, err := o.open(ctx)
	defer release()
	if err != nil {
		return r.result, err
	}
	options, err := r.databaseOptions(ctx)
	if err == nil {
		r.result.Database.Plan, err = PlanReplace(ctx, options)
	}
	if err == nil {
		err = r.planParts(ctx)
	}
	return r.result, err
}

// fullRun is one restore of a full set.
type fullRun struct {
	o        FullOptions
	result   FullResult
	database catalog.Set
	parts    []fullPart // beside the database, in the order in which they come into service
}

func (r *fullRun) databaseOptions(ctx context.Context) (Options, error) {
	options, err := r.o.Database(ctx, r.database)
	options.Catalog, options.Set, options.Provenance, options.Live = r.o.Catalog, r.database, r.o.Provenance, r.o.Live
	return options, err
}

// lock takes the locks of the parts, always in their order. release lets go of those that were taken, also after an error.
func (r *fullRun) lock() (release func(), err error) {
	var held []func()
	release = func() {
		for _, free := range slices.Backward(held) {
			free()
		}
	}
	for _, p := range r.parts {
		if r.o.Lock == nil {
			break
		}
		free, err := r.o.Lock(p.kind)
		if err != nil {
			return release, err
		}
		held = append(held, free)
	}
	return release, nil
}

func (r *fullRun) planParts(ctx context.Context) error {
	for _, p := range r.parts {
		if err := p.plan(ctx); err != nil {
			return p.named(err)
		}
	}
	return nil
}

// runParts puts into service what is to be there before the database.
func (r *fullRun) runParts(ctx context.Context) error {
	for _, p := range r.parts {
		if err := p.run(ctx); err != nil {
			return p.named(err)
		}
	}
	return nil
}
