package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write makes a file of mode 0600 in a directory of this test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// missing is a default configuration file that is not there.
const missing = "/nonexistent/forgectl.yaml"

// loadYAML loads a file with this text for root, with nothing in the environment.
func loadYAML(t *testing.T, text string) (*Loaded, error) {
	t.Helper()
	return load(Options{Path: write(t, "forgectl.yaml", text), Root: true}, missing)
}

func mustLoad(t *testing.T, o Options) *Loaded {
	t.Helper()
	l, err := load(o, missing)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Promise: with no file and no variables, the documented defaults hold.
func TestDefaults(t *testing.T) {
	want := Config{
		App:        App{Name: "bmad-forge", Root: "/var/www/bmad-forge"},
		Repository: "/var/backups/bmad-forge",
		StateDir:   "/var/lib/forgectl",
		ScratchDir: "/var/lib/forgectl/scratch",
		Database: Database{
			Name: "bmad_forge", URL: "postgres:///bmad_forge", MaintenanceURL: "postgres:///bmad_forge",
			AdminURL: "postgres:///postgres", AdminOSUser: "postgres",
		},
		Maintenance: Maintenance{Jobs: 1, LockTimeout: 2 * time.Second, TransactionWait: 10 * time.Minute},
		Backup: Backup{
			Split: 256 << 20, Compression: "fastest", Fingerprint: "counts", Readback: "decode", Prune: "auto", PruneRequires: "none", LockTimeout: time.Minute,
			Keep:    Keep{Within: 30 * 24 * time.Hour, Daily: 7, Weekly: 8, Monthly: 12, Min: 1},
			Encrypt: Encrypt{Recipients: []string{}, RecipientFiles: []string{}},
			Decrypt: Decrypt{SecretKeyFiles: []string{}, GPG: "auto"},
		},
		Guard: Guard{Shrink: 50},
		Checks: Checks{
			ConnectionsWarning: 80, ConnectionsCritical: 95, Transaction: 15 * time.Minute, IdleInTransaction: 5 * time.Minute, SlotWAL: 1 << 30,
			UnusedAfter: 30 * 24 * time.Hour, BloatRatio: 40, BloatSize: 10 << 20, MissingRows: 1000,
			DiskWarning: 30 * 24 * time.Hour, DiskCritical: 7 * 24 * time.Hour,
		},
		Verify:      Verify{SignerFiles: []string{}},
		Media:       Media{Path: "/var/www/bmad-forge/media", Exclude: []string{}, Columns: []string{}},
		ConfigFiles: ConfigFiles{Paths: []string{"/etc/bmad-forge", "/etc/nginx/sites-available/bmad-forge", "/etc/systemd/system/bmad-forge.service", "/etc/cron.d/bmad-forge", "/etc/logrotate.d/bmad-forge"}},
		Service:     Service{Manager: "systemd", Units: []string{"bmad-forge"}, Start: []string{}, Stop: []string{}, Restart: []string{}},
		Health:      Health{URL: "http://localhost:8000/health/", Timeout: 10 * time.Second, Wait: time.Minute},
		Redis:       Redis{URL: "redis://localhost:6379/0", Version: 1, FlushAfterRestore: true, Check: RedisCheck{Memory: 90, Clients: 80, Latency: 50 * time.Millisecond}, Warm: guideWarm},
		Hooks:       Hooks{Before: []string{}, After: []string{}, Timeout: time.Minute},
	}
	l := mustLoad(t, Options{Root: true})
	if diff := cmp.Diff(want, l.Config); diff != "" {
		t.Error(diff)
	}
	if l.File != "" {
		t.Errorf("File = %q without a file", l.File)
	}
}

// Promise: every field of Config is a row of the table, and a field that is set through its row is that field.
func TestTableCoversEveryField(t *testing.T) {
	var c Config
	found := map[any]string{}
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			name := path + v.Type().Field(i).Name
			if f := v.Field(i); f.Kind() == reflect.Struct {
				walk(f, name+".")
			} else {
				found[f.Addr().Interface()] = name
			}
		}
	}
	walk(reflect.ValueOf(&c).Elem(), "")
	rows := table(&c, site{home: "/home/x"})
	leaves, names := 0, map[string]bool{}
	sample := map[string]string{"postgres": "postgres://h/d", "http": "http://h/", "redis": "redis://h"}
	for _, k := range rows {
		if names[k.name] {
			t.Errorf("%s is in the table twice", k.name)
		}
		names[k.name] = true
		if k.doc == "" || !strings.HasSuffix(strings.TrimRight(k.doc, `")]`), ".") {
			t.Errorf("%s has no doc of whole sentences", k.name)
		}
		if k.section() {
			continue
		}
		leaves++
		for _, text := range []string{"13", "true", "/some/path", "13s", sample["postgres"], sample["http"], sample["redis"], "fastest", "full", "hash", "manual", "never", "none", "table.column", "0 2 * * 0 4h", defaultWarm} {
			if k.value.setText(text) == nil {
				break
			}
		}
		var changed []string
		for p, name := range found {
			if v := reflect.ValueOf(p).Elem(); !v.IsZero() {
				changed = append(changed, name)
				v.SetZero()
			}
		}
		if len(changed) != 1 {
			t.Errorf("setting %s changed %v, want exactly its field", k.name, changed)
			continue
		}
		plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
		if plain(changed[0]) != plain(k.name) {
			t.Errorf("%s fills the field %s", k.name, changed[0])
		}
	}
	if leaves != len(found) {
		t.Errorf("the table has %d settings, Config has %d fields", leaves, len(found))
	}
}

