package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/service"
	"github.com/bmad-forge/forgectl/pkg/service/servicetest"
	"github.com/bmad-forge/forgectl/pkg/space"
)

// Promise: the space that a backup, a drill and a restore need is asked for
// before they do: below it is critical, below twice of it a warning.
func TestSpace(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.server()
	h.set(now.Add(-time.Hour), fingerprintOf(h.key)) // a little over 1 MiB: the next one needs 1.3
	const mib = 1 << 20
	free := map[string]int64{}
	const plenty = 1 << 40
	h.Free = func(dir string) (int64, error) {
		if n, known := free[dir]; known {
			return n, nil
		}
		return plenty, nil
	}
	well := []string{"ok: the next set in the repository needs about 1.3 MiB", "ok: records in state_dir", "ok: a drill in scratch_dir needs about 21", "ok: a second copy of the database needs about"}
	wants(t, h.only("space"), well...)
	data := scratchtest.Server(t).DataDir
	for _, c := range []struct {
		name, dir string
		free      int64
		secret    bool
		at        int
		want      string
	}{
		{"half a set", h.Repository, mib, false, 0, "critical: the next set | forgectl backup prune --dry-run"},
		{"a set and a half", h.Repository, 2 * mib, false, 0, "warning: not twice as much | df -h " + h.Repository},
		{"no room for records", h.StateDir, mib, false, 1, "critical: records"},
		{"no room for a drill, and no key", h.ScratchDir, mib, false, 2, "info: a drill"},
		{"no room for a drill", h.ScratchDir, mib, true, 2, "critical: a drill | forgectl config show scratch_dir"},
		{"little room for a drill", h.ScratchDir, 300 * mib, true, 2, "warning: a drill"},
		{"no room for a restore", data, mib, false, 3, "critical: a second copy | forgectl restore drop-old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			free = map[string]int64{c.dir: c.free}
			h.SecretKeyFiles = nil
			if c.secret {
				h.SecretKeyFiles = []string{h.writeKey("key.sec", h.key, true)}
			}
			want := append([]string{}, well...)
			want[c.at] = c.want
			wants(t, h.only("space"), want...)
		})
	}
	h.SecretKeyFiles = nil
	h.Free = func(string) (int64, error) { return 0, errors.New("stale handle") }
	wants(t, h.only("space"), "unknown: stale handle", "unknown: stale handle", "unknown: stale handle", "unknown: stale handle")
	h.Free = nil
	if free, err := space.FreeBelow(filepath.Join(h.dir, "not", "there")); err != nil || free <= 0 {
		t.Errorf("%d, %v", free, err)
	}
}

