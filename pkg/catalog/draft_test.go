package catalog_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fullManifest has every field of the format.
func fullManifest() catalog.Manifest {
	return catalog.Manifest{
		Started: start, Finished: start.Add(90 * time.Second),
		Source: &catalog.Source{
			Database: "bmad_forge", ServerVersion: "15.18 (Debian 15.18-0+deb12u1)", ServerVersionNum: 150018, SystemIdentifier: "7300000000000000001",
			Encoding: "UTF8", LocaleProvider: "libc", Collate: "C.UTF-8", CType: "C.UTF-8", Bytes: 104857600, Standby: true,
			ReleaseDir: "/var/www/bmad-forge/releases/20261101120000", GitRevision: "0123456789abcdef", Migration: "forge.0007_auto",
		},
		Tools: map[string]string{"pg_dump": "15.18"},
		Artifacts: []catalog.Artifact{
			{Name: "20-data.dump.zst.gpg", RawBytes: 11, RawSHA256: strings.Repeat("ab", 32)},
			{Name: "tree/", Bytes: 12345},
		},
		Encryption: &catalog.Encryption{Format: "openpgp", Recipients: []catalog.Recipient{{Fingerprint: "0123456789ABCDEF0123456789ABCDEF01234567", UserID: "Backup <backup@example.org>"}}},
		Fingerprint: &catalog.Fingerprint{
			Level: catalog.FingerprintFull, Snapshot: "00000003-0000001B-1",
			Tables:       []catalog.Table{{Schema: "public", Name: "forge_project", Rows: 12, Hash: "0011223344556677", Condition: "WHERE id > 9"}, {Schema: "public", Name: "empty"}},
			Sequences:    []catalog.Sequence{{Schema: "public", Name: "forge_project_id_seq", Value: 12, Called: true}},
			LargeObjects: &catalog.LargeObjects{Count: 2, Bytes: 4096},
		},
		Readback:   catalog.ReadbackDecode,
		Incomplete: []string{"table secret.keys: permission denied"},
		Warnings:   []string{"a note <&> of pg_dump"},
		References: []string{"bmad_forge/20261123T020000Z", "media/20261123T020001Z"},
	}
}

// The format is frozen: a set looks, byte for byte, as it did in the first release, and every field of it
// comes back.
func TestFormat(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		d, err := c.Begin(t.Context(), forge)
		must(t, err)
		_, err = d.Put(t.Context(), "20-data.dump.zst.gpg", text("sealed bytes"))
		must(t, err)
		_, err = d.Put(t.Context(), "RECOVER.md", text("# how\n"))
		must(t, err)
		must(t, s.Put(t.Context(), d.Dir()+"/tree/a/b", text("a file in a tree")))
		want := fullManifest()
		set, err := d.Publish(t.Context(), want)
		must(t, err)
		must(t, c.AddCheck(t.Context(), set.Ref, catalog.Check{
			Time: start.Add(time.Hour + 1500*time.Microsecond), Host: "drill.example", What: catalog.CheckVerify, Level: catalog.LevelDrill, OK: true,
			Problems: []string{"none <really>"}, Reason: "monthly", Stages: []catalog.Stage{{Name: "load", Seconds: 1.25}}, Tools: map[string]string{"pg_restore": "15.18"},
		}))
		for _, name := range []string{catalog.ManifestName, catalog.SumsName, "checks/20261123T030000.001500Z-drill.example-verify.json"} {
			golden(t, filepath.Join("testdata", "set", filepath.Base(name)), read(t, c, set.Ref, name))
		}

		set, err = c.Get(t.Context(), set.Ref)
		must(t, err)
		want.Schema, want.ID, want.Kind, want.Database, want.Host, want.Forgectl = 1, set.ID, set.Kind, set.Database, "web1", "1.0.0"
		want.Artifacts[0].Bytes, want.Artifacts[0].SHA256 = 12, set.Manifest.Artifacts[0].SHA256
		if diff := cmp.Diff(&want, set.Manifest); diff != "" {
			t.Error(diff)
		}
		if ok, why := set.Good(); !ok {
			t.Error(why)
		}
		if k := set.LastCheck(catalog.LevelDrill); k == nil || k.Stages[0].Seconds != 1.25 || k.Reason != "monthly" {
			t.Errorf("%+v", k)
		}
	})
}

// SHA256SUMS is what the stock tool reads, and it covers every file but itself.
func TestSumsWithStockTool(t *testing.T) {
	s := openLocal(t, t.TempDir())
	c := newCatalog(s)
	set := mustWrite(t, c, forge)
	path, _ := c.Location(set.Ref)
	cmd := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	cmd.Dir = path
	out, err := cmd.CombinedOutput()
	if want := "10-pre-data.dump.zst: OK\n20-data.dump.zst: OK\nRECOVER.md: OK\nmanifest.json: OK\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
	sums, err := c.Sums(t.Context(), set.Ref)
	if err != nil || len(sums) != 4 || sums[3].Name != catalog.ManifestName {
		t.Errorf("%v, %v", sums, err)
	}
}

