package rediscache

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options say where Redis is, and as whom it is asked.
type Options struct {
	URL string // see the forms in docs/cache.md; it may hold a password
	// Password, if not empty, is that of the user in the URL, or of nobody's name.
	Password string
	// SentinelPassword is what the sentinels ask for, if they do.
	SentinelPassword string
	CAFile           string // PEM: who may have signed the server's certificate; "": the system's authorities
	CertFile         string // PEM: our certificate, where the server wants one
	KeyFile          string // PEM: its key; "": it is in CertFile
	Timeout          time.Duration
}

// DefaultTimeout is how long an answer may take.
const DefaultTimeout = 15 * time.Second

// Cache is a connection to one database of one Redis. It may be used from several
// goroutines.
type Cache struct {
	client *redis.Client
	target target
	opts   *redis.Options // for a connection outside of the pool
	stop   func() bool
	close  func() error
}

// ClientName is how our connections are called in CLIENT LIST.
const ClientName = "forgectl"

// quiet keeps go-redis from writing to standard error.
var quiet = sync.OnceFunc(logging.Disable)

// Open connects and is answered, or it fails with a *ConnectError (or ErrURL).
// When ctx ends every connection is cut, so that nothing waits for a server that
// does not answer. The caller closes the cache.
func Open(ctx context.Context, o Options) (*Cache, error) {
	quiet()
	t, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Password != "" {
		t.password = o.Password
	}
	if o.SentinelPassword != "" {
		t.sentinelPassword = o.SentinelPassword
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	secure, err := o.tlsConfig(t)
	if err != nil {
		return nil, &ConnectError{Where: t.String(), Err: err, Hint: "forgectl config show redis"}
	}
	c := t.connect(secure, o.Timeout)
	c.close = sync.OnceValue(c.client.Close)
	c.stop = context.AfterFunc(ctx, func() { _ = c.close() })
	if err := c.client.Ping(ctx).Err(); err != nil {
		err = c.connectError(ctx, err)
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (t target) connect(secure *tls.Config, timeout time.Duration) *Cache {
	off := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	const pool = 8
	if t.master != "" {
		o := &redis.FailoverOptions{
			MasterName: t.master, SentinelAddrs: t.addrs, SentinelUsername: t.sentinelUser, SentinelPassword: t.sentinelPassword,
			Username: t.user, Password: t.password, DB: t.db, TLSConfig: secure, ClientName: ClientName,
			DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolSize: pool, Protocol: 2,
			MaxRetries: -1, DialerRetries: 1, DisableIdentity: true, ContextTimeoutEnabled: true,
		}
		client := redis.NewFailoverClient(o)
		return &Cache{client: client, target: t, opts: client.Options()}
	}
	o := &redis.Options{
		Network: t.network, Addr: t.addrs[0], Username: t.user, Password: t.password, DB: t.db, TLSConfig: secure, ClientName: ClientName,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolSize: pool, Protocol: 2,
		MaxRetries: -1, DialerRetries: 1, DisableIdentity: true, ContextTimeoutEnabled: true, MaintNotificationsConfig: off,
	}
	client := redis.NewClient(o)
	return &Cache{client: client, target: t, opts: client.Options()}
}

// tlsConfig is nil without TLS. Names in certificates are always checked.
func (o Options) tlsConfig(t target) (*tls.Config, error) {
	if !t.tls {
		return nil, nil
	}
	ca, cert, key := first(o.CAFile, t.caFile), first(o.CertFile, t.certFile), first(o.KeyFile, t.keyFile)
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.master == "" {
		host, _, err := net.SplitHostPort(t.addrs[0])
		if err != nil {
			return nil, err
		}
		config.ServerName = host
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read the certificate authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, first(key, cert))
		if err != nil {
			return nil, fmt.Errorf("read the certificate of this client: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Client sends any command; it is closed by Close.
func (c *Cache) Client() *redis.Client { return c.client }

// DB is the number of the database.
func (c *Cache) DB() int { return c.target.db }

// String is where the cache is, without secrets.
func (c *Cache) String() string { return c.target.String() }

// Close cuts all connections. It may be called again.
func (c *Cache) Close() error {
	c.stop()
	return c.close()
}

// ConnectError is a server that could not be reached, or that lets nobody in.
// Hint, if not empty, says what an operator can do about it.
type ConnectError struct {
	Where string
	Hint  string
	Err   error
}

func (e *ConnectError) Error() string { return "connect to " + e.Where + ": " + e.Err.Error() }

// Unwrap keeps the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

func (c *Cache) connectError(ctx context.Context, err error) error {
	e := &ConnectError{Where: c.String(), Err: Explain(err), Hint: "does Redis run there? forgectl config show redis.url"}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case ctx.Err() != nil:
		e.Err, e.Hint = context.Cause(ctx), ""
	case errors.Is(err, ErrLoading) || errors.Is(e.Err, ErrLoading):
		e.Err, e.Hint = c.loading(ctx, e.Err), "try again when it has read its dump"
	case errors.Is(e.Err, ErrAuth):
		e.Hint = "forgectl config show redis: the user in redis.url, and redis.password_file"
	case errors.Is(e.Err, ErrRights):
		e.Hint = "ACL LIST, as an administrator, says what that user may do"
	case errors.As(err, &unknown):
		e.Hint = "name the authority that signed its certificate: redis.ca_file"
	case errors.As(err, &name):
		e.Hint = "name the host in redis.url as the certificate does"
	case c.target.master != "" && strings.Contains(err.Error(), "sentinels"):
		e.Hint = "do the sentinels run, and do they know " + c.target.master + "? redis-cli -p 26379 sentinel masters"
	}
	return e
}

// loading says how long it may still take.
func (c *Cache) loading(ctx context.Context, err error) error {
	info, infoErr := c.info(ctx)
	if infoErr != nil {
		return err
	}
	return fmt.Errorf("%w: %s of %s bytes, about %s s to go", err, info["loading_loaded_bytes"], info["loading_total_bytes"], info["loading_eta_seconds"])
}