// Promise: a flag beats the environment, that beats the environment file, that the file, that the default; and the
// source says which it was.
func TestPrecedence(t *testing.T) {
	envfile := write(t, "app.env", "A=1\nDB_NAME=from_envfile\n")
	file := write(t, "forgectl.yaml", "app:\n  environment_file: "+envfile+"\ndatabase:\n  name: from_file\n")
	bare := write(t, "bare.yaml", "database:\n  name: from_file\n")
	for _, tc := range []struct {
		name, value, source string
		o                   Options
	}{
		{"default", "bmad_forge", "default", Options{}},
		{"file", "from_file", "file " + bare + ":2", Options{Path: bare}},
		{"environment file", "from_envfile", "environment file " + envfile + ":2", Options{Path: file}},
		{"environment", "from_env", "environment DB_NAME", Options{Path: file, Environ: []string{"DB_NAME=from_env", "PGDATABASE=weaker"}}},
		{"second variable", "from_pg", "environment PGDATABASE", Options{Path: file, Environ: []string{"DB_NAME=", "PGDATABASE=from_pg"}}},
		{"own variable", "own", "environment FORGECTL_DATABASE_NAME", Options{Path: file, Environ: []string{"DB_NAME=weaker", "FORGECTL_DATABASE_NAME=own"}}},
		{"flag", "from_flag", "flag --database", Options{Path: file, Environ: []string{"DB_NAME=weaker"}, Flags: map[string]string{"database.name": "from_flag"}}},
		{"named flag", "from_flag", "flag --db", Options{Flags: map[string]string{"database.name": "from_flag"}, FlagNames: map[string]string{"database.name": "db"}}},
		{"file by variable", "from_file", "file " + bare + ":2", Options{Environ: []string{"FORGECTL_CONFIG=" + bare}}},
		{"file by flag before variable", "from_file", "file " + bare + ":2", Options{Path: bare, Environ: []string{"FORGECTL_CONFIG=/nonexistent"}}},
		{"environment file by variable", "from_envfile", "environment file " + envfile + ":2", Options{Environ: []string{"FORGECTL_APP_ENVIRONMENT_FILE=" + envfile}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := mustLoad(t, tc.o)
			if l.Database.Name != tc.value || l.Source("database.name") != tc.source {
				t.Errorf("got %q from %q, want %q from %q", l.Database.Name, l.Source("database.name"), tc.value, tc.source)
			}
		})
	}
}

