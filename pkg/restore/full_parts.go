package restore

import (
	"context"
	"fmt"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// PartsError means that what a full set refers to cannot be restored as one.
type PartsError struct {
	Set catalog.Ref
	Why string
}

func (e *PartsError) Error() string { return e.Set.String() + " " + e.Why }

// OtherDatabaseError means that a full set is of another database than the live one.
type OtherDatabaseError struct {
	Set            catalog.Ref
	Database, Live string
}

func (e *OtherDatabaseError) Error() string {
	return fmt.Sprintf("%s is of the database %s, and the live one is %s", e.Set, e.Database, e.Live)
}

// open proves where the full set comes from, and finds its parts, which stay until release is called, also after an
// error. One that is missing, or not the one that belongs to it, is no recovery point any more.
func (o FullOptions) open(ctx context.Context) (r *fullRun, release func(), err error) {
	r, release = &fullRun{o: o, result: FullResult{Set: o.Set}}, func() {}
	if err := r.examine(ctx); err != nil {
		return r, release, err
	}
	if o.Hold != nil {
		hold, err := o.Hold(r.groups()...)
		if err != nil {
			return r, release, err
		}
		release = hold
	}
	return r, release, r.find(ctx)
}

func (r *fullRun) examine(ctx context.Context) error {
	set := r.o.Set
	if set.Problem != nil {
		return set.Problem
	}
	signature, err := r.o.Provenance.Examine(ctx, r.o.Catalog, set)
	if err == nil {
		err = signature.Damage
	}
	if err == nil && signature.Warning != "" {
		r.result.Warnings = append(r.result.Warnings, signature.Warning)
	}
	return err
}

// groups are those of the set and of what it refers to.
func (r *fullRun) groups() []catalog.Group {
	groups := []catalog.Group{r.o.Set.Group}
	for _, name := range r.o.Set.Manifest.References {
		if ref, err := catalog.ParseRef(name); err == nil {
			groups = append(groups, ref.Group)
		}
	}
	return groups
}

func (r *fullRun) find(ctx context.Context) error {
	full := r.o.Set.Ref
	parts, err := catalog.Parts(ctx, r.o.Set, r.o.Catalog.Get)
	if err != nil {
		return err
	}
	sets := map[catalog.Kind]catalog.Set{}
	for _, p := range parts {
		if slices.Contains(r.o.Without, p.Ref.Kind) {
			continue
		}
		if p.Problem != nil {
			return p.Problem
		}
		switch p.Ref.Kind {
		case catalog.KindDatabase, catalog.KindMedia, catalog.KindConfig:
		default:
			return &PartsError{full, fmt.Sprintf("refers to %s, and this forgectl cannot restore sets of that kind", p.Ref)}
		}
		if other, found := sets[p.Ref.Kind]; found {
			return &PartsError{full, fmt.Sprintf("refers to %s and to %s, and only one of them can be restored", other.Ref, p.Ref)}
		}
		sets[p.Ref.Kind] = p.Set
	}
	var found bool
	if r.database, found = sets[catalog.KindDatabase]; !found {
		return &PartsError{full, "refers to no database"}
	}
	if r.database.Database != r.o.Live {
		return &OtherDatabaseError{Set: full, Database: r.database.Database, Live: r.o.Live}
	}
	if set, found := sets[catalog.KindMedia]; found {
		r.parts = append(r.parts, r.mediaPart(set))
	}
	if set, found := sets[catalog.KindConfig]; found {
		r.parts = append(r.parts, r.configPart(set))
	}
	return nil
}

// fullPart is one of the sets beside the database's, on its way into service.
type fullPart struct {
	kind catalog.Kind
	what string // for messages
	// plan finds out everything, and changes nothing; run puts it into service, by the options that it was planned with.
	plan, run func(ctx context.Context) error
}

// named says in an error which of the parts it is about.
func (p fullPart) named(err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", p.what, err)
	}
	return err
}

// mediaPart exchanges the live files.
func (r *fullRun) mediaPart(set catalog.Set) fullPart {
	var options MediaOptions
	done := &MediaResult{}
	r.result.Media = done
	return fullPart{
		kind: catalog.KindMedia, what: "files of " + set.Ref.String(),
		plan: func(ctx context.Context) (err error) {
			if options, err = r.o.Media(ctx, set); err != nil {
				return err
			}
			options.Catalog, options.Set, options.Provenance, options.Confirm = r.o.Catalog, set, r.o.Provenance, nil
			done.MediaPlan, err = PlanMedia(ctx, options)
			return err
		},
		run: func(ctx context.Context) (err error) {
			*done, err = Media(ctx, options)
			return err
		},
	}
}

// configPart brings back the configuration files. That something is in the way is found when it is planned, and not when
// the media are in service.
func (r *fullRun) configPart(set catalog.Set) fullPart {
	var options ConfigOptions
	done := &ConfigResult{}
	r.result.Config = done
	return fullPart{
		kind: catalog.KindConfig, what: "configuration files of " + set.Ref.String(),
		plan: func(ctx context.Context) (err error) {
			if options, err = r.o.Config(ctx, set); err != nil {
				return err
			}
			options.Catalog, options.Set, options.Provenance, options.Confirm = r.o.Catalog, set, r.o.Provenance, nil
			if done.ConfigPlan, err = PlanConfig(ctx, options); err != nil {
				return err
			}
			return done.conflict()
		},
		run: func(ctx context.Context) (err error) {
			*done, err = Config(ctx, options)
			return err
		},
	}
}
