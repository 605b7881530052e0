package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/configset"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
	"github.com/bmad-forge/forgectl/pkg/store/storetest"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// etc makes configuration of a host.
func etc(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "etc")
	for name, content := range map[string]string{
		"app/app.env": "SECRET_KEY=hunter2\n", "app/forgectl.yaml": "repository: /srv\n", "nginx/site": "server {}\n", "cron.d/app": "0 2 * * * x\n",
	} {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o640))
	}
	must(t, os.Symlink("app.env", dir+"/app/env"))
	at := time.Date(2020, 1, 2, 3, 4, 5, 678901234, time.UTC)
	must(t, os.Chtimes(dir+"/nginx/site", at, at))
	return dir
}

func configOptions(c *catalog.Catalog, paths ...string) backup.ConfigOptions {
	return backup.ConfigOptions{SetOptions: backup.SetOptions{Catalog: c}, Paths: paths, AllowPlain: true}
}

// backUpConfig makes a set that must be good.
func backUpConfig(t testing.TB, o backup.ConfigOptions) backup.ConfigResult {
	t.Helper()
	r, err := backup.Config(t.Context(), o)
	must(t, err)
	if ok, why := r.Set.Good(); !ok {
		t.Fatal(why)
	}
	return r
}

// Promise: what is sealed shows neither names nor hashes nor contents of the files in any byte of the set, and the index
// and the archive within say the same.
func TestConfigSealed(t *testing.T) {
	t.Parallel()
	key := newPair(t, "ops")
	c, dir := repository(t)
	source := etc(t)
	must(t, os.WriteFile(source+"/app/large", make([]byte, 5000), 0o600))
	o := configOptions(c, source, "/nonexistent/app.conf")
	o.AllowPlain, o.RequireSealed, o.MaxFile = false, true, 4000
	o.Seal.Recipients = []*seal.Key{key.public}
	r := backUpConfig(t, o)
	m := r.Set.Manifest
	if len(m.Incomplete) != 1 || !strings.HasPrefix(m.Incomplete[0], "1 paths could not be read") || len(r.Packed.Unread) != 1 || !strings.Contains(r.Packed.Unread[0], "app/large") {
		t.Errorf("incomplete %q, unread %q", m.Incomplete, r.Packed.Unread)
	}
	if len(r.Warnings) != 1 || r.Warnings[0] != "/nonexistent/app.conf is not there" || len(m.Warnings) != 1 || strings.Contains(m.Warnings[0], "nonexistent") {
		t.Errorf("warnings %q, of the manifest %q", r.Warnings, m.Warnings)
	}
	if m.Contents == nil || m.Contents.Files != 4 || m.Contents.Links != 1 || m.Readback != catalog.ReadbackDecode {
		t.Errorf("%+v", m)
	}
	for _, f := range files(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, f))
		must(t, err)
		for _, secret := range []string{"hunter2", "app.env", "nonexistent", source} {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds %q", f, secret)
			}
		}
	}
	reader := configset.Reader{Catalog: c, Set: r.Set, Unlock: key.unlocker()}
	damaged, err := reader.Compare(t.Context())
	must(t, errors.Join(append(damaged, err)...))
	index, err := reader.Index(t.Context())
	must(t, err)
	problems := 0
	for _, e := range index {
		if e.Problem != "" || e.Type == archive.Missing {
			problems++
		}
	}
	if problems != 2 {
		t.Errorf("the index names %d problems", problems)
	}
	v, err := verify.Verify(t.Context(), verify.Options{Catalog: c, Unlock: key.unlocker(), Level: catalog.LevelDecode}, r.Set)
	must(t, err)
	if !v.OK || v.Set.Ref != r.Set.Ref {
		t.Error(v.Err())
	}
}