// Promise: an explicit name wins over the database in the URL, which wins over the default and PGDATABASE.
func TestDatabaseName(t *testing.T) {
	for _, tc := range []struct {
		name    string
		environ []string
		file    string
		want    string
		url     string
		source  string
	}{
		{"nothing", nil, "", "bmad_forge", "postgres:///bmad_forge", "default"},
		{"name only", []string{"DB_NAME=shop"}, "", "shop", "postgres:///shop", "environment DB_NAME"},
		{"odd name only", []string{"DB_NAME=a b/c?"}, "", "a b/c?", "postgres:///a%20b%2Fc%3F", "environment DB_NAME"},
		{"url names one", []string{"DATABASE_URL=postgres://h/shop"}, "", "shop", "postgres://h/shop", "environment DATABASE_URL"},
		{"url names none", []string{"DATABASE_URL=postgres://h"}, "", "bmad_forge", "postgres://h", "default"},
		{"keywords", []string{"DATABASE_URL=host=h dbname='my shop'"}, "", "my shop", "host=h dbname='my shop'", "environment DATABASE_URL"},
		{"name in the file wins", []string{"DATABASE_URL=postgres://h/shop"}, "database: {name: mine}", "mine", "postgres://h/shop", "file"},
		{"PGDATABASE gives way", []string{"DATABASE_URL=postgres://h/shop", "PGDATABASE=postgres"}, "", "shop", "postgres://h/shop", "environment DATABASE_URL"},
		{"PGDATABASE completes", []string{"DATABASE_URL=postgres://h", "PGDATABASE=shop"}, "", "shop", "postgres://h", "environment PGDATABASE"},
		{"Django's scheme", []string{"DATABASE_URL=postgis://h/shop"}, "", "shop", "postgres://h/shop", "environment DATABASE_URL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := mustLoad(t, Options{Path: write(t, "c.yaml", tc.file), Environ: tc.environ})
			source, _, _ := strings.Cut(l.Source("database.name"), " /")
			if l.Database.Name != tc.want || l.Database.URL != tc.url || l.Database.MaintenanceURL != tc.url || source != tc.source {
				t.Errorf("name %q (%s), url %q, maintenance %q; want %q (%s), %q", l.Database.Name, source, l.Database.URL, l.Database.MaintenanceURL, tc.want, tc.source, tc.url)
			}
		})
	}
}

