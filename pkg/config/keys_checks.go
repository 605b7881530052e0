package config

// checkKeys are the thresholds of the reports.
func checkKeys(c *Checks) []*key {
	return []*key{
		{name: "checks", doc: `What the reports of "forgectl db" warn of. Each has a flag that wins over it.`},
		{name: "checks.connections_warning", value: percent(&c.ConnectionsWarning), def: "80%",
			doc: `The part of the usable connections (max_connections without those that are reserved) from which on "db connections" warns. 0 or off: never.`},
		{name: "checks.connections_critical", value: percent(&c.ConnectionsCritical), def: "95%",
			doc: `The part of the usable connections from which on it is CRITICAL. 0 or off: never.`},
		{name: "checks.transaction", value: duration(&c.Transaction, 0), def: "15m",
			doc: `How old a transaction may be, prepared ones too, before "db connections" warns. An old one keeps VACUUM from removing rows in every table.`},
		{name: "checks.idle_in_transaction", value: duration(&c.IdleInTransaction, 0), def: "5m",
			doc: `How long a session may be idle within a transaction before "db connections" warns.`},
		{name: "checks.slot_wal", value: size(&c.SlotWAL), def: "1GB",
			doc: `How much WAL a replication slot may hold before "db connections" warns: it fills the disk. 0: never.`},
		{name: "checks.unused_after", value: duration(&c.UnusedAfter, 0), def: "30d",
			doc: `How long "db indexes" must have watched an index before it warns that nobody uses it. Longer than the rarest report of the application: some run once a month, some once a year.`},
		{name: "checks.unused_scans", value: number(&c.UnusedScans, 0, 1<<30), def: "0",
			doc: `So many scans in all that time still count as unused.`},
		{name: "checks.bloat_ratio", value: percent(&c.BloatRatio), def: "40%",
			doc: `The dead part of an index from which on "db indexes" proposes a REINDEX. 0 or off: never.`},
		{name: "checks.bloat_size", value: size(&c.BloatSize), def: "10MB",
			doc: `An index with less dead space is not worth a REINDEX.`},
		{name: "checks.missing_rows", value: number(&c.MissingRows, 0, 1<<30), def: "1000",
			doc: `A table with fewer rows needs no index for its foreign keys.`},
		{name: "checks.slow_mean", value: optionalDuration(&c.SlowMean), def: "",
			doc: `The mean time of a statement from which on "db slow" warns. Default: it never does.`},
		{name: "checks.disk_warning", value: optionalDuration(&c.DiskWarning), def: "30d",
			doc: `"db size" warns when the disk of the database would be full within this time, at the rate at which the database has grown. Empty: never.`},
		{name: "checks.disk_critical", value: optionalDuration(&c.DiskCritical), def: "7d",
			doc: `The same, CRITICAL. Empty: never.`},
	}
}
