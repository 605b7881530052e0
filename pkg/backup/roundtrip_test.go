package backup_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// Promise: what was backed up comes back, every byte of it, whichever way the
// set is packed and proven; each recipient alone can open it; and the manifest
// says what the set is.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, scratchtest.Middling)
	original := scratchtest.Dump(t, e.Database())
	alice, bob := newPair(t, "alice"), newPair(t, "bob")
	both := []*seal.Key{alice.public, bob.public}
	for _, tt := range []struct {
		name                  string
		recipients            []*seal.Key
		unlock                seal.Unlocker
		fingerprint, readback string
		drill                 bool
	}{
		{"sealed, all there is", both, bob.unlocker(), catalog.FingerprintFull, catalog.ReadbackDecode, true},
		{"sealed, defaults", both, alice.unlocker(), "", "", false},
		{"plain, hashed only", nil, nil, catalog.FingerprintCounts, catalog.ReadbackHash, false},
		{"plain, not counted", nil, nil, catalog.FingerprintNone, catalog.ReadbackDecode, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, dir := repository(t)
			o := options(e, c)
			o.Seal.Recipients, o.Fingerprint, o.Readback = tt.recipients, tt.fingerprint, tt.readback
			o.RequireSealed = tt.recipients != nil
			o.Release = backup.Release{Dir: "/srv/releases/1", Revision: strings.Repeat("a", 40)}
			r, err := backup.Database(t.Context(), o)
			must(t, err)
			if len(r.Warnings)+len(r.Removed)+len(r.Set.Manifest.Incomplete) > 0 {
				t.Errorf("warnings %q, removed %q, incomplete %q", r.Warnings, r.Removed, r.Set.Manifest.Incomplete)
			}
			checkManifest(t, e, o, r.Set)
			checkModes(t, dir)
			checkLevels(t, c, r.Set, tt.unlock, tt.drill, tt.fingerprint == catalog.FingerprintNone)
			into := scratchtest.Name("restored")
			scratchtest.Drop(t, into)
			runner := scratchtest.Runner()
			_, err = restore.Into(t.Context(), restore.Options{
				Catalog: c, Set: r.Set, Unlock: tt.unlock, Admin: scratchtest.Admin(t), Into: into,
				Runner: runner, Finder: postgres.ToolFinder{Runner: runner},
			})
			must(t, err)
			if scratchtest.Dump(t, into) != original {
				t.Error("the restored database is dumped differently from the original")
			}
		})
	}
}

func checkManifest(t *testing.T, e *postgres.Endpoint, o backup.DatabaseOptions, set catalog.Set) {
	t.Helper()
	if ok, why := set.Good(); !ok {
		t.Errorf("the set is not good: %s", why)
	}
	m := set.Manifest
	suffix := seal.Suffix(len(o.Seal.Recipients) > 0)
	var names []string
	for _, a := range m.Artifacts {
		names = append(names, strings.TrimSuffix(a.Name, suffix))
		if a.Bytes == 0 || a.RawBytes == 0 || a.SHA256 == "" || a.RawSHA256 == "" {
			t.Errorf("artifact %+v", a)
		}
	}
	if want := []string{"00-globals.sql", "05-database.sql", "10-pre-data.dump", "20-data.dump", "30-post-data.dump"}; !slices.Equal(names, want) {
		t.Errorf("artifacts %q", names)
	}
	s := m.Source
	if s.Database != e.Database() || s.ServerVersionNum/10000 != 15 || s.Encoding != "UTF8" || s.LocaleProvider != "libc" || s.Collate == "" || s.CType == "" ||
		s.SystemIdentifier == "" || s.Bytes == 0 || s.ReleaseDir != o.Release.Dir || s.GitRevision != o.Release.Revision || s.Migration != "forge.0042_template_slug" {
		t.Errorf("source %+v", s)
	}
	if m.Tools["pg_dump"] == "" || m.Host != "web1" || !m.Finished.After(m.Started) {
		t.Errorf("manifest %+v", m)
	}
	level, readback := o.Fingerprint, o.Readback
	if level == "" {
		level, readback = catalog.FingerprintCounts, catalog.ReadbackDecode
	}
	if m.Readback != readback || m.Fingerprint.Level != level {
		t.Errorf("read back %q, fingerprint %q", m.Readback, m.Fingerprint.Level)
	}
	rows := map[string]int64{}
	for _, table := range m.Fingerprint.Tables {
		rows[table.Name] = table.Rows
		if (table.Hash != "") != (level == catalog.FingerprintFull) {
			t.Errorf("hash of %s: %q", table.Name, table.Hash)
		}
	}
	if level != catalog.FingerprintNone && (rows["forge_document"] != 2000 || rows["event_2025"] != 365 || len(m.Fingerprint.Sequences) == 0 || m.Fingerprint.LargeObjects.Bytes != 10000) {
		t.Errorf("fingerprint %+v", m.Fingerprint)
	}
	if (m.Encryption != nil) != (len(o.Seal.Recipients) > 0) {
		t.Fatalf("encryption %+v", m.Encryption)
	}
	for i, k := range o.Seal.Recipients {
		if got := m.Encryption.Recipients[i]; got.Fingerprint != k.Fingerprint() || got.UserID != k.UserID() {
			t.Errorf("recipient %+v", got)
		}
	}
}

// checkModes looks at every file of the repository but its root, which is the test's.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	for _, name := range files(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		above, err := os.Stat(filepath.Dir(filepath.Join(dir, name)))
		must(t, err)
		if info.Mode().Perm() != 0o600 || above.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v in a directory of mode %v", name, info.Mode(), above.Mode())
		}
	}
}

func checkLevels(t *testing.T, c *catalog.Catalog, set catalog.Set, u seal.Unlocker, withDrill, uncounted bool) {
	t.Helper()
	levels := []string{catalog.LevelChecksum, catalog.LevelDecode}
	if withDrill {
		levels = append(levels, catalog.LevelDrill)
	}
	runner := scratchtest.Runner()
	for _, level := range levels {
		v, err := verify.Verify(t.Context(), verify.Options{
			Catalog: c, Unlock: u, Level: level, Runner: runner, Finder: postgres.ToolFinder{Runner: runner}, Scratch: scratch.Options{Dir: t.TempDir()},
		}, set)
		must(t, err)
		if !v.OK || (len(v.Warnings) > 0) != (level == catalog.LevelDrill && uncounted) {
			t.Errorf("%s: %v, warnings %q", level, v.Err(), v.Warnings)
		}
		again, err := c.Get(t.Context(), set.Ref)
		must(t, err)
		if k := again.LastCheck(level); k == nil || k.Level != level {
			t.Errorf("recorded for %s: %+v", level, k)
		}
	}
}
