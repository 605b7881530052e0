package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/health"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/service"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

// now is when these tests take place.
var now = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)

// host is a machine where everything is well, for tests to break one thing of.
// Nothing of it is asked for before a test does.
type host struct {
	Options
	t   *testing.T
	dir string
	key *openpgp.Entity
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir(), key: newKey(t, 0)}
	for _, dir := range []string{"repository", "state", "scratch", "root/etc/cron.d"} {
		if err := os.MkdirAll(filepath.Join(h.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.write("forgectl", "#!/bin/sh\n", 0o755)
	h.write("root/etc/cron.d/bmad-forge", "PATH="+h.dir+"\n15 2 * * * me forgectl backup db\n", 0o644)
	none := func(context.Context) (*postgres.Endpoint, error) { return nil, errors.New("no server in this test") }
	h.Options = Options{
		Database: "forge", Backup: none, Admin: none,
		Repository: filepath.Join(h.dir, "repository"), StateDir: filepath.Join(h.dir, "state"), ScratchDir: filepath.Join(h.dir, "scratch"),
		Catalog: func(context.Context) (*catalog.Catalog, error) { return h.catalog(now), nil },
		Intents: restore.Intents{Dir: filepath.Join(h.dir, "state", "intents")},
		Recipients: func(context.Context) ([]*seal.Key, error) {
			return seal.ReadKeyFile(h.writeKey("key.pub", h.key, false))
		},
		Signer:     func(context.Context) (*seal.Signer, error) { return nil, nil },
		Provenance: func() (provenance.Policy, error) { return provenance.Policy{}, nil },
		Manager:    func() (service.Manager, error) { return service.New(service.Options{Manager: service.None}) },
		Finder:     postgres.ToolFinder{Runner: scratchtest.Runner(), Path: os.Getenv("PATH")}, Runner: scratchtest.Runner(),
		Cron: Cron{Root: filepath.Join(h.dir, "root"), Owner: os.Getuid(), User: func(name string) (*proc.Credential, error) {
			if name != "me" && name != "root" {
				return nil, errors.New("unknown user")
			}
			return &proc.Credential{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}, nil
		}},
		Health: func(context.Context) (health.Report, error) { return health.Report{Status: "healthy"}, nil },
		Now:    func() time.Time { return now },
		Synch:  func() (bool, error) { return true, nil },
		Free:   func(string) (int64, error) { return 1 << 50, nil },
	}
	return h
}

// server gives the host a database with a role that may read all of it.
func (h *host) server(sql ...string) (superuser *postgres.Endpoint, role string) {
	h.t.Helper()
	e := scratchtest.Database(h.t, sql...)
	role = scratchtest.Role(h.t, e, "LOGIN")
	scratchtest.Exec(h.t, e, "GRANT pg_read_all_data TO "+role)
	h.Database = e.Database()
	h.Backup = func(context.Context) (*postgres.Endpoint, error) {
		return scratchtest.Connect(h.t, scratchtest.Server(h.t), e.Database(), role), nil
	}
	h.Admin = func(context.Context) (*postgres.Endpoint, error) { return scratchtest.Admin(h.t), nil }
	return e, role
}

func (h *host) catalog(at time.Time) *catalog.Catalog {
	h.t.Helper()
	s, err := local.Open(h.Repository, local.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = s.Close() })
	return catalog.New(s, catalog.Options{Now: func() time.Time { return at }, Host: "drills"})
}

// set publishes a set that was begun at a time and is sealed to keys.
func (h *host) set(at time.Time, keys ...string) catalog.Ref {
	h.t.Helper()
	ctx := h.t.Context()
	d, err := h.catalog(at).Begin(ctx, catalog.Group{Kind: catalog.KindDatabase, Database: h.Database})
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = d.Discard(ctx) }()
	b, err := d.Put(ctx, "20-data.dump.zst.gpg", func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Repeat("x", 1<<20))
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	m := catalog.Manifest{Artifacts: []catalog.Artifact{{Name: b.Name}}, Encryption: &catalog.Encryption{Format: "openpgp"}}
	for _, k := range keys {
		m.Encryption.Recipients = append(m.Encryption.Recipients, catalog.Recipient{Fingerprint: k})
	}
	s, err := d.Publish(ctx, m)
	if err != nil {
		h.t.Fatal(err)
	}
	return s.Ref
}

func (h *host) drilled(ref catalog.Ref, at time.Time) {
	h.t.Helper()
	c := catalog.Check{Time: at, What: catalog.CheckVerify, Level: catalog.LevelDrill, OK: true}
	if err := h.catalog(at).AddCheck(h.t.Context(), ref, c); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) write(name, text string, mode os.FileMode) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return path
}

func newKey(t *testing.T, lifetime time.Duration) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity("Forge", "", "backup@example.org", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return now.Add(-time.Hour) }, KeyLifetimeSecs: uint32(lifetime / time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func fingerprintOf(key *openpgp.Entity) string { return fmt.Sprintf("%X", key.PrimaryKey.Fingerprint) }

func (h *host) writeKey(name string, key *openpgp.Entity, secret bool) string {
	h.t.Helper()
	var b strings.Builder
	var err error
	if secret {
		err = key.SerializePrivateWithoutSigning(&b, nil)
	} else {
		err = key.Serialize(&b)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return h.write(name, b.String(), 0o600)
}

// only makes one check.
func (h *host) only(name string) []Finding {
	h.t.Helper()
	for _, c := range checks() {
		if c.name == name {
			return c.run(h.t.Context(), &exam{Options: h.withDefaults()})
		}
	}
	h.t.Fatalf("no check %q", name)
	return nil
}

// wants compares findings with lines "level: part of the message [| part of a
// remedy]", one each, in this order.
func wants(t *testing.T, got []Finding, want ...string) {
	t.Helper()
	var texts []string
	for _, f := range got {
		texts = append(texts, fmt.Sprintf("%s: %s | %s", f.Level, f.Message, strings.Join(f.Remedy, "\n")))
	}
	matches := len(got) == len(want)
	for i := 0; matches && i < len(got); i++ {
		level, rest, _ := strings.Cut(want[i], ": ")
		message, remedy, _ := strings.Cut(rest, " | ")
		matches = string(got[i].Level) == level && strings.Contains(got[i].Message, message) && strings.Contains(strings.Join(got[i].Remedy, "\n"), remedy)
	}
	if !matches {
		t.Errorf("findings:\n\t%s\nwant:\n\t%s", strings.Join(texts, "\n\t"), strings.Join(want, "\n\t"))
	}
}
