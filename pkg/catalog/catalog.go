package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bmad-forge/forgectl/pkg/store"
)

// Options for New. All may be left empty.
type Options struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Host is written into manifests and checks; empty is the name of this machine.
	Host string
	// Version is the version of forgectl that is written into manifests and checks.
	Version string
	// Logger may be nil.
	Logger *slog.Logger
	// RequireSigned makes a set without a signature not good, for Good and Newest. Whose signature it is they do not say.
	RequireSigned bool
}

// Catalog is the sets in a store. Its methods may be called from several goroutines at once.
type Catalog struct {
	store   store.Store
	now     func() time.Time
	host    string
	version string
	log     *slog.Logger
	signed  bool // is required
}

// New is the catalog of the sets in s, which stays the caller's to close.
func New(s store.Store, o Options) *Catalog {
	c := &Catalog{store: s, now: o.Now, host: o.Host, version: o.Version, log: o.Logger, signed: o.RequireSigned}
	if c.now == nil {
		c.now = time.Now
	}
	if c.host == "" {
		c.host, _ = os.Hostname()
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Probe looks whether the store may be a repository: it is empty or holds a directory of some kind of sets.
// Names that begin with "." and lost+found do not count. Otherwise it returns ErrNotRepository.
func (c *Catalog) Probe(ctx context.Context) error {
	entries, err := c.store.List(ctx, "")
	if err != nil {
		return fmt.Errorf("look for a repository: %w", err)
	}
	foreign := ""
	for _, e := range entries {
		switch {
		case Kind(e.Name).Valid() && e.Dir:
			return nil
		case e.Name[0] != '.' && e.Name != "lost+found":
			foreign = cmp.Or(foreign, e.Name)
		}
	}
	if foreign != "" {
		return fmt.Errorf("%w: it holds %s and no backups", ErrNotRepository, foreign)
	}
	return nil
}

// Groups lists the groups of a kind that have a directory, or of all kinds when kind is "". A group may turn
// out to hold no sets.
func (c *Catalog) Groups(ctx context.Context, kind Kind) ([]Group, error) {
	if kind != "" && !kind.Valid() {
		return nil, fmt.Errorf("list groups: kind %q: %w", string(kind), ErrInvalid)
	}
	top, err := c.store.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	var groups []Group
	for _, k := range Kinds() {
		exists := slices.ContainsFunc(top, func(e store.Entry) bool { return e.Dir && e.Name == string(k) })
		switch {
		case !exists || kind != "" && kind != k:
		case k == KindDatabase:
			databases, err := c.databases(ctx)
			if err != nil {
				return nil, err
			}
			groups = append(groups, databases...)
		default:
			groups = append(groups, Group{Kind: k})
		}
	}
	return groups, nil
}

func (c *Catalog) databases(ctx context.Context) ([]Group, error) {
	entries, err := c.store.List(ctx, string(KindDatabase))
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	var groups []Group
	for _, e := range entries {
		name, err := UnescapeName(e.Name)
		g := Group{Kind: KindDatabase, Database: name}
		if err == nil && e.Dir && g.Validate() == nil {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// listWorkers is how many sets are read at once: enough to hide the delays of a remote store.
const listWorkers = 8

// List lists the sets of a group, oldest first. A set that is damaged or cannot be read is in the list, with
// its Problem.
func (c *Catalog) List(ctx context.Context, g Group) ([]Set, error) {
	ids, err := c.ids(ctx, g)
	if err != nil {
		return nil, err
	}
	sets := make([]Set, len(ids))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(listWorkers, len(ids)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(ids) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if set, ok := c.read(ctx, Ref{g, ids[i]}); ok {
					sets[i] = set
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("list sets of %s: %w", g, err)
	}
	return slices.DeleteFunc(sets, func(s Set) bool { return s.ID == "" }), nil
}

// ids are those that sets of the group have or seem to have, oldest first. Nothing of the sets is read.
func (c *Catalog) ids(ctx context.Context, g Group) ([]ID, error) {
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("list sets: %w", err)
	}
	entries, err := c.store.List(ctx, g.Dir())
	if err != nil {
		return nil, fmt.Errorf("list sets of %s: %w", g, err)
	}
	var ids []ID
	for _, e := range entries { // sorted by name, which is by id
		if id, err := ParseID(e.Name); err == nil && e.Dir {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// backward reads the sets of a group one by one, the newest first, until look has seen enough: whoever wants the newest
// of thousands reads as little as if it were the only one.
func (c *Catalog) backward(ctx context.Context, g Group, look func(Set) (enough bool)) error {
	ids, err := c.ids(ctx, g)
	if err != nil {
		return err
	}
	for _, id := range slices.Backward(ids) {
		set, ok := c.read(ctx, Ref{g, id})
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("list sets of %s: %w", g, err)
		}
		if ok && look(set) {
			break
		}
	}
	return nil
}

// Get reads one set, or returns ErrNotFound. As in a list, a damaged one is returned with its Problem.
func (c *Catalog) Get(ctx context.Context, ref Ref) (Set, error) {
	if err := ref.Validate(); err != nil {
		return Set{}, err
	}
	set, ok := c.read(ctx, ref)
	if err := context.Cause(ctx); err != nil {
		return Set{}, fmt.Errorf("read %s: %w", ref, err)
	}
	if !ok {
		return Set{}, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	return set, nil
}

// Open reads one file of a set; the caller closes it. A file that is not there, or is no regular file, is a
// *DamageError; if the whole set is not there, ErrNotFound.
func (c *Catalog) Open(ctx context.Context, ref Ref, name string) (io.ReadCloser, error) {
	if err := ref.Validate(); err != nil {
		return nil, err
	}
	if err := store.CheckName(name); err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	r, err := c.store.Open(ctx, ref.Dir()+"/"+name)
	switch {
	case errors.Is(err, store.ErrNotExist):
		if err := c.exists(ctx, ref); err != nil {
			return nil, err
		}
		return nil, &DamageError{Ref: ref, Artifact: name, Kind: DamageMissing, Err: err}
	case errors.Is(err, store.ErrNotBlob):
		return nil, &DamageError{Ref: ref, Artifact: name, Kind: DamageIrregular, Err: err}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return r, nil
}

// Location is where the set's directory is to be found: a path, with local true, when the store is one of
// files, otherwise its name in the store.
func (c *Catalog) Location(ref Ref) (location string, local bool) {
	if l, ok := c.store.(store.Locator); ok {
		if path, err := l.Path(ref.Dir()); err == nil {
			return path, true
		}
	}
	return ref.Dir(), false
}

// exists returns ErrNotFound when the set is not there.
func (c *Catalog) exists(ctx context.Context, ref Ref) error {
	_, err := c.store.Stat(ctx, ref.Dir()+"/"+SumsName)
	if errors.Is(err, store.ErrNotExist) {
		return fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", ref, err)
	}
	return nil
}
