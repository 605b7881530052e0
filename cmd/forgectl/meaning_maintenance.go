package main

import (
	"github.com/bmad-forge/forgectl/pkg/postgres/maintain"
	"github.com/bmad-forge/forgectl/pkg/rediscache/warm"
)

// meaningOfMaintenance are errors of vacuum, and of warming the cache.
func meaningOfMaintenance() []mapping {
	return []mapping{
		// Maintenance.
		{is(maintain.ErrStandby), exitUnknown, say("connect to the primary: forgectl config show database.maintenance_url")},
		{is(maintain.ErrNotFound), exitUnknown, say("forgectl vacuum --dry-run lists the tables; names are written as in SQL")},
		{isA[*maintain.WindowError], exitUnknown, say("set maintenance.window, such as \"0 2 * * 0 4h\"; or --force, now")},
		{is(maintain.ErrFailed), exitCritical, say("the other tables are done; see the server's log, then run it again with --table")},

		// Warming the cache.
		{isA[*warm.RoomError], exitUnknown, warmHint},
		{isA[*warm.ColumnError], exitUnknown, warmHint},
		{is(warm.ErrEntry), exitUnknown, warmHint},
		{is(warm.ErrDjangoVersion), exitUnknown, warmHint},
	}
}