// Promise: the variables that the application's administrators know keep working.
func TestVariables(t *testing.T) {
	for _, tc := range []struct {
		variable string
		get      func(*Loaded) any
		want     any
	}{
		{"GPG_RECIPIENT=ops@example.com", func(l *Loaded) any { return l.Backup.Encrypt.Recipients }, []string{"ops@example.com"}},
		{"GPG_RECIPIENT=a@x, b@x  c@x,", func(l *Loaded) any { return l.Backup.Encrypt.Recipients }, []string{"a@x", "b@x", "c@x"}},
		{"RETENTION_DAYS=14", func(l *Loaded) any { return l.Backup.Keep.Within }, 14 * 24 * time.Hour},
		{"HEALTH_URL=https://example.com/h", func(l *Loaded) any { return l.Health.URL }, "https://example.com/h"},
		{"REDIS_URL=redis://r:6380/2", func(l *Loaded) any { return l.Redis.URL }, "redis://r:6380/2"},
		{"REDIS_URL=", func(l *Loaded) any { return l.Redis.URL }, "redis://localhost:6379/0"},
		{"FORGECTL_REDIS_URL=", func(l *Loaded) any { return l.Redis.URL }, ""},
		{"FORGECTL_BACKUP_JOBS=3", func(l *Loaded) any { return l.Backup.Jobs }, 3},
		{"FORGECTL_BACKUP_KEEP_WITHIN=2w", func(l *Loaded) any { return l.Backup.Keep.Within }, 14 * 24 * time.Hour},
		{"FORGECTL_BACKUP_ENCRYPT_REQUIRED=true", func(l *Loaded) any { return l.Backup.Encrypt.Required }, true},
		{"FORGECTL_HOOKS_BEFORE=mount /b, or die\n\nlogger x", func(l *Loaded) any { return l.Hooks.Before }, []string{"mount /b, or die", "logger x"}},
		{"FORGECTL_CONFIG_FILES_PATHS=/a /b", func(l *Loaded) any { return l.ConfigFiles.Paths }, []string{"/a", "/b"}},
		{"FORGECTL_REPOSITORY=~/backups", func(l *Loaded) any { return l.Repository }, "/home/ops/backups"},
	} {
		t.Run(tc.variable, func(t *testing.T) {
			l := mustLoad(t, Options{Environ: []string{tc.variable, "HOME=/home/ops"}})
			if diff := cmp.Diff(tc.want, tc.get(l)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Promise: a bad variable or flag is one clear error that names it, and a recipient that is empty never passes.
func TestBadVariablesAndFlags(t *testing.T) {
	envfile := write(t, "app.env", "X=1\nGPG_RECIPIENT=\n")
	bad := write(t, "bad.env", "X=1\nRETENTION_DAYS=s3cret\n")
	for _, tc := range []struct {
		name string
		o    Options
		want string
	}{
		{"empty recipient", Options{Environ: []string{"GPG_RECIPIENT="}}, "environment GPG_RECIPIENT: is set but empty, which would leave backups unencrypted"},
		{"blank recipient", Options{Environ: []string{"GPG_RECIPIENT= , "}}, "environment GPG_RECIPIENT: is set but empty"},
		{"own empty recipient", Options{Environ: []string{"FORGECTL_BACKUP_ENCRYPT_RECIPIENTS="}}, "environment FORGECTL_BACKUP_ENCRYPT_RECIPIENTS: is set but empty"},
		{"empty recipient in file", Options{Environ: []string{"FORGECTL_APP_ENVIRONMENT_FILE=" + envfile}}, envfile + ":2: GPG_RECIPIENT: is set but empty"},
		{"empty recipient flag", Options{Flags: map[string]string{"backup.encrypt.recipients": ""}}, "flag --recipients: must not be empty"},
		{"days", Options{Environ: []string{"RETENTION_DAYS=30d"}}, `environment RETENTION_DAYS: want a whole number of days, not "30d"`},
		{"days in file", Options{Environ: []string{"FORGECTL_APP_ENVIRONMENT_FILE=" + bad}}, bad + ":2: RETENTION_DAYS: want a whole number"},
		{"number", Options{Environ: []string{"FORGECTL_BACKUP_JOBS=many"}}, "environment FORGECTL_BACKUP_JOBS: want a whole number from 0 to 256"},
		{"empty path", Options{Environ: []string{"FORGECTL_REPOSITORY="}}, "environment FORGECTL_REPOSITORY: must not be empty"},
		{"relative path", Options{Environ: []string{"FORGECTL_REPOSITORY=backups"}}, "environment FORGECTL_REPOSITORY: must be an absolute path"},
		{"other database", Options{Environ: []string{"DATABASE_URL=mysql://u:pw@h/d"}}, "environment DATABASE_URL: want a URL that begins with postgres://, not mysql://"},
		{"misspelt", Options{Environ: []string{"FORGECTL_REPOSITRY=/x"}}, "environment FORGECTL_REPOSITRY: there is no such setting, did you mean FORGECTL_REPOSITORY?"},
		{"flag", Options{Flags: map[string]string{"backup.jobs": "-1"}}, `flag --jobs: want a whole number from 0 to 256, not "-1"`},
		{"unknown flag key", Options{Flags: map[string]string{"backup.job": "1"}}, `flag --job: there is no setting "backup.job"`},
		{"password in a flag", Options{Flags: map[string]string{"database.url": "postgres://u:pw@h/d"}}, "flag --url: a password does not belong on a command line"},
		{"missing environment file", Options{Environ: []string{"FORGECTL_APP_ENVIRONMENT_FILE=/nonexistent/e"}}, "environment FORGECTL_APP_ENVIRONMENT_FILE: app.environment_file: read /nonexistent/e: no such file or directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(tc.o, missing)
			wantError(t, err, tc.want)
		})
	}
}

// wantError wants a *Error whose message begins so, and shows no secret of these tests.
func wantError(t *testing.T, err error, want string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *config.Error", err)
	}
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	for _, secret := range []string{"pw", "s3cret", "hunter2"} {
		if secret != "s3cret" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows a secret: %s", err)
		}
	}
	return e
}

// Promise: variables meant for hooks, and those of others, do no harm.
func TestForeignVariables(t *testing.T) {
	l := mustLoad(t, Options{Environ: []string{"FORGECTL_OPERATION=backup db", "FORGECTL_ERROR=x", "FORGECTL_SOMETHING_ELSE_ENTIRELY=1", "JOBS=x", "=odd", "odd"}})
	if diff := cmp.Diff([]string{"FORGECTL_SOMETHING_ELSE_ENTIRELY"}, l.strays); diff != "" {
		t.Error(diff)
	}
}

// Promise: a relative path in a flag means the directory one is in.
func TestFlagPathIsRelativeToWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	l := mustLoad(t, Options{Flags: map[string]string{"repository": "b/../repo", "backup.encrypt.recipient_files": "k1,/k2"}})
	if want := filepath.Join(wd, "repo"); l.Repository != want {
		t.Errorf("repository = %q, want %q", l.Repository, want)
	}
	if diff := cmp.Diff([]string{filepath.Join(wd, "k1"), "/k2"}, l.Backup.Encrypt.RecipientFiles); diff != "" {
		t.Error(diff)
	}
}

// Promise: PG* variables are found in what the caller has, completed by the environment file, where the caller wins.
func TestEnviron(t *testing.T) {
	envfile := write(t, "app.env", "PGHOST=db1\nPGUSER=app\nPGPASSWORD=hunter2\n")
	l := mustLoad(t, Options{Environ: []string{"PGUSER=me", "FORGECTL_APP_ENVIRONMENT_FILE=" + envfile}})
	want := []string{"PGUSER=me", "FORGECTL_APP_ENVIRONMENT_FILE=" + envfile, "PGHOST=db1", "PGPASSWORD=hunter2"}
	if diff := cmp.Diff(want, l.Environ); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"hunter2"}, l.Secrets()); diff != "" {
		t.Error(diff)
	}
}

