package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// chmod gives a file a mode, whatever the umask.
func chmod(t *testing.T, path string, mode fs.FileMode) string {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// Promise: every setting that names a secret refuses a file on which group or others have rights, says where it was
// set, and gives the command that cures it; a file that is missing is left to those who need it.
func TestSecretFilesOfOthers(t *testing.T) {
	settings := map[string]string{
		"database.password_file":          "database: {password_file: %s}",
		"backup.decrypt.secret_key_files": "backup: {decrypt: {secret_key_files: [/nonexistent/k, %s]}}",
		"backup.decrypt.passphrase_file":  "backup: {decrypt: {passphrase_file: %s}}",
		"backup.encrypt.sign_key_file":    "backup: {encrypt: {sign_key_file: %s}}",

		"redis.password_file":          "redis: {password_file: %s}",
		"redis.sentinel_password_file": "redis: {sentinel_password_file: %s}",
		"redis.key_file":               "redis: {key_file: %s}",

		"backup.encrypt.sign_passphrase_file": "backup: {encrypt: {sign_passphrase_file: %s}}",
	}
	for _, k := range table(&Config{}, site{}) {
		if k.secret && settings[k.name] == "" {
			t.Errorf("%s is not tested", k.name)
		}
	}
	for name, text := range settings {
		for _, mode := range []fs.FileMode{0o640, 0o604, 0o644, 0o620, 0o601, 0o660} {
			secret := chmod(t, write(t, "secret", "x\n"), mode)
			_, err := loadYAML(t, strings.ReplaceAll(text, "%s", secret))
			var e *Error
			var p *PermissionError
			if !errors.As(err, &e) || !errors.As(err, &p) {
				t.Errorf("%s %o: got %v", name, mode, err)
				continue
			}
			if e.Line != 1 || !strings.HasPrefix(e.Msg, name+": ") || !strings.HasSuffix(e.Msg, "run chmod 600 "+secret) || p.Mode != mode || p.Path != secret {
				t.Errorf("%s %o: %v", name, mode, err)
			}
		}
		for _, mode := range []fs.FileMode{0o600, 0o400, 0o700} {
			secret := chmod(t, write(t, "secret", "x\n"), mode)
			if _, err := loadYAML(t, strings.ReplaceAll(text, "%s", secret)); err != nil {
				t.Errorf("%s %o: %v", name, mode, err)
			}
		}
		if _, err := loadYAML(t, strings.ReplaceAll(text, "%s", "/nonexistent/secret")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Run("through a link and a variable", func(t *testing.T) {
		secret := chmod(t, write(t, "it's secret", "x\n"), 0o644)
		link := filepath.Join(t.TempDir(), "it's a link")
		if err := os.Symlink(secret, link); err != nil {
			t.Fatal(err)
		}
		_, err := load(Options{Environ: []string{"FORGECTL_DATABASE_PASSWORD_FILE=" + link}}, missing)
		e := wantError(t, err, "environment FORGECTL_DATABASE_PASSWORD_FILE: database.password_file: ")
		if !strings.HasSuffix(e.Msg, `it'\''s a link'`) {
			t.Errorf("the command cannot be pasted: %s", e.Msg)
		}
	})
}

// Promise: a configuration file with a password in it must be its owner's alone; one without need not be.
func TestConfigFileWithPassword(t *testing.T) {
	for _, tc := range []struct {
		text   string
		mode   fs.FileMode
		refuse string
	}{
		{"database: {url: 'postgres://u:hunter2@h/d'}\n", 0o644, "database.url"},
		{"database: {url: 'postgres://u:hunter2@h/d'}\n", 0o640, "database.url"},
		{"database: {admin_url: host=h password=hunter2}\n", 0o640, "database.admin_url"},
		{"redis: {url: 'redis://:hunter2@h/1'}\n", 0o604, "redis.url"},
		{"database: {url: 'postgres://u:hunter2@h/d'}\n", 0o600, ""},
		{"database: {url: 'postgres://u@h/d'}\n", 0o644, ""},
		{"hooks: {before: ['curl --token $TOKEN x']}\n", 0o644, ""},
	} {
		path := chmod(t, write(t, "c.yaml", tc.text), tc.mode)
		_, err := load(Options{Path: path}, missing)
		if tc.refuse == "" {
			if err != nil {
				t.Errorf("%q %o: %v", tc.text, tc.mode, err)
			}
			continue
		}
		e := wantError(t, err, path+":1: "+tc.refuse+": ")
		var p *PermissionError
		if !errors.As(err, &p) || !strings.HasSuffix(e.Msg, "chmod 600 "+path) {
			t.Errorf("%q %o: %v", tc.text, tc.mode, err)
		}
	}
	// A password that the environment gave says nothing about the file.
	path := chmod(t, write(t, "c.yaml", "database: {url: postgres://u@h/d}\n"), 0o644)
	mustLoad(t, Options{Path: path, Environ: []string{"DATABASE_URL=postgres://u:hunter2@h/d"}})
}

// Promise: the application's environment file may be readable for a group, but with a secret in it not for everybody.
func TestEnvironmentFileRights(t *testing.T) {
	for _, tc := range []struct {
		text string
		mode fs.FileMode
		ok   bool
	}{
		{"SECRET_KEY=hunter2\n", 0o640, true},
		{"SECRET_KEY=hunter2\n", 0o644, false},
		{"DATABASE_URL=postgres://u:hunter2@h/d\n", 0o644, false},
		{"DB_PASSWORD=hunter2\n", 0o604, false},
		{"DB_PASSWORD=\nDEBUG=false\n", 0o644, true},
	} {
		path := chmod(t, write(t, "app.env", tc.text), tc.mode)
		_, err := load(Options{Environ: []string{"FORGECTL_APP_ENVIRONMENT_FILE=" + path}}, missing)
		if tc.ok {
			if err != nil {
				t.Errorf("%q %o: %v", tc.text, tc.mode, err)
			}
			continue
		}
		e := wantError(t, err, path+":1: the file holds a secret and everybody may read it")
		if !strings.HasSuffix(e.Msg, "chmod o= "+path) {
			t.Error(e.Msg)
		}
	}
}

// Promise: ReadSecret gives exactly the secret, or a typed error that says what to do.
func TestReadSecret(t *testing.T) {
	for text, want := range map[string]string{"pw": "pw", "pw\n": "pw", "pw\r\n": "pw", " p w \n": " p w ", "pw\n\n": "pw\n"} {
		got, err := ReadSecret(write(t, "s", text))
		if err != nil || string(got) != want {
			t.Errorf("%q gives %q, %v", text, got, err)
		}
	}
	dir := t.TempDir()
	for _, tc := range []struct{ path, want string }{
		{chmod(t, write(t, "s", "pw"), 0o640), "holds a secret, but its mode 0640"},
		{write(t, "empty", "\n"), "the file is empty"},
		{"/nonexistent/s", "no such file or directory"},
		{dir, "is a directory"},
	} {
		_, err := ReadSecret(tc.path)
		var e *Error
		if !errors.As(err, &e) || e.File != tc.path || !strings.Contains(e.Msg, tc.want) {
			t.Errorf("%s: %v", tc.path, err)
		}
	}
}
