package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Cron is where lines are looked for that run the nightly backup.
type Cron struct {
	Root  string // where /etc, /var and so on are; "" is /
	Owner int    // of system crontabs, else cron ignores them; 0 is root
	// User finds a user of this host; nil: the system's own look-up.
	User func(name string) (*proc.Credential, error)
}

func (c Cron) withDefaults() Cron {
	if c.Root == "" {
		c.Root = "/"
	}
	if c.User == nil {
		c.User = proc.LookupUser
	}
	return c
}

func (c Cron) path(name string) string { return filepath.Join(c.Root, name) }

// night is one scheduled call of the backup.
type night struct {
	call
	where   string // "/etc/cron.d/bmad-forge:4"
	file    string
	path    string    // where programs are looked for
	ignored []Finding // why cron, or systemd, will not run it
}

// cronPath is what cron gives as PATH where the crontab sets none.
const cronPath = "/usr/bin:/bin"

// nights are the scheduled calls; unread are the files that could not be looked into.
func (c Cron) nights() (all []night, unread []error) {
	for _, list := range []struct {
		pattern string
		system  bool // has a field for the user
	}{{"/etc/crontab", true}, {"/etc/cron.d/*", true}, {"/var/spool/cron/crontabs/*", false}, {"/var/spool/cron/crontabs", false}} {
		files, err := filepath.Glob(c.path(list.pattern))
		if err != nil {
			unread = append(unread, err)
		}
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || info.IsDir() {
				if _, err := os.ReadDir(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
					unread = append(unread, err)
				}
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				unread = append(unread, err)
				continue
			}
			here := c.crontab(file, string(data), list.system)
			if len(here) > 0 && list.system {
				here[0].ignored = c.rules(file, string(data))
			}
			all = append(all, here...)
		}
	}
	return slices.Concat(all, c.daily(), c.timers()), unread
}

// daily are the scripts that Debian's /etc/crontab has run-parts run once a day
// as root. run-parts is as silent about those it leaves out as cron is.
func (c Cron) daily() []night {
	files, _ := filepath.Glob(c.path("/etc/cron.daily/*")) // the pattern is well formed
	var all []night
	for _, file := range files {
		for i, call := range calls(readScript(file), readScript) {
			n := night{call: call, where: file, file: file, path: call.searched(cronPath)}
			if n.user == "" {
				n.user = "root"
			}
			info, err := os.Stat(file)
			switch name := filepath.Base(file); {
			case i > 0 || err != nil:
			case !cronName.MatchString(name):
				n.ignored = []Finding{found(Critical, []string{"mv " + proc.ShellWord(file) + " " + proc.ShellWord(filepath.Join(filepath.Dir(file), strings.ReplaceAll(name, ".", "-")))}, "run-parts ignores %s: its name may only have letters, digits, _ and -", file)}
			case info.Mode()&0o111 == 0:
				n.ignored = []Finding{found(Critical, []string{"chmod 0755 " + proc.ShellWord(file)}, "run-parts ignores %s: it cannot be executed", file)}
			}
			all = append(all, n)
		}
	}
	return all
}

var (
	cronSetting = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$`)
	// Five fields, or a word, before the rest. Of the words, @reboot is no night.
	cronTimes = regexp.MustCompile(`^\s*(?:@(?:yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9*]\S*(?:\s+[0-9A-Za-z*]\S*){4})\s+(.*)$`)
	cronUser  = regexp.MustCompile(`^(\S+)\s+(.*)$`)
)

// crontab reads one file.
func (c Cron) crontab(file, text string, system bool) []night {
	var all []night
	searched := cronPath
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		if m := cronSetting.FindStringSubmatch(line); m != nil {
			if m[1] == "PATH" {
				searched = strings.Trim(m[2], `"'`)
			}
			continue
		}
		m := cronTimes.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		user, command := filepath.Base(file), m[1]
		if system {
			if m = cronUser.FindStringSubmatch(command); m == nil {
				continue
			}
			user, command = m[1], m[2]
		}
		for _, call := range calls(beforePercent(command), readScript) {
			n := night{call: call, file: file, where: fmt.Sprintf("%s:%d", file, number), path: call.searched(searched)}
			if n.user == "" {
				n.user = user
			}
			all = append(all, n)
		}
	}
	return all
}