// Promise: the file that is asked for must be there and readable; the default one may be missing, and nothing else.
func TestConfigFile(t *testing.T) {
	dir := t.TempDir()
	writable := write(t, "w.yaml", "")
	if err := os.Chmod(writable, 0o602); err != nil {
		t.Fatal(err)
	}
	large := write(t, "l.yaml", strings.Repeat("# long\n", maxFile/7+1))
	for _, tc := range []struct {
		name, defaultPath, want string
		o                       Options
	}{
		{"missing flag", missing, "/nonexistent/x.yaml: read configuration: no such file or directory (asked for by flag --config)", Options{Path: "/nonexistent/x.yaml"}},
		{"missing variable", missing, "/nonexistent/x.yaml: read configuration: no such file or directory (asked for by environment FORGECTL_CONFIG)", Options{Environ: []string{"FORGECTL_CONFIG=/nonexistent/x.yaml"}}},
		{"other asker", missing, "/nonexistent/x.yaml: read configuration: no such file or directory (asked for by me)", Options{Path: "/nonexistent/x.yaml", PathSource: "me"}},
		{"directory", missing, dir + ": read configuration: is a directory", Options{Path: dir}},
		{"default is a directory", dir, dir + ": read configuration: is a directory", Options{}},
		{"everybody may write", missing, writable + ": everybody may write this file", Options{Path: writable}},
		{"too large", missing, large + ": read configuration: larger than 1024 KiB", Options{Path: large}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(tc.o, tc.defaultPath)
			wantError(t, err, tc.want)
		})
	}
	t.Run("keeps the cause", func(t *testing.T) {
		if _, err := load(Options{Path: "/nonexistent"}, missing); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v is not fs.ErrNotExist", err)
		}
	})
	t.Run("default file", func(t *testing.T) {
		path := write(t, "d.yaml", "repository: /r\n")
		l, err := load(Options{}, path)
		if err != nil || l.File != path || l.Repository != "/r" {
			t.Errorf("got %+v, %v", l, err)
		}
	})
	t.Run("unreadable default file", func(t *testing.T) {
		path := write(t, "d.yaml", "repository: /r\n")
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		// Root reads it all the same; anybody else must not silently get the defaults.
		l, err := load(Options{}, path)
		if os.Geteuid() == 0 {
			if err != nil || l.Repository != "/r" {
				t.Errorf("as root: %v", err)
			}
			return
		}
		wantError(t, err, path+": read configuration: permission denied")
	})
}

// Promise: records go where this user can write.
func TestDefaultStateDir(t *testing.T) {
	writable := t.TempDir()
	for _, tc := range []struct {
		name, system, xdg, home string
		root                    bool
		want                    string
	}{
		{"root", "/nonexistent/s", "/xdg", "/home/x", true, "/nonexistent/s"},
		{"writable", writable, "/xdg", "/home/x", false, writable},
		{"xdg", "/nonexistent/s", "/xdg", "/home/x", false, "/xdg/forgectl"},
		{"relative xdg is ignored", "/nonexistent/s", "xdg", "/home/x", false, "/home/x/.local/state/forgectl"},
		{"home", "/nonexistent/s", "", "/home/x", false, "/home/x/.local/state/forgectl"},
		{"nowhere", "/nonexistent/s", "", "", false, "/nonexistent/s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := defaultStateDir(tc.system, tc.root, tc.xdg, tc.home); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	l := mustLoad(t, Options{Environ: []string{"XDG_STATE_HOME=/xdg", "FORGECTL_STATE_DIR=/mine"}})
	if l.StateDir != "/mine" || l.ScratchDir != "/mine/scratch" {
		t.Errorf("state_dir %s, scratch_dir %s", l.StateDir, l.ScratchDir)
	}
}
