package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

var fullGroup = catalog.Group{Kind: catalog.KindFull}

// writePart writes a small set of a group.
func writePart(ctx context.Context, c *catalog.Catalog, g catalog.Group, m catalog.Manifest) (catalog.Set, error) {
	d, err := c.Begin(ctx, g)
	if err != nil {
		return catalog.Set{}, err
	}
	if _, err := d.Put(ctx, "data", func(w io.Writer) error { _, err := io.WriteString(w, g.String()); return err }); err != nil {
		return catalog.Set{}, err
	}
	m.Artifacts = []catalog.Artifact{{Name: "data"}}
	return d.Publish(ctx, m)
}

// fullOptions are those of an ordinary run with three small parts.
func fullOptions(c *catalog.Catalog) backup.FullOptions {
	part := func(name string, g catalog.Group, m catalog.Manifest) backup.FullPart {
		return backup.FullPart{Name: name, Backup: func(ctx context.Context) (catalog.Set, error) { return writePart(ctx, c, g, m) }}
	}
	return backup.FullOptions{Catalog: c, Parts: []backup.FullPart{
		part("database", catalog.Group{Kind: catalog.KindDatabase, Database: "forge"}, catalog.Manifest{Source: &catalog.Source{Migration: "forge.0007_tags"}}),
		part("media", catalog.Group{Kind: catalog.KindMedia}, catalog.Manifest{Incomplete: []string{"a.jpg cannot be read"}}),
		part("config", catalog.Group{Kind: catalog.KindConfig}, catalog.Manifest{}),
	}}
}

// Promise: a full set refers to the very sets of its run, in their order and by the hash of their sums, says which
// release was live, what its parts lack, and what was left out; and its RECOVER.md proves all of that with sha256sum.
func TestFull(t *testing.T) {
	c, dir := repository(t)
	o := fullOptions(c)
	o.Without = []string{"no coffee: the machine is empty"}
	o.Release = func() backup.Release {
		return backup.Release{Dir: "/srv/releases/7", Revision: strings.Repeat("ab", 20)}
	}
	var steps []string
	o.Step = func(name string) { steps = append(steps, name) }
	var held []catalog.Group
	o.Hold = func(_ context.Context, groups ...catalog.Group) (func(), error) {
		held = groups
		return func() {}, nil
	}
	r, err := backup.Full(t.Context(), o)
	must(t, err)
	if want := []string{"database written", "media written", "config written", "referred", "published"}; !slices.Equal(steps, want) {
		t.Errorf("steps %q", steps)
	}
	m := r.Set.Manifest
	parts, err := catalog.Parts(t.Context(), r.Set, c.Get)
	must(t, err)
	if whole, why := catalog.Whole(r.Set, parts); !whole || len(parts) != 3 {
		t.Errorf("not whole: %s, %+v", why, parts)
	}
	for i, kind := range []catalog.Kind{catalog.KindDatabase, catalog.KindMedia, catalog.KindConfig} {
		if p := parts[i]; p.Ref.Kind != kind || m.ReferenceSums[p.Ref.String()] != p.Set.SumsSHA256() || held[i] != p.Ref.Group {
			t.Errorf("part %d: %s, held %v", i, p.Ref, held)
		}
	}
	if m.Source.Migration != "forge.0007_tags" || m.Source.ReleaseDir != "/srv/releases/7" || m.Source.GitRevision == "" || m.Source.Database != "forge" {
		t.Errorf("source %+v", m.Source)
	}
	if len(m.Incomplete) != 1 || m.Incomplete[0] != parts[1].Ref.String()+": a.jpg cannot be read" || !slices.Equal(m.Warnings, o.Without) || len(r.Warnings) > 0 {
		t.Errorf("incomplete %q, warnings %q, %q", m.Incomplete, m.Warnings, r.Warnings)
	}

	place := filepath.Join(dir, filepath.FromSlash(r.Set.Dir()))
	text, err := os.ReadFile(filepath.Join(place, "RECOVER.md"))
	must(t, err)
	_, script, _ := strings.Cut(string(text), "```sh\n")
	script, _, _ = strings.Cut(script, "```")
	prove := func() error {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
		cmd.Dir = place
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}
	must(t, prove())
	sums := filepath.Join(dir, "media", string(parts[1].Ref.ID), catalog.SumsName)
	must(t, os.WriteFile(sums, []byte("exchanged\n"), 0o600))
	if prove() == nil {
		t.Error("RECOVER.md does not see an exchanged part")
	}
}

