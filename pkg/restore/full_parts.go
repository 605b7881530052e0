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
		r.result.Media = &MediaResult{}
		r.parts = append(r.parts, &mediaPart{r: r, set: set, done: r.result.Media})
	}
	if set, found := sets[catalog.KindConfig]; found {
		r.result.Config = &ConfigResult{}
		r.parts = append(r.parts, &configPart{r: r, set: set, done: r.result.Config})
	}
	return nil
}

// fullPart is one of the sets beside the database's, on its way into service.
type fullPart interface {
	kind() catalog.Kind
	// plan finds out everything, and changes nothing.
	plan(ctx context.Context) error
	// run puts it into service, by the options that it was planned with.
	run(ctx context.Context) error
}

// mediaPart exchanges the live files.
type mediaPart struct {
	r       *fullRun
	set     catalog.Set
	options MediaOptions
	done    *MediaResult
}

func (p *mediaPart) kind() catalog.Kind { return catalog.KindMedia }

func (p *mediaPart) plan(ctx context.Context) (err error) {
	if p.options, err = p.r.o.Media(ctx, p.set); err == nil {
		p.options.Catalog, p.options.Set, p.options.Provenance, p.options.Confirm = p.r.o.Catalog, p.set, p.r.o.Provenance, nil
		p.done.MediaPlan, err = PlanMedia(ctx, p.options)
	}
	return p.named(err)
}

func (p *mediaPart) run(ctx context.Context) (err error) {
	*p.done, err = Media(ctx, p.options)
	return p.named(err)
}

func (p *mediaPart) named(err error) error {
	if err != nil {
		err = fmt.Errorf("files of %s: %w", p.set.Ref, err)
	}
	return err
}

// configPart brings back the configuration files.
type configPart struct {
	r       *fullRun
	set     catalog.Set
	options ConfigOptions
	done    *ConfigResult
}

func (p *configPart) kind() catalog.Kind { return catalog.KindConfig }

func (p *configPart) plan(ctx context.Context) (err error) {
	if p.options, err = p.r.o.Config(ctx, p.set); err == nil {
		p.options.Catalog, p.options.Set, p.options.Provenance, p.options.Confirm = p.r.o.Catalog, p.set, p.r.o.Provenance, nil
		p.done.ConfigPlan, err = PlanConfig(ctx, p.options)
	}
	if err == nil { // found now, and not when the media are in service
		err = p.done.conflict()
	}
	return p.named(err)
}

func (p *configPart) run(ctx context.Context) (err error) {
	*p.done, err = Config(ctx, p.options)
	return p.named(err)
}

func (p *configPart) named(err error) error {
	if err != nil {
		err = fmt.Errorf("configuration files of %s: %w", p.set.Ref, err)
	}
	return err
}
