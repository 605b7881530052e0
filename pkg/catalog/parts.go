package catalog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
)

// Part is one of the sets that a set of kind full stands for.
type Part struct {
	Ref Ref
	// Set is the zero value when it is not there.
	Set Set
	// Problem is why the part is not what the full set was written with, a *DamageError of the full set: the part is
	// missing, or another one has its name. That the part is damaged in itself is no Problem: Set.Good says so.
	Problem error
}

// Refers is what a full set stands for, as far as it says so.
func (s Set) Refers() (refs []Ref) {
	if s.Manifest == nil {
		return nil
	}
	for _, name := range s.Manifest.References {
		if ref, err := ParseRef(name); err == nil {
			refs = append(refs, ref)
		}
	}
	return refs
}

// SumsSHA256 is the hash of the set's SHA256SUMS in lower-case hex digits; "" when that could not be read.
func (s Set) SumsSHA256() string {
	if s.sums == ([len(s.sums)]byte{}) {
		return ""
	}
	return hex.EncodeToString(s.sums[:])
}

// Parts finds what a full set stands for, in the order of its references. find returns a set, or ErrNotFound; that of
// a catalog is Get. Another error of find, or a set without a manifest, is the error.
func Parts(ctx context.Context, full Set, find func(context.Context, Ref) (Set, error)) ([]Part, error) {
	if full.Manifest == nil {
		return nil, fmt.Errorf("find the parts of %s: %w", full.Ref, errors.Join(full.Problem, errNoManifest))
	}
	var parts []Part
	for _, name := range full.Manifest.References {
		ref, err := ParseRef(name)
		if err != nil {
			return nil, fmt.Errorf("find the parts of %s: %w", full.Ref, err)
		}
		part := Part{Ref: ref}
		part.Set, err = find(ctx, ref)
		wanted := full.Manifest.ReferenceSums[name]
		switch {
		case errors.Is(err, ErrNotFound):
			part.Problem = &DamageError{Ref: full.Ref, Artifact: name, Kind: DamageMissing, Err: err}
		case err != nil:
			return nil, fmt.Errorf("find the parts of %s: %w", full.Ref, err)
		case wanted != "" && part.Set.SumsSHA256() != wanted:
			part.Problem = &DamageError{Ref: full.Ref, Artifact: name, Kind: DamageChecksum, Err: errors.New("another set has its name")}
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// Good reports whether the part is there as it was, and good in itself.
func (p Part) Good() (ok bool, why string) {
	var d *DamageError
	if errors.As(p.Problem, &d) {
		return false, d.Reason()
	}
	return p.Set.Good()
}

// errNoManifest is a set of which nobody knows what it holds.
var errNoManifest = errors.New("no manifest")

// Good is Set.Good, and for a full set Whole; without a signature that is required a set is not good.
func (c *Catalog) Good(ctx context.Context, s Set) (ok bool, why string) {
	if s.Kind != KindFull || s.Manifest == nil {
		return c.Judge(s, nil)
	}
	parts, err := Parts(ctx, s, c.Get)
	if err != nil {
		return false, err.Error()
	}
	return c.Judge(s, parts)
}

// Judge is Good for a set whose parts are known; only full sets have some.
func (c *Catalog) Judge(s Set, parts []Part) (ok bool, why string) {
	if ok, why = Whole(s, parts); ok && c.signed && !s.Signed {
		return false, "not signed, but a signature is required"
	}
	return ok, why
}

// Whole reports whether a full set can be relied on: it is good, and so is every part. If not, why is a short reason.
func Whole(full Set, parts []Part) (ok bool, why string) {
	if ok, why = full.Good(); !ok {
		return false, why
	}
	for _, p := range parts {
		if ok, why = p.Good(); !ok && p.Problem == nil {
			why = p.Ref.String() + ": " + why
		}
		if !ok {
			return false, why
		}
	}
	return true, ""
}
