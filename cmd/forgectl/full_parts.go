package main

import (
	"context"

	"github.com/bmad-forge/forgectl/pkg/job"
)

// mediaPart is the operation of forgectl backup media.
func (a *App) mediaPart() operation { return a.missingPart("backup media", a.loaded.Media.Path) }

// missingPart fails: there is no such command yet.
func (a *App) missingPart(name, target string) operation {
	return operation{
		Spec: job.Spec{Operation: name, Target: target},
		Do: func(context.Context, *job.Run) (result, error) {
			return result{}, withHint(unknown("%s: this release cannot do that yet", name), "leave it out: forgectl config show media; forgectl config show config_files")
		},
	}
}