// Until Publish there is no set; files can be read back meanwhile; Discard leaves nothing.
func TestDraft(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		d, err := c.Begin(t.Context(), forge)
		must(t, err)
		b, err := d.Put(t.Context(), "20-data.dump", text("rows"))
		must(t, err)
		if want := (catalog.Blob{Name: "20-data.dump", Bytes: 4, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("rows")))}); b != want {
			t.Errorf("%+v, want %+v", b, want)
		}
		r, err := d.Open(t.Context(), "20-data.dump")
		must(t, err)
		data, err := io.ReadAll(r)
		must(t, err)
		must(t, r.Close())
		if string(data) != "rows" {
			t.Errorf("read back %q", data)
		}
		if _, err := d.Open(t.Context(), "other"); !errors.Is(err, store.ErrNotExist) {
			t.Errorf("read back what was not put: %v", err)
		}
		if sets := listSets(t, c, forge); len(sets) != 0 {
			t.Errorf("a draft is listed: %v", sets)
		}
		must(t, d.Discard(t.Context()))
		must(t, d.Discard(t.Context()))
		if left := names(t, s, ""); len(left) != 0 {
			t.Errorf("Discard left %v", left)
		}
	})
}

// Discard works when the run was cancelled, and not at all after Publish.
func TestDiscard(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		ctx, cancel := context.WithCancel(t.Context())
		d, err := c.Begin(ctx, forge)
		must(t, err)
		_, err = d.Put(ctx, "x", text("x"))
		must(t, err)
		cancel()
		if _, err := d.Publish(ctx, catalog.Manifest{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Publish after the end: %v", err)
		}
		must(t, d.Discard(ctx))
		if left := names(t, s, ""); len(left) != 0 {
			t.Errorf("left %v", left)
		}
		d, err = c.Begin(t.Context(), forge)
		must(t, err)
		_, err = d.Publish(t.Context(), catalog.Manifest{})
		must(t, err)
		must(t, d.Discard(t.Context()))
		if _, err := d.Put(t.Context(), "late", text("")); err == nil {
			t.Error("a file was put into a published set")
		}
		if sets := listSets(t, c, forge); len(sets) != 1 {
			t.Errorf("%v", sets)
		}
	})
}

// Files are put once, under names that are safe anywhere; one that failed can be put again.
func TestPutNames(t *testing.T) {
	c := newCatalog(&storetest.Memory{})
	d, err := c.Begin(t.Context(), forge)
	must(t, err)
	for _, name := range []string{"", ".", "..", "a/b", ".hidden", "-x", "a b", "a\nb", `a\b`, "ä", "manifest.json", "SHA256SUMS", "checks", strings.Repeat("x", 201)} {
		if _, err := d.Put(t.Context(), name, text("")); !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("Put %q: %v", name, err)
		}
	}
	cause := errors.New("pg_dump failed")
	if _, err := d.Put(t.Context(), "x", func(io.Writer) error { return cause }); !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	_, err = d.Put(t.Context(), "x", text("x"))
	must(t, err)
	if _, err := d.Put(t.Context(), "x", text("y")); !errors.Is(err, store.ErrExist) {
		t.Errorf("second Put: %v", err)
	}
}

