package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// warmByCommand runs the application's own command in its release, as the user whom that belongs to.
func (a *App) warmByCommand(ctx context.Context, e config.WarmEntry) error {
	dir := filepath.Join(a.loaded.App.Root, "current")
	if _, err := os.Stat(dir); err != nil {
		dir = a.loaded.App.Root
	}
	line := e.Command
	if line == "" {
		line = "exec ./manage.py warm_cache"
	}
	c := proc.Cmd{Path: "/bin/sh", Args: []string{"-c", line}, Dir: dir, Name: "the command of " + e.Name, Secrets: a.secrets,
		Stderr: func(text string) { a.Logger().Info(text, "entry", e.Name) }}
	if a.Root {
		as, err := owner(dir, e.User)
		if err != nil {
			return withCode(exitUnknown, err)
		}
		c.As = as
	}
	return a.Proc().Run(ctx, c)
}

// owner is the user named, or else the one whom dir belongs to.
func owner(dir, name string) (*proc.Credential, error) {
	if name == "" {
		info, err := os.Stat(dir)
		if err != nil {
			return nil, fmt.Errorf("look up the owner of the application: %w", err)
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil, fmt.Errorf("look up the owner of %s", dir)
		}
		name = strconv.FormatUint(uint64(stat.Uid), 10)
		u, err := user.LookupId(name)
		if err != nil {
			return nil, fmt.Errorf("the owner of %s: %w", dir, err)
		}
		name = u.Username
	}
	return proc.LookupUser(name)
}
