package catalog_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/store"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// Each kind of damage that can be seen without reading the artifacts is named with its place, and hides
// neither the set nor the others.
func TestDamage(t *testing.T) {
	const data = "20-data.dump.zst"
	for name, c := range map[string]struct {
		do             func(dir string) error
		artifact, kind string
		message        string
		manifest       bool // is still there
	}{
		"artifact gone": {
			do:       func(dir string) error { return os.Remove(filepath.Join(dir, data)) },
			artifact: data, kind: catalog.DamageMissing, message: "20-data.dump.zst is missing", manifest: true,
		},
		"other file gone": {
			do:       func(dir string) error { return os.Remove(filepath.Join(dir, "RECOVER.md")) },
			artifact: "RECOVER.md", kind: catalog.DamageMissing, manifest: true,
		},
		"artifact cut": {
			do:       func(dir string) error { return os.Truncate(filepath.Join(dir, data), 3) },
			artifact: data, kind: catalog.DamageSize, message: "size mismatch in 20-data.dump.zst", manifest: true,
		},
		"artifact grown": {
			do:       func(dir string) error { return os.Truncate(filepath.Join(dir, data), 1000) },
			artifact: data, kind: catalog.DamageSize, manifest: true,
		},
		"artifact is a link": {
			do: func(dir string) error {
				return errors.Join(os.Rename(filepath.Join(dir, data), filepath.Join(dir, "x")), os.Symlink("x", filepath.Join(dir, data)))
			},
			artifact: data, kind: catalog.DamageIrregular, message: "20-data.dump.zst is not a regular file", manifest: true,
		},
		"artifact is a directory": {
			do: func(dir string) error {
				return errors.Join(os.Remove(filepath.Join(dir, data)), os.Mkdir(filepath.Join(dir, data), 0o700))
			},
			artifact: data, kind: catalog.DamageIrregular, manifest: true,
		},
		"manifest gone": {
			do:       func(dir string) error { return os.Remove(filepath.Join(dir, "manifest.json")) },
			artifact: "manifest.json", kind: catalog.DamageMissing,
		},
		"manifest is a pipe": {
			do: func(dir string) error {
				return errors.Join(os.Remove(filepath.Join(dir, "manifest.json")), syscall.Mkfifo(filepath.Join(dir, "manifest.json"), 0o600))
			},
			artifact: "manifest.json", kind: catalog.DamageIrregular,
		},
		"manifest changed": {
			do:       func(dir string) error { return replace(dir, "manifest.json", `"web1"`, `"web2"`) },
			artifact: "manifest.json", kind: catalog.DamageChecksum, message: "checksum mismatch in manifest.json",
		},
		"manifest of another set": {
			do:       func(dir string) error { return rewrite(dir, `"id": "2026`, `"id": "2025`) },
			artifact: "manifest.json", kind: catalog.DamageMalformed,
		},
		"manifest of another database": {
			do:       func(dir string) error { return rewrite(dir, `"bmad_forge"`, `"other"`) },
			artifact: "manifest.json", kind: catalog.DamageMalformed,
		},
		"manifest of another kind": {
			do:       func(dir string) error { return rewrite(dir, `"kind": "database"`, `"kind": "media"`) },
			artifact: "manifest.json", kind: catalog.DamageMalformed,
		},
		"manifest without schema": {
			do:       func(dir string) error { return rewrite(dir, `"schema": 1`, `"schema": 0`) },
			artifact: "manifest.json", kind: catalog.DamageMalformed,
		},
		"manifest not JSON": {
			do:       func(dir string) error { return rewrite(dir, "{", "[") },
			artifact: "manifest.json", kind: catalog.DamageMalformed,
		},
		"manifest and sums disagree": {
			do:       func(dir string) error { return rewrite(dir, `"name": "20-data.dump.zst"`, `"name": "RECOVER.md"`) },
			artifact: "SHA256SUMS", kind: catalog.DamageMalformed, manifest: true,
		},
		"artifact outside the set": {
			do: func(dir string) error {
				return rewrite(dir, `"name": "20-data.dump.zst"`, `"name": "../../../../etc/passwd"`)
			},
			artifact: "manifest.json", kind: catalog.DamageMalformed,
		},
		"sums without manifest": {
			do:       func(dir string) error { return replace(dir, "SHA256SUMS", "manifest.json", "manifest.jsom") },
			artifact: "SHA256SUMS", kind: catalog.DamageMalformed,
		},
		"sums empty": {
			do:       func(dir string) error { return os.Truncate(filepath.Join(dir, "SHA256SUMS"), 0) },
			artifact: "SHA256SUMS", kind: catalog.DamageMalformed,
		},
		"sums are a directory": {
			do: func(dir string) error {
				return errors.Join(os.Remove(filepath.Join(dir, "SHA256SUMS")), os.Mkdir(filepath.Join(dir, "SHA256SUMS"), 0o700))
			},
			artifact: "SHA256SUMS", kind: catalog.DamageIrregular,
		},
		"check not JSON": {
			do: func(dir string) error {
				return os.WriteFile(filepath.Join(dir, "checks", "x.json"), []byte("{}"), 0o600)
			},
			artifact: "checks/x.json", kind: catalog.DamageMalformed, manifest: true,
		},
		"check changed": {
			do:       func(dir string) error { return replace(dir, checkFile, `"ok": true`, `"ok": null`) },
			artifact: checkFile, kind: catalog.DamageChecksum, manifest: true,
		},
		"check renamed": {
			do: func(dir string) error {
				return os.Rename(filepath.Join(dir, checkFile), filepath.Join(dir, "checks", "20991123T020002.000000Z-web1-verify.json"))
			},
			artifact: "checks/20991123T020002.000000Z-web1-verify.json", kind: catalog.DamageMalformed, manifest: true,
		},
		"checks are a file": {
			do: func(dir string) error {
				return errors.Join(os.RemoveAll(filepath.Join(dir, "checks")), os.WriteFile(filepath.Join(dir, "checks"), nil, 0o600))
			},
			artifact: "checks", kind: catalog.DamageMalformed, manifest: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cat := newCatalog(openLocal(t, t.TempDir()))
			before, set, after := mustWrite(t, cat, forge), mustWrite(t, cat, forge), mustWrite(t, cat, forge)
			must(t, cat.AddCheck(t.Context(), set.Ref, verified))
			path, _ := cat.Location(set.Ref)
			must(t, c.do(path))

			sets := listSets(t, cat, forge)
			if len(sets) != 3 || sets[0].Ref != before.Ref || sets[1].Ref != set.Ref || sets[2].Ref != after.Ref {
				t.Fatalf("listed %v", sets)
			}
			for _, i := range []int{0, 2} {
				if ok, why := sets[i].Good(); !ok {
					t.Errorf("its neighbour: %s", why)
				}
			}
			var d *catalog.DamageError
			if !errors.As(sets[1].Problem, &d) || !errors.Is(sets[1].Problem, catalog.ErrDamaged) || d.Ref != set.Ref || d.Artifact != c.artifact || d.Kind != c.kind {
				t.Fatalf("problem: %v", sets[1].Problem)
			}
			ok, why := sets[1].Good()
			if ok || strings.Contains(why, string(set.ID)) || d.Error() != set.String()+": "+why || c.message != "" && why != c.message {
				t.Errorf("good %v, %q, %q", ok, why, d)
			}
			if (sets[1].Manifest != nil) != c.manifest {
				t.Errorf("manifest %v", sets[1].Manifest)
			}
		})
	}
}