// Parallel Puts are all in the set.
func TestParallelPuts(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		d, err := newCatalog(s).Begin(t.Context(), forge)
		must(t, err)
		var wg sync.WaitGroup
		var m catalog.Manifest
		for i := range 8 {
			name := fmt.Sprintf("20-data-%d", i)
			m.Artifacts = append(m.Artifacts, catalog.Artifact{Name: name})
			wg.Go(func() {
				if _, err := d.Put(t.Context(), name, text(name)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		set, err := d.Publish(t.Context(), m)
		must(t, err)
		if len(set.Manifest.Artifacts) != 8 || set.Manifest.Artifacts[7].SHA256 == "" {
			t.Errorf("%+v", set.Manifest.Artifacts)
		}
	})
}

// A manifest that does not tell the truth about the draft is refused.
func TestPublishRefuses(t *testing.T) {
	hash := strings.Repeat("0", 64)
	for name, m := range map[string]catalog.Manifest{
		"was not put":      {Artifacts: []catalog.Artifact{{Name: "absent"}}},
		"the manifest say": {Artifacts: []catalog.Artifact{{Name: "x", Bytes: 1, SHA256: hash}}},
		"occurs twice":     {Artifacts: []catalog.Artifact{{Name: "x"}, {Name: "x"}}},
		"has vanished":     {Artifacts: []catalog.Artifact{{Name: "tree/"}}},
		"malformed hash":   {Artifacts: []catalog.Artifact{{Name: "x", RawSHA256: "AB"}}},
		"negative size":    {Artifacts: []catalog.Artifact{{Name: "tree/", Bytes: -1}}},
		"does not belong":  {Artifacts: []catalog.Artifact{{Name: "../tree/"}}},
		"reference":        {References: []string{"somewhere"}},
		"nobody put":       {},
	} {
		s := openLocal(t, t.TempDir())
		c := newCatalog(s)
		d, err := c.Begin(t.Context(), forge)
		must(t, err)
		_, err = d.Put(t.Context(), "x", text("x"))
		must(t, err)
		if name == "nobody put" {
			must(t, s.Put(t.Context(), d.Dir()+"/stray", text("")))
		}
		if _, err := d.Publish(t.Context(), m); err == nil || !strings.Contains(err.Error(), name) || !strings.HasPrefix(err.Error(), "publish bmad_forge/") {
			t.Errorf("%s: %v", name, err)
		}
		if sets := listSets(t, c, forge); len(sets) != 0 {
			t.Errorf("%s: %v", name, sets)
		}
	}
}

// A second run in the same second waits for the next one.
func TestSameSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := catalog.New(&storetest.Memory{}, catalog.Options{})
		first, second := mustWrite(t, c, forge), mustWrite(t, c, forge)
		if got := second.ID.Time().Sub(first.ID.Time()); got != time.Second || len(second.Manifest.Warnings) != 0 {
			t.Errorf("%s later, %v", got, second.Manifest.Warnings)
		}
		if second.Manifest.Started.Before(second.ID.Time()) {
			t.Errorf("%s started at %s", second.ID, second.Manifest.Started)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.Begin(ctx, forge); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting ended with %v", err)
		}
	})
}

// A clock that went back is a warning, and order stays by id. Leftovers of dead runs are no obstacle.
func TestClockWentBack(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		now := start
		c := catalog.New(s, catalog.Options{Now: func() time.Time { return now }})
		mustWrite(t, c, forge)
		now = start.Add(-time.Hour)
		set := mustWrite(t, c, forge)
		if set.ID != "20261123T020001Z" || len(set.Manifest.Warnings) != 1 || !strings.Contains(set.Manifest.Warnings[0], "clock went back") {
			t.Errorf("%s, %v", set, set.Manifest.Warnings)
		}
		must(t, s.Put(t.Context(), forge.Dir()+"/.partial-20261123T020002Z/x", text("")))
		if set := mustWrite(t, c, forge); set.ID != "20261123T020003Z" {
			t.Errorf("%s", set)
		}
		now = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)
		if _, err := c.Begin(t.Context(), forge); !errors.Is(err, catalog.ErrInvalid) {
			t.Errorf("a year of five digits: %v", err)
		}
	})
}

// Whichever call of the store fails, the error comes out, there is no set, and Discard leaves nothing.
func TestEveryFailure(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		for _, late := range []bool{false, true} {
			failed := 0
			for n := int64(1); ; n++ {
				counter := &countingStore{Store: s}
				fail := func(i int64) error {
					if i == n {
						failed++
						return errLuck
					}
					return nil
				}
				if late { // the call was carried out, and its answer got lost
					counter.after = fail
				} else {
					counter.before = fail
				}
				set, err := writeSet(t.Context(), newCatalog(around(counter)), forge)
				if counter.calls.Load() < n {
					must(t, err)
					break
				}
				sets := listSets(t, newCatalog(s), forge)
				switch {
				case err == nil || strings.Contains(err.Error(), "published"):
					// Only what comes after the last step may fail without taking the set away.
					if len(sets) != 1 || sets[0].Problem != nil {
						t.Errorf("call %d: %v, but listed %v", n, err, sets)
					}
				case !errors.Is(err, errLuck) || set.ID != "":
					t.Errorf("call %d: %v, %v", n, set, err)
				case late && len(sets) == 1 && sets[0].Problem == nil:
					// A rename whose answer got lost. It says it failed; the set is whole all the same.
				case len(sets) != 0:
					t.Errorf("call %d failed, but listed %v", n, sets)
				default:
					// Without a chance to clean up (the failing call was Begin's mark), Sweep does it.
					_, err := newCatalog(s).Sweep(t.Context(), forge)
					must(t, err)
					if left := names(t, s, ""); len(left) != 0 {
						t.Errorf("call %d left %v", n, left)
					}
				}
				must(t, s.Delete(t.Context(), "database"))
			}
			if failed < 8 {
				t.Errorf("only %d calls failed", failed)
			}
			must(t, s.Delete(t.Context(), "database"))
		}
	})
}

func read(t *testing.T, c *catalog.Catalog, ref catalog.Ref, name string) string {
	t.Helper()
	r, err := c.Open(t.Context(), ref, name)
	must(t, err)
	defer r.Close()
	data, err := io.ReadAll(r)
	must(t, err)
	return string(data)
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s:\n%s", path, diff)
	}
}
