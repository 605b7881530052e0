package main

import (
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
)

// meaningOfServers are errors about PostgreSQL and Redis as such.
func meaningOfServers() []mapping {
	return []mapping{
		// PostgreSQL.
		{isA[*postgres.ConnectError], exitCritical, func(err error) string { return find[*postgres.ConnectError](err).Hint }},
		{is(postgres.ErrConninfo), exitUnknown, say("forgectl config show database")},
		{is(postgres.ErrPooled), exitCritical, say("connect to PostgreSQL itself, not to the pooler: forgectl config show database.url")},
		{isA[*insight.StatementsError], exitUnknown, func(err error) string { return find[*insight.StatementsError](err).Hint }},
		{is(insight.ErrNoSnapshot), exitUnknown, say("each run of forgectl db slow remembers the counters: let cron run it, then compare")},
		{is(insight.ErrMayNotEnd), exitCritical, say("a superuser runs: GRANT pg_signal_backend TO the role of database.url")},
		{isA[*postgres.ToolsError], exitUnknown, func(err error) string {
			e := find[*postgres.ToolsError](err)
			if e.Program == "postgres" { // for a drill
				return fmt.Sprintf("apt-get install postgresql-%d; no cluster of it is needed", e.Need)
			}
			return fmt.Sprintf("apt-get install postgresql-client-%d", e.Need)
		}},
		// Redis.
		{isA[*rediscache.ConnectError], exitCritical, func(err error) string { return find[*rediscache.ConnectError](err).Hint }},
		{is(rediscache.ErrURL), exitUnknown, say("forgectl config show redis.url")},
		{is(rediscache.ErrSelection), exitUnknown, nil},
		{is(rediscache.ErrReadOnly), exitCritical, say("redis.url leads to a replica: name the master, or the sentinels that know it")},
		{is(rediscache.ErrRights), exitCritical, say("ACL LIST, as an administrator, says what that user may do")},
		{is(rediscache.ErrFull), exitCritical, say("forgectl cache stats; forgectl cache memory")},
		{is(rediscache.ErrLoading), exitCritical, say("try again when it has read its dump")},
		{is(rediscache.ErrRefused), exitCritical, say("forgectl cache stats")},
	}
}
