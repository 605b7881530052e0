package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/store"
)

// Larger files than these were not written by forgectl. A manifest needs some 130 bytes for each table.
const (
	maxManifest = 64 << 20
	maxSums     = 16 << 20
	maxCheck    = 16 << 20
)

// read reads a set without its artifacts. ok is false when there is none.
func (c *Catalog) read(ctx context.Context, ref Ref) (set Set, ok bool) {
	set, ok = c.readOnce(ctx, ref)
	if ok && errors.Is(set.Problem, fs.ErrNotExist) {
		if err := c.exists(ctx, ref); errors.Is(err, ErrNotFound) {
			set.Problem = err
		}
	}
	if errors.Is(set.Problem, ErrNotFound) {
		return Set{}, false // removed while we read
	}
	return set, ok
}

func (c *Catalog) readOnce(ctx context.Context, ref Ref) (set Set, ok bool) {
	set.Ref = ref
	entries, err := c.store.List(ctx, ref.Dir())
	if err != nil {
		set.Problem = fmt.Errorf("%s: %w", ref, err) // nobody can say that it is none
		return set, true
	}
	files := make(map[string]store.Entry, len(entries))
	for _, e := range entries {
		files[e.Name] = e
		set.Bytes += e.Size
	}
	if _, ok := files[SumsName]; !ok {
		return c.readWithoutSums(set, files)
	}
	sums, hash, err := c.hashedSums(ctx, ref, files[SumsName].Size)
	set.sums = hash
	if err == nil {
		set.Manifest, err = c.readManifest(ctx, ref, sums, files[ManifestName].Size)
	}
	if err == nil {
		err = c.compare(ctx, &set, sums, files)
	}
	if damage := set.compareSignature(files); err == nil {
		err = damage
	}
	set.Problem = err
	if e, ok := files[ChecksDir]; ok {
		err := error(&DamageError{Ref: ref, Artifact: ChecksDir, Kind: DamageMalformed, Err: errors.New("not a directory")})
		if e.Dir {
			set.Checks, err = c.readChecks(ctx, ref)
		}
		if set.Problem == nil {
			set.Problem = err
		}
	}
	return set, true
}

// readWithoutSums decides about a directory that has no SHA256SUMS. Where drafts are renamed it never had its
// name before it had its sums: then a manifest says that it was a set, and that somebody lost a part of it.
func (c *Catalog) readWithoutSums(set Set, files map[string]store.Entry) (Set, bool) {
	_, renames := c.store.(store.Renamer)
	if _, manifest := files[ManifestName]; !renames || !manifest {
		return Set{}, false
	}
	set.Problem = &DamageError{Ref: set.Ref, Artifact: SumsName, Kind: DamageMissing}
	return set, true
}

// readManifest reads manifest.json, for which SHA256SUMS must vouch.
func (c *Catalog) readManifest(ctx context.Context, ref Ref, sums []Sum, size int64) (*Manifest, error) {
	data, err := c.readFile(ctx, ref, ManifestName, size, maxManifest)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(data)
	for _, s := range sums {
		if s.Name == ManifestName && s.SHA256 != hex.EncodeToString(hash[:]) {
			return nil, &DamageError{Ref: ref, Artifact: ManifestName, Kind: DamageChecksum}
		}
	}
	m, err := decodeManifest(data)
	if err == nil {
		err = m.validate(ref)
	}
	if errors.Is(err, ErrNewer) {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	if err != nil {
		return nil, &DamageError{Ref: ref, Artifact: ManifestName, Kind: DamageMalformed, Err: err}
	}
	return m, nil
}

// compare holds the sums, the manifest and the directory against each other.
func (c *Catalog) compare(ctx context.Context, set *Set, sums []Sum, files map[string]store.Entry) error {
	hashes := make(map[string]string, len(sums))
	for _, s := range sums {
		hashes[s.Name] = s.SHA256
	}
	sizes := make(map[string]int64, len(set.Manifest.Artifacts))
	for _, a := range set.Manifest.Artifacts {
		if a.isTree() {
			set.Bytes += a.Bytes
			if e, ok := files[strings.TrimSuffix(a.Name, "/")]; !ok || !e.Dir {
				return &DamageError{Ref: set.Ref, Artifact: a.Name, Kind: DamageMissing}
			}
			continue
		}
		if hashes[a.Name] != a.SHA256 {
			return &DamageError{Ref: set.Ref, Artifact: SumsName, Kind: DamageMalformed,
				Err: fmt.Errorf("it does not agree with %s about %s", ManifestName, a.Name)}
		}
		sizes[a.Name] = a.Bytes
	}
	for _, s := range sums {
		e, err := c.entry(ctx, set.Ref, s.Name, files)
		if err != nil {
			return err
		}
		if e.Dir || e.Irregular {
			return &DamageError{Ref: set.Ref, Artifact: s.Name, Kind: DamageIrregular}
		}
		if size, ok := sizes[s.Name]; ok && size != e.Size {
			return &DamageError{Ref: set.Ref, Artifact: s.Name, Kind: DamageSize,
				Err: fmt.Errorf("%d bytes instead of %d", e.Size, size)}
		}
	}
	return nil
}

// entry finds a file of the set; those in directories, which today's sets do not have, by asking the store.
func (c *Catalog) entry(ctx context.Context, ref Ref, name string, files map[string]store.Entry) (store.Entry, error) {
	if e, ok := files[name]; ok {
		return e, nil
	}
	if strings.Contains(name, "/") {
		e, err := c.store.Stat(ctx, ref.Dir()+"/"+name)
		if !errors.Is(err, store.ErrNotExist) {
			return e, err
		}
	}
	return store.Entry{}, &DamageError{Ref: ref, Artifact: name, Kind: DamageMissing, Err: store.ErrNotExist}
}

// readFile reads a small file of a set whole. size is how large it seems to be; it only saves work.
func (c *Catalog) readFile(ctx context.Context, ref Ref, name string, size, limit int64) ([]byte, error) {
	if err := ref.Validate(); err != nil {
		return nil, err
	}
	r, err := c.store.Open(ctx, ref.Dir()+"/"+name)
	switch {
	case errors.Is(err, store.ErrNotExist):
		return nil, &DamageError{Ref: ref, Artifact: name, Kind: DamageMissing, Err: err}
	case errors.Is(err, store.ErrNotBlob):
		return nil, &DamageError{Ref: ref, Artifact: name, Kind: DamageIrregular, Err: err}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	defer r.Close()
	var b bytes.Buffer
	b.Grow(int(min(max(size, 0), limit)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, fmt.Errorf("%s: read %s: %w", ref, name, err)
	}
	if int64(b.Len()) > limit {
		return nil, &DamageError{Ref: ref, Artifact: name, Kind: DamageMalformed, Err: fmt.Errorf("larger than %d bytes", limit)}
	}
	return b.Bytes(), nil
}
