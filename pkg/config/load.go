package config

// DefaultPath is the configuration file that is read when nothing names another; it need not exist.
const DefaultPath = "/etc/bmad-forge/forgectl.yaml"

// Options is everything that Load does not find out by itself. The zero value gives the defaults of an ordinary user
// (and reads the file at DefaultPath, if there is one).
type Options struct {
	Path       string            // the file that was asked for, by --config; empty: FORGECTL_CONFIG of Environ, then DefaultPath
	PathSource string            // who asked for Path, for messages; empty: "flag --config"
	Environ    []string          // "NAME=value", as os.Environ gives it
	Flags      map[string]string // dotted key -> value of the flags that were given
	FlagNames  map[string]string // dotted key -> flag, without dashes; default: the last part of the key
	Root       bool              // this is the superuser
	Home       string            // home directory; empty: HOME of Environ
}

// Loaded is a configuration and where every part of it came from.
type Loaded struct {
	Config
	File    string   // the file that was read; empty: none
	Environ []string // Options.Environ over the variables of the application's environment file: what PG* is looked up in
}

// Value is one setting as an operator wants to see it.
type Value struct {
	Key     string   `json:"key"`
	Value   string   `json:"value"`   // printable; passwords are masked
	Default string   `json:"default"` // printable
	Source  string   `json:"source"`  // "default", "file /etc/…:12", "environment DB_NAME", "environment file /etc/…:3", "flag --database"
	Secret  bool     `json:"secret"`  // something in Value was masked
	Env     []string `json:"env"`     // the environment variables that set it, strongest first
	Doc     string   `json:"doc"`
}

// Problem is something that is well-formed but will not work, or not as meant.
type Problem struct {
	Key    string `json:"key"`
	Msg    string `json:"message"`
	Hint   string `json:"hint,omitempty"`
	Failed bool   `json:"failed"` // operations will fail; otherwise it only deserves a look
}

// Load reads the file, the environment and the flags.
func Load(o Options) (*Loaded, error) { return &Loaded{}, nil }

// Values lists every setting in the order of the table.
func (l *Loaded) Values() []Value { return nil }

// Source says where the value of a key came from, in the words of Value.Source; empty for a key that does not exist.
func (l *Loaded) Source(key string) string { return "" }

// Secrets lists the passwords that stand inside values (URLs), to be scrubbed from what other programs print.
func (l *Loaded) Secrets() []string { return nil }

// Check finds what can be judged without contacting anything.
func (l *Loaded) Check() []Problem { return nil }

// Init renders a commented configuration file with every default.
func Init() []byte { return nil }

// Reference renders a markdown table of every setting.
func Reference() []byte { return nil }

// ReadSecret reads a file with a secret in it (a password, a passphrase): one without the line end that an editor
// leaves. It is an *Error around a *PermissionError when group or others have any right on the file.
func ReadSecret(path string) ([]byte, error) { return nil, nil }

// Mask replaces every password in s (in URLs, in keyword/value strings, after password= and the like) by "***".
func Mask(s string) string { return s }