var verified = catalog.Check{Time: start.Add(2 * 3600e9), What: catalog.CheckVerify, Level: catalog.LevelDecode, OK: true}

const checkFile = "checks/20261123T040000.000000Z-web1-verify.json"

// replace changes a file of a set.
func replace(dir, name, from, to string) error {
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(data, []byte(from)) {
		return fmt.Errorf("%s does not hold %q", name, from)
	}
	return os.WriteFile(path, bytes.ReplaceAll(data, []byte(from), []byte(to)), 0o600)
}

// rewrite changes the manifest and makes SHA256SUMS agree.
func rewrite(dir, from, to string) error {
	path := filepath.Join(dir, "manifest.json")
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := replace(dir, "manifest.json", from, to); err != nil {
		return err
	}
	now, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return replace(dir, "SHA256SUMS", fmt.Sprintf("%x", sha256.Sum256(old)), fmt.Sprintf("%x", sha256.Sum256(now)))
}

// No byte of the files that describe a set can change, and no end can be missing, without being noticed.
func TestEveryByte(t *testing.T) {
	dir := t.TempDir()
	c := newCatalog(openLocal(t, dir))
	set := mustWrite(t, c, forge)
	must(t, c.AddCheck(t.Context(), set.Ref, verified))
	path, _ := c.Location(set.Ref)
	for _, name := range []string{"SHA256SUMS", "manifest.json", checkFile} {
		file := filepath.Join(path, name)
		whole, err := os.ReadFile(file)
		must(t, err)
		// The hash of a file that is no artifact stands in no other place: only reading that file shows it.
		only := bytes.Index(whole, []byte("  RECOVER.md\n"))
		for i := range whole {
			flipped := bytes.Clone(whole)
			flipped[i] ^= 1 << (i % 8)
			for what, data := range map[string][]byte{"flipped": flipped, "cut": whole[:i]} {
				if what == "flipped" && only-64 <= i && i < only {
					continue
				}
				must(t, os.WriteFile(file, data, 0o600))
				got, err := c.Get(t.Context(), set.Ref)
				must(t, err)
				if ok, _ := got.Good(); ok || !errors.Is(got.Problem, catalog.ErrDamaged) && !errors.Is(got.Problem, catalog.ErrNewer) {
					t.Errorf("%s %s at %d: %v", name, what, i, got.Problem)
				}
			}
		}
		must(t, os.WriteFile(file, whole, 0o600))
	}
	got, err := c.Get(t.Context(), set.Ref)
	must(t, err)
	if ok, why := got.Good(); !ok {
		t.Errorf("the test did not put things back: %s", why)
	}
}

