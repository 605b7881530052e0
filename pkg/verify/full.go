package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
)

// full examines a set that stands for others: whether those are the ones that were made with it, and each of them.
func (o Options) full(ctx context.Context, v *Verdict) error {
	whole, err := o.sums(ctx, v, dumpset.Reader{Catalog: o.Catalog, Set: v.Set})
	if err != nil || !whole {
		return err
	}
	parts, err := catalog.Parts(ctx, v.Set, o.Catalog.Get)
	if err != nil {
		return err
	}
	files, err := o.fileCheck(ctx, parts, v)
	if err != nil {
		return err
	}
	var troubles []error
	for _, p := range parts {
		if p.Problem != nil {
			v.Damage = append(v.Damage, p.Problem)
			continue
		}
		if err := o.part(ctx, v, p, files); err != nil {
			troubles = append(troubles, fmt.Errorf("%s: %w", p.Ref, err))
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if files != nil && files.looked {
		v.Files = &files.Files
	}
	if len(v.Damage) > 0 {
		return nil // a verdict, whatever else could not be looked at
	}
	return errors.Join(troubles...)
}

// part examines one of the sets, and takes its verdict into that on the full set. Its stages are those of the part
// alone, but for the database, whose drill says how long a recovery takes.
func (o Options) part(ctx context.Context, v *Verdict, p catalog.Part, files *fileCheck) error {
	one := o
	if one.Level == catalog.LevelDrill && p.Ref.Kind != catalog.KindDatabase {
		one.Level = catalog.LevelDecode // there is no server that these could be loaded into
	}
	if p.Ref.Kind == catalog.KindDatabase && files != nil {
		one.restored = func(ctx context.Context, e *postgres.Endpoint) error { return files.read(ctx, e, v) }
	}
	verdict, err := Verify(ctx, one, p.Set)
	if err != nil {
		return err
	}
	v.Parts = append(v.Parts, verdict)
	v.Stages = append(v.Stages, verdict.Stages...)
	if !verdict.OK {
		v.Damage = append(v.Damage, &catalog.DamageError{Ref: v.Set.Ref, Artifact: p.Ref.String(), Kind: catalog.DamagePart, Err: verdict.Err()})
	}
	return nil
}
