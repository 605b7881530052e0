package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// healthy makes what a healthy machine has, and a configuration for it.
func healthy(t *testing.T) (dir, text string) {
	t.Helper()
	dir = t.TempDir()
	for _, d := range []string{"repo", "media", "app"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir, strings.ReplaceAll(`
app: {root: DIR/app}
repository: DIR/repo
state_dir: DIR/new/state
media: {path: DIR/media}
config_files: {paths: [DIR/app]}
backup: {encrypt: {recipients: [a@x]}}
`, "DIR", dir)
}

// Promise: a machine on which all is well has no problems but what is not used yet.
func TestCheckHealthy(t *testing.T) {
	_, text := healthy(t)
	l, err := loadYAML(t, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range l.Check() {
		if p.Failed || !strings.Contains(p.Msg, "nothing in this release uses it yet") {
			t.Errorf("%+v", p)
		}
	}
}

// Promise: each thing that will not work is found, with its setting, before anything is contacted.
func TestCheckFinds(t *testing.T) {
	dir, base := healthy(t)
	file, empty := write(t, "file", "x"), write(t, "empty", "")
	for _, tc := range []struct {
		name string
		more string // settings in place of those above
		key  string
		msg  string
		fail bool
	}{
		{"no repository", "repository: /nonexistent/r", "repository", "/nonexistent/r does not exist", true},
		{"repository is a file", "repository: " + file, "repository", "not a directory", true},
		{"state below a file", "state_dir: " + file + "/state\nscratch_dir: " + dir, "state_dir", "not a directory", true},
		{"scratch below a file", "scratch_dir: " + file + "/s", "scratch_dir", "not a directory", true},
		{"repository in the media", "media: {path: " + dir + "}", "repository", "is inside media.path", true},
		{"media in the repository", "media: {path: " + dir + "/repo/media}", "media.path", "is inside the repository", true},
		{"no application", "app: {root: /nonexistent/a}", "app.root", "no such file", false},
		{"no configuration", "config_files: {paths: [/nonexistent/c]}", "config_files.paths", "/nonexistent/c: no such file", false},
		{"no password file", "database: {password_file: /nonexistent/p}", "database.password_file", "/nonexistent/p: no such file", true},
		{"empty password file", "database: {password_file: " + empty + "}", "database.password_file", "the file is empty", true},
		{"no key file", "backup: {encrypt: {recipient_files: [/nonexistent/k]}}", "backup.encrypt.recipient_files", "no such file", true},
		{"no keyring", "backup: {encrypt: {recipients: [a@x], gnupg_home: /nonexistent/g}}", "backup.encrypt.gnupg_home", "no such file", true},
		{"not encrypted", "backup: {jobs: 1}", "backup.encrypt.recipients", "backups will not be encrypted", false},
		{"required without a key", "backup: {encrypt: {required: true}}", "backup.encrypt.required", "nobody to encrypt to", true},
		{"two names", "database: {name: a, url: 'postgres://h/b', admin_url: 'postgres://h/postgres'}", "database.name", `"a" (file`, false},
		{"two passwords", "database: {password_file: " + file + ", password_command: pass x}", "database.password_command", "only one of them", true},
		{"password and url", "database: {url: 'postgres://u:pw@localhost/d', password_command: pass x}", "database.url", "only one of them", true},
		{"restore elsewhere", "database: {url: 'postgres://db1/d'}", "database.admin_url", "restores would go to the local server", false},
		{"two passphrases", "backup: {encrypt: {recipients: [a@x]}, decrypt: {passphrase_file: " + file + ", passphrase_command: x}}", "backup.decrypt.passphrase_command", "only one of them", true},
		{"no units", "service: {units: []}", "service.units", "needs at least one", true},
		{"no commands", "service: {manager: command}", "service.start", "needs service.start", true},
		{"keeps nothing", "backup: {encrypt: {recipients: [a@x]}, keep: {within: 0, daily: 0, weekly: 0, monthly: 0}}", "backup.keep", "no rule keeps anything beyond the newest 1", false},
		{"two passwords of redis", "redis: {password_file: " + file + ", password_command: pass x}", "redis.password_command", "only one of them", true},
		{"password in the URL of redis, and a file", "redis: {url: 'redis://:pw@h/0', password_file: " + file + "}", "redis.url", "only one of them", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			group, _, _ := strings.Cut(tc.more, ":")
			var kept []string
			for _, line := range strings.Split(base, "\n") {
				if !strings.HasPrefix(line, group+":") {
					kept = append(kept, line)
				}
			}
			l, err := loadYAML(t, strings.Join(kept, "\n")+"\n"+tc.more+"\n")
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, p := range l.Check() {
				if strings.Contains(p.Msg+p.Hint, "pw") {
					t.Errorf("shows a password: %+v", p)
				}
				if p.Key == tc.key && strings.Contains(p.Msg, tc.msg) {
					found = p.Failed == tc.fail
				} else if p.Failed {
					t.Errorf("also fails: %+v", p)
				}
			}
			if !found {
				t.Errorf("not found in %+v", l.Check())
			}
		})
	}
}

// Promise: what this user has no right to is found; root has every right.
func TestCheckRights(t *testing.T) {
	dir, text := healthy(t)
	chmod(t, filepath.Join(dir, "repo"), 0o500)
	path := chmod(t, write(t, "c.yaml", text), 0o660)
	l := mustLoad(t, Options{Path: path, Environ: []string{"FORGECTL_QUITE_DIFFERENT=1"}})
	var repository, group, stray bool
	for _, p := range l.Check() {
		repository = repository || p.Key == "repository" && p.Failed && strings.Contains(p.Msg, "permission denied")
		group = group || strings.Contains(p.Msg, "a group may write "+path) && p.Hint == "chmod g-w "+path
		stray = stray || strings.Contains(p.Msg, "FORGECTL_QUITE_DIFFERENT is no setting")
	}
	if repository != (os.Geteuid() != 0) || !group || !stray {
		t.Errorf("repository %v, group %v, stray %v: %+v", repository, group, stray, l.Check())
	}
}