// A file that is far too large is damage, whichever it is, and nobody reads it to its end.
func TestHuge(t *testing.T) {
	const huge = 1 << 40 // holes
	c := newCatalog(openLocal(t, t.TempDir()))
	set := mustWrite(t, c, forge)
	must(t, c.AddCheck(t.Context(), set.Ref, verified))
	path, _ := c.Location(set.Ref)
	for _, name := range []string{"SHA256SUMS", "manifest.json", checkFile, "20-data.dump.zst"} {
		file := filepath.Join(path, name)
		whole, err := os.ReadFile(file)
		must(t, err)
		must(t, os.Truncate(file, huge))
		got := listSets(t, c, forge)[0]
		var d *catalog.DamageError
		if !errors.As(got.Problem, &d) || d.Artifact != name {
			t.Errorf("%s: %v", name, got.Problem)
		}
		must(t, os.WriteFile(file, whole, 0o600))
	}
}

// What a newer forgectl made is said to be so, not called damaged; fields that are unknown are no obstacle.
func TestNewer(t *testing.T) {
	for change, want := range map[string]error{
		`"schema": 2`:                  catalog.ErrNewer,
		`"schema": 2, "artifacts": 7`:  catalog.ErrNewer, // duplicate members: the later one is the odd one
		`"schema": 1, "colour": "red"`: nil,
	} {
		c := newCatalog(openLocal(t, t.TempDir()))
		set := mustWrite(t, c, forge)
		path, _ := c.Location(set.Ref)
		must(t, rewrite(path, `"schema": 1`, change))
		got := listSets(t, c, forge)[0]
		if !errors.Is(got.Problem, want) || errors.Is(got.Problem, catalog.ErrDamaged) {
			t.Errorf("%s: %v", change, got.Problem)
		}
		if _, why := got.Good(); want != nil && why != "made by a newer forgectl" {
			t.Errorf("%s: %q", change, why)
		}
	}
}

// A set that may not be read is listed with the reason.
func TestUnreadableSet(t *testing.T) {
	inner := &storetest.Memory{}
	set := mustWrite(t, newCatalog(inner), forge)
	for _, fault := range []storetest.Fault{
		{Method: "List", Name: set.Dir(), Err: fs.ErrPermission},
		{Method: "Open", Name: set.Dir() + "/SHA256SUMS", Err: fs.ErrPermission},
		{Method: "Open", Name: set.Dir() + "/manifest.json", Err: fs.ErrPermission},
		{Method: "Open", Name: set.Dir() + "/manifest.json", When: storetest.Mid, After: 20, Err: syscall.EIO},
	} {
		sets := listSets(t, newCatalog(storetest.Faulty(t, inner, fault)), forge)
		if len(sets) != 1 || !errors.Is(sets[0].Problem, fault.Err) || errors.Is(sets[0].Problem, catalog.ErrDamaged) {
			t.Errorf("%+v: %v", fault, sets)
		}
		if ok, why := sets[0].Good(); ok || why == "" {
			t.Errorf("good: %v, %q", ok, why)
		}
	}
}

