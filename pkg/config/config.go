package config

import "time"

// Config is every setting of forgectl, with all defaults and derivations already applied: a program that has one needs
// to look nowhere else. Each field is one row of the table in keys.go, which also carries its documentation.
type Config struct {
	App         App
	Repository  string
	StateDir    string
	ScratchDir  string // never empty after Load: below StateDir unless set
	Database    Database
	Maintenance Maintenance
	Backup      Backup
	Verify      Verify
	Guard       Guard
	Recovery    Recovery
	Checks      Checks
	Media       Media
	ConfigFiles ConfigFiles
	Service     Service
	Health      Health
	Redis       Redis
	Hooks       Hooks
}

// App names the application that is looked after.
type App struct {
	Name            string
	Root            string
	EnvironmentFile string
}

// Database says how the application's database is reached, and as whom.
type Database struct {
	Name            string // the database to work on; it replaces the one named in URL
	URL             string // URL or keyword/value string; may hold a password
	PasswordFile    string
	PasswordCommand string
	MaintenanceURL  string // never empty after Load: URL unless set
	AdminURL        string
	AdminOSUser     string // empty: stay who we are
}

// Maintenance is how the database is kept in shape.
type Maintenance struct {
	Window          string // as window.Parse reads it: when tables may be locked; empty: never
	Jobs            int    // at least 1
	LockTimeout     time.Duration
	TransactionWait time.Duration
}

// Backup is how sets are written, kept, sealed and opened again.
type Backup struct {
	Jobs          int    // 0: as many as cores
	Split         int64  // bytes; 0: never
	Compression   string // one of the Compression constants
	Fingerprint   string // one of the Fingerprint constants
	Readback      string // one of the Readback constants
	Prune         string // one of the Prune constants
	PruneRequires string // one of the Requires constants
	LockTimeout   time.Duration
	RolePasswords bool
	Keep          Keep
	Encrypt       Encrypt
	Decrypt       Decrypt
}

// Keep is the retention policy; a set is kept when any of its rules wants it.
type Keep struct {
	Within  time.Duration
	Last    int
	Daily   int
	Weekly  int
	Monthly int
	Yearly  int
	Min     int // at least 1
}

// Encrypt says to whom sets are sealed.
type Encrypt struct {
	Required       bool
	Recipients     []string // fingerprints, long ids or e-mail addresses, resolved by gpg
	RecipientFiles []string // files of public keys
	GNUPGHome      string   // empty: gpg's own choice
	SignKeyFile    string   // empty: sets are not signed

	SignPassphraseFile    string
	SignPassphraseCommand string
}

// Verify says whose signatures of sets count.
type Verify struct {
	SignerFiles      []string // files of public keys, beside that of Encrypt.SignKeyFile
	RequireSignature bool
}

// Decrypt says what can open a sealed set again.
type Decrypt struct {
	SecretKeyFiles    []string
	PassphraseFile    string
	PassphraseCommand string
	GPG               string // one of the GPG constants
}

// Guard says what is not believed without a look.
type Guard struct {
	Shrink int // percent; 0: no guard
}

// Recovery is what was promised for a bad day. 0: nothing was.
type Recovery struct {
	RTO time.Duration // until the database is usable again
	RPO time.Duration // how old the newest good set may be
}

// Checks is what the reports of "forgectl db" warn of.
type Checks struct {
	ConnectionsWarning  int // percent of the usable ones; 0: never
	ConnectionsCritical int
	Transaction         time.Duration
	IdleInTransaction   time.Duration
	SlotWAL             int64 // bytes; 0: never
	UnusedAfter         time.Duration
	UnusedScans         int
	BloatRatio          int // percent; 0: never
	BloatSize           int64
	MissingRows         int
	SlowMean            time.Duration // 0: never
	DiskWarning         time.Duration // until it is full; 0: never
	DiskCritical        time.Duration
}

// Media is the tree of files that users uploaded.
type Media struct {
	Path    string // empty: there is none
	Exclude []string
	Columns []string // of the database, with names of such files: [schema.]table.column
}

// ConfigFiles is the configuration of the machine that belongs into a backup.
type ConfigFiles struct {
	Paths          []string
	AllowPlaintext bool
}

// Service is what runs the application.
type Service struct {
	Manager string // one of the Manager constants
	Units   []string
	Start   []string // shell commands
	Stop    []string // shell commands
	Restart []string // shell commands
}

// Health is how the application says that it is well.
type Health struct {
	URL     string // empty: there is none
	Timeout time.Duration
	Wait    time.Duration // until it is healthy after a start
}

// Redis is the application's cache.
type Redis struct {
	URL                  string // may hold a password; empty: there is none
	PasswordFile         string
	PasswordCommand      string
	SentinelPasswordFile string
	CAFile               string
	CertFile             string
	KeyFile              string
	KeyPrefix            string
	Version              int
	FlushAfterRestore    bool
	Warm                 []WarmEntry
	Check                RedisCheck
}

// RedisCheck is when the state of Redis needs attention.
type RedisCheck struct {
	Memory    int // percent; 0: never
	Clients   int // percent; 0: never
	HitRatio  int // percent; 0: never
	Latency   time.Duration
	Evictions int // a second; 0: any number
}

// Hooks are shell commands around every operation.
type Hooks struct {
	Before  []string
	After   []string
	Timeout time.Duration // for each of them
}

// The values of the settings that know only a few.
const (
	CompressionFastest = "fastest"
	CompressionDefault = "default"
	CompressionBetter  = "better"

	FingerprintNone   = "none"
	FingerprintCounts = "counts"
	FingerprintFull   = "full"

	ReadbackHash   = "hash"
	ReadbackDecode = "decode"

	PruneAuto   = "auto"
	PruneManual = "manual"

	RequiresNone   = "none"
	RequiresDecode = "decode"
	RequiresDrill  = "drill"

	GPGAuto  = "auto"
	GPGNever = "never"

	ManagerSystemd    = "systemd"
	ManagerSupervisor = "supervisor"
	ManagerCommand    = "command"
	ManagerPIDFile    = "pidfile"
	ManagerNone       = "none"
)
