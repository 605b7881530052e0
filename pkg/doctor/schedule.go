package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// checkSchedule looks for what runs the backup at night, and whether it can.
func checkSchedule(_ context.Context, x *exam) []Finding {
	nights, unread := x.Cron.nights()
	nights = slices.DeleteFunc(nights, func(n night) bool { return n.database != "" && n.database != x.Database })
	if len(nights) == 0 {
		if len(unread) > 0 {
			return unknown(fmt.Errorf("no line that runs forgectl backup db was found, but not all could be read: %w", unread[0]), "sudo forgectl doctor")
		}
		return []Finding{found(Warning, x.line(), "nothing runs forgectl backup db or backup full: neither a crontab nor a systemd timer")}
	}
	var all []Finding
	for _, n := range nights {
		trouble := append(n.ignored, x.judgeNight(n)...)
		if len(trouble) == 0 {
			all = append(all, found(OK, nil, "%s runs the backup as %s", n.where, n.user))
		}
		all = append(all, trouble...)
	}
	return all
}

// line writes the crontab that is missing.
func (x *exam) line() []string {
	user := "root"
	if info, err := os.Stat(x.Repository); err == nil {
		user = userName(owner(info))
	}
	return []string{fmt.Sprintf(`printf '%%s\n' 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' '15 2 * * * %s forgectl backup db' | sudo tee /etc/cron.d/bmad-forge`, user)}
}

// judgeNight finds what keeps a scheduled call from being a backup.
func (x *exam) judgeNight(n night) []Finding {
	who, err := x.Cron.User(n.user)
	if err != nil {
		return []Finding{found(Critical, []string{"getent passwd " + proc.ShellWord(n.user)}, "%s runs the backup as %s: there is no such user", n.where, n.user)}
	}
	var all []Finding
	if !reachable(n, who) {
		remedy := []string{fmt.Sprintf("sed -i '1i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' %s", proc.ShellWord(n.file))}
		text := fmt.Sprintf("%s will not find forgectl: it looks in %s", n.where, n.path)
		if strings.Contains(n.program, "/") {
			remedy, text = []string{"command -v forgectl"}, fmt.Sprintf("%s will not find %s, or %s may not run it", n.where, n.program, n.user)
		}
		all = append(all, found(Critical, remedy, "%s", text))
	}
	if who.UID == 0 {
		return all // may do everything, and leaves to the owner of the repository what is his
	}
	if info, err := os.Stat(x.Repository); err == nil && owner(info) != who.UID {
		all = append(all, found(Critical, []string{fmt.Sprintf("chown -R %s: %s", n.user, proc.ShellWord(x.Repository))},
			"%s runs the backup as %s, but %s belongs to %s", n.where, n.user, x.Repository, userName(owner(info))))
	}
	if x.ConfigFile != "" {
		if readable, err := may(x.ConfigFile, who, 4); err == nil && !readable {
			remedy := []string{fmt.Sprintf("chgrp %d %s", who.GID, proc.ShellWord(x.ConfigFile)), "chmod 0640 " + proc.ShellWord(x.ConfigFile)}
			all = append(all, found(Critical, remedy, "%s runs the backup as %s, who may not read %s", n.where, n.user, x.ConfigFile))
		}
	}
	return all
}

// reachable says whether the shell of that line finds the program.
func reachable(n night, who *proc.Credential) bool {
	places := []string{n.program}
	if !strings.Contains(n.program, "/") {
		places = nil
		for _, dir := range filepath.SplitList(n.path) {
			places = append(places, filepath.Join(dir, n.program))
		}
	}
	return slices.ContainsFunc(places, func(path string) bool {
		runs, err := may(path, who, 1)
		return err == nil && runs
	})
}
