package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// paired is an operation that meets another one.
type paired struct {
	name string
	args []string
	// lock is held when it is stopped for the other one; "":
	// none, or one that it holds for so short a time that few would be caught with
	// it. It is stopped when it has something of the repository open.
	lock string
}

// The locks of docs/architecture.md: of the database's sets, of others in the
// repository, and with the records of the host.
const (
	writeLock    = ".lock"
	useLock      = ".in-use"
	mediaLock    = "media/.lock"
	configLock   = "config/.lock"
	fullLock     = "full/.lock"
	exchangeLock = "restore-"
	filesLock    = "media-restore"
)

func pairedOperations() []paired {
	return []paired{
		{"backup", []string{"backup", "db"}, writeLock},
		{"verify", []string{"backup", "verify", "--all"}, useLock},
		{"drill", []string{"backup", "verify", "SET", "--drill"}, useLock},
		{"prune", []string{"backup", "prune", "--yes"}, writeLock},
		{"into", []string{"restore", "db", "SET", "--into", "BESIDE"}, useLock},
		{"restore", []string{"restore", "db", "SET", "--yes"}, exchangeLock},
		{"undo", []string{"restore", "undo", "--yes"}, exchangeLock},
		{"drop-old", []string{"restore", "drop-old", "--yes"}, exchangeLock},
		{"media", []string{"backup", "media"}, mediaLock},
		{"config", []string{"backup", "config"}, configLock},
		{"full", []string{"backup", "full"}, fullLock},
		{"files", []string{"restore", "media", "--yes"}, filesLock},
		{"pin", []string{"backup", "pin", "SET", "--reason", "pairs"}, ""},
		{"unpin", []string{"backup", "unpin", "SET"}, ""},
		{"list", []string{"backup", "list"}, ""},
		{"show", []string{"backup", "show", "SET"}, ""},
	}
}

// holdsAlone are the locks that an operation keeps others from when it is stopped.
func (o paired) holdsAlone() []string {
	switch {
	case o.name == "full": // in its first part
		return []string{fullLock, writeLock}
	case o.lock == useLock || o.lock == "":
		return nil
	}
	return []string{o.lock}
}

// needsAlone are the locks that it fails without.
func (o paired) needsAlone() []string {
	switch o.name {
	case "full":
		return []string{fullLock, writeLock, mediaLock, configLock}
	case "prune":
		return []string{writeLock} // of others only where something is due
	}
	return o.holdsAlone()
}

// expected are the codes that two may end with when the second comes while the
// first has stopped, and goes on only when the second has ended.
func expected(first, second paired) (ofFirst, ofSecond []int) {
	ok := []int{0}
	is := func(o paired, names ...string) bool { return slices.Contains(names, o.name) }
	switch {
	case is(first, "prune") && is(second, "prune"):
		return ok, []int{0, 4} // nothing may be left to be removed
	case slices.ContainsFunc(second.needsAlone(), func(lock string) bool { return slices.Contains(first.holdsAlone(), lock) }):
		return ok, []int{4}
	case first.lock == useLock && is(second, "prune"):
		return ok, []int{1} // the set stays for now
	case is(first, "restore", "pin", "unpin", "files") && is(second, "prune"):
		return ok, []int{0, 1} // it may use a set just then
	case is(first, "media") && is(second, "files"):
		return []int{0, 2}, ok // the directory that it reads may be exchanged under it: then nothing is published
	case is(first, "media", "config") && is(second, "prune"):
		return ok, []int{0, 4} // something may be due there
	case is(first, "backup", "full") && is(second, "restore", "undo"):
		return []int{2}, ok // its sessions are ended with all others of the old database
	case is(first, "prune") && (second.lock == useLock || is(second, "restore", "pin", "unpin", "files")):
		return ok, []int{0, 4} // it may have come as far as removing, alone
	}
	return ok, ok
}

// pairing is an installation with something for every operation to do.
type pairing struct {
	*installation
	set    string // the newest
	due    catalog.ID
	beside int
}

