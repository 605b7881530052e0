package doctor

import (
	"context"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// stateNeed is room for records, and for nobody to notice.
const stateNeed = 16 << 20

// checkSpace compares what is free with what the next backup, drill and restore
// need: half of it is critical before they find out, twice of it enough.
func checkSpace(ctx context.Context, x *exam) []Finding {
	var all []Finding
	s, serverErr := x.reach(ctx)
	sets, setsErr := x.listed(ctx)
	switch {
	case setsErr != nil:
		all = append(all, unknown(fmt.Errorf("how large the next set will be: %w", errUnopened))...)
	default:
		if _, good := x.newestGood(ctx, sets); !good && serverErr != nil {
			all = append(all, unknown(fmt.Errorf("how large the first set will be: %w", serverErr))...)
			break
		}
		all = append(all, x.room(Critical, "the next set in the repository", x.Repository, backup.Need(sets, s.DatabaseBytes), "forgectl backup prune --dry-run"))
	}
	all = append(all, x.room(Critical, "records in state_dir", x.StateDir, stateNeed))
	if serverErr != nil {
		return append(all, unknown(fmt.Errorf("what a drill and a restore need: %w", serverErr))...)
	}
	worst := Critical
	if !x.canOpen(ctx) {
		worst = Info // drills are made where the key is
	}
	all = append(all, x.room(worst, "a drill in scratch_dir", x.ScratchDir, verify.Need(s.DatabaseBytes), "forgectl config show scratch_dir"))
	return append(all, x.serverRoom(ctx, s.DatabaseBytes))
}

// serverRoom: a restore loads beside the live database.
func (x *exam) serverRoom(ctx context.Context, bytes int64) Finding {
	admin, err := x.adminServer(ctx)
	switch {
	case err != nil:
		return unknown(fmt.Errorf("where a restore would go: %w", err), "sudo forgectl doctor")[0]
	case !admin.OnThisHost():
		return found(Info, nil, "the server is on another host: look there for %s, a second copy of the database", size(bytes+bytes/4))
	case admin.DataDirectory == "":
		return found(Unknown, []string{fmt.Sprintf("GRANT pg_read_all_settings TO %q;", admin.Role)}, "role %s may not know where the server's data is", admin.Role)
	}
	return x.room(Critical, "a second copy of the database", admin.DataDirectory, bytes+bytes/4, "forgectl restore drop-old")
}

// room compares what is free at a directory with what is needed there.
func (x *exam) room(worst Level, what, dir string, need int64, remedy ...string) Finding {
	free, err := x.Free(dir)
	if err != nil {
		return unknown(err)[0]
	}
	remedy = append([]string{"df -h " + proc.ShellWord(dir)}, remedy...)
	text := fmt.Sprintf("%s needs about %s, %s has %s free", what, size(need), dir, size(free))
	switch {
	case free < need:
		return found(worst, remedy, "%s", text)
	case free < 2*need:
		if worst == Critical {
			worst = Warning
		}
		return found(worst, remedy, "%s: not twice as much", text)
	}
	return found(OK, nil, "%s", text)
}
