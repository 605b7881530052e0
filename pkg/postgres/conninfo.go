package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"sort"
	"strings"
)

// Params are libpq connection keywords and their values
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
type Params map[string]string

// ErrConninfo is wrapped by every complaint about a connection string. The
// string itself is never repeated: it may hold a password.
var ErrConninfo = errors.New("malformed connection string")

// ParseConninfo reads a connection URI (postgres://, postgresql://, and the
// spellings that Django's environment packages accept: psql, pgsql, postgis)
// or a keyword/value string. A socket directory may be given as the host,
// percent-encoded in a URI, as libpq has it.
func ParseConninfo(s string) (Params, error) {
	if scheme, rest, ok := strings.Cut(s, "://"); ok && !strings.ContainsAny(scheme, " =") {
		switch scheme {
		case "postgres", "postgresql", "psql", "pgsql", "postgis":
			return parseURI(rest)
		}
		return nil, fmt.Errorf("%w: its scheme is not postgres://", ErrConninfo)
	}
	return parseKeywords(s)
}

// parseURI reads what follows the scheme. net/url is not used for the whole:
// it refuses several hosts and a percent-encoded socket directory.
func parseURI(rest string) (Params, error) {
	p := Params{}
	// A password may hold a question mark, so user and password come off first;
	// what a slash ends, no user information can follow.
	credentials, after := "", rest
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		end := len(rest)
		if slash := strings.IndexByte(rest, '/'); slash >= 0 {
			end = slash
		}
		if query := strings.IndexByte(rest[i:], '?'); query >= 0 {
			end = min(end, i+query)
		}
		i = strings.LastIndexByte(rest[:end], '@') // an unescaped @ in the password does no harm
		credentials, after = rest[:i+1], rest[i+1:]
	}
	after, query, _ := strings.Cut(after, "?")
	authority, database, _ := strings.Cut(after, "/")
	if credentials != "" {
		user, password, hasPassword := strings.Cut(credentials[:len(credentials)-1], ":")
		if err := p.setEscaped("user", user); err != nil {
			return nil, err
		}
		if hasPassword {
			if err := p.setEscaped("password", password); err != nil {
				return nil, err
			}
		}
	}
	if err := p.setHosts(authority); err != nil {
		return nil, err
	}
	if err := p.setEscaped("dbname", database); err != nil {
		return nil, err
	}
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok || !validKeyword(key) {
			return nil, fmt.Errorf("%w: a parameter after '?' is not keyword=value", ErrConninfo)
		}
		if key == "ssl" && value == "true" { // JDBC spelling that libpq accepts too
			key, value = "sslmode", "require"
		}
		if err := p.setEscaped(key, value); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p Params) setHosts(authority string) error {
	if authority == "" {
		return nil
	}
	var hosts, ports []string
	for one := range strings.SplitSeq(authority, ",") {
		host, port := one, ""
		if strings.HasPrefix(one, "[") { // IPv6 literal
			end := strings.Index(one, "]")
			if end < 0 {
				return fmt.Errorf("%w: '[' without ']' in the host", ErrConninfo)
			}
			host, port = one[1:end], strings.TrimPrefix(one[end+1:], ":")
		} else if i := strings.LastIndex(one, ":"); i >= 0 {
			host, port = one[:i], one[i+1:]
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	if err := p.setEscaped("host", strings.Join(hosts, ",")); err != nil {
		return err
	}
	if strings.Trim(strings.Join(ports, ""), " ") != "" {
		return p.setEscaped("port", strings.Join(ports, ","))
	}
	return nil
}

func (p Params) setEscaped(key, value string) error {
	if value == "" {
		return nil
	}
	plain, err := url.PathUnescape(value)
	if err != nil || strings.ContainsRune(plain, 0) {
		return fmt.Errorf("%w: bad percent escape in %s", ErrConninfo, key)
	}
	p[key] = plain
	return nil
}

// whitespace is what C's isspace takes for it, which libpq asks.
const whitespace = " \t\n\v\f\r"

// validKeyword holds for the names of libpq's parameters and of settings.
func validKeyword(key string) bool {
	for _, c := range []byte(key) {
		if c != '_' && c != '.' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return key != ""
}

// parseKeywords reads "key = value key='quoted \' value'".
func parseKeywords(s string) (Params, error) {
	p := Params{}
	for s = strings.TrimLeft(s, whitespace); s != ""; s = strings.TrimLeft(s, whitespace) {
		key, rest, ok := strings.Cut(s, "=")
		key = strings.Trim(key, whitespace)
		if !ok || !validKeyword(key) {
			return nil, fmt.Errorf("%w: expected keyword=value", ErrConninfo)
		}
		// What stands in the place of a keyword may be the rest of a password with
		// a space in it, so no message repeats it.
		value, rest, err := readValue(strings.TrimLeft(rest, whitespace))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConninfo, err)
		}
		if strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("%w: zero byte", ErrConninfo)
		}
		p[key] = value
		s = rest
	}
	return p, nil
}

func readValue(s string) (value, rest string, err error) {
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			if i++; i == len(s) {
				return "", "", errors.New("backslash at the end")
			}
			b.WriteByte(s[i])
		case quoted && c == '\'':
			return b.String(), s[i+1:], nil
		case !quoted && strings.IndexByte(whitespace, c) >= 0:
			return b.String(), s[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errors.New("quote not closed")
	}
	return b.String(), "", nil
}

// String writes the parameters as a keyword/value string, keys sorted, every
// value quoted. It includes a password if there is one: see Without.
func (p Params) String() string {
	keys := make([]string, 0, len(p))
	for k := range p {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = k + "=" + quoteValue(p[k])
	}
	return strings.Join(parts, " ")
}

func quoteValue(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

// Without returns a copy that lacks the named keywords.
func (p Params) Without(keys ...string) Params {
	c := make(Params, len(p))
	for k, v := range p {
		c[k] = v
	}
	for _, k := range keys {
		delete(c, k)
	}
	return c
}
