package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// TestStatementsScripts runs every file of testdata/statements against a server
// that has loaded pg_stat_statements. Each script has an empty database ($DB), with
// the schema "odd" for extensions and one session of the role ${DB}_web, which is idle.
func TestStatementsScripts(t *testing.T) {
	testscript.Run(t, scripts("testdata/statements", func(env *testscript.Env) error {
		server := scratchtest.Major(t, 15)
		admin := scratchtest.Connect(t, server, "postgres", scratch.Superuser)
		name := scratchtest.Name("statements")
		env.Defer(func() { _ = dropAll(admin, name) })
		if err := executeSQL(context.Background(), admin, "CREATE DATABASE "+name+" TEMPLATE template0", "CREATE ROLE "+name+"_web LOGIN"); err != nil {
			return err
		}
		if err := executeSQL(context.Background(), admin.WithDatabase(name), "CREATE SCHEMA odd"); err != nil {
			return err
		}
		web, err := postgres.Resolve(context.Background(), postgres.Target{
			URL: fmt.Sprintf("host='%s' port=%d user=%s_web application_name=web", server.SocketDir, server.Port, name), Database: name,
		})
		if err != nil {
			return err
		}
		idle, err := web.Connect(context.Background())
		if err != nil {
			return err
		}
		env.Defer(func() { _ = idle.Close(context.Background()) })
		if err := idle.Ping(context.Background()); err != nil {
			return err
		}
		env.Setenv("DB", name)
		env.Setenv("SOCKET", server.SocketDir)
		env.Setenv("PORT", strconv.Itoa(server.Port))
		yaml := fmt.Sprintf("database:\n  name: %s\n  url: postgres://postgres@/?host=%s&port=%d\n", name, server.SocketDir, server.Port)
		return os.WriteFile(filepath.Join(env.WorkDir, "forgectl.yaml"), []byte(yaml), 0o600)
	}))
}
