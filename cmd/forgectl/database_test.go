package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
)

// TestDatabaseScripts runs every file of testdata/database against a real
// server. Each script has a database ($DB) with the middling schema, a role that
// may read it ($ROLE), a key pair (key.pub, key.sec), another one (other.*), two
// more to sign with (signer.*, and locked.* with the passphrase "open sesame"), and
// a configuration that seals to the first. $SOCKET is the directory of the server's socket.
func TestDatabaseScripts(t *testing.T) {
	testscript.Run(t, scripts("testdata/database", withDatabase(t)))
}

// TestDiskScripts runs every file of testdata/disk, which is as testdata/database,
// but the repository and the state directory are small file systems of their own.
// disk-repository and disk-state are other ways to them: what lies there, in "root"
// and beside it, stays when they are unmounted.
func TestDiskScripts(t *testing.T) {
	database := withDatabase(t)
	testscript.Run(t, scripts("testdata/disk", func(env *testscript.Env) error {
		if err := os.Mkdir(filepath.Join(env.WorkDir, "state"), 0o700); err != nil {
			return err
		}
		for _, name := range []string{"repository", "state"} {
			disk := storetest.Mount(env.T().(testing.TB), filepath.Join(env.WorkDir, name), 4<<20)
			env.Defer(disk.Close)
			if err := os.Symlink(disk.Back, filepath.Join(env.WorkDir, "disk-"+name)); err != nil {
				return err
			}
		}
		return database(env)
	}))
}

// withDatabase is the set-up of such a script.
func withDatabase(t *testing.T) func(env *testscript.Env) error {
	return func(env *testscript.Env) error {
		server := scratchtest.Server(t)
		name := scratchtest.Name("forge")
		admin := scratchtest.Admin(t)
		execute := func(e *postgres.Endpoint, sql ...string) error { return executeSQL(context.Background(), e, sql...) }
		env.Defer(func() { _ = dropAll(admin, name) })
		if err := execute(admin, "CREATE DATABASE "+name+" TEMPLATE template0", "CREATE ROLE "+name+"_role LOGIN", "GRANT pg_read_all_data TO "+name+"_role"); err != nil {
			return err
		}
		// Large objects need more than pg_read_all_data.
		if err := execute(admin.WithDatabase(name), scratchtest.Middling, "ALTER ROLE "+name+"_role SET lo_compat_privileges = on"); err != nil {
			return err
		}
		env.Setenv("DB", name)
		env.Setenv("ROLE", name+"_role")
		env.Setenv("SOCKET", server.SocketDir)
		env.Setenv("PORT", strconv.Itoa(server.Port))
		// The application's health check: what stands in the file "health", or 503.
		health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			body, err := os.ReadFile(filepath.Join(env.WorkDir, "health"))
			if err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			_, _ = w.Write(body)
		}))
		env.Defer(health.Close)
		env.Setenv("HEALTH", health.URL+"/health/")
		for key, passphrase := range map[string]string{"key": "", "other": "", "signer": "", "locked": "open sesame"} {
			if err := writeKeys(env.WorkDir, key, passphrase); err != nil {
				return err
			}
		}
		yaml := fmt.Sprintf(`repository: %[1]s/repository
scratch_dir: %[1]s/scratch
database:
  name: %[2]s
  url: postgres://%[2]s_role@/?host=%[3]s&port=%[4]d
  admin_url: postgres://postgres@/postgres?host=%[3]s&port=%[4]d
backup:
  encrypt: {required: true, recipient_files: [%[1]s/key.pub]}
  decrypt: {secret_key_files: [%[1]s/key.sec], gpg: never}
service: {manager: none}
health: {url: ""}
`, env.WorkDir, name, server.SocketDir, server.Port)
		return os.WriteFile(filepath.Join(env.WorkDir, "forgectl.yaml"), []byte(yaml), 0o600)
	}
}

// writeKeys makes a key pair as gpg would export it, under a name; "" is no passphrase.
func writeKeys(dir, name, passphrase string) error {
	key, err := openpgp.NewEntity("Forge backup", "", "backup@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		return err
	}
	var public, secret bytes.Buffer
	if passphrase != "" {
		if err := key.EncryptPrivateKeys([]byte(passphrase), nil); err != nil {
			return err
		}
	}
	if err := key.SerializePrivateWithoutSigning(&secret, nil); err != nil {
		return err
	}
	if err := key.Serialize(&public); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name+".pub"), public.Bytes(), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".sec"), secret.Bytes(), 0o600)
}

// dropAll removes everything whose name begins with that of the script's database.
func dropAll(admin *postgres.Endpoint, name string) error {
	ctx := context.Background()
	conn, err := admin.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, list := range []string{
		"SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database WHERE starts_with(datname, $1)",
		"SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE starts_with(rolname, $1)",
	} {
		rows, err := conn.Query(ctx, list, name)
		if err != nil {
			return err
		}
		statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, s := range statements {
			if _, err := conn.Exec(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func executeSQL(ctx context.Context, e *postgres.Endpoint, sql ...string) error {
	conn, err := e.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, s := range sql {
		if _, err := conn.PgConn().Exec(ctx, s).ReadAll(); err != nil {
			return fmt.Errorf("%.200s: %w", s, err)
		}
	}
	return nil
}

// runSQL runs statements as the superuser in a database of the shared server,
// and prints what they select, a row a line: sql DATABASE STATEMENT...
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: sql DATABASE STATEMENT...")
	}
	url := fmt.Sprintf("host='%s' port=%s user=%s", ts.Getenv("SOCKET"), ts.Getenv("PORT"), scratch.Superuser)
	ctx := context.Background()
	e, err := postgres.Resolve(ctx, postgres.Target{URL: url, Database: args[0]})
	ts.Check(err)
	conn, err := e.Connect(ctx)
	if neg && err != nil {
		return
	}
	ts.Check(err)
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range args[1:] {
		results, err := conn.PgConn().Exec(ctx, statement).ReadAll()
		if neg == (err == nil) {
			ts.Fatalf("%s: %v", statement, err)
		}
		for _, r := range results {
			for _, row := range r.Rows {
				_, _ = fmt.Fprintf(ts.Stdout(), "%s\n", bytes.Join(row, []byte("\t")))
			}
		}
	}
}
