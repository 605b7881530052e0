// Package configset knows the files of a config set: what they are called, and that they say the same.
//
// A set holds one archive of files (pkg/archive) and an index of it, both sealed when sets are sealed: the names and
// hashes of configuration files are not for everybody. A Reader reads one published set. Nothing that it reads is
// trusted before every file of the set was hashed; Each and Compare prove each entry of the archive against the index.
//
// What is wrong with the set is a *catalog.DamageError.
package configset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// Base names of the artifacts; a suffix says how each is packed.
const (
	ArchiveName = "10-config.tar"
	IndexName   = "20-index.jsonl"
	RecoverName = "RECOVER.md"
)

// Group is the sets of this kind.
func Group() catalog.Group { return catalog.Group{Kind: catalog.KindConfig} }

// ReadOptions are what readers of the archive take: links are stored as they are.
func ReadOptions() archive.ReadOptions { return archive.ReadOptions{Links: archive.LinksAsStored} }

// Reader reads one set.
type Reader struct {
	Catalog *catalog.Catalog
	Set     catalog.Set
	Unlock  seal.Unlocker // nil does for a set that is not sealed
	// Progress, if not nil, gets plain bytes as they are read.
	Progress func(n int64)
}

// Sealed reports whether a secret key is needed to read anything.
func (r Reader) Sealed() bool { return r.Set.Manifest != nil && r.Set.Manifest.Encryption != nil }

// Name is the artifact of a base name; "" when there is none.
func (r Reader) Name(base string) string {
	for _, a := range r.Set.Manifest.Artifacts {
		if strings.HasPrefix(a.Name, base+".") {
			return a.Name
		}
	}
	return ""
}

// read opens an artifact, hands it to parse, and reads it to its proven end.
func (r Reader) read(ctx context.Context, base string, parse func(io.Reader) error) error {
	for _, a := range r.Set.Manifest.Artifacts {
		if !strings.HasPrefix(a.Name, base+".") {
			continue
		}
		plain, err := artifact.Open(ctx, r.Catalog, r.Set.Ref, a, r.Unlock, r.Progress)
		if err != nil {
			return err
		}
		defer plain.Close()
		parseErr := parse(plain)
		if foreign(parseErr) {
			return parseErr
		}
		if _, err := io.Copy(io.Discard, plain); err != nil {
			return err // damage explains a parse error, not the other way round
		}
		if parseErr != nil {
			return r.malformed(a.Name, parseErr)
		}
		return nil
	}
	return &catalog.DamageError{Ref: r.Set.Ref, Artifact: base, Kind: catalog.DamageMissing}
}

// foreign reports whether an error of a parser is not about the set: whoever takes what is read may fail as well.
func foreign(err error) bool {
	return err != nil && !errors.Is(err, archive.ErrHostile) && !errors.Is(err, archive.ErrMalformed) && !errors.Is(err, errDiffers)
}

func (r Reader) malformed(name string, err error) error {
	return &catalog.DamageError{Ref: r.Set.Ref, Artifact: name, Kind: catalog.DamageMalformed, Err: err}
}

// Index reads the index.
func (r Reader) Index(ctx context.Context) (entries []archive.Entry, err error) {
	err = r.read(ctx, IndexName, func(plain io.Reader) error {
		entries, err = readIndex(plain)
		return err
	})
	return entries, err
}

func readIndex(plain io.Reader) (entries []archive.Entry, err error) {
	index := archive.NewIndexReader(plain, archive.Limits{})
	for {
		e, err := index.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
}

// errDiffers: archive and index are both what was written, and not about the same files.
var errDiffers = errors.New("not what the index says")

// Each reads the archive, and holds each entry against the index. visit, if not nil, gets the entry as the index has it
// and its content, of which it need not read all; it has not been proven before Each returns. An error of visit ends it
// and comes back.
func (r Reader) Each(ctx context.Context, index []archive.Entry, visit func(archive.Entry, io.Reader) error) error {
	return r.read(ctx, ArchiveName, func(plain io.Reader) error { return Match(plain, index, visit) })
}

// Match is Each for an archive that is open. Errors are archive.ErrMalformed, archive.ErrHostile, that it differs from
// the index, or those of reading.
func Match(plain io.Reader, index []archive.Entry, visit func(archive.Entry, io.Reader) error) error {
	reader := archive.NewReader(plain, ReadOptions())
	next := 0
	for {
		got, err := reader.Next()
		for next < len(index) && !index[next].Stored() {
			next++
		}
		switch {
		case errors.Is(err, io.EOF) && next < len(index):
			return fmt.Errorf("%w: it lacks %q", errDiffers, index[next].Path)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case next == len(index):
			return fmt.Errorf("%w: %q is in addition", errDiffers, got.Path)
		}
		want := index[next]
		next++
		if visit != nil {
			if err := visit(want, reader); err != nil {
				return err
			}
		}
		if got.Link == "" {
			if got.SHA256, err = reader.Sum(); err != nil {
				return err
			}
		}
		if !got.Same(want) {
			return fmt.Errorf("%w: %q", errDiffers, want.Path)
		}
	}
}

// Compare reads both artifacts to their proven ends, and every entry of the archive against the index. What is wrong
// with the set is in damaged; the error is about this host.
func (r Reader) Compare(ctx context.Context) (damaged []error, err error) {
	index, err := r.Index(ctx)
	if err == nil {
		err = r.Each(ctx, index, nil)
	}
	if errors.Is(err, catalog.ErrDamaged) {
		return []error{err}, nil
	}
	return nil, err
}
