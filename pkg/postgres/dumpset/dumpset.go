// Package dumpset knows the files of a database set: what they are called, in
// which order they are read, and how they become a database again.
//
// A Reader reads one published set. Nothing that it reads is trusted before
// Hash has run over the whole set: see pkg/artifact.
package dumpset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// Base names of the artifacts; a suffix says how each is packed. Of data there
// may be several, all beginning with DataPrefix, loaded in the manifest's order.
const (
	GlobalsName    = "00-globals.sql"
	PropertiesName = "05-database.sql"
	PreDataName    = "10-pre-data.dump"
	DataName       = "20-data.dump"
	PostDataName   = "30-post-data.dump"
	RecoverName    = "RECOVER.md"

	DataPrefix = "20-data"
)

// ShareName is the base name of data artifact i of n. The last of them, which has
// large objects and the values of sequences, is DataName, and last by name as well.
func ShareName(i, n int) string {
	if i == n-1 {
		return DataName
	}
	return fmt.Sprintf("%s-%02d.dump", DataPrefix, i+1)
}

// Reader reads one set.
type Reader struct {
	Catalog *catalog.Catalog
	Set     catalog.Set
	Unlock  seal.Unlocker // nil does for a set that is not sealed
	// Choice, if not nil, is what Load takes of the archives.
	Choice *pgdump.Choice
	// Progress, if not nil, gets the bytes of each file as they lie there, during Hash,
	// and plain bytes during Decode and Load.
	Progress func(n int64)
}

// Sealed reports whether a secret key is needed to read anything.
func (r Reader) Sealed() bool { return r.Set.Manifest != nil && r.Set.Manifest.Encryption != nil }

// Hash compares every file of SHA256SUMS with its sum, and the artifacts with
// the manifest. Each damaged file is one *catalog.DamageError; the second result
// is why the set could not be read at all.
func (r Reader) Hash(ctx context.Context) (damaged []error, err error) {
	sums, err := r.Catalog.Sums(ctx, r.Set.Ref)
	if err != nil {
		return classify(err)
	}
	recorded := map[string]catalog.Artifact{}
	for _, a := range r.Set.Manifest.Artifacts {
		if !strings.HasSuffix(a.Name, "/") { // a tree has an index of its own
			recorded[a.Name] = a
		}
	}
	for _, s := range sums {
		a, known := recorded[s.Name]
		if !known { // the manifest itself, RECOVER.md
			a = catalog.Artifact{Name: s.Name, Bytes: -1, SHA256: s.SHA256}
		}
		delete(recorded, s.Name)
		if a.SHA256 != s.SHA256 {
			damaged = append(damaged, r.damage(s.Name, "manifest and "+catalog.SumsName+" disagree"))
			continue
		}
		list, err := classify(artifact.Hash(ctx, r.Catalog, r.Set.Ref, a, r.Progress))
		if err != nil {
			return damaged, err
		}
		damaged = append(damaged, list...)
	}
	for _, a := range r.Set.Manifest.Artifacts {
		if _, left := recorded[a.Name]; left {
			damaged = append(damaged, r.damage(a.Name, "not in "+catalog.SumsName))
		}
	}
	return damaged, nil
}

func (r Reader) damage(name, why string) error { return r.malformed(name, errors.New(why)) }

// Source is what the manifest says of the server and the database. A database
// set without it was not written by this program.
func (r Reader) Source() (*catalog.Source, error) {
	if r.Set.Manifest == nil || r.Set.Manifest.Source == nil {
		return nil, r.damage(catalog.ManifestName, "it does not say what the data was taken from")
	}
	return r.Set.Manifest.Source, nil
}

// open streams the artifact whose name begins with base.
func (r Reader) open(ctx context.Context, base string) (io.ReadCloser, error) {
	for _, a := range r.Set.Manifest.Artifacts {
		if strings.HasPrefix(a.Name, base+".") {
			return artifact.Open(ctx, r.Catalog, r.Set.Ref, a, r.Unlock, nil)
		}
	}
	return nil, &catalog.DamageError{Ref: r.Set.Ref, Artifact: base, Kind: catalog.DamageMissing}
}

