package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// conninfo is the little that the configuration must know of a connection string. What else is in it, and whether it
// makes sense together, is for the database's client to say.
type conninfo struct {
	database string
	host     string // empty: the local socket
	password bool
}

// parseConninfo reads a URL or a keyword/value string. Its errors never quote the string.
func parseConninfo(s string) (conninfo, error) {
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		if scheme != "postgres" && scheme != "postgresql" {
			return conninfo{}, fmt.Errorf("want a URL that begins with postgres://, not %s://", Mask(scheme))
		}
		return parseConnURL(rest)
	}
	settings, err := parseKeywords(s)
	if err != nil {
		return conninfo{}, err
	}
	return fromSettings(settings), nil
}

func fromSettings(m map[string]string) conninfo {
	host := m["host"]
	if host == "" {
		host = m["hostaddr"]
	}
	return conninfo{database: m["dbname"], host: host, password: m["password"] != ""}
}

// parseConnURL reads what follows "scheme://". net/url refuses the lists of hosts that PostgreSQL allows.
func parseConnURL(rest string) (conninfo, error) {
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if strings.Contains(path, "@") {
		return conninfo{}, errors.New(`not a URL: "@" after the host; a "/", "?", "#" or "@" inside a password is written %2F, %3F, %23 or %40`)
	}
	var c conninfo
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		if strings.Contains(user+password, "@") {
			return conninfo{}, errors.New(`not a URL: an "@" inside a user or password is written %40`)
		}
		c.password = password != ""
		authority = authority[i+1:]
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return conninfo{}, errors.New("not a URL: what follows the ? is malformed")
	}
	settings := map[string]string{}
	for name, v := range values {
		settings[name] = v[0]
	}
	if settings["dbname"] == "" {
		settings["dbname"], err = url.PathUnescape(path)
		if err != nil {
			return conninfo{}, errors.New("not a URL: bad % escape in the name of the database")
		}
	}
	if settings["host"] == "" {
		settings["host"], err = url.PathUnescape(hostPort.ReplaceAllString(authority, "$1"))
		if err != nil {
			return conninfo{}, errors.New("not a URL: bad % escape in the host")
		}
	}
	withQuery := fromSettings(settings)
	withQuery.password = withQuery.password || c.password
	return withQuery, nil
}

var hostPort = regexp.MustCompile(`^(\[[^\]]*\]|[^:,]*):[0-9]*$`)

// parseKeywords reads "host=a dbname='b c'" with libpq's quotes and backslashes.
func parseKeywords(s string) (map[string]string, error) {
	settings := map[string]string{}
	rest := strings.TrimSpace(s)
	for rest != "" {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.TrimSpace(name)
		if !ok || !keyword.MatchString(name) {
			return nil, errors.New("want a URL such as postgres://user@host/database, or keywords such as host=db1 dbname=shop")
		}
		value := keywordValue.FindString(strings.TrimSpace(after))
		if strings.HasPrefix(value, "'") && (len(value) < 2 || !strings.HasSuffix(value, "'")) {
			return nil, fmt.Errorf("the quote after %s= is not closed", name)
		}
		settings[name] = unquoteConninfo(value)
		rest = strings.TrimSpace(strings.TrimSpace(after)[len(value):])
	}
	return settings, nil
}

var (
	keyword      = regexp.MustCompile(`^[a-z_]+$`)
	keywordValue = regexp.MustCompile(`^(?:'(?:[^'\\]|\\.)*'?|(?:\\.|[^\s\\'])(?:\\.|[^\s\\])*)?`)
)

func unquoteConninfo(s string) string {
	if len(s) >= 2 && strings.HasPrefix(s, "'") {
		s = strings.TrimSuffix(s[1:], "'")
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// postgresURL is a connection string. Django writes the scheme in more ways than libpq reads: those are translated.
func postgresURL(p *string, mayBeEmpty bool) *value {
	v := optional(p)
	v.want, v.url = "a postgres:// URL or keyword=value string", true
	v.put = func(in []string) error {
		s := in[0]
		if s == "" && !mayBeEmpty {
			return errEmpty
		}
		for _, alias := range []string{"pgsql", "psql", "postgis"} {
			if rest, ok := strings.CutPrefix(s, alias+"://"); ok {
				s = "postgres://" + rest
			}
		}
		if s != "" {
			if _, err := parseConninfo(s); err != nil {
				return err
			}
		}
		return setLine(p, s)
	}
	return v
}

// serviceURL is a URL of one of these schemes, or empty.
func serviceURL(p *string, schemes ...string) *value {
	v := optional(p)
	v.want, v.url = "a URL that begins with "+schemes[0]+":// ("+strings.Join(schemes, ", ")+")", true
	v.put = func(in []string) error {
		s := in[0]
		if s == "" {
			*p = ""
			return nil
		}
		// The error of net/url quotes the URL, so it is not passed on.
		u, err := url.Parse(s)
		if err != nil {
			return errors.New("not a URL")
		}
		known := false
		for _, scheme := range schemes {
			known = known || u.Scheme == scheme
		}
		if !known || u.Scheme != "unix" && u.Host == "" {
			return fmt.Errorf("want %s", v.want)
		}
		return setLine(p, s)
	}
	return v
}

// redisURL is where Redis is, or empty. What else must be so is for its client to say.
func redisURL(p *string) *value {
	schemes := []string{"redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"}
	v := optional(p)
	v.want, v.url = "a URL that begins with redis:// ("+strings.Join(schemes, ", ")+")", true
	v.put = func(in []string) error {
		scheme, rest, _ := strings.Cut(in[0], "://")
		if in[0] != "" && (!slices.Contains(schemes, scheme) || rest == "" || strings.HasPrefix(rest, "/") != (scheme == "unix") && !strings.Contains(rest, "@")) {
			return fmt.Errorf("want %s", v.want)
		}
		return setLine(p, in[0])
	}
	return v
}
