package main

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/lock"
	"github.com/bmad-forge/forgectl/pkg/moment"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// mapping says what an error of a library means for the caller: an exit code,
// and what to do next.
type mapping struct {
	is   func(error) bool
	code int
	hint func(error) string // nil: nothing to add
}

// mappings is the whole table. The first row that matches counts, so what is
// more particular stands higher.
func mappings() []mapping {
	return slices.Concat(meaningOfRuns(), meaningOfSets(), meaningOfServers(), meaningOfRestores(), meaningOfMaintenance(), meaningOfSpace())
}

// meaningOfRuns are errors that any command can end with.
func meaningOfRuns() []mapping {
	return []mapping{
		// What leaves an exchange open outweighs its causes.
		{isA[*restore.UnfinishedError], exitCritical, func(err error) string {
			e := find[*restore.UnfinishedError](err)
			return resumeHint(e.Media, e.Live)
		}},
		{isA[*job.TimeoutError], exitCritical, say("a longer --timeout")},
		{is(context.DeadlineExceeded), exitCritical, nil},
		{is(lock.ErrHeld), exitLocked, say("forgectl history")},
		{isA[*config.Error], exitUnknown, configHint},
		{is(ui.ErrNoTerminal), exitUnknown, say("--yes confirms without a terminal")},
		{is(ui.ErrDeclined), exitUnknown, nil},
		{is(job.ErrNotFound), exitUnknown, say("forgectl history")},
		{is(verify.ErrKind), exitUnknown, say("forgectl backup list")},
		{isA[*moment.LocalError], exitUnknown, say("write it with its offset, as in 2026-11-23T02:00:00+01:00")},
		{is(moment.ErrSyntax), exitUnknown, nil},
	}
}

// meaningOfSpace are errors of disks that are full.
func meaningOfSpace() []mapping {
	return []mapping{
		// Space.
		{isA[*backup.SpaceError], exitCritical, say("free space in the repository: forgectl backup list; df -h")},
		{isA[*verify.SpaceError], exitUnknown, say("set scratch_dir to a directory with more room")},
		{isA[*restore.SpaceError], exitCritical, func(err error) string {
			if find[*restore.SpaceError](err).Media {
				return "free space there, restore some paths, or into another directory: --to DIR"
			}
			return "free space on the server, or restore into another one"
		}},
		{is(syscall.ENOSPC), exitCritical, say("df -h shows which file system is full: make room there, then run it again")},
	}
}

func say(hint string) func(error) string { return func(error) string { return hint } }

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func isA[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// find is the first error of a type in a chain that holds one.
func find[T error](err error) T {
	var target T
	errors.As(err, &target)
	return target
}