// Promise: what is open to others is named and closed again, nothing else is
// touched, and no link leads the fix out of the place.
func TestFiles(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	well := func(s string) string { return "ok: " + filepath.Join(h.dir, s) + " is " }
	wants(t, h.only("files"), well("repository"), well("state"), well("scratch"))

	if err := os.Chmod(h.Repository, 0o755); err != nil {
		t.Fatal(err)
	}
	fix(t, h, "files", "warning: others may look into "+h.Repository+" | chmod 0700 "+h.Repository, well("state"), well("scratch"))

	outside := h.write("outside", "", 0o644)
	h.write("repository/database/forge/20260101T000000Z/manifest.json", "", 0o640)
	h.write("repository/media/20260101T000000Z/tree/photo.jpg", "", 0o644)
	h.write("repository/other/readme", "", 0o644)
	h.write("state/history/x.json", "", 0o644)
	h.write("state/repositories/x.json", "", 0o644)
	h.write("state/.profile", "", 0o644)
	if err := os.Symlink(outside, filepath.Join(h.Repository, "database", "link")); err != nil {
		t.Fatal(err)
	}
	fix(t, h, "files", "warning: 1 name of repository open to others, first "+h.Repository+"/database/forge/20260101T000000Z/manifest.json | forgectl doctor --fix",
		"warning: 2 names of state_dir open to others, first "+h.StateDir+"/history/x.json", well("scratch"))
	for name, want := range map[string]os.FileMode{
		"outside": 0o644, "repository/media/20260101T000000Z/tree/photo.jpg": 0o644, "repository/other/readme": 0o644, "state/.profile": 0o644,
		"repository/database/forge/20260101T000000Z/manifest.json": 0o600, "state/history/x.json": 0o600, "state/repositories/x.json": 0o600,
	} {
		if info, err := os.Stat(filepath.Join(h.dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}

	// A link that takes the place of a file between look and fix.
	file := h.write("repository/database/forge/x", "", 0o644)
	findings := h.only("files")
	if err := errors.Join(os.Remove(file), os.Symlink(outside, file)); err != nil {
		t.Fatal(err)
	}
	_ = findings[0].Fix.Do(t.Context())
	if info, err := os.Stat(outside); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the fix followed a link: %v, %v", info.Mode(), err)
	}
}

// fix makes a check, compares its findings, does its fixes, and wants it to be
// well then.
func fix(t *testing.T, h *host, check string, want ...string) {
	t.Helper()
	findings := h.only(check)
	wants(t, findings, want...)
	fixed := 0
	for _, f := range findings {
		if f.Fix == nil {
			continue
		}
		fixed++
		if err := f.Fix.Do(t.Context()); err != nil {
			t.Errorf("%s: %v", f.Fix.What, err)
		}
	}
	if worst := Worst(h.only(check)); fixed == 0 || worst != OK {
		t.Errorf("after %d fixes the worst is %s", fixed, worst)
		wants(t, h.only(check))
	}
}

// Promise: directories that are missing are made, a repository only where it can
// be no mount that failed higher up.
func TestDirectories(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, dir := range []string{h.Repository, h.StateDir, h.ScratchDir} {
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
	fix(t, h, "files", "critical: does not exist: is it mounted? | install -d -m 0700 "+h.Repository, "info: state_dir", "info: scratch_dir")
	h.Repository = filepath.Join(h.dir, "mnt", "repository")
	if f := h.only("files")[0]; f.Level != Critical || f.Fix != nil {
		t.Errorf("%+v", f)
	}
	h.Repository = h.write("file", "", 0o600)
	wants(t, h.only("files")[:1], "critical: is no directory")
}

// Promise: files of somebody else than the owner of the repository are named.
func TestOwners(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		scratchtest.Skip(t, "only root can give files away")
	}
	h := newHost(t)
	file := h.write("repository/database/forge/.lock", "", 0o600)
	if err := os.Chown(file, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	wants(t, h.only("files")[:1], "warning: "+h.Repository+" belongs to root, but not 1 name in it, first "+file+": | sudo chown -R --reference="+h.Repository+" "+file)
}

// Promise: a unit that the manager does not know is critical, since a restore
// would not begin; a manager that cannot be asked is unknown.
func TestUnits(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	wants(t, h.only("units"), "ok: service.manager is none")
	systemctl := servicetest.New(t)
	systemctl.Running("forge")
	systemctl.Add("worker")
	systemctl.Add("broken")
	systemctl.Become("broken", "failed", "failed", "exit-code")
	h.Manager = func() (service.Manager, error) {
		return service.New(service.Options{Manager: service.Systemd, Runner: systemctl.Runner()})
	}
	h.Units = []string{"forge", "worker", "broken", "missing", "-x y"}
	wants(t, h.only("units"), "ok: forge: active", "ok: worker: inactive", "warning: broken has failed | systemctl status broken",
		"critical: knows no unit missing | systemctl list-unit-files", "critical: not the name of a unit")
	systemctl.Meet(servicetest.NoSystemd)
	wants(t, h.only("units"), "unknown: cannot be asked | forgectl config show service")
	h.Units = nil
	wants(t, h.only("units"), "critical: no unit is named")
	h.Manager = func() (service.Manager, error) { return service.New(service.Options{Manager: "upstart"}) }
	wants(t, h.only("units"), "critical: upstart")
}

// Promise: a restore that was cut short is critical, also when its file cannot be
// read: it must not be overlooked.
func TestIntents(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	wants(t, h.only("state"), "ok: no restore is unfinished")
	h.write("state/intents/forge.json", `{"schema": 1, "action": "restore", "live": "forge", "stage": "swapping", "started": "2026-11-24T02:00:00Z", "host": "web1", "pid": 17, "in": {"oid": 5}}`, 0o600)
	wants(t, h.only("state"), "critical: the restore of forge that began 2026-11-24T02:00:00Z (pid 17 on web1) has not ended: it was swapping | forgectl restore resume")
	h.Database = "shop"
	wants(t, h.only("state"), "critical: the restore of forge | forgectl restore resume --database forge")
	h.write("state/intents/other.json", "{", 0o600)
	wants(t, h.only("state"), "critical: the restore of forge", "critical: other.json | forgectl restore resume")
}

// Promise: half sets of dead runs are found and removed, those of a run that
// lives are left alone, and so are sets.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	wants(t, h.only("leftovers"), "ok: no dead run has left anything")
	ref := h.set(now.Add(-time.Hour), fingerprintOf(h.key))
	group := "repository/database/forge/"
	h.write(group+".partial-20261101T000000Z/manifest.json", "x", 0o600)
	h.write(group+".partial-20261102T000000Z/manifest.json", "x", 0o600)

	// A run that lives: its fix, taken from before it began, must not remove anything either.
	before := h.only("leftovers")
	wants(t, before, "warning: 2 half sets of forge left by dead runs: forge/20261101T000000Z | forgectl doctor --fix")
	held, err := lock.Acquire(filepath.Join(h.dir, group+".lock"), lock.Holder{Operation: "backup db"})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, h.only("leftovers"), "info: a set of forge is being made by pid")
	if err := before[0].Fix.Do(t.Context()); !errors.Is(err, lock.ErrHeld) {
		t.Errorf("error %v, want that the lock is held", err)
	}
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	// Whoever looks at the group at the same time keeps the fix out as well.
	if held, err = lock.AcquireShared(filepath.Join(h.dir, group+".lock"), lock.Holder{}); err != nil {
		t.Fatal(err)
	}
	if err := before[0].Fix.Do(t.Context()); !errors.Is(err, lock.ErrHeld) {
		t.Errorf("error %v, want that the lock is held", err)
	}
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	// Of another host nobody knows whether its process lives. One of this host
	// that died holding the lock has left its name.
	leave := func(host string) {
		name, err := json.Marshal(lock.Holder{PID: 1 << 30, Host: host})
		if err != nil {
			t.Fatal(err)
		}
		h.write(group+".lock", string(name)+"\n", 0o600)
	}
	leave("elsewhere")
	wants(t, h.only("leftovers"), "info: is being made by pid 1073741824, host elsewhere")
	leave(hostName(t))
	fix(t, h, "leftovers", "warning: 2 half sets")
	if _, err := h.catalog(now).Get(t.Context(), ref); err != nil {
		t.Errorf("the set is gone: %v", err)
	}
	h.write("scratch/forgectl-pg-0123abcd/data/x", "", 0o600)
	wants(t, h.only("leftovers"), "info: 1 throwaway server in")
}

