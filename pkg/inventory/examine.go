package inventory

import (
	"context"
	"errors"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// RehashDays is how far back it counts that the contents of files were read.
const RehashDays = 30

// Detail is everything about one set that can be known without reading its artifacts.
type Detail struct {
	Set
	Signature *Signature        `json:"signature"`
	Manifest  *catalog.Manifest `json:"manifest"`
	Checks    []catalog.Check   `json:"checks"`
	Parts     []Part            `json:"parts,omitempty"`
	// Rehashed is the share of the files of media sets, from 0 to 1, whose contents were read within RehashDays, by
	// verifies of any set of the group; nil for other kinds.
	Rehashed *float64 `json:"rehashed_within_30_days,omitempty"`

	Origin provenance.Finding `json:"-"` // what Signature is of
}

// Part is what a full set refers to.
type Part struct {
	Set  string `json:"set"`
	Good bool   `json:"good"`
	Why  string `json:"why,omitempty"`
}

// Examine looks at one set, its signature and what it refers to. A signature that cannot be checked is a finding, and no
// error.
func Examine(ctx context.Context, o Options, s catalog.Set) (Detail, error) {
	parts, err := partsOf(ctx, s, o.Catalog.Get)
	if err != nil {
		return Detail{}, err
	}
	d := Detail{Set: o.set(s, parts), Manifest: s.Manifest, Checks: append([]catalog.Check{}, s.Checks...)}
	for _, p := range parts {
		one := Part{Set: p.Ref.String()}
		one.Good, one.Why = p.Good()
		d.Parts = append(d.Parts, one)
	}
	if d.Origin, err = o.Provenance.Examine(ctx, o.Catalog, s); err != nil {
		d.Origin.Warning = err.Error()
	}
	d.Signature = SignatureOf(d.Origin)
	var damage *catalog.DamageError
	if errors.As(d.Origin.Damage, &damage) && d.Good {
		d.Good, d.Why = false, damage.Reason()
	}
	d.Rehashed, err = o.rehashed(ctx, s)
	return d, err
}

func (o Options) rehashed(ctx context.Context, s catalog.Set) (*float64, error) {
	if s.Kind != catalog.KindMedia {
		return nil, nil
	}
	sets, err := o.Catalog.List(ctx, s.Group)
	if err != nil {
		return nil, err
	}
	share := verify.Covered(sets, o.Now().AddDate(0, 0, -RehashDays))
	return &share, nil
}

// Signature is what other programs are told of one.
type Signature struct {
	State       provenance.State `json:"state"`
	Fingerprint string           `json:"fingerprint,omitempty"`
	Key         string           `json:"key,omitempty"`
	UserID      string           `json:"user_id,omitempty"`
	Time        time.Time        `json:"time,omitzero"`
	Problem     string           `json:"problem,omitempty"`
}

// SignatureOf is nil for a set that has none and needs none.
func SignatureOf(f provenance.Finding) *Signature {
	if f.State == "" || f.State == provenance.None && f.Damage == nil {
		return nil
	}
	s := &Signature{State: f.State, Fingerprint: f.By.Fingerprint, Key: f.By.Key, UserID: f.By.UserID, Time: f.By.Time, Problem: f.Warning}
	if f.Damage != nil {
		s.Problem = f.Damage.Error()
	}
	return s
}
