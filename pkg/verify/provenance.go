package verify

import (
	"context"

	"github.com/bmad-forge/forgectl/pkg/provenance"
)

// refused reports whether nothing is wrong but that this host requires another signature. That is no verdict for
// the others who use the set: it is not recorded.
func (v Verdict) refused() bool { return v.Signature.Refused && len(v.Damage) == 1 }

// provenance adds what is to be said of where the set comes from.
func (o Options) provenance(ctx context.Context, v *Verdict) (err error) {
	if v.Signature, err = o.Provenance.Examine(ctx, o.Catalog, v.Set); err != nil {
		return err
	}
	if v.Signature.Damage != nil {
		v.Damage = append(v.Damage, v.Signature.Damage)
	}
	if v.Signature.Warning != "" {
		v.Warnings = append(v.Warnings, v.Signature.Warning)
	}
	if o.Group == nil {
		return nil
	}
	sets, err := o.Group(ctx, v.Set.Group)
	if err != nil {
		return err
	}
	if strange := provenance.Stranger(v.Set, sets); strange != "" {
		v.Warnings = append(v.Warnings, strange)
	}
	return nil
}