// beforePercent is the command of a crontab line: what follows a percent sign is
// its input, unless a backslash stands before it.
func beforePercent(command string) string {
	var b strings.Builder
	for i := 0; i < len(command); i++ {
		switch {
		case command[i] == '\\' && i+1 < len(command) && command[i+1] == '%':
			i++
		case command[i] == '%':
			return b.String()
		}
		b.WriteByte(command[i])
	}
	return b.String()
}

// readScript is the text of a script for a shell; "" for everything else.
func readScript(path string) string {
	const most = 64 << 10
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return ""
	}
	data, err := os.ReadFile(path)
	first, _, _ := strings.Cut(string(data), "\n")
	if err != nil || !strings.HasPrefix(first, "#!") || !strings.Contains(first, "sh") {
		return ""
	}
	return string(data)
}

var cronName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// rules are those by which cron takes a file for the system's. One that breaks
// them is ignored, with a line in the log that nobody reads.
func (c Cron) rules(file, text string) []Finding {
	var all []Finding
	dir, name := filepath.Split(file)
	ignored := func(remedy, why string) {
		all = append(all, found(Critical, []string{remedy}, "cron ignores %s: %s", file, why))
	}
	if name != "crontab" && !cronName.MatchString(name) {
		better := regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(name, "-")
		ignored(fmt.Sprintf("mv %s %s", proc.ShellWord(file), proc.ShellWord(filepath.Join(dir, strings.Trim(better, "-")))), "its name may only have letters, digits, _ and -")
	}
	if !strings.HasSuffix(text, "\n") {
		ignored("echo >> "+proc.ShellWord(file), "its last line has no end")
	}
	info, err := os.Stat(file)
	if err != nil {
		return append(all, unknown(err)...)
	}
	if int(owner(info)) != c.Owner {
		ignored("chown root:root "+proc.ShellWord(file), "it does not belong to root")
	}
	if info.Mode().Perm()&0o022 != 0 {
		ignored("chmod 0644 "+proc.ShellWord(file), "others than its owner may write it")
	}
	return all
}

// timers are systemd's. A timer runs the service of the same name, or that in Unit=.
func (c Cron) timers() []night {
	var all []night
	dirs := []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
	seen := map[string]bool{}
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(c.path(dir), "*.timer")) // the pattern is well formed
		for _, file := range files {
			name := filepath.Base(file)
			if seen[name] {
				continue // one in /etc hides those further down
			}
			seen[name] = true
			unit := setting(file, "Unit")
			if unit == "" {
				unit = strings.TrimSuffix(name, ".timer") + ".service"
			}
			all = append(all, c.timer(dirs, file, unit)...)
		}
	}
	return all
}

func (c Cron) timer(dirs []string, file, unit string) []night {
	for _, dir := range dirs {
		service := filepath.Join(c.path(dir), unit)
		if _, err := os.Stat(service); err != nil {
			continue
		}
		var all []night
		for _, line := range settings(service, "ExecStart") {
			for _, call := range calls(strings.TrimLeft(line, "-@:+!|"), readScript) {
				n := night{call: call, where: file, file: file, path: call.searched("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")}
				if n.user == "" {
					n.user = setting(service, "User")
				}
				if n.user == "" {
					n.user = "root"
				}
				if enabled, _ := filepath.Glob(c.path("/etc/systemd/system/*.wants/" + filepath.Base(file))); len(enabled) == 0 {
					n.ignored = []Finding{disabled(file)}
				}
				all = append(all, n)
			}
		}
		return all
	}
	return nil
}

// disabled is about a timer that nothing starts.
func disabled(file string) Finding {
	return found(Critical, []string{"systemctl enable --now " + proc.ShellWord(filepath.Base(file))}, "systemd ignores %s: it is not enabled", file)
}

// settings are the values of a name in a unit file.
func settings(file, name string) []string {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var all []string
	for line := range strings.Lines(strings.ReplaceAll(string(data), "\\\n", " ")) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && strings.TrimSpace(key) == name {
			all = append(all, strings.TrimSpace(value))
		}
	}
	return all
}

func setting(file, name string) string {
	all := settings(file, name)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}