// Promise: configuration is not written in plain unless somebody allowed exactly that, and a run that is refused leaves
// nothing; paths that are no paths, or not there at all, are refused too.
func TestConfigRefused(t *testing.T) {
	t.Parallel()
	c, dir := repository(t)
	source := etc(t)
	for name, tc := range map[string]struct {
		change func(o *backup.ConfigOptions)
		want   error
	}{
		"plain":            {func(o *backup.ConfigOptions) { o.AllowPlain = false }, backup.ErrPlainConfig},
		"sealing required": {func(o *backup.ConfigOptions) { o.RequireSealed = true }, backup.ErrPlain},
		"nothing there":    {func(o *backup.ConfigOptions) { o.Paths = []string{"/nonexistent/a"} }, backup.ErrNoPaths},
		"relative":         {func(o *backup.ConfigOptions) { o.Paths = []string{source, "etc"} }, archive.ErrPath},
		"everything":       {func(o *backup.ConfigOptions) { o.Paths = []string{"/"} }, archive.ErrPath},
	} {
		o := configOptions(c, source)
		tc.change(&o)
		if _, err := backup.Config(t.Context(), o); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	guessed := configOptions(c, source, "/nonexistent/a")
	guessed.Guessed = true
	if r := backUpConfig(t, guessed); len(r.Warnings)+len(r.Set.Manifest.Warnings)+len(r.Set.Manifest.Incomplete) > 0 || len(r.Packed.Missing) != 1 {
		t.Errorf("guessed: %+v", r)
	}
}

// Promise: a set that holds much less than those before it is suspect.
func TestConfigShrinks(t *testing.T) {
	t.Parallel()
	c, _ := repository(t)
	source := etc(t)
	backUpConfig(t, configOptions(c, source))
	must(t, os.RemoveAll(source+"/app"))
	o := configOptions(c, source)
	o.Shrink = 25
	r, err := backup.Config(t.Context(), o)
	must(t, err)
	if k := r.Set.Suspicion(); k == nil || !strings.Contains(k.Reason, "files fell from 4 to 2") {
		t.Errorf("suspicion %+v", k)
	}
}

// configSteps are the points at which a backup is killed.
var configSteps = []string{"begun", "file read", "archived", "packed", "read back", "judged", "published"}

// Promise: a backup that is killed, at whatever step, leaves no set but the one that it had published; the next one
// removes what is left, says so, and works.
func TestConfigKilled(t *testing.T) {
	t.Parallel()
	source := etc(t)
	for _, step := range configSteps {
		c, dir := repository(t)
		proctest.Killed(t, fmt.Sprintf("%s=%s|%s|%s%s", killEnv, step, dir, configKill, source))
		sets, err := c.List(t.Context(), configset.Group())
		must(t, err)
		if published := step == "published"; published != (len(sets) == 1) {
			t.Errorf("%s: %d sets", step, len(sets))
		}
		next := catalog.New(storeOf(t, dir), catalog.Options{Now: func() time.Time { return time.Now().Add(time.Minute) }})
		r, err := backup.Config(t.Context(), configOptions(next, source))
		must(t, err)
		if left := step != "published"; left != (len(r.Removed) == 1) {
			t.Errorf("%s: the next run removed %q", step, r.Removed)
		}
		for _, f := range files(t, dir) {
			if strings.Contains(f, "partial") {
				t.Errorf("%s: left: %s", step, f)
			}
		}
	}
}

// configKill, before a path, makes the test binary back that up in place of a database.
const configKill = "config:"

func backUpConfigAndDie(step, dir, source string) {
	s, err := local.Open(dir, local.Options{})
	if err != nil {
		panic(err)
	}
	o := configOptions(catalog.New(s, catalog.Options{}), source)
	o.Step = proctest.DieAt(step)
	_, err = backup.Config(context.Background(), o)
	fmt.Println("ended", err)
	os.Exit(1)
}

// Promise: a repository that runs full ends the backup with the reason, at whatever step; nothing is left, and with
// room the next run succeeds. So it is when the run is told to end.
func TestConfigFullDisk(t *testing.T) {
	t.Parallel()
	source := etc(t)
	dir := t.TempDir()
	disk := storetest.Mount(t, dir, 4<<20)
	c := repositoryIn(t, dir)
	for _, step := range []string{"begun", "archived", "judged"} {
		o := configOptions(c, source)
		o.Step = func(name string) {
			if name == step {
				disk.Fill(0)
			}
		}
		_, err := backup.Config(t.Context(), o)
		disk.Free()
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("full at %q: %v", step, err)
		}
		nothingLeft(t, disk.Path)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	told := errors.New("told to end")
	o := configOptions(c, source)
	o.Step = func(name string) {
		if name == "file seen" {
			cancel(told)
		}
	}
	if _, err := backup.Config(ctx, o); !errors.Is(err, told) {
		t.Errorf("cancelled: %v", err)
	}
	nothingLeft(t, disk.Path)
	backUpConfig(t, configOptions(c, source))
}

// Promise: the commands of RECOVER.md bring everything back with stock tools, as they stand there, sealed and plain.
func TestConfigRecover(t *testing.T) {
	t.Parallel()
	for _, sealed := range []bool{false, true} {
		t.Run(fmt.Sprintf("sealed=%v", sealed), func(t *testing.T) {
			t.Parallel()
			c, dir := repository(t)
			source := etc(t)
			o := configOptions(c, source)
			home := t.TempDir()
			if sealed {
				public, secret := sealtest.Serialize(t, sealtest.Entity(t, "ops", func(c *packet.Config) { c.Algorithm = packet.PubKeyAlgoRSA; c.RSABits = 2048 }))
				o.Seal.Recipients = []*seal.Key{sealtest.Key(t, public)}
				home = gnupg(t, secret)
			}
			set := backUpConfig(t, o).Set
			text, err := os.ReadFile(filepath.Join(dir, set.Dir(), configset.RecoverName))
			must(t, err)
			var script strings.Builder
			for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
				script.WriteString(block[1])
			}
			to := t.TempDir() + "/recovered"
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-eu", "-c", script.String())
			cmd.Dir = filepath.Join(dir, set.Dir())
			tools := configTools(t, sealed)
			cmd.Env = []string{"PATH=" + tools, "GNUPGHOME=" + home, "TO=" + to, "LC_ALL=C"}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !bytes.Contains(out, []byte("app/app.env")) || !json.Valid(out[bytes.LastIndexByte(bytes.TrimSpace(out), '\n')+1:]) {
				t.Errorf("output:\n%s", out)
			}
			archivetest.Same(t, source, to+source)
		})
	}
}

// configTools is a PATH with nothing but what RECOVER.md says is needed, and what any shell script has.
func configTools(t testing.TB, sealed bool) string {
	t.Helper()
	dir := stockTools(t, sealed)
	for _, name := range []string{"tar", "mkdir"} {
		path, err := exec.LookPath(name)
		must(t, err)
		must(t, os.Symlink(path, filepath.Join(dir, name)))
	}
	return dir
}