// Promise: when a part fails there is no full set, the other parts are made and stay, and the error says both; when the
// run is told to end, nothing more is begun.
func TestFullFails(t *testing.T) {
	c, dir := repository(t)
	o := fullOptions(c)
	broken := errors.New("the disk is on fire")
	o.Parts[1].Backup = func(context.Context) (catalog.Set, error) { return catalog.Set{}, broken }
	_, err := backup.Full(t.Context(), o)
	var failed *backup.FullError
	if !errors.As(err, &failed) || !slices.Equal(failed.Failed, []string{"media"}) || len(failed.Made) != 2 || !errors.Is(failed.Errs[0], broken) {
		t.Fatalf("%v, %+v", err, failed)
	}
	for _, want := range []string{"because of: media", failed.Made[0].Ref.String(), failed.Made[1].Ref.String()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %s", err, want)
		}
	}
	nothingFull(t, c, dir)

	o = fullOptions(c)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	o.Step = func(name string) {
		if name == "database written" {
			cancel(stopped)
		}
	}
	o.Parts[2].Backup = func(context.Context) (catalog.Set, error) { t.Error("config was begun"); return catalog.Set{}, nil }
	if _, err := backup.Full(ctx, o); !errors.Is(err, stopped) {
		t.Errorf("cancelled: %v", err)
	}
	nothingFull(t, c, dir)
}

// Promise: a part that was removed before it was referred to, and a release that changed meanwhile, do not pass
// unseen.
func TestFullMeanwhile(t *testing.T) {
	c, dir := repository(t)
	o := fullOptions(c)
	o.Hold = func(ctx context.Context, groups ...catalog.Group) (func(), error) {
		sets, err := c.List(ctx, groups[1])
		must(t, err)
		must(t, c.Remove(ctx, sets[0].Ref))
		return func() {}, nil
	}
	if _, err := backup.Full(t.Context(), o); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("a part is gone: %v", err)
	}
	nothingFull(t, c, dir)

	o = fullOptions(c)
	asked := 0
	o.Release = func() backup.Release { asked++; return backup.Release{Dir: fmt.Sprint("/srv/releases/", asked)} }
	r, err := backup.Full(t.Context(), o)
	must(t, err)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "from /srv/releases/1 to /srv/releases/2") || !slices.Equal(r.Set.Manifest.Warnings, r.Warnings) {
		t.Errorf("warnings %q", r.Warnings)
	}
}

func nothingFull(t testing.TB, c *catalog.Catalog, dir string) {
	t.Helper()
	sets, err := c.List(t.Context(), fullGroup)
	must(t, err)
	if len(sets) > 0 {
		t.Errorf("there is %s", sets[0].Ref)
	}
	for _, f := range files(t, dir) {
		if strings.Contains(f, "partial") {
			t.Errorf("left: %s", f)
		}
	}
}

// killFullEnv makes the test binary make a full backup and kill itself at a step.
const killFullEnv = "BACKUP_TEST_KILL_FULL" // <step>|<repository>

func backUpFullAndDie(spec string) {
	step, dir, _ := strings.Cut(spec, "|")
	s, err := local.Open(dir, local.Options{})
	if err != nil {
		panic(err)
	}
	o := fullOptions(catalog.New(s, catalog.Options{}))
	o.Step = proctest.DieAt(step)
	_, err = backup.Full(context.Background(), o)
	fmt.Println("ended", err)
	os.Exit(1)
}

// Promise: a full backup that is killed, at whatever step, leaves a whole full set or none, and every part that it had
// made; the next one removes what is left, and works.
func TestFullKilled(t *testing.T) {
	t.Parallel()
	for n, step := range []string{"database written", "media written", "config written", "referred", "published"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			c, dir := repository(t)
			proctest.Killed(t, killFullEnv+"="+step+"|"+dir)
			made := 0
			for _, g := range []catalog.Group{{Kind: catalog.KindDatabase, Database: "forge"}, {Kind: catalog.KindMedia}, {Kind: catalog.KindConfig}} {
				sets, err := c.List(t.Context(), g)
				must(t, err)
				made += len(sets)
			}
			if want := min(n+1, 3); made != want {
				t.Errorf("%d parts, want %d", made, want)
			}
			sets, err := c.List(t.Context(), fullGroup)
			must(t, err)
			if (step == "published") != (len(sets) == 1) {
				t.Errorf("%d full sets", len(sets))
			}
			for _, s := range sets {
				if good, why := c.Good(t.Context(), s); !good {
					t.Error(why)
				}
			}
			next := catalog.New(storeOf(t, dir), catalog.Options{Now: func() time.Time { return time.Now().Add(time.Minute) }})
			r, err := backup.Full(t.Context(), fullOptions(next))
			must(t, err)
			if left := step == "referred"; left != (len(r.Removed) == 1) {
				t.Errorf("the next run removed %q", r.Removed)
			}
			if good, why := next.Good(t.Context(), r.Set); !good {
				t.Error(why)
			}
		})
	}
}