func hostName(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// Promise: the clocks of server and host are compared with the benefit of the
// time that the question took.
func TestClock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		server, took time.Duration
		want         string
	}{
		{0, time.Second, "ok: agree"},
		{time.Second, 2 * time.Second, "ok: agree"},
		{3 * time.Second, 2 * time.Second, "ok: agree"},
		{5 * time.Second, 2 * time.Second, "warning: 3s ahead of"},
		{-3 * time.Second, 0, "warning: 3s behind | timedatectl"},
		{-61 * time.Second, 0, "critical: 1m1s behind"},
		{2 * time.Hour, 0, "critical: 2h0m0s ahead of"},
	} {
		wants(t, []Finding{judgeClock(now, now.Add(c.server), now.Add(c.took))}, c.want)
	}
	h := newHost(t)
	wants(t, h.only("clock"), "unknown: the server cannot be asked", "ok: synchronised")
	h.set(now.Add(time.Hour), fingerprintOf(h.key))
	h.Synch = func() (bool, error) { return false, nil }
	wants(t, h.only("clock"), "unknown: the server", "warning: is from the future, by 1h0m0s", "info: does not call | timedatectl set-ntp true")
	h.Synch = nil
	if _, err := kernelSynchronised(); err != nil {
		t.Errorf("ask the kernel: %v", err)
	}
}

// Promise: a server that is reached through the network is asked for its time.
func TestClockOfServer(t *testing.T) {
	t.Parallel()
	c, err := scratch.Start(t.Context(), scratch.Options{Dir: openDir(t), Runner: scratchtest.Runner(), TCP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop(context.Background()) })
	h := newHost(t)
	h.Backup = func(ctx context.Context) (*postgres.Endpoint, error) {
		url := strings.Replace(c.ConnString("postgres"), "host='"+c.SocketDir+"'", "host=127.0.0.1", 1)
		return postgres.Resolve(ctx, postgres.Target{URL: url})
	}
	h.Now = time.Now
	wants(t, h.only("clock"), "ok: this one agree", "ok: synchronised")
	h.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	wants(t, h.only("clock"), "critical: 1h0m0s ahead of this one", "ok: synchronised")
}

// openDir is a directory that the server's user can enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "forgectl-doctor-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
