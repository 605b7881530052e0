package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
	"golang.org/x/sys/unix"
)

// Problem is something that is well-formed but will not work, or not as meant.
type Problem struct {
	Key    string `json:"key"`
	Msg    string `json:"message"`
	Hint   string `json:"hint,omitempty"`
	Failed bool   `json:"failed"` // operations will fail; otherwise it only deserves a look
}

// Check finds what can be judged without contacting anything, as the user who runs it: another user may fare better
// or worse.
func (l *Loaded) Check() []Problem {
	var p problems
	l.checkDirectories(&p)
	l.checkFiles(&p)
	l.checkDatabase(&p)
	l.checkRedis(&p)
	l.checkSealing(&p)
	l.checkRest(&p)
	return p
}

type problems []Problem

func (p *problems) fail(key, hint, format string, args ...any) {
	*p = append(*p, Problem{Key: key, Msg: fmt.Sprintf(format, args...), Hint: hint, Failed: true})
}

func (p *problems) warn(key, hint, format string, args ...any) {
	*p = append(*p, Problem{Key: key, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

func (l *Loaded) checkDirectories(p *problems) {
	if err := usable(l.Repository); errors.Is(err, fs.ErrNotExist) {
		p.fail("repository", "install -d -m 0700 "+proc.ShellWord(l.Repository), "%s does not exist", l.Repository)
	} else if err != nil {
		p.fail("repository", "", "%s: %s", l.Repository, cause(err))
	}
	for _, d := range []struct{ key, path string }{{"state_dir", l.StateDir}, {"scratch_dir", l.ScratchDir}} {
		if err := creatable(d.path); err != nil {
			p.fail(d.key, "", "%s: %s", d.path, cause(err))
		}
	}
	media := l.Media.Path
	if media != "" && inside(l.Repository, media) {
		p.fail("repository", "", "%s is inside media.path (%s): every backup of the media would contain all earlier ones", l.Repository, media)
	}
	if media != "" && inside(media, l.Repository) {
		p.fail("media.path", "", "%s is inside the repository (%s)", media, l.Repository)
	}
	for _, d := range []struct{ key, path string }{{"app.root", l.App.Root}, {"media.path", media}} {
		if _, err := os.Stat(d.path); err != nil && d.path != "" {
			p.warn(d.key, "", "%s: %s", d.path, cause(err))
		}
	}
	for _, path := range l.ConfigFiles.Paths {
		if !l.row("config_files.paths").set {
			break // nobody said that it is there
		}
		if _, err := os.Lstat(path); err != nil {
			p.warn("config_files.paths", "", "%s: %s", path, cause(err))
		}
	}
}

// usable says whether path is a directory that we can write in.
func usable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("not a directory")
	}
	if err := unix.Access(path, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("not writable for this user: %w", err)
	}
	return nil
}

// creatable says whether path is a usable directory, or can be made one.
func creatable(path string) error {
	err := usable(path)
	for errors.Is(err, fs.ErrNotExist) && path != "/" {
		path = filepath.Dir(path)
		if err = usable(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("cannot be created: %s: %w", path, err)
		}
	}
	return err
}

// inside says whether path is dir or below it.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// checkFiles opens every file that a setting names. That others can read a secret one was found by Load already.
func (l *Loaded) checkFiles(p *problems) {
	for _, k := range l.rows {
		if k.section() || !k.secret && k.name != "backup.encrypt.recipient_files" && k.name != "verify.signer_files" {
			continue
		}
		for _, path := range k.value.get() {
			if path == "" {
				continue
			}
			if data, _, err := readBounded(path); err != nil {
				p.fail(k.name, "", "%s: %s", path, cause(err))
			} else if len(data) == 0 {
				p.fail(k.name, "", "%s: the file is empty", path)
			}
		}
	}
	if l.Backup.Encrypt.GNUPGHome != "" {
		if err := usable(l.Backup.Encrypt.GNUPGHome); err != nil {
			p.fail("backup.encrypt.gnupg_home", "", "%s: %s", l.Backup.Encrypt.GNUPGHome, cause(err))
		}
	}
	if info, err := os.Stat(l.File); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o020 != 0 {
		p.warn("", "chmod g-w "+proc.ShellWord(l.File), "a group may write %s, and with it choose commands that forgectl runs", l.File)
	}
}

func (l *Loaded) checkDatabase(p *problems) {
	d := l.Database
	info, _ := parseConninfo(d.URL)
	if info.database != "" && info.database != d.Name {
		p.warn("database.name", "", "%q (%s) wins over %q, which database.url names (%s)", d.Name, l.Source("database.name"), info.database, l.Source("database.url"))
	}
	if d.PasswordFile != "" && d.PasswordCommand != "" {
		p.fail("database.password_command", "", "password_file is set too: only one of them can be meant")
	}
	if info.password && (d.PasswordFile != "" || d.PasswordCommand != "") {
		p.fail("database.url", "", "it holds a password, and password_file or password_command is set too: only one of them can be meant")
	}
	if info.host != "" && !local(info.host) && !l.row("database.admin_url").set {
		p.warn("database.admin_url", "", "database.url names the host %s, but restores would go to the local server", info.host)
	}
}

func (l *Loaded) checkRedis(p *problems) {
	r := l.Redis
	if r.PasswordFile != "" && r.PasswordCommand != "" {
		p.fail("redis.password_command", "", "password_file is set too: only one of them can be meant")
	}
	if len(secretsIn(r.URL)) > 0 && (r.PasswordFile != "" || r.PasswordCommand != "") {
		p.fail("redis.url", "", "it holds a password, and password_file or password_command is set too: only one of them can be meant")
	}
	if r.KeyFile != "" && r.CertFile == "" {
		p.fail("redis.key_file", "", "cert_file is not set: a key alone proves nothing")
	}
}

func local(host string) bool {
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || host == "127.0.0.1" || host == "::1" || host == "[::1]"
}

func (l *Loaded) checkSealing(p *problems) {
	e, d := l.Backup.Encrypt, l.Backup.Decrypt
	if len(e.Recipients)+len(e.RecipientFiles) == 0 {
		if e.Required {
			p.fail("backup.encrypt.required", "name a key in backup.encrypt.recipients", "encryption is required, but there is nobody to encrypt to")
		} else {
			p.warn("backup.encrypt.recipients", "name a key, and set backup.encrypt.required", "backups will not be encrypted")
		}
	}
	if e.SignPassphraseFile != "" && e.SignPassphraseCommand != "" {
		p.fail("backup.encrypt.sign_passphrase_command", "", "sign_passphrase_file is set too: only one of them can be meant")
	}
	if l.Verify.RequireSignature && e.SignKeyFile == "" && len(l.Verify.SignerFiles) == 0 {
		p.fail("verify.require_signature", "name a public key in verify.signer_files", "signatures are required, but no key is accepted")
	}
	if d.PassphraseFile != "" && d.PassphraseCommand != "" {
		p.fail("backup.decrypt.passphrase_command", "", "passphrase_file is set too: only one of them can be meant")
	}
}

func (l *Loaded) checkRest(p *problems) {
	s, k := l.Service, l.Backup.Keep
	switch {
	case (s.Manager == ManagerSystemd || s.Manager == ManagerSupervisor) && len(s.Units) == 0:
		p.fail("service.units", "", "the manager %s needs at least one", s.Manager)
	case s.Manager == ManagerCommand && (len(s.Start) == 0 || len(s.Stop) == 0):
		p.fail("service.start", "", "the manager command needs service.start and service.stop")
	}
	if k.Within == 0 && k.Last+k.Daily+k.Weekly+k.Monthly+k.Yearly == 0 {
		p.warn("backup.keep", "", "no rule keeps anything beyond the newest %d", k.Min)
	}
	for _, k := range l.rows {
		if k.later && k.set {
			p.warn(k.name, "", "it is set (%s), but nothing in this release uses it yet", k.source)
		}
	}
	for _, name := range l.strays {
		p.warn("", "", "the environment variable %s is no setting", name)
	}
}