// read opens the artifact base, hands it to parse and reads it to its proven end.
func (r Reader) read(ctx context.Context, base string, parse func(io.Reader) error) error {
	plain, err := r.open(ctx, base)
	if err != nil {
		return err
	}
	defer plain.Close()
	parseErr := parse(plain)
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return err // damage explains a parse error, not the other way round
	}
	if parseErr != nil {
		return r.malformed(base, parseErr)
	}
	return nil
}

func (r Reader) malformed(name string, err error) error {
	return &catalog.DamageError{Ref: r.Set.Ref, Artifact: name, Kind: catalog.DamageMalformed, Err: err}
}

// Properties reads the head of 05-database.sql.
func (r Reader) Properties(ctx context.Context) (p pgdump.Properties, err error) {
	err = r.read(ctx, PropertiesName, func(plain io.Reader) (err error) {
		p, err = pgdump.ReadProperties(plain)
		return err
	})
	return p, err
}

// Globals reads the head of 00-globals.sql.
func (r Reader) Globals(ctx context.Context) (g pgdump.Globals, err error) {
	err = r.read(ctx, GlobalsName, func(plain io.Reader) (err error) {
		g, err = pgdump.ReadGlobals(plain)
		return err
	})
	return g, err
}

// Definitions reads the table of contents of the pre-data archive.
func (r Reader) Definitions(ctx context.Context) (toc *pgdump.TOC, err error) {
	err = r.read(ctx, PreDataName, func(plain io.Reader) (err error) {
		toc, err = pgdump.Inspect(plain)
		return err
	})
	return toc, err
}

// Contents reads the tables of contents of definitions and of what comes after
// the data, in this order.
func (r Reader) Contents(ctx context.Context) ([]*pgdump.TOC, error) {
	var tocs []*pgdump.TOC
	for _, base := range []string{PreDataName, PostDataName} {
		err := r.read(ctx, base, func(plain io.Reader) error {
			toc, err := pgdump.Inspect(plain)
			tocs = append(tocs, toc)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return tocs, nil
}

// DataContents reads the tables of contents of the data archives, in the order
// in which they are loaded. They stand at the head: the rest is not read, so
// nothing but Hash proves what they say.
func (r Reader) DataContents(ctx context.Context) ([]*pgdump.TOC, error) {
	var tocs []*pgdump.TOC
	for _, a := range r.Set.Manifest.Artifacts {
		if !strings.HasPrefix(a.Name, DataPrefix) {
			continue
		}
		plain, err := artifact.Open(ctx, r.Catalog, r.Set.Ref, a, r.Unlock, nil)
		if err != nil {
			return nil, err
		}
		toc, err := pgdump.ReadTOC(plain)
		_ = plain.Close() // what comes after the head is not asked for
		if errors.Is(err, pgdump.ErrArchive) {
			err = r.malformed(a.Name, err)
		}
		if err != nil {
			return nil, err
		}
		tocs = append(tocs, toc)
	}
	return tocs, nil
}

// GlobalsSQL hands the whole of 00-globals.sql to parse.
func (r Reader) GlobalsSQL(ctx context.Context, parse func(io.Reader) error) error {
	return r.read(ctx, GlobalsName, parse)
}

// Decode reads every artifact to its end: decrypted, decompressed, hashed, and
// archives walked through block by block. Results as those of Hash.
func (r Reader) Decode(ctx context.Context) (damaged []error, err error) {
	for _, a := range r.Set.Manifest.Artifacts {
		list, err := classify(r.decode(ctx, a))
		if err != nil {
			return damaged, err
		}
		damaged = append(damaged, list...)
	}
	return damaged, nil
}

func (r Reader) decode(ctx context.Context, a catalog.Artifact) error {
	plain, err := artifact.Open(ctx, r.Catalog, r.Set.Ref, a, r.Unlock, r.Progress)
	if err != nil {
		return err
	}
	defer plain.Close()
	var inspectErr error
	if strings.Contains(a.Name, ".dump.") {
		_, inspectErr = pgdump.Inspect(plain)
	}
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return err
	}
	if inspectErr != nil {
		return r.malformed(a.Name, inspectErr)
	}
	return nil
}

// classify keeps damage apart from what merely went wrong.
func classify(err error) (damaged []error, other error) {
	if err == nil {
		return nil, nil
	}
	if errors.Is(err, catalog.ErrDamaged) {
		return []error{err}, nil
	}
	return nil, err
}
