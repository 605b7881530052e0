package main

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpfile"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/service"
)

func unitHint(err error) string {
	if e := find[*service.UnitError](err); e != nil {
		return e.Hint
	}
	return ""
}

func configHint(err error) string {
	var permission *config.PermissionError
	switch {
	case errors.As(err, &permission):
		return "chmod 0600 " + proc.ShellWord(permission.Path)
	case errors.Is(err, fs.ErrPermission):
		return "run it as root, or let this user read the file: chgrp GROUP FILE; chmod 0640 FILE"
	}
	return "forgectl config init --print"
}

// refusalHint offers trust only where trust is of use.
func refusalHint(err error) string {
	e := find[*dumpfile.RefusedError](err)
	for _, f := range e.Findings {
		if f.Kind != dumpfile.Cluster {
			return "such a file is never loaded as it is: have a look at what it does"
		}
	}
	return "look at the file; if you know who wrote it and why: --trusted"
}

func missingHint(err error) string {
	if len(find[*pgdump.MissingError](err).Roles) > 0 {
		return "create those roles (a restore into service makes them from the set; RECOVER.md beside the set has the command)"
	}
	return "install or create what is missing on the server, then run it again"
}

func remediesOf(err error) string {
	return "a superuser runs, in the database:\n" + strings.Join(find[*pgdump.RightsError](err).Remedies(), "\n")
}

func fingerprintsOf(err error) string {
	text := "name one of them by its fingerprint:"
	for _, k := range find[*seal.AmbiguousError](err).Keys {
		text += "\n" + k.Fingerprint() + "  " + k.UserID()
	}
	return text
}

// resumeHint is how an exchange that was left open is ended.
func resumeHint(media bool, live string) string {
	if media {
		return "forgectl restore resume --media"
	}
	return restoreCommand("resume", live)
}