// Opening tells a missing file from a missing set, and never leaves the set.
func TestOpen(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		c := newCatalog(s)
		set := mustWrite(t, c, forge)
		if got := read(t, c, set.Ref, "RECOVER.md"); got != "# how\n" {
			t.Errorf("%q", got)
		}
		var d *catalog.DamageError
		if _, err := c.Open(t.Context(), set.Ref, "absent"); !errors.As(err, &d) || d.Kind != catalog.DamageMissing || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a missing file: %v", err)
		}
		other := catalog.Ref{Group: forge, ID: "20200101T000000Z"}
		_, errOpen := c.Open(t.Context(), other, "RECOVER.md")
		_, errSums := c.Sums(t.Context(), other)
		_, errGet := c.Get(t.Context(), other)
		for _, err := range []error{errOpen, errSums, errGet, c.AddCheck(t.Context(), other, verified), c.Remove(t.Context(), other)} {
			if !errors.Is(err, catalog.ErrNotFound) || errors.Is(err, catalog.ErrDamaged) {
				t.Errorf("a missing set: %v", err)
			}
		}
		for _, name := range []string{"", "../x", "/etc/passwd"} {
			if _, err := c.Open(t.Context(), set.Ref, name); err == nil {
				t.Errorf("opened %q", name)
			}
		}
		for _, bad := range []catalog.Ref{{}, {Group: forge, ID: ".."}, {Group: forge, ID: "../other"}} {
			_, errOpen := c.Open(t.Context(), bad, "x")
			_, errSums := c.Sums(t.Context(), bad)
			_, errGet := c.Get(t.Context(), bad)
			for _, err := range []error{errOpen, errSums, errGet, c.AddCheck(t.Context(), bad, verified), c.Remove(t.Context(), bad)} {
				if !errors.Is(err, catalog.ErrInvalid) {
					t.Errorf("%+v: %v", bad, err)
				}
			}
		}
	})
}

// Whatever stands in the files of a set, reading it does not panic, and it is good only if it is whole.
func FuzzSet(f *testing.F) {
	s := &storetest.Memory{}
	c := newCatalog(s)
	set := mustWrite(f, c, forge)
	must(f, c.AddCheck(f.Context(), set.Ref, verified))
	var seed [3][]byte
	for i, name := range []string{"SHA256SUMS", "manifest.json", checkFile} {
		r, err := c.Open(f.Context(), set.Ref, name)
		must(f, err)
		seed[i], err = io.ReadAll(r)
		must(f, err)
	}
	f.Add(seed[0], seed[1], seed[2])
	f.Add(seed[0], []byte(`{"schema":1}`), []byte(`{"schema":9}`))
	f.Fuzz(func(t *testing.T, sums, manifest, check []byte) {
		// SHA256SUMS vouches for the manifest, so that what is inside gets looked at.
		sums = bytes.ReplaceAll(sums, fmt.Appendf(nil, "%x", sha256.Sum256(seed[1])), fmt.Appendf(nil, "%x", sha256.Sum256(manifest)))
		s := &storetest.Memory{}
		for name, data := range map[string][]byte{"SHA256SUMS": sums, "manifest.json": manifest, checkFile: check} {
			must(t, s.Put(t.Context(), set.Dir()+"/"+name, text(string(data))))
		}
		for _, name := range []string{"10-pre-data.dump.zst", "20-data.dump.zst", "RECOVER.md"} {
			must(t, s.Put(t.Context(), set.Dir()+"/"+name, text("content of "+name)))
		}
		sets := listSets(t, newCatalog(s), forge)
		if len(sets) != 1 {
			t.Fatalf("%v", sets)
		}
		if ok, why := sets[0].Good(); ok && (sets[0].Manifest == nil || len(sets[0].Checks) != 1) || !ok && why == "" {
			t.Errorf("good %v, %q: %+v", ok, why, sets[0])
		}
	})
}
