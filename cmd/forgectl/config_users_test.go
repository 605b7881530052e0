package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Promise: an ordinary user backs up what he may read, and is told what he may not; what he restores is his own, which
// is said, and where he may not write nothing is changed.
func TestConfigFilesOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		scratchtest.Skip(t, "only root can be two users")
	}
	user, err := proc.LookupUser("postgres")
	if err != nil {
		t.Fatal(err)
	}
	place := openPlace(t)
	program := copyOfTest(t, place)
	directoriesOf(t, user, place, "repository", "state", "his")
	etc := filepath.Join(place, "etc")
	if err := errors.Join(os.Mkdir(etc, 0o755), os.WriteFile(etc+"/open", []byte("A=1\n"), 0o644), os.WriteFile(etc+"/closed", []byte("B=1\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	forgectl := func(code int, wanted string, args ...string) {
		t.Helper()
		out, got := runAs(t, user, program, []string{
			"FORGECTL_REPOSITORY=" + filepath.Join(place, "repository"), "FORGECTL_STATE_DIR=" + filepath.Join(place, "state"),
			"FORGECTL_CONFIG_FILES_PATHS=" + etc, "FORGECTL_CONFIG_FILES_ALLOW_PLAINTEXT=true",
		}, args...)
		if got != code || !strings.Contains(out, wanted) {
			t.Fatalf("%v: exit code %d, want %d and %q\n%s", args, got, code, wanted, out)
		}
	}
	forgectl(1, "is incomplete: "+etc+"/closed: permission denied", "backup", "config")
	forgectl(1, "owners are not restored: only root may give files away", "restore", "config", "--to", filepath.Join(place, "his", "files"))
	if err := os.WriteFile(etc+"/open", []byte("A=2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	forgectl(2, "permission denied", "restore", "config", "--yes")
	if text, err := os.ReadFile(etc + "/open"); err != nil || string(text) != "A=2\n" {
		t.Errorf("%q, %v", text, err)
	}
}
