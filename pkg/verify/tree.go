package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
)

var (
	// ErrNoDrill means that a drill was asked for of what is no database.
	ErrNoDrill = errors.New("a drill restores a database; checksum is all there is to prove of files")
	// ErrNoSample means that a share was asked for of what is no tree.
	ErrNoSample = errors.New("only the files of a media set can be sampled")
)

// Bounds of what is remembered of a tree in which a great deal is damaged.
const (
	maxNamed   = 20     // damaged paths that a verdict names
	maxDamaged = 10_000 // that a check lists, and that are looked for in other sets
)

// media examines a media set.
func (o Options) media(ctx context.Context, v *Verdict) error {
	switch {
	case o.Level == catalog.LevelDrill:
		return fmt.Errorf("%s: %w", v.Set.Ref, ErrNoDrill)
	case o.Sample < 0 || o.Sample >= 1:
		return fmt.Errorf("sample %v is no share of the files", o.Sample)
	}
	whole, err := o.sums(ctx, v, dumpset.Reader{Catalog: o.Catalog, Set: v.Set})
	if err != nil || !whole {
		return err
	}
	return o.tree(ctx, v)
}

// tree holds the files of a media set against their index.
func (o Options) tree(ctx context.Context, v *Verdict) error {
	stored := media.Stored{Catalog: o.Catalog, Set: v.Set}
	dir, err := stored.Tree()
	if err != nil {
		return err
	}
	sets, err := o.Catalog.List(ctx, v.Set.Group)
	if err != nil {
		return err
	}
	v.coverage = catalog.HashedBy(sets)
	var chosen [catalog.TreeParts]bool
	if o.Sample > 0 {
		chosen = longestUnread(v.coverage, o.Sample)
		v.Level = catalog.LevelSample
	}
	var found []media.Difference
	owners := ownersOf(filepath.Dir(dir))
	started := o.Now()
	err = o.stage(v, "hash", func() error {
		meter := o.meter("hash", o.share(v.Set.Bytes))
		var mu sync.Mutex
		done, err := media.Comparison{
			Dir: dir, Index: stored.Index(ctx), Unlinked: true, Owners: owners.compared, Unowned: owners.writer,
			Privileged: owners.compared, Unmarked: owners.unmarked,
			Contents: func(path string) bool { return o.Sample == 0 || chosen[partOf(path)] },
			Progress: func(n int64) {
				mu.Lock()
				defer mu.Unlock()
				meter(n)
			},
			Found: func(d media.Difference) {
				if len(found) < maxDamaged {
					found = append(found, d)
					return
				}
				v.DamagedMore++
			},
		}.Run(ctx)
		v.Hashed, v.HashedBytes = done.Hashed, done.HashedBytes
		v.Owners = owners.say(done.Unowned)
		return stored.Classify(err)
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		if _, statErr := os.Stat(filepath.Dir(dir)); statErr == nil { // else the set has just been removed
			err = &catalog.DamageError{Ref: v.Set.Ref, Artifact: media.TreeName, Kind: catalog.DamageMissing}
		}
	}
	if errors.Is(err, catalog.ErrDamaged) {
		v.Damage, v.Level = append(v.Damage, err), o.Level
		return nil
	}
	if err != nil {
		return err
	}
	o.Step("compared")
	for part := range v.coverage {
		if o.Sample == 0 || chosen[part] {
			v.coverage[part] = started.UTC()
		}
	}
	if len(found) == 0 {
		return nil
	}
	v.Level = o.Level // only a whole verify makes it good again
	slices.SortFunc(found, func(a, b media.Difference) int { return media.Compare(a.Path, b.Path) })
	for i, d := range found {
		v.Damaged = append(v.Damaged, d.Path)
		if i < maxNamed {
			v.Damage = append(v.Damage, stored.Damage(d))
		}
	}
	if more := int64(len(found)) - maxNamed + v.DamagedMore; more > 0 {
		v.Damage = append(v.Damage, &catalog.DamageError{Ref: v.Set.Ref, Artifact: media.TreeName, Kind: catalog.DamageMalformed,
			Err: fmt.Errorf("%d more of its paths are damaged", more)})
	}
	return o.spread(ctx, v, found, sets)
}

// owners are how the owners of a tree are judged. Only root can give files away, and so only root can tell: whoever else
// made the tree, or copied the repository, has all of its files.
type owners struct {
	compared bool
	set      uint32 // whom the set belongs to
}

func ownersOf(dir string) owners {
	var st syscall.Stat_t
	if os.Geteuid() != 0 || syscall.Stat(dir, &st) != nil {
		return owners{}
	}
	return owners{compared: true, set: st.Uid}
}

// writer accepts files of whoever wrote the tree and was not root.
func (o owners) writer(uid uint32) bool { return uid == o.set && uid != 0 }

// unmarked accepts that a file lacks what its tree could not be given, or what only root could give it in a set that may be
// somebody else's.
func (o owners) unmarked(e *media.Entry, name string) bool {
	return slices.Contains(e.Unkept, name) || o.set != 0 && media.PrivilegedXattr(name)
}

// say tells what was not compared; "" when everything was.
func (o owners) say(accepted int64) string {
	switch {
	case !o.compared:
		return "owners were not compared, which takes root"
	case accepted > 0:
		return fmt.Sprintf("%d paths have the owner of the set and not that of the index: whoever wrote it was not root", accepted)
	}
	return ""
}

// share is how many bytes are read, about.
func (o Options) share(bytes int64) int64 {
	if o.Sample > 0 {
		return int64(float64(bytes) * o.Sample)
	}
	return bytes
}

// spread looks for damaged files in the sets that share them, and records it beside each.
func (o Options) spread(ctx context.Context, v *Verdict, found []media.Difference, sets []catalog.Set) error {
	var trees []media.Stored
	for _, s := range sets {
		if s.Ref != v.Set.Ref && s.Manifest != nil {
			trees = append(trees, media.Stored{Catalog: o.Catalog, Set: s})
		}
	}
	names, err := media.FindShared(ctx, found, trees)
	if err != nil {
		return err
	}
	for i, paths := range names {
		if len(paths) == 0 {
			continue
		}
		set := trees[i].Set
		check := catalog.Check{Time: o.Now().UTC(), What: catalog.CheckVerify, Level: catalog.LevelChecksum}
		for n, p := range paths {
			check.Damaged = append(check.Damaged, catalog.TreePath(p))
			if n < maxNamed {
				check.Problems = append(check.Problems, fmt.Sprintf("%s: %s%s is damaged: it is the same file as in %s", set.Ref, media.TreeName, media.Quote(p), v.Set.Ref))
			}
		}
		check.DamagedMore = v.DamagedMore
		v.Shared = append(v.Shared, set.Ref)
		if v.refused() {
			continue
		}
		if err := o.Catalog.AddCheck(context.WithoutCancel(ctx), set.Ref, check); err != nil && !errors.Is(err, catalog.ErrNotFound) {
			v.Warnings = append(v.Warnings, fmt.Sprintf("%s shares damaged files, which could not be recorded beside it: %v", set.Ref, err))
		}
	}
	if len(v.Shared) > 0 {
		slices.SortFunc(v.Shared, func(a, b catalog.Ref) int { return cmp.Compare(a.ID, b.ID) })
		list := make([]string, len(v.Shared))
		for i, r := range v.Shared {
			list[i] = r.String()
		}
		v.Warnings = append(v.Warnings, "the damaged files are also those of "+strings.Join(list, ", ")+": none of them is good any more, and the next backup copies these files anew")
	}
	return nil
}

// recordTree adds what only a check of a tree has.
func (v Verdict) recordTree(check *catalog.Check) {
	for _, p := range v.Damaged {
		check.Damaged = append(check.Damaged, catalog.TreePath(p))
	}
	check.DamagedMore = v.DamagedMore
	if v.coverage != nil {
		check.Coverage = v.coverage.Coverage()
	}
}