func newPairing(t *testing.T) *pairing {
	p := &pairing{installation: newInstallation(t, "CREATE TABLE thing AS SELECT i FROM generate_series(1, 50) i"), due: "20200101T000000Z"}
	// Enough of them that a walk takes a moment.
	for n := range 200 {
		name := filepath.Join(p.place, "media", fmt.Sprint(n%10), fmt.Sprintf("%d.pdf", n))
		p.must(os.MkdirAll(filepath.Dir(name), 0o755))
		p.must(os.WriteFile(name, []byte(name), 0o644))
		name = filepath.Join(p.place, "etc", fmt.Sprint(n))
		p.must(os.MkdirAll(filepath.Dir(name), 0o755))
		p.must(os.WriteFile(name, []byte(name), 0o600))
	}
	f, err := os.OpenFile(filepath.Join(p.place, "forgectl.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	p.must(err)
	_, err = fmt.Fprintf(f, "media: {path: %[1]s/media}\nconfig_files: {paths: [%[1]s/etc], allow_plaintext: true}\n", p.place)
	p.must(errors.Join(err, f.Close()))
	p.run(nil, []int{0}, "backup", "full")
	for range 2 {
		p.run(nil, []int{0}, "backup", "db")
	}
	return p
}

// prepare makes sure that there is a set, one that is due, a database to go back
// to, and a pin to take away.
func (p *pairing) prepare(two ...paired) {
	p.t.Helper()
	for _, o := range two {
		switch o.name {
		case "prune":
			p.due = catalog.NewID(p.due.Time().Add(time.Second))
			p.publish(p.due)
		case "undo", "drop-old":
			if p.databases("_before_")+p.databases("_undone_") == 0 {
				p.run(nil, []int{0}, "restore", "db", "--yes")
			}
		case "unpin":
			p.run(nil, []int{0}, "backup", "pin", p.newest(), "--reason", "pairs")
		}
	}
	p.set = p.newest()
}

// newest is the newest set.
func (p *pairing) newest() string {
	p.t.Helper()
	entries, err := os.ReadDir(p.group)
	p.must(err)
	var ids []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			ids = append(ids, e.Name())
		}
	}
	return slices.Max(ids)
}

func (p *pairing) databases(part string) (n int) {
	p.t.Helper()
	_, err := fmt.Sscan(scratchtest.Query(background{p.t}, p.admin, "SELECT count(*) FROM pg_database WHERE strpos(datname, "+postgres.QuoteLiteral(p.live+part)+") = 1"), &n)
	p.must(err)
	return n
}

func (p *pairing) words(o paired) []string {
	p.beside++
	words := slices.Clone(o.args)
	for i := range words {
		switch words[i] {
		case "SET":
			words[i] = p.set
		case "BESIDE":
			words[i] = fmt.Sprintf("%s_beside_%d", p.live, p.beside)
		}
	}
	return words
}

// at is the point where an operation is stopped.
func (p *pairing) at(o paired, as *proc.Credential) func(pid int) bool {
	state := "state"
	if as != nil {
		state = "state-of-" + as.User
	}
	path := filepath.Join(p.group, o.lock)
	switch o.lock {
	case exchangeLock:
		path = filepath.Join(p.place, state, "locks", exchangeLock+p.live+".lock")
	case filesLock:
		path = filepath.Join(p.place, state, "locks", filesLock+".lock")
	case mediaLock, configLock:
		path = filepath.Join(p.place, "repository", o.lock)
	case fullLock:
		path = filepath.Join(p.group, writeLock)
	}
	if o.name == "backup" || o.name == "full" { // and its snapshot is taken
		return func(pid int) bool {
			return holds(pid, path) && scratchtest.Query(p.t, p.admin, "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = "+postgres.QuoteLiteral(p.live)) != "0"
		}
	}
	if o.lock != "" {
		return func(pid int) bool { return holds(pid, path) }
	}
	return func(pid int) bool {
		open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		p.must(err)
		return slices.ContainsFunc(open, func(fd string) bool {
			to, err := os.Readlink(fd)
			return err == nil && strings.HasPrefix(to, filepath.Join(p.place, "repository"))
		})
	}
}

