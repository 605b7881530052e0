package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// ErrRemote means that a set lies where its tree cannot be opened as files.
var ErrRemote = errors.New("its tree is not on a file system of this host")

// Stored is a published snapshot.
type Stored struct {
	Catalog *catalog.Catalog
	Set     catalog.Set
}

// Tree is where its tree is, as a path.
func (s Stored) Tree() (string, error) {
	dir, local := s.Catalog.Location(s.Set.Ref)
	if !local {
		return "", fmt.Errorf("%s: %w", s.Set.Ref, ErrRemote)
	}
	return filepath.Join(dir, TreeName), nil
}

// Index opens the lines of its index, as often as it is called, until ctx ends.
func (s Stored) Index(ctx context.Context) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		for _, a := range s.Set.Manifest.Artifacts {
			if strings.HasPrefix(a.Name, IndexName+".") {
				return artifact.Open(ctx, s.Catalog, s.Set.Ref, a, nil, nil)
			}
		}
		return nil, &catalog.DamageError{Ref: s.Set.Ref, Artifact: IndexName, Kind: catalog.DamageMissing}
	}
}

// Damage makes damage of the set of a difference.
func (s Stored) Damage(d Difference) *catalog.DamageError {
	e := &catalog.DamageError{Ref: s.Set.Ref, Artifact: TreeName + Quote(d.Path), Kind: catalog.DamageMalformed}
	switch {
	case d.Kind == Missing:
		e.Kind = catalog.DamageMissing
	case d.Kind == Extra:
		e.Err = errors.New("it is not in the index")
	case d.Why == checksumMismatch:
		e.Kind = catalog.DamageChecksum
	default:
		e.Err = errors.New(d.Why)
	}
	return e
}

// Classify makes damage of an error that an index caused; others stay as they are.
func (s Stored) Classify(err error) error {
	if errors.Is(err, ErrIndex) && !errors.Is(err, catalog.ErrDamaged) {
		return &catalog.DamageError{Ref: s.Set.Ref, Artifact: IndexName, Kind: catalog.DamageMalformed, Err: err}
	}
	return err
}
