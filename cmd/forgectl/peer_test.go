package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: as root on Debian's peer-authenticated socket everything works with
// the defaults: root is nobody to the server, postgres is.
func TestPeerAuthentication(t *testing.T) {
	if os.Geteuid() != 0 {
		scratchtest.Skip(t, "only root needs to be somebody else")
	}
	place := openPlace(t)
	cluster, err := scratch.Start(t.Context(), scratch.Options{Dir: place, Runner: scratchtest.Runner(), Locale: "C.UTF-8"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop(context.Background()) })
	super := scratchtest.Connect(t, cluster, "postgres", scratch.Superuser)
	scratchtest.Exec(t, super, "CREATE ROLE app LOGIN", "CREATE DATABASE bmad_forge OWNER app TEMPLATE template0")
	scratchtest.Exec(t, super.WithDatabase("bmad_forge"), scratchtest.Middling)
	hba := filepath.Join(cluster.DataDir, "pg_hba.conf")
	if err := os.WriteFile(hba, []byte("local all all peer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	scratchtest.Exec(t, super, "SELECT pg_reload_conf()")

	program := copyOfTest(t, place)
	repository := filepath.Join(place, "repository")
	if err := os.Mkdir(repository, 0o700); err != nil {
		t.Fatal(err)
	}
	forgectl := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir = "/"
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + place, "GORACE=atexit_sleep_ms=0",
			"FORGECTL_CONFIG=", "FORGECTL_REPOSITORY=" + repository, "FORGECTL_STATE_DIR=" + filepath.Join(place, "state"),
			"FORGECTL_SERVICE_MANAGER=none", "FORGECTL_HEALTH_URL=",
			"PGHOST=" + cluster.SocketDir, "PGPORT=" + strconv.Itoa(cluster.Port),
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	// The reload takes a moment: a role that no system user is called is refused when it has happened.
	app := scratchtest.Connect(t, cluster, "postgres", "app")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := app.Connect(t.Context())
		if err != nil {
			break
		}
		_ = conn.Close(t.Context())
		if time.Now().After(deadline) {
			t.Fatal("the server still trusts everybody")
		}
	}
	forgectl("backup", "db")
	if out := forgectl("backup", "verify", "--drill"); !strings.Contains(out, "\tdrill\tok\t") {
		t.Error(out)
	}
	forgectl("restore", "db", "--into", "beside")
	forgectl("restore", "db", "--yes")
	forgectl("restore", "undo", "--yes")
	if out := forgectl("restore", "drop-old", "--dry-run"); !strings.Contains(out, "bmad_forge_undone_") {
		t.Error(out)
	}
	forgectl("restore", "drop-old", "--yes")
	forgectl("backup", "db", "--all")
	if out := forgectl("backup", "list"); !strings.Contains(out, "beside/") || !strings.Contains(out, "postgres/") {
		t.Error(out)
	}
}