// meet lets the second run from its start to its end while the first stands
// still. What takes no lock is over soon, and may need more than one attempt.
func (p *pairing) meet(first, second paired, as, other *proc.Credential, ofFirst, ofSecond []int) {
	p.t.Helper()
	for range 100 {
		p.prepare(first, second)
		a := p.start(as, p.words(first)...)
		if !p.stopWhere(a, p.at(first, as)) {
			p.ended(a, a.code(), 0, 1)
			continue
		}
		b := p.start(other, p.words(second)...)
		limit := time.AfterFunc(patience, func() { _ = b.Process.Kill() })
		code := b.code()
		limit.Stop()
		p.must(a.Process.Signal(syscall.SIGCONT))
		p.ended(b, code, ofSecond...)
		if code == 4 && !strings.Contains(b.err.String(), fmt.Sprintf("pid %d", a.Process.Pid)) && !strings.Contains(b.err.String(), "another forgectl is exchanging it") {
			p.t.Errorf("the holder %d is not named: %s", a.Process.Pid, b.err.String())
		}
		p.ended(a, a.code(), ofFirst...)
		p.whole("50")
		if left := p.hidden(); len(left) > 0 {
			p.t.Errorf("left: %q", left)
		}
		if text, err := os.ReadFile(filepath.Join(p.place, "media", "7", "77.pdf")); err != nil || filepath.Base(string(text)) != "77.pdf" {
			p.t.Errorf("the live files: %q, %v", text, err)
		}
		if n := p.databases("_restore_"); n > 0 {
			p.t.Errorf("%d candidates are left", n)
		}
		scratchtest.Exec(p.t, p.admin, "SELECT 1")
		return
	}
	p.t.Errorf("%s and %s never met", first.name, second.name)
}

// Promise: two runs at once of whatever operations end as is documented: well, or
// the second finds the lock held and says by whom. Neither spoils what the other
// does.
func TestPairs(t *testing.T) {
	t.Parallel()
	all := pairedOperations()
	for _, first := range all {
		seconds := all
		if !everyPair {
			seconds = slices.DeleteFunc(slices.Clone(all), func(second paired) bool { return !telling(first, second) })
		}
		if len(seconds) == 0 {
			continue
		}
		t.Run(first.name, func(t *testing.T) {
			t.Parallel()
			p := newPairing(t)
			for _, second := range seconds {
				t.Run(second.name, func(t *testing.T) {
					p.t = t
					ofFirst, ofSecond := expected(first, second)
					p.meet(first, second, nil, nil, ofFirst, ofSecond)
				})
			}
		})
	}
}

// telling are the pairs of every day: one of each way to stand in the other's way.
func telling(first, second paired) bool {
	return slices.Contains([]string{
		"backup backup", "backup prune", "backup restore", "prune backup", "prune list", "drill prune", "into prune", "verify prune",
		"restore undo", "restore backup", "undo drop-old", "drop-old restore", "list prune", "pin prune",
		"media media", "media files", "media full", "config config", "full backup", "full full", "full prune", "backup full", "files files", "files prune",
	}, first.name+" "+second.name)
}

// Promise: the same for two users, of whom one is root: a lock that one holds
// keeps the other away, and what is left belongs to the repository's owner. The
// locks of exchanges lie with each user's records; there the server decides.
func TestPairsOfUsers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		scratchtest.Skip(t, "only root can be two users")
	}
	owner, err := proc.LookupUser("postgres")
	if err != nil {
		t.Fatal(err)
	}
	p := newPairing(t)
	p.must(filepath.WalkDir(filepath.Join(p.place, "repository"), func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(owner.UID), int(owner.GID))
	}))
	named := map[string]paired{}
	for _, o := range pairedOperations() {
		named[o.name] = o
	}
	for _, tt := range []struct {
		first, second     string
		as, other         *proc.Credential
		ofFirst, ofSecond []int
	}{
		{"backup", "backup", nil, owner, []int{0}, []int{4}},
		{"backup", "prune", owner, nil, []int{0}, []int{4}},
		{"drill", "prune", nil, owner, []int{0}, []int{1}},
		{"verify", "prune", owner, nil, []int{0}, []int{1}},
		// Either the first has told the server already, or the second is over before it does.
		{"undo", "restore", nil, owner, []int{0, 2}, []int{0, 4}},
		{"restore", "drop-old", owner, nil, []int{0, 2}, []int{0, 4}},
	} {
		t.Run(tt.first+" "+tt.second, func(t *testing.T) {
			p.t = t
			p.meet(named[tt.first], named[tt.second], tt.as, tt.other, tt.ofFirst, tt.ofSecond)
		})
	}
	p.t = t
	p.must(filepath.WalkDir(filepath.Join(p.place, "repository"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != owner.UID {
			t.Errorf("%s belongs to %d", path, info.Sys().(*syscall.Stat_t).Uid)
		}
		return err
	}))
}
