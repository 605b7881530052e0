package restore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

const (
	password   = `s3cret:pass\wo'rd "x"=y`
	passphrase = "Tr0ub4dor & 3, open"
	mistyped   = "wr0ng:guess'"
)

// secrets are what must not be found: the beginning of each, which no way of quoting changes.
var secrets = []string{password[:6], passphrase[:9], mistyped[:5]}

// spy keeps what others can see of each child, and lets it go on then.
type spy struct {
	proc.Runner
	t testing.TB

	mu   sync.Mutex
	seen []string // one for each program of heldTools
}

func (s *spy) Run(ctx context.Context, c proc.Cmd) error {
	p, err := s.Start(ctx, c)
	if err != nil {
		return err
	}
	return p.Wait()
}

func (s *spy) Start(ctx context.Context, c proc.Cmd) (proc.Process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	defer r.Close()
	held := c
	held.Files = append(slices.Clone(c.Files), r)
	held.Env = append(slices.Clone(c.Env), fmt.Sprintf("HOLD=%d", 2+len(held.Files)))
	p, err := s.Runner.Start(ctx, held)
	if err != nil || slices.Contains(c.Args, "--version") || filepath.Dir(c.Path) == "/bin" {
		return p, err
	}
	var all []byte
	for _, file := range []string{"cmdline", "environ"} {
		// Start returns when the kernel has begun the program; a moment later it
		// shows what was handed to it. The program is held, so it will be there.
		var data []byte
		for deadline := time.Now().Add(patience); len(data) == 0 && err == nil && time.Now().Before(deadline); {
			data, err = os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.PID(), file))
		}
		if err != nil {
			s.t.Error(err)
		}
		all = append(all, data...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, string(all))
	return p, nil
}

// heldTools are the client programs behind scripts that wait until the spy has looked.
func heldTools(t testing.TB, runner proc.Runner) postgres.ToolFinder {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"pg_dump", "pg_dumpall", "pg_restore"} {
		script := "#!/bin/sh\nread -r _ <&\"$HOLD\"\nexec /usr/lib/postgresql/15/bin/" + name + " \"$@\"\n"
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	return postgres.ToolFinder{Runner: runner, Debian: dir}
}

// withPassword makes a superuser who can only connect with the password.
func withPassword(t testing.TB) (role string) {
	t.Helper()
	admin := scratchtest.Admin(t)
	role = scratchtest.Role(t, admin, "LOGIN SUPERUSER PASSWORD "+postgres.QuoteLiteral(password))
	hba := filepath.Join(scratchtest.Server(t).DataDir, "pg_hba.conf")
	rules, err := os.ReadFile(hba)
	must(t, err)
	must(t, os.WriteFile(hba, append([]byte("local all "+role+" scram-sha-256\n"), rules...), 0o600))
	scratchtest.Query(t, admin, "SELECT pg_reload_conf()")
	e := scratchtest.Connect(t, scratchtest.Server(t), "postgres", role)
	for deadline := time.Now().Add(patience); ; { // the server reads the file soon
		conn, err := e.Connect(t.Context())
		if err != nil {
			return role
		}
		must(t, conn.Close(t.Context()))
		if time.Now().After(deadline) {
			t.Fatal("the server asks for no password")
		}
	}
}

// protectedKey is a key with a passphrase.
func protectedKey(t testing.TB) (public *seal.Key, unlock seal.Unlocker) {
	t.Helper()
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}
	e, err := openpgp.NewEntity("ops", "", "ops@example.org", config)
	must(t, err)
	var p, s bytes.Buffer
	must(t, e.Serialize(&p))
	must(t, e.EncryptPrivateKeys([]byte(passphrase), config))
	must(t, e.SerializePrivateWithoutSigning(&s, nil))
	publics, err := seal.ReadKeys(p.Bytes())
	must(t, err)
	secret, err := seal.ReadKeys(s.Bytes())
	must(t, err)
	return publics[0], &seal.Keyring{Keys: secret, Passphrase: func(context.Context) ([]byte, error) { return []byte(passphrase), nil }}
}

