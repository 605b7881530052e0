package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Target is a connection as an operator configures it.
type Target struct {
	URL      string // URI or keyword/value string; empty: everything from PG* and defaults
	Database string // replaces the URL's database when set
	Password string // replaces the URL's password when set; from a file or a command
	// OSUser is the operating system user to be, as root on a socket, when no
	// role is named: Debian's peer authentication refuses root itself.
	OSUser string
	// Environ is the process's environment: its PGSSL*, PGSERVICE* and PGGSS*
	// variables go on to children. (PG* variables that concern us are read by pgx.)
	Environ []string
}

// Endpoint is one server, one role and one database, with nothing left to guess.
type Endpoint struct {
	params  Params // as configured, without host, port, user, dbname, password
	config  *pgx.ConnConfig
	as      *proc.Credential
	environ []string
}

const connectTimeout = 10 * time.Second

// Resolve fills in what t leaves open and, where several hosts are given,
// picks the first that accepts a connection. It contacts a server only then.
func Resolve(ctx context.Context, t Target) (*Endpoint, error) {
	params, err := ParseConninfo(t.URL)
	if err != nil {
		return nil, err
	}
	if t.Database != "" {
		params["dbname"] = t.Database
	}
	if t.Password != "" {
		params["password"] = t.Password
	}
	if address := params["hostaddr"]; address != "" && params["host"] == "" {
		params = params.With("host", address).Without("hostaddr")
	}
	if err := checkKeywords(params); err != nil {
		return nil, err
	}
	config, err := parseConfig(params)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{
		params:  params.Without("host", "hostaddr", "port", "user", "dbname", "password", "passfile", "application_name", "fallback_application_name"),
		config:  config,
		environ: childEnviron(t.Environ),
	}
	if file := params["servicefile"]; file != "" { // pgx knows this keyword, libpq only the variable
		e.params = e.params.Without("servicefile")
		e.environ = append(e.environ, "PGSERVICEFILE="+file)
	}
	named := params["user"] != "" || slices.ContainsFunc(t.Environ, func(kv string) bool {
		return strings.HasPrefix(kv, "PGUSER=") && kv != "PGUSER="
	})
	if err := e.assumeUser(t.OSUser, named, params["passfile"]); err != nil {
		return nil, err
	}
	if config.Database == "" {
		config.Database = config.User // as the server has it
	}
	return e, e.pinHost(ctx)
}

// libpqOnly are keywords that children understand and pgx does not: it would
// send them to the server as settings. None of them decides whom we trust.
var libpqOnly = []string{
	"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
	"gssencmode", "gsslib", "gssdelegation", "sslcompression", "load_balance_hosts", "fallback_application_name",
}

// known are the other keywords that both understand.
var known = []string{
	"host", "port", "user", "dbname", "password", "passfile", "service", "servicefile",
	"connect_timeout", "application_name", "options", "client_encoding", "target_session_attrs",
	"sslmode", "sslcert", "sslkey", "sslrootcert", "sslsni", "sslnegotiation", "sslcertmode", "channel_binding", "require_auth",
	"min_protocol_version", "max_protocol_version", "krbsrvname",
}

// refused are keywords of libpq that cannot be kept, and why.
var refused = map[string]string{
	"hostaddr":                 "is not supported beside host: give one of them",
	"sslpassword":              "is not supported, it would be seen in the arguments of pg_dump: use a key file without a passphrase",
	"sslcrl":                   "is not supported",
	"sslcrldir":                "is not supported",
	"ssl_min_protocol_version": "is not supported",
	"ssl_max_protocol_version": "is not supported",
	"requirepeer":              "is not supported",
	"requiressl":               "is not supported: use sslmode",
	"replication":              "is not supported",
}

// checkKeywords refuses what either our own connection or a child's would not
// understand, before anything is contacted. An unknown keyword is not named: it
// may be a piece of a password.
func checkKeywords(params Params) error {
	for key := range params {
		if why := refused[key]; why != "" {
			return fmt.Errorf("%w: %s %s", ErrConninfo, key, why)
		}
		if !slices.Contains(known, key) && !slices.Contains(libpqOnly, key) {
			return fmt.Errorf("%w: it has a keyword that PostgreSQL's client library does not know", ErrConninfo)
		}
	}
	return nil
}

