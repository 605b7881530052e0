package rediscache

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// ErrURL means that a URL does not say how Redis is reached. The error never
// quotes the URL, which may hold a password.
var ErrURL = errors.New("not a URL of Redis")

// target is what a URL says.
type target struct {
	network  string   // "tcp" or "unix"
	addrs    []string // one server, or the sentinels
	master   string   // what the sentinels call it; "": there are none
	tls      bool
	user     string
	password string
	db       int

	sentinelUser, sentinelPassword string
	caFile, certFile, keyFile      string
}

// parseURL reads
//
//	redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]       and rediss:// for TLS
//	unix://[[USER]:PASSWORD@]/PATH[?db=DB]
//	redis+sentinel://[…@]HOST[:PORT],…/MASTER[/DB]    and rediss+sentinel://
//
// Of the query it takes db, what redis-py calls ssl_ca_certs, ssl_certfile and
// ssl_keyfile, and sentinel_username and sentinel_password; the rest is for the
// application's own client.
func parseURL(text string) (target, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return target{}, fmt.Errorf("%w: no scheme", ErrURL)
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	// A password may hold a slash that nobody has encoded.
	if at := strings.LastIndex(rest, "@"); at >= len(authority) {
		return target{}, fmt.Errorf(`%w: "@" after the host; a "/", "?", "#" or "@" inside a password is written %%2F, %%3F, %%23 or %%40`, ErrURL)
	}
	t := target{network: "tcp"}
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		if err := t.credentials(authority[:at]); err != nil {
			return target{}, err
		}
		authority = authority[at+1:]
	}
	kind, sentinel := strings.CutSuffix(scheme, "+sentinel")
	t.tls = kind == "rediss"
	db, err := "", error(nil)
	switch {
	case scheme == "unix":
		t.network, t.addrs = "unix", []string{"/" + path}
		if authority != "" || path == "" {
			err = fmt.Errorf("%w: want unix:///PATH", ErrURL)
		}
	case kind != "redis" && kind != "rediss":
		err = fmt.Errorf("%w: want redis://, rediss://, unix://, redis+sentinel:// or rediss+sentinel://", ErrURL)
	case sentinel:
		t.master, db, _ = strings.Cut(path, "/")
		if t.addrs, err = hosts(authority, "26379"); err == nil && t.master == "" {
			err = fmt.Errorf("%w: want the name of the master after the sentinels, as in redis+sentinel://s1:26379,s2:26379/mymaster/0", ErrURL)
		}
	default:
		db = path
		if t.addrs, err = hosts(authority, "6379"); err == nil && len(t.addrs) > 1 {
			err = fmt.Errorf("%w: several hosts are for redis+sentinel://", ErrURL)
		}
	}
	if err == nil {
		err = t.options(query, db)
	}
	return t, err
}

func (t *target) credentials(text string) error {
	user, password, _ := strings.Cut(text, ":")
	var err, errPassword error
	t.user, err = url.PathUnescape(user)
	t.password, errPassword = url.PathUnescape(password)
	if err != nil || errPassword != nil {
		return fmt.Errorf("%w: bad %% escape before the @", ErrURL)
	}
	return nil
}

// hosts are the addresses of a list, each with a port.
func hosts(list, port string) ([]string, error) {
	var all []string
	for host := range strings.SplitSeq(list, ",") {
		h, p, err := net.SplitHostPort(host)
		if err != nil { // no port
			h, p = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), port
		}
		if n, err := strconv.ParseUint(p, 10, 16); h == "" || err != nil || n == 0 {
			return nil, fmt.Errorf("%w: %q is no host with a port", ErrURL, host)
		}
		all = append(all, net.JoinHostPort(h, p))
	}
	return all, nil
}

// options takes the query and the number of the database.
func (t *target) options(query, db string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("%w: what follows the ? is malformed", ErrURL)
	}
	if s := values.Get("db"); s != "" {
		db = s
	}
	if db != "" {
		n, err := strconv.ParseUint(db, 10, 31)
		if err != nil {
			return fmt.Errorf("%w: the database is a number, not %q", ErrURL, db)
		}
		t.db = int(n)
	}
	if s := values.Get("password"); s != "" && t.password == "" {
		t.password = s
	}
	if s := values.Get("username"); s != "" && t.user == "" {
		t.user = s
	}
	t.sentinelUser, t.sentinelPassword = values.Get("sentinel_username"), values.Get("sentinel_password")
	t.caFile, t.certFile, t.keyFile = values.Get("ssl_ca_certs"), values.Get("ssl_certfile"), values.Get("ssl_keyfile")
	if reqs := values.Get("ssl_cert_reqs"); reqs == "none" || reqs == "optional" {
		return fmt.Errorf("%w: ssl_cert_reqs=%s would trust anybody; name the authority that signed the certificate", ErrURL, reqs)
	}
	return nil
}

// String is where that is, without secrets.
func (t target) String() string {
	user := ""
	if t.user != "" {
		user = url.PathEscape(t.user) + "@"
	}
	scheme := "redis"
	if t.tls {
		scheme = "rediss"
	}
	switch {
	case t.network == "unix":
		return fmt.Sprintf("unix://%s%s?db=%d", user, t.addrs[0], t.db)
	case t.master != "":
		return fmt.Sprintf("%s+sentinel://%s%s/%s/%d", scheme, user, strings.Join(t.addrs, ","), t.master, t.db)
	}
	return fmt.Sprintf("%s://%s%s/%d", scheme, user, t.addrs[0], t.db)
}

// HasPassword says whether a URL brings a password of its own.
func HasPassword(url string) bool {
	t, err := parseURL(url)
	return err == nil && t.password != ""
}