// Promise: neither the password of the database role nor the passphrase of the
// key is in the command line or the environment of any child, in a log, a
// manifest, RECOVER.md, a result or an error; the roles' password hashes are in
// no set that was not asked for them.
func TestSecrets(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, scratchtest.Middling)
	role := withPassword(t)
	server := scratchtest.Server(t)
	endpoint := func(database, password string) *postgres.Endpoint {
		e, err := postgres.Resolve(t.Context(), postgres.Target{
			URL: fmt.Sprintf("host='%s' port=%d user=%s", server.SocketDir, server.Port, role), Database: database, Password: password, Environ: os.Environ(),
		})
		must(t, err)
		return e
	}
	public, unlock := protectedKey(t)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&lockedWriter{w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	run := &spy{Runner: proc.System{Environ: os.Environ(), Logger: logger}, t: t}
	dir := t.TempDir()
	c := catalogtest.Open(t, dir)
	said := map[string]string{} // everything that somebody may come to see

	o := backup.DatabaseOptions{
		SetOptions: backup.SetOptions{Catalog: c, Logger: logger},
		Sealing:    backup.Sealing{Seal: seal.Options{Recipients: []*seal.Key{public}}},
		Endpoint:   endpoint(e.Database(), password),
		Runner:     run,
		Finder:     heldTools(t, run),
	}
	sealed, err := backup.Database(t.Context(), o)
	must(t, err)
	said["result of the backup"] = fmt.Sprintf("%+v %+v", sealed, sealed.Set.Manifest)
	o.Seal.Recipients = nil
	plain, err := backup.Database(t.Context(), o)
	must(t, err)
	if hashes := plainGlobals(t, c, plain.Set); strings.Contains(hashes, "SCRAM-SHA-256$") || !strings.Contains(hashes, role) {
		t.Error("the globals hold password hashes, or no roles")
	}
	o.RolePasswords = true
	asked, err := backup.Database(t.Context(), o)
	must(t, err)
	if !strings.Contains(plainGlobals(t, c, asked.Set), "SCRAM-SHA-256$") {
		t.Error("the globals hold no password hashes, though they were asked for")
	}

	into := scratchtest.Name("restored")
	scratchtest.Drop(t, into)
	ro := restore.Options{
		Catalog: c, Set: sealed.Set, Unlock: unlock, Admin: endpoint("postgres", password), Into: into, Runner: run, Finder: o.Finder, Logger: logger,
	}
	restored, err := restore.Into(t.Context(), ro)
	must(t, err)
	said["result of the restore"] = fmt.Sprintf("%+v", restored)
	if n := len(run.seen); n != 3*4+3 {
		t.Errorf("%d children were looked at", n)
	}

	// What goes wrong says nothing either.
	_, err = restore.Into(t.Context(), ro)
	said["error: exists"] = fmt.Sprintf("%v %+v", err, err)
	ro.Admin, ro.Into = endpoint("postgres", mistyped), scratchtest.Name("never")
	_, err = restore.Into(t.Context(), ro)
	said["error: restore with a wrong password"] = fmt.Sprintf("%v %+v", err, err)
	o.Endpoint = endpoint(e.Database(), mistyped)
	_, err = backup.Database(t.Context(), o)
	said["error: backup with a wrong password"] = fmt.Sprintf("%v %+v", err, err)
	var connect *postgres.ConnectError
	if !errors.As(err, &connect) {
		t.Errorf("a wrong password: %v", err)
	}
	said["error: hint"] = connect.Hint
	o.Endpoint = endpoint(e.Database(), password)
	o.Runner = failing{run}
	_, err = backup.Database(t.Context(), o)
	said["error: of a program"] = fmt.Sprintf("%v %+v", err, err)
	if err == nil || !strings.Contains(err.Error(), "pg_dump") {
		t.Errorf("a program that fails: %v", err)
	}

	said["log"] = log.String()
	for i, s := range run.seen {
		said[fmt.Sprintf("child %d", i)] = s
		if !strings.Contains(s, "PGPASSFILE=/proc/self/fd/") {
			t.Errorf("child %d has no password file: %q", i, s)
		}
	}
	for _, name := range filesBelow(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		said[name] = string(data)
	}
	for where, text := range said {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %q:\n%.2000s", where, secret, text)
			}
		}
	}
	if !strings.Contains(said["log"], "pg_restore") || len(said) < 30 {
		t.Errorf("%d places were searched; the log is\n%s", len(said), said["log"])
	}
}

// failing is a runner whose pg_dump fails and says all it knows.
type failing struct{ proc.Runner }

func (f failing) Run(ctx context.Context, c proc.Cmd) error {
	if slices.Contains(c.Args, "--section=data") {
		c.Path, c.Args = "/bin/sh", []string{"-c", `cat "$PGPASSFILE" | sed 's/^[*:]*//; s/\\\(.\)/\1/g' >&2; exit 1`}
		c.Name = "pg_dump"
	}
	return f.Runner.Run(ctx, c)
}

func plainGlobals(t testing.TB, c *catalog.Catalog, set catalog.Set) string {
	t.Helper()
	r, err := artifact.Open(t.Context(), c, set.Ref, set.Manifest.Artifacts[0], nil, nil)
	must(t, err)
	defer r.Close()
	text, err := io.ReadAll(r)
	must(t, err)
	return string(text)
}

func filesBelow(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "*", "*", "*"))
	must(t, err)
	for i, f := range found {
		found[i] = strings.TrimPrefix(f, dir+"/")
	}
	return found
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
