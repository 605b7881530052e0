package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: a line that runs the backup is found through whatever stands in front
// of it, and one that only speaks of it is not.
func TestCalls(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{
		"/opt/night.sh":   "#!/bin/bash\nset -e\nexport PATH=/opt/bin:$PATH\n# forgectl backup db\nforgectl backup db --database shop && echo done\n",
		"/opt/comment.sh": "#!/bin/sh\n# forgectl backup db\n",
		"/opt/loop.sh":    "#!/bin/sh\n/opt/loop.sh\n",
		"/opt/outer.sh":   "#!/bin/sh\nif true; then exec /opt/night.sh; fi\n",
	}
	for _, c := range []struct{ line, want string }{
		{"forgectl backup db", "forgectl"},
		{"/usr/local/bin/forgectl backup db", "/usr/local/bin/forgectl"},
		{"forgectl --config /etc/f.yaml -v backup db -o json --timeout=90m >/dev/null 2>&1", "forgectl"},
		{"forgectl backup db --database shop", "forgectl database=shop"},
		{"forgectl backup db --jobs 2 --fingerprint full", "forgectl"},
		{"forgectl backup full --jobs 2 --database shop", "forgectl database=shop"},
		{"FOO=1 PATH=/opt/bin forgectl backup db", "forgectl path=/opt/bin"},
		{"cd /tmp && forgectl backup db || logger failed", "forgectl"},
		{"true; forgectl backup db # nightly", "forgectl"},
		{"forgectl 'backup' \"db\"", "forgectl"},
		{"forgectl backup \\\ndb", "forgectl"},
		{"(forgectl backup db; forgectl backup verify) | mail ops", "forgectl"},
		{"nice -n 19 ionice -c2 -n7 chronic forgectl backup db", "forgectl"},
		{"/usr/bin/env -i PATH=/opt/bin HOME=/root forgectl backup db", "forgectl path=/opt/bin"},
		{"timeout -k 5 2h forgectl backup db", "forgectl"},
		{"flock -n /run/night.lock forgectl backup db", "forgectl"},
		{"flock -n /run/night.lock -c 'forgectl backup db'", "forgectl"},
		{"sudo -n -u bmad-forge -- forgectl backup db", "forgectl user=bmad-forge"},
		{"su - bmad-forge -c 'forgectl backup db'", "forgectl user=bmad-forge"},
		{"runuser -u bmad-forge forgectl backup db", "forgectl user=bmad-forge"},
		{"/bin/sh -c 'sleep 5; exec forgectl backup db'", "forgectl"},
		{"bash -lc 'forgectl backup db'", "forgectl"},
		{"[ -x /x ] && ! forgectl backup db", "forgectl"},
		{"/opt/night.sh", "forgectl path=/opt/bin:$PATH database=shop"},
		{"nice sh /opt/night.sh", "forgectl path=/opt/bin:$PATH database=shop"},
		{"/opt/outer.sh", "forgectl path=/opt/bin:$PATH database=shop"},

		{"echo forgectl backup db", ""},
		{"true # forgectl backup db", ""},
		{"forgectl backup db-old", ""},
		{"forgectl backup media --checksum", ""},
		{"forgectl backup list", ""},
		{"forgectl backup verify db", ""},
		{"logger 'forgectl backup db'", ""},
		{"echo 'x; forgectl backup db'", ""},
		{"cat > forgectl backup db", ""},
		{"/opt/comment.sh", ""},
		{"/opt/loop.sh", ""},
		{"", ""},
		{"'unclosed forgectl backup db", ""},
	} {
		var got []string
		for _, f := range calls(c.line, func(path string) string { return scripts[path] }) {
			text := f.program
			for _, field := range []struct{ name, value string }{{"user", f.user}, {"path", f.path}, {"database", f.database}} {
				if field.value != "" {
					text += " " + field.name + "=" + field.value
				}
			}
			got = append(got, text)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
	}
}

// Promise: nothing that stands in a crontab makes the reader fail.
func FuzzCrontab(f *testing.F) {
	f.Add("PATH=/bin\n15 2 * * * me env -i A=b nice sh -c 'forgectl backup db' > x 2>&1 # c\n")
	f.Add("@daily me flock")
	f.Add("0 0 * * * me su -c")
	f.Add("0 0 * * * me \"\\")
	f.Fuzz(func(_ *testing.T, text string) {
		Cron{}.crontab("/nowhere/file", text, true)
		Cron{}.crontab("/nowhere/file", text, false)
	})
}

// Promise: a crontab counts as cron reads it, with its rules for times, users,
// comments and percent signs, and what keeps a line from running is critical.
func TestSchedule(t *testing.T) {
	t.Parallel()
	type files map[string]string
	line := "15 2 * * * me forgectl backup db\n"
	const found, silent = "ok: bmad-forge:", "warning: nothing runs forgectl backup db or backup full | 15 2 * * * "
	for _, c := range []struct {
		name  string
		files files
		want  []string
	}{
		{"as it should be", files{"/etc/cron.d/bmad-forge": "PATH=@\n" + line}, []string{found + "2 runs the backup as me"}},
		{"quoted path, word for the time", files{"/etc/cron.d/bmad-forge": "PATH = \"@\"\n@daily me forgectl backup db\n"}, []string{found + "2"}},
		{"names and steps", files{"/etc/cron.d/bmad-forge": "0 */6 1-7 jan,feb Mon\tme\t@/forgectl backup db\n"}, []string{found + "1"}},
		{"the path of the line", files{"/etc/cron.d/bmad-forge": "15 2 * * * me PATH=@ forgectl backup db\n"}, []string{found + "1"}},
		{"a wrapper", files{"/etc/cron.d/bmad-forge": "15 2 * * * me @/root/night.sh\n", "/night.sh": "#!/bin/sh\nexec @/forgectl backup db\n"}, []string{found + "1"}},
		{"/etc/crontab", files{"/etc/crontab": "PATH=@\n" + line}, []string{"ok: crontab:2 runs the backup as me"}},
		{"a user's own", files{"/var/spool/cron/crontabs/me": "PATH=@\n15 2 * * * forgectl backup db\n"}, []string{"ok: crontabs/me:2 runs the backup as me"}},
		{"two of them", files{"/etc/cron.d/bmad-forge": "PATH=@\n" + line + line}, []string{found + "2", found + "3"}},
		{"this database", files{"/etc/cron.d/bmad-forge": "15 2 * * * me @/forgectl backup db --database forge\n"}, []string{found + "1"}},

		{"none", nil, []string{silent}},
		{"only a comment", files{"/etc/cron.d/bmad-forge": "PATH=@\n#" + line}, []string{silent}},
		{"after a percent sign", files{"/etc/cron.d/bmad-forge": "PATH=@\n15 2 * * * me cat % ; forgectl backup db\n"}, []string{silent}},
		{"a percent sign with a backslash", files{"/etc/cron.d/bmad-forge": "PATH=@\n15 2 * * * me date +\\%F; forgectl backup db\n"}, []string{found + "2"}},
		{"once a boot", files{"/etc/cron.d/bmad-forge": "PATH=@\n@reboot me forgectl backup db\n"}, []string{silent}},
		{"another database", files{"/etc/cron.d/bmad-forge": "15 2 * * * me @/forgectl backup db --database shop\n"}, []string{silent}},

		{"cron's own path", files{"/etc/cron.d/bmad-forge": line}, []string{"critical: bmad-forge:1 will not find forgectl: it looks in /usr/bin:/bin | sed -i '1i PATH="}},
		{"a path after the line", files{"/etc/cron.d/bmad-forge": line + "PATH=@\n"}, []string{"critical: will not find forgectl"}},
		{"a program that is not there", files{"/etc/cron.d/bmad-forge": "15 2 * * * me /opt/forgectl backup db\n"}, []string{"critical: will not find /opt/forgectl"}},
		{"no such user", files{"/etc/cron.d/bmad-forge": "PATH=@\n15 2 * * * you forgectl backup db\n"}, []string{"critical: as you: there is no such user | getent passwd you"}},
		{"a name with a dot", files{"/etc/cron.d/bmad.cron": "PATH=@\n" + line}, []string{"critical: cron ignores | bmad-cron"}},
		{"no end of line", files{"/etc/cron.d/bmad-forge": "PATH=@\n" + strings.TrimSpace(line)}, []string{"critical: its last line has no end | echo >> "}},

		{
			"a timer", files{
				"/etc/systemd/system/night.timer": "[Timer]\nOnCalendar=daily\n", "/etc/systemd/system/night.service": "[Service]\nUser=me\nExecStart=-@/forgectl \\\n  backup db\n",
				"/etc/systemd/system/timers.target.wants/night.timer": "",
			}, []string{"ok: night.timer runs the backup as me"},
		}, {
			"a timer that is not enabled", files{"/usr/lib/systemd/system/night.timer": "[Timer]\nUnit=x.service\n", "/usr/lib/systemd/system/x.service": "[Service]\nUser=me\nExecStart=@/forgectl backup db\n"},
			[]string{"critical: systemd ignores | systemctl enable --now night.timer"},
		}, {"every day, not executable", files{"/etc/cron.daily/forge": "#!/bin/sh\nexport PATH=@:$PATH\nforgectl backup db\n"}, []string{"critical: run-parts ignores | chmod 0755 "}},
		{"every day", files{"/etc/cron.daily/run": "#!/bin/sh\nexport PATH=@:$PATH\nforgectl backup db\n"}, []string{"ok: cron.daily/run runs the backup as root"}},
		{"every day, a name that is not taken", files{"/etc/cron.daily/forge.sh": "#!/bin/sh\n@/forgectl backup db\n"}, []string{"critical: run-parts ignores | /forge-sh"}},
		{"the path of a script over that of the crontab", files{"/etc/cron.d/bmad-forge": "PATH=@\n15 2 * * * me @/root/night.sh\n", "/night.sh": "#!/bin/sh\nPATH=/opt/bin:$PATH\nforgectl backup db\n"}, []string{found + "2"}},
		{"a timer without its service", files{"/etc/systemd/system/night.timer": ""}, []string{silent}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			if err := os.Remove(filepath.Join(h.dir, "root/etc/cron.d/bmad-forge")); err != nil {
				t.Fatal(err)
			}
			for name, text := range c.files {
				mode := os.FileMode(0o644)
				if strings.HasSuffix(name, ".sh") || strings.HasSuffix(name, "daily/run") {
					mode = 0o755
				}
				h.write("root"+name, strings.NewReplacer("@daily", "@daily", "@reboot", "@reboot", "@", h.dir).Replace(text), mode)
			}
			wants(t, h.only("schedule"), c.want...)
		})
	}
}

