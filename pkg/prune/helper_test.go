package prune_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/prune"
	"github.com/bmad-forge/forgectl/pkg/retention"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

const day = 24 * time.Hour

var (
	start = time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	forge = catalog.Group{Kind: catalog.KindDatabase, Database: "bmad_forge"}
	media = catalog.Group{Kind: catalog.KindMedia}
	full  = catalog.Group{Kind: catalog.KindFull}
)

// repository is a catalog whose clock the test sets.
type repository struct {
	*catalog.Catalog
	store store.Store
	now   time.Time
}

func newRepository(s store.Store) *repository {
	r := &repository{store: s, now: start}
	r.Catalog = catalog.New(s, catalog.Options{Now: func() time.Time { return r.now }, Host: "web1", Version: "1.0.0"})
	return r
}

func openLocal(t testing.TB, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(dir, local.Options{})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// write publishes a set now; a set of kind full refers to others.
func (r *repository) write(ctx context.Context, g catalog.Group, references ...string) (catalog.Ref, error) {
	d, err := r.Begin(ctx, g)
	if err != nil {
		return catalog.Ref{}, err
	}
	defer func() { _ = d.Discard(ctx) }()
	m := catalog.Manifest{References: references}
	if g != full {
		b, err := d.Put(ctx, "20-data.dump.zst", text(strings.Repeat("x", 1000)))
		if err != nil {
			return catalog.Ref{}, err
		}
		m.Artifacts = []catalog.Artifact{{Name: b.Name}}
	}
	s, err := d.Publish(ctx, m)
	return s.Ref, err
}

// nights publishes a set each night.
func (r *repository) nights(t testing.TB, g catalog.Group, n int) []catalog.Ref {
	t.Helper()
	var refs []catalog.Ref
	for range n {
		ref, err := r.write(t.Context(), g)
		must(t, err)
		refs = append(refs, ref)
		r.now = r.now.Add(day)
	}
	return refs
}

// check adds what happened to a set: "failed", "passed", "pin", "unpin", "suspect", "accept".
func (r *repository) check(t testing.TB, ref catalog.Ref, what string) {
	t.Helper()
	k := catalog.Check{What: what, Reason: "somebody said so"}
	if what == "failed" || what == "passed" {
		k = catalog.Check{What: catalog.CheckVerify, Level: catalog.LevelDrill, OK: what == "passed"}
	}
	must(t, r.AddCheck(t.Context(), ref, k))
}

// newer makes a set one of a forgectl that does not exist yet.
func (r *repository) newer(t testing.TB, ref catalog.Ref) {
	t.Helper()
	const manifest = `{"schema": 99}` + "\n"
	must(t, r.store.Put(t.Context(), ref.Dir()+"/manifest.json", text(manifest)))
	must(t, r.store.Put(t.Context(), ref.Dir()+"/SHA256SUMS", text(fmt.Sprintf("%x  manifest.json\n", sha256.Sum256([]byte(manifest))))))
}

// options prune everything there is, with locks that nobody else has.
func (r *repository) options(t testing.TB, p retention.Policy, groups ...catalog.Group) prune.Options {
	t.Helper()
	return prune.Options{Catalog: r.Catalog, Policy: p, Groups: groups, Lock: func(string) (func() error, error) { return func() error { return nil }, nil }}
}

// left is the ids in a group, oldest first.
func (r *repository) left(t testing.TB, g catalog.Group) []string {
	t.Helper()
	sets, err := r.List(t.Context(), g)
	must(t, err)
	var ids []string
	for _, s := range sets {
		ids = append(ids, string(s.ID))
	}
	return ids
}

func decided(t testing.TB, o prune.Options) prune.Plan {
	t.Helper()
	plan, err := prune.Decide(t.Context(), o)
	must(t, err)
	return plan
}

// removal is the sets that a plan removes, oldest first.
func removal(p prune.Plan) []string {
	var names []string
	for _, s := range slices.Backward(p.Remove()) {
		names = append(names, s.Ref.String())
	}
	return names
}

func names(refs ...catalog.Ref) []string {
	var list []string
	for _, r := range refs {
		list = append(list, r.String())
	}
	return list
}

func refs(sets []catalog.Set) []string {
	var list []string
	for _, s := range sets {
		list = append(list, s.Ref.String())
	}
	return list
}

// in makes a lock of the repository in a directory, as the program does.
func in(dir string) func(name string) (func() error, error) {
	return func(name string) (func() error, error) {
		l, err := lock.Acquire(dir+"/"+name, lock.Holder{Operation: "backup prune"})
		if err != nil {
			return nil, err
		}
		return l.Release, nil
	}
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
