package restore

import (
	"context"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/provenance"
)

// provenance finds out where the set comes from, before anything of it is read. A
// signature that is wrong, or missing where one is required, ends the restore.
func (s setSource) provenance(ctx context.Context, f *facts) (err error) {
	if f.signature, err = s.Provenance.Examine(ctx, s.Catalog, s.Set); err == nil {
		err = f.signature.Damage
	}
	if err != nil {
		return err
	}
	if f.signature.Warning != "" {
		f.warnings = append(f.warnings, f.signature.Warning)
	}
	group, err := s.Catalog.List(ctx, s.Set.Group)
	if err != nil {
		// Somebody who needs this one set needs no other.
		f.warnings = append(f.warnings, fmt.Sprintf("the set was not compared with the others of %s: %v", s.Set.Group, err))
		return nil
	}
	if strange := provenance.Stranger(s.Set, group); strange != "" {
		f.warnings = append(f.warnings, strange)
	}
	return nil
}