func parseConfig(params Params) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(params.Without(libpqOnly...).String())
	if err != nil {
		// pgx repeats the connection string in its message, password and all.
		if inner := errors.Unwrap(err); inner != nil {
			return nil, fmt.Errorf("%w: %s", ErrConninfo, redact(inner.Error(), params["password"]))
		}
		return nil, fmt.Errorf("%w", ErrConninfo)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "forgectl"
	}
	// Our strings are UTF-8. The server would take them for the database's encoding.
	config.RuntimeParams["client_encoding"] = "UTF8"
	return config, nil
}

func redact(s, secret string) string {
	if secret == "" {
		return s
	}
	return strings.ReplaceAll(s, secret, "***")
}

// assumeUser decides whether, as root on a socket, somebody else must connect.
// A named role is matched with the OS user of the same name, if there is one.
func (e *Endpoint) assumeUser(fallback string, named bool, passfile string) error {
	if os.Geteuid() != 0 || !strings.HasPrefix(e.config.Host, "/") {
		return nil
	}
	name := e.config.User
	if name == "root" {
		if named || fallback == "" { // else it is what libpq guesses
			return nil
		}
		name = fallback
		e.config.User = fallback
		if e.config.Password == "" { // ~/.pgpass was searched for the wrong role
			lookup := e.params.With("host", e.config.Host, "port", strconv.Itoa(int(e.config.Port)), "user", name, "dbname", e.config.Database)
			if passfile != "" {
				lookup["passfile"] = passfile
			}
			if c, err := parseConfig(lookup); err == nil {
				e.config.Password = c.Password
			}
		}
	}
	credential, err := proc.LookupUser(name)
	if err != nil {
		return nil //nolint:nilerr // no such OS user: the server's authentication decides
	}
	e.as = credential
	e.config.DialFunc = dialAs(*credential)
	// The other user has another home and may not read our service file. What it
	// said of host, role, database and password is known by now, and of TLS there
	// is none on a socket.
	e.params = e.params.Without("service")
	e.environ = slices.DeleteFunc(e.environ, func(kv string) bool { return strings.HasPrefix(kv, "PGSERVICE") })
	return nil
}

// With returns a copy with the given keyword, value pairs set.
func (p Params) With(pairs ...string) Params {
	c := maps.Clone(p)
	for i := 0; i+1 < len(pairs); i += 2 {
		c[pairs[i]] = pairs[i+1]
	}
	return c
}

// pinHost keeps the entries of the first host that answers. A child must reach
// the server that we reached, not another of the list.
func (e *Endpoint) pinHost(ctx context.Context) error {
	type address struct {
		host string
		port uint16
	}
	entries := append([]*pgconn.FallbackConfig{{Host: e.config.Host, Port: e.config.Port, TLSConfig: e.config.TLSConfig}}, e.config.Fallbacks...)
	var order []address
	byHost := map[address][]*pgconn.FallbackConfig{}
	for _, f := range entries {
		a := address{f.Host, f.Port}
		if byHost[a] == nil {
			order = append(order, a)
		}
		byHost[a] = append(byHost[a], f)
	}
	if len(order) < 2 {
		return nil
	}
	var failures []error
	for _, a := range order {
		config := e.config.Copy()
		first := byHost[a][0]
		config.Host, config.Port, config.TLSConfig, config.Fallbacks = first.Host, first.Port, first.TLSConfig, byHost[a][1:]
		candidate := *e
		candidate.config = config
		conn, err := candidate.Connect(ctx)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		_ = conn.Close(ctx)
		e.config = config
		return nil
	}
	return errors.Join(failures...)
}

// Database is the name of the database.
func (e *Endpoint) Database() string { return e.config.Database }

// User is the name of the role.
func (e *Endpoint) User() string { return e.config.User }

// As is the operating system user that children must run as, or nil.
func (e *Endpoint) As() *proc.Credential { return e.as }

// Socket reports whether the server is reached through a Unix socket.
func (e *Endpoint) Socket() bool { return strings.HasPrefix(e.config.Host, "/") }

// OnThisHost reports whether the server's files can be those of this machine.
func (e *Endpoint) OnThisHost() bool {
	if e.Socket() || e.config.Host == "localhost" {
		return true
	}
	ip := net.ParseIP(e.config.Host)
	return ip != nil && ip.IsLoopback()
}

// WithDatabase returns a copy for another database of the same server.
func (e *Endpoint) WithDatabase(name string) *Endpoint {
	c := *e
	c.config = e.config.Copy()
	c.config.Database = name
	return &c
}