// Promise: cron wants its files to be root's alone, and so do we.
func TestCronFileRules(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	file := filepath.Join(h.dir, "root/etc/cron.d/bmad-forge")
	if err := os.Chmod(file, 0o664); err != nil {
		t.Fatal(err)
	}
	wants(t, h.only("schedule"), "critical: others than its owner may write it | chmod 0644 "+file)
	h.Cron.Owner = 4711
	wants(t, h.only("schedule"), "critical: does not belong to root | chown root:root", "critical: others than its owner")
}

// Promise: whoever runs the backup at night can use the repository and read the
// configuration.
func TestNightUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		scratchtest.Skip(t, "only root can give files away")
	}
	h := newHost(t)
	h.ConfigFile = h.write("forgectl.yaml", "", 0o600)
	h.Cron.User = nil
	h.write("root/etc/cron.d/bmad-forge", "15 2 * * * nobody "+h.dir+"/forgectl backup db\n", 0o644)
	wants(t, h.only("schedule"), "critical: as nobody, but "+h.Repository+" belongs to root | chown -R nobody:", "critical: as nobody, who may not read | chmod 0640")
	if err := os.Chown(h.Repository, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.ConfigFile, 0o644); err != nil {
		t.Fatal(err)
	}
	wants(t, h.only("schedule"), "ok: runs the backup as nobody")
	if err := os.Chmod(filepath.Join(h.dir, "forgectl"), 0o750); err != nil {
		t.Fatal(err)
	}
	wants(t, h.only("schedule"), "critical: nobody may not run it")
}