// String names the endpoint without any secret: "postgres@/run/postgresql:5432/bmad_forge".
func (e *Endpoint) String() string {
	host := e.config.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s@%s:%d/%s", e.config.User, host, e.config.Port, e.config.Database)
}

// Connect opens a connection. The caller closes it.
func (e *Endpoint) Connect(ctx context.Context) (*pgx.Conn, error) {
	return e.connect(ctx, nil)
}

// ConnectNotices is Connect with every NOTICE and WARNING of the server handed to notice.
// It is called while the connection reads; SeverityUnlocalized and Code do not depend on the server's language.
func (e *Endpoint) ConnectNotices(ctx context.Context, notice func(*pgconn.Notice)) (*pgx.Conn, error) {
	return e.connect(ctx, notice)
}

func (e *Endpoint) connect(ctx context.Context, notice func(*pgconn.Notice)) (*pgx.Conn, error) {
	config := e.config.Copy()
	// A pooler in front may hand each statement to another backend; nothing that we do needs prepared ones.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	if notice != nil {
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notice(n) }
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, e.connectError(ctx, err)
	}
	return conn, nil
}

// ConnectError is a connection that could not be made. Hint, if not empty,
// says what an operator can do about it.
type ConnectError struct {
	Endpoint string
	Hint     string
	Err      error
}

func (e *ConnectError) Error() string { return "connect to " + e.Endpoint + ": " + e.Err.Error() }
func (e *ConnectError) Unwrap() error { return e.Err }

func (e *Endpoint) connectError(ctx context.Context, err error) error {
	c := &ConnectError{Endpoint: e.String(), Err: err}
	if cause := context.Cause(ctx); cause != nil {
		c.Err = cause
		return c
	}
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		c.Err = shortDialError(err)
		c.Hint = "is PostgreSQL running there? pg_lsclusters; forgectl config show database.url"
		return c
	}
	c.Err = server
	switch server.Code {
	case "3D000": // invalid_catalog_name
		c.Hint = "psql -l lists the databases of that server"
	case "28000", "28P01": // invalid authorization, wrong password
		c.Hint = fmt.Sprintf("check role %s, its password (~/.pgpass, database.password_file) and pg_hba.conf", QuoteIdent(e.config.User))
	case "53300": // too_many_connections
		c.Hint = "no connection slot is free: see max_connections and who holds them in pg_stat_activity"
	case "57P03": // cannot_connect_now
		c.Hint = "the server is starting up or shutting down: try again"
	}
	return c
}

// shortDialError drops pgx's repetition of user, host and database.
func shortDialError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer within the connection timeout")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "failed to connect to "))
}

// Conninfo is the keyword/value string with which a child reaches this very
// endpoint. It holds no password: hand the child Passfile and Environ too.
func (e *Endpoint) Conninfo() string {
	p := e.params.With(
		"host", e.config.Host,
		"port", strconv.Itoa(int(e.config.Port)),
		"user", e.config.User,
		"dbname", e.config.Database,
		"fallback_application_name", "forgectl",
	)
	if p["connect_timeout"] == "" {
		p["connect_timeout"] = strconv.Itoa(int(connectTimeout / time.Second))
	}
	return p.String()
}

// Passfile is the content of a password file for this endpoint, nil when no
// password is known.
// https://www.postgresql.org/docs/current/libpq-pgpass.html
func (e *Endpoint) Passfile() []byte {
	if e.config.Password == "" {
		return nil
	}
	escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`)
	return []byte("*:*:*:*:" + escape.Replace(e.config.Password) + "\n")
}

// Password is known to whoever must keep it out of messages.
func (e *Endpoint) Password() string { return e.config.Password }

// Environ is what a child must have in its environment besides the ordinary:
// where TLS keys and service files are; never a password. LC_MESSAGES makes
// the child speak the language that its messages are classified in.
func (e *Endpoint) Environ() []string {
	return append([]string{"LC_MESSAGES=C", "LC_ALL="}, e.environ...)
}

func childEnviron(environ []string) []string {
	var keep []string
	for _, kv := range environ {
		if strings.HasPrefix(kv, "PGSSLPASSWORD=") {
			continue // libpq knows no such variable, and it is a secret
		}
		for _, prefix := range []string{"PGSSL", "PGSERVICE", "PGSYSCONFDIR=", "PGGSS", "PGKRB", "PGCHANNELBINDING=", "PGREQUIRE", "PGMINPROTO", "PGMAXPROTO"} {
			if strings.HasPrefix(kv, prefix) {
				keep = append(keep, kv)
			}
		}
	}
	return keep
}
